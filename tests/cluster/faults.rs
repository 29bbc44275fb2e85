//! Trouble with the API server that passes: it is waited for, with pauses, and said once. And two who install at once.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::Target;
use serde_json::Value;

use crate::{Test, expect, gate::Gate};

pub const TESTS: &[(&str, Test)] = &[
    (
        "faults::an_api_server_that_restarts_is_waited_for",
        an_api_server_that_restarts_is_waited_for,
    ),
    ("faults::connections_that_break", connections_that_break),
    ("faults::a_webhook_that_is_away", a_webhook_that_is_away),
    ("faults::too_many_requests", too_many_requests),
    ("faults::two_install_at_once", two_install_at_once),
];

const STACK: [&str; 2] = ["install", "--skip=middleware,resilience,autoscaling"];
const ONE_SERVICE: [&str; 2] = ["install", "--exclude=frontend,user-progress"];
/// The first object that is applied in the namespace of the stack.
const APPLYING: &str = " ConfigMap learnflow-system/learnflow ";
/// How long trouble lasts.
const A_WHILE: Duration = Duration::from_secs(3);
const WEBHOOK: &str = include_str!("../cases/faults/webhook.yaml");
const THROTTLED: &str = include_str!("../cases/faults/throttled.yaml");

/// Runs a command to its end; `at` hears of each line that it says.
fn listen(command: &mut Command, mut at: impl FnMut(&str) -> Result<()>) -> Result<String> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().context("stderr")?).lines() {
        let line = line?;
        at(&line)?;
        said.push_str(&line);
        said.push('\n');
    }
    let status = child.wait()?;
    ensure!(status.success(), "{status}: {said}");
    Ok(said)
}

fn waited_for(said: &str, trouble: &str) -> Result<()> {
    ensure!(said.contains(trouble), "`{trouble}` is not said: {said}");
    ensure!(said.matches("Trying again").count() == 1, "not said once: {said}");
    Ok(())
}

fn an_api_server_that_restarts_is_waited_for(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let gate = Gate::to(target)?;
    // While it looks, and while it applies: both in one installation.
    let said = listen(&mut gate.plugin(target, &STACK), |line| {
        if line.contains("√ Kubernetes ") || line.contains(APPLYING) {
            gate.close_for(A_WHILE);
        }
        Ok(())
    })?;
    waited_for(&said, "Cannot reach the API server")?;
    expect(target, &[&["diff"], &STACK[1..]].concat(), 0)?;
    expect(target, &["uninstall"], 0).map(|_| ())
}

/// Every half a second all connections end, as with a proxy in between that is in trouble.
fn connections_that_break(target: &Target) -> Result<()> {
    let gate = Gate::to(target)?;
    gate.break_every(Duration::from_millis(500));
    let said = listen(&mut gate.plugin(target, &STACK), |_| Ok(()))?;
    ensure!(gate.broken() > 2, "only {} connections were broken", gate.broken());
    ensure!(said.matches("Trying again").count() <= 1, "not said once: {said}");
    let said = listen(&mut gate.plugin(target, &["uninstall"]), |_| Ok(()))?;
    ensure!(said.contains("LearnFlow is removed"), "{said}");
    Ok(())
}

