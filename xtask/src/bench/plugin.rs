//! The plugin as its user waits for it: a help page, and an installation and a comparison against kubectl with the same
//! objects, on a cluster that has them already. What `status` takes is in [`super::status`].

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_lab::Scope;
use learnflow_tests::Target;

use super::figure::{Figure, TIMES};
use crate::{
    artifacts::{self, step, target_folder},
    demo,
};

const HELPS: usize = 51;
const ROUNDS: usize = 11;
/// The stack alone: kubectl would have no part in what the services' Deployments take.
const PARTS: &str = "--only=collector,prometheus";

pub fn help() -> Result<Vec<Figure>> {
    let plugin = artifacts::plugin()?;
    let help = || time(Command::new(&plugin).arg("--help").env_clear());
    // What starting any process takes.
    let floor = || time(Command::new("true").env_clear());
    let rounds = in_turns(HELPS, help, floor)?;
    let times = rounds.iter().map(|(ours, _)| ours * 1000.0).collect();
    let ratios = rounds.iter().map(|(ours, floor)| ours / floor).collect();
    Ok(vec![
        Figure::median("plugin.help_ms", times, "ms").at_most(10.0),
        Figure::median("plugin.help.vs_true", ratios, TIMES),
    ])
}

pub fn install() -> Result<Vec<Figure>> {
    let (target, files) = installed()?;
    let ours = || time(&mut target.plugin(&["install", "--no-wait", PARTS]));
    let theirs = || kubectl(target, "apply", files);
    step("timing install against kubectl apply", || {
        compare("install.vs_kubectl_apply", 0.3, "install.ms", ours, theirs)
    })
}

pub fn diff() -> Result<Vec<Figure>> {
    let (target, files) = installed()?;
    let ours = || time(&mut target.plugin(&["diff", PARTS]));
    let theirs = || kubectl(target, "diff", files);
    step("timing diff against kubectl diff", || {
        compare("diff.vs_kubectl_diff", 0.3, "diff.ms", ours, theirs)
    })
}

/// What kubectl takes for the same objects, in our name.
fn kubectl(target: &Target, verb: &str, files: &Path) -> Result<f64> {
    let arguments = [verb, "--server-side", "--field-manager=kubectl-learnflow", "--filename"];
    time(target.kubectl().args(arguments).arg(files))
}

/// Seconds of each, after one of each to warm up. In turns: what slows down one slows down the other.
fn in_turns(
    rounds: usize,
    ours: impl Fn() -> Result<f64>,
    theirs: impl Fn() -> Result<f64>,
) -> Result<Vec<(f64, f64)>> {
    ours()?;
    theirs()?;
    (0..rounds).map(|_| Ok((ours()?, theirs()?))).collect()
}

pub(super) fn compare(
    ratio: &'static str,
    goal: f64,
    alone: &'static str,
    ours: impl Fn() -> Result<f64>,
    theirs: impl Fn() -> Result<f64>,
) -> Result<Vec<Figure>> {
    let rounds = in_turns(ROUNDS, ours, theirs)?;
    let ratios = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
    let times = rounds.iter().map(|(ours, _)| ours * 1000.0).collect();
    Ok(vec![
        Figure::median(ratio, ratios, TIMES).at_most(goal),
        Figure::median(alone, times, "ms"),
    ])
}

/// A cluster with everything installed, and the files of it. It ends with this process.
pub(super) fn installed() -> Result<&'static (Target, PathBuf)> {
    static CLUSTER: OnceLock<(Target, PathBuf)> = OnceLock::new();
    if let Some(cluster) = CLUSTER.get() {
        return Ok(cluster);
    }
    let nowhere = demo::Cluster {
        kubeconfig: None,
        context: None,
        image: None,
    };
    let target = demo::target(&nowhere, "", Scope::Full)?;
    target.deploy_services()?;
    let files = target_folder().join("bench-rendered");
    let folder = files.to_string_lossy().into_owned();
    for arguments in [&["install"][..], &["render", PARTS, "--output-dir", &folder]] {
        let output = target.run_plugin(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}", arguments.join(" "));
    }
    Ok(CLUSTER.get_or_init(|| (target, files)))
}

/// Seconds by the clock.
pub(super) fn time(command: &mut Command) -> Result<f64> {
    let began = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let seconds = began.elapsed().as_secs_f64();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {said}", output.status);
    }
    Ok(seconds)
}
