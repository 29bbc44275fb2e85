//! Trouble with the API server that passes: it is waited for, with pauses, and said once. And two who install at once.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, Target};
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
const ONE_SERVICE: [&str; 3] = ["install", "--exclude=frontend", "--exclude=user-progress"];
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
    for dry_runs in [true, false] {
        let webhook = Webhook::put(target, dry_runs)?;
        let said = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(A_WHILE);
                webhook.take_away()
            });
            listen(&mut target.plugin(&STACK), |_| Ok(()))
        })?;
        waited_for(&said, "failed calling webhook \"away.learnflow.test\"")?;
        let looked = said.find("Applying").context("it never applied")?;
        let met = said.find("Trying again").context("it never met it")?;
        ensure!((met < looked) == dry_runs, "met at the wrong moment: {said}");
        expect(target, &[&["diff"], &STACK[1..]].concat(), 0)?;
        expect(target, &["uninstall"], 0)?;
    }
    // One that stays away is named, and nothing is half applied.
    let webhook = Webhook::put(target, true)?;
    let ended = target.run_plugin(&[&STACK[..], &["--timeout=3s"]].concat());
    webhook.take_away()?;
    let ended = ended?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.code() == Some(2) && said.contains("away.learnflow.test") && !said.contains("Applying"),
        "{}: {said}",
        ended.status
    );
    Ok(())
}

struct Webhook<'a>(&'a Target);

impl<'a> Webhook<'a> {
    /// Puts it there, and waits until the API server asks it: of every change, or not of dry runs.
    fn put(target: &'a Target, dry_runs: bool) -> Result<Self> {
        let condition = "matchConditions: [{name: real, expression: \"!request.dryRun\"}]";
        let webhook = WEBHOOK.replace("matchConditions: []", if dry_runs { "" } else { condition });
        target.apply(None, &webhook)?;
        let webhook = Webhook(target);
        let probe = [
            "--namespace",
            SERVICES_NAMESPACE,
            "create",
            "configmap",
            "learnflow-probe",
        ];
        let dry_run: &[&str] = if dry_runs { &["--dry-run=server"] } else { &[] };
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match target.run_kubectl(&[&probe[..], dry_run].concat()) {
                Err(error) if format!("{error:#}").contains("away.learnflow.test") => return Ok(webhook),
                Err(error) => return Err(error),
                Ok(_) if !dry_runs => {
                    target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "delete", "configmap/learnflow-probe"])?;
                }
                Ok(_) => {}
            }
            ensure!(Instant::now() < deadline, "the API server does not ask the webhook");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn take_away(&self) -> Result<()> {
        let name = "validatingwebhookconfiguration/learnflow-test";
        self.0.run_kubectl(&["delete", name, "--ignore-not-found"]).map(|_| ())
    }
}

impl Drop for Webhook<'_> {
    fn drop(&mut self) {
        let _ = self.take_away();
    }
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