/// One that nobody answers for, as the API server sees it: while `install` looks, and while it applies.
fn a_webhook_that_is_away(target: &Target) -> Result<()> {
    let mut comes_back: Option<Child> = None;
    let gone_after_a_while = || -> Result<Child> {
        target.apply(None, WEBHOOK)?;
        let name = "validatingwebhookconfiguration/learnflow-test";
        let delete = format!("sleep {}; exec \"$0\" \"$@\"", A_WHILE.as_secs());
        let kubectl = target.kubectl();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &delete])
            .arg(kubectl.get_program())
            .args(kubectl.get_args());
        shell.args(["delete", name]).stdout(Stdio::null());
        shell.envs(kubectl.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ok(shell.spawn()?)
    };
    comes_back.replace(gone_after_a_while()?);
    let said = listen(&mut target.plugin(&STACK), |_| Ok(()))?;
    waited_for(&said, "failed calling webhook \"away.learnflow.test\"")?;
    finish(&mut comes_back)?;
    expect(target, &["uninstall"], 0)?;

    let said = listen(&mut target.plugin(&STACK), |line| {
        if line.contains("applied Namespace learnflow-system") {
            comes_back.replace(gone_after_a_while()?);
        }
        Ok(())
    })?;
    waited_for(&said, "failed calling webhook \"away.learnflow.test\"")?;
    finish(&mut comes_back)?;
    expect(target, &[&["diff"], &STACK[1..]].concat(), 0)?;

    // One that stays away is named, and nothing is half applied.
    target.apply(None, WEBHOOK)?;
    let arguments = [
        "install",
        "--skip=middleware,resilience,autoscaling",
        "--profile=dev",
        "--timeout=3s",
    ];
    let ended = target.run_plugin(&arguments);
    target.run_kubectl(&["delete", "validatingwebhookconfiguration/learnflow-test"])?;
    let ended = ended?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.code() == Some(2) && said.contains("away.learnflow.test"),
        "{}: {said}",
        ended.status
    );
    expect(target, &["uninstall"], 0).map(|_| ())
}

fn finish(child: &mut Option<Child>) -> Result<()> {
    let status = child.take().context("it never came to that")?.wait()?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// The API server's own limit on requests at once, so small that most of ours are refused with 429, and none let through for a
/// while.
fn too_many_requests(target: &Target) -> Result<()> {
    target.apply(None, THROTTLED)?;
    let seats = |seats: u32| {
        let patch = format!("--patch={{\"spec\":{{\"limited\":{{\"nominalConcurrencyShares\":{seats}}}}}}}");
        let level = "prioritylevelconfiguration/learnflow-test";
        target
            .run_kubectl(&["patch", level, "--type=merge", &patch])
            .map(|_| ())
    };
    let mut install = target.plugin(&[&STACK[..], &["--as=throttled"]].concat());
    let said = listen(&mut install, |line| {
        if line.contains(APPLYING) {
            seats(0)?;
            thread::sleep(A_WHILE);
            seats(1)?;
        }
        Ok(())
    })?;
    waited_for(&said, "is busy: it answers 429 Too Many Requests")?;
    let metrics = target.run_kubectl(&["get", "--raw", "/metrics"])?;
    let rejected = metrics.lines().filter(|line| {
        line.starts_with("apiserver_flowcontrol_rejected_requests_total") && line.contains("\"learnflow-test\"")
    });
    let rejected: f64 = rejected
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    eprintln!("    {rejected} requests were refused with 429");
    ensure!(rejected > 0.0, "nothing was refused");
    expect(target, &[&["diff"], &STACK[1..]].concat(), 0)?;
    target.run_kubectl(&[
        "delete",
        "flowschema/learnflow-test",
        "prioritylevelconfiguration/learnflow-test",
        "clusterrolebinding/learnflow-test",
    ])?;
    expect(target, &["uninstall"], 0).map(|_| ())
}

/// Two people, from nothing.
fn two_install_at_once(target: &Target) -> Result<()> {
    let start = || {
        let mut install = target.plugin(&ONE_SERVICE);
        install.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let both = [start()?, start()?];
    for one in both {
        let ended = one.wait_with_output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "{}: {said}", ended.status);
    }
    let (stdout, _) = expect(target, &[&["diff", "--output=json"], &ONE_SERVICE[1..]].concat(), 0)?;
    let differences: Vec<Value> = serde_json::from_str(&stdout)?;
    ensure!(differences.is_empty(), "{stdout}");
    expect(target, &["uninstall", "--unenroll"], 0).map(|_| ())
}
