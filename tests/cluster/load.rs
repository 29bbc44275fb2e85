//! `verify autoscaling`: the lab's real controller scales the frontend under real load and back, without a failed request; Ctrl-C
//! ends the load at once. The lab's controller looks every 5 s: figures with its default settings are `cargo xtask bench hpa`.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, Target};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{Test, expect};

pub const TESTS: &[(&str, Test)] = &[("load::verified_under_load", verified_under_load)];

const AUTOSCALER: &str = include_str!("../cases/quick-autoscaler.yaml");
/// What a frontend does when it is told to end.
const SERVES_ON: &str = r#"{"preStop":{"sleep":{"seconds":5}}}"#;
/// Each takes some 20 ms of a processor, of which a frontend requests 50 ms a second.
const LOAD: [&str; 6] = [
    "verify",
    "autoscaling",
    "frontend",
    "--load",
    "--path=/preview?cost=20",
    "--max-rps=8",
];

fn verified_under_load(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let (_, said) = expect(target, &["verify", "autoscaling", "frontend"], 2)?;
    ensure!(
        said.contains("Deployment learnflow/frontend has no HorizontalPodAutoscaler."),
        "{said}"
    );
    ends(target, SERVES_ON)?;
    target.apply(Some(SERVICES_NAMESPACE), AUTOSCALER)?;
    figures_come(target)?;
    let (report, said) = expect(target, &[&LOAD[..], &["--hold=10s", "--output=json"]].concat(), 0)?;
    let report: Value = serde_json::from_str(&report).with_context(|| said)?;
    ensure!(report["scaling"]["most"].as_i64() > Some(1), "{report:#}");
    ensure!(
        report["requests"]["failed"] == 0 && report["requests"]["lost"] == 0,
        "{report:#}"
    );
    let promises = report["promises"].as_array().context("promises")?;
    let broken = promises.iter().find(|promise| promise["verdict"] != "kept");
    ensure!(promises.len() == 7 && broken.is_none(), "{broken:?}");
    interrupted(target)?;
    ours(target, &["delete", "hpa/frontend"])?;
    ours(target, &["scale", "deployment/frontend", "--replicas=1"])?;
    ends(target, "null")
}

fn ours(target: &Target, arguments: &[&str]) -> Result<String> {
    target.run_kubectl(&[&["--namespace", SERVICES_NAMESPACE][..], arguments].concat())
}

fn ends(target: &Target, lifecycle: &str) -> Result<()> {
    let container = format!("{{\"name\":\"frontend\",\"lifecycle\":{lifecycle}}}");
    let patch = format!("{{\"spec\":{{\"template\":{{\"spec\":{{\"containers\":[{container}]}}}}}}}}");
    ours(target, &["patch", "deployment/frontend", "--patch", &patch])?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/frontend")
}

/// Without load it looks, and tells what it would send.
fn figures_come(target: &Target) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let look = target.run_plugin(&["verify", "autoscaling"])?;
        let (out, said) = (
            String::from_utf8_lossy(&look.stdout),
            String::from_utf8_lossy(&look.stderr),
        );
        if look.status.code() != Some(2) {
            ensure!(
                out.contains("Nothing was sent. With --load: up to 50 a second of GET / to Service frontend"),
                "{out}"
            );
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{said}");
        thread::sleep(Duration::from_secs(2));
    }
}

fn interrupted(target: &Target) -> Result<()> {
    let mut running = target.plugin(&LOAD);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    thread::sleep(Duration::from_secs(10));
    kill(Pid::from_raw(running.id().try_into()?), Signal::SIGINT)?;
    let asked = Instant::now();
    let ended = running.wait_with_output()?;
    let (took, said) = (asked.elapsed(), String::from_utf8_lossy(&ended.stderr).into_owned());
    ensure!(ended.status.code() == Some(130), "{}: {said}", ended.status);
    ensure!(took < Duration::from_secs(1), "it took {took:?}");
    ensure!(said.contains("No load is sent any more"), "{said}");
    Ok(())
}
