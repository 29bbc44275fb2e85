//! What an autoscaler does under load, with the controller's default settings: runs of `verify autoscaling`. The last is with the
//! shipped behaviour and holds its load for ten minutes; those before only differ in that pods go at once, so that there can be
//! several.

use std::{fs, process::Stdio};

use anyhow::{Context, Result, ensure};
use learnflow_lab::{Lab, Life, Scope, Timings, progress};
use learnflow_tests::{SERVICES_NAMESPACE, Target};
use serde_json::Value;

use super::figure::Figure;
use crate::artifacts::{self, step, target_folder};

/// How a service ends its pods that loses no request: see docs/zero-downtime.md.
const CAREFUL: &str = r#"{"spec":{"template":{"spec":{"containers":[{"name":"frontend","lifecycle":{"preStop":{"sleep":{"seconds":10}}}}]}}}}"#;
/// Each request takes a frontend some 20 ms of a processor, of which it requests 50 ms a second.
const LOAD: &[&str] = &[
    "verify",
    "autoscaling",
    "frontend",
    "--load",
    "--path=/preview?cost=20",
    "--max-rps=8",
    "--output=json",
];
const HPA: &str = "hpa/frontend";
const SHORT: &[&str] = &["--hold=10s"];
const SHORT_RUNS: usize = 3;
const LONG: &[&str] = &["--hold=10m", "--max-duration=15m"];
const AT_ONCE: &str =
    r#"{"stabilizationWindowSeconds":0,"policies":[{"type":"Percent","value":100,"periodSeconds":15}]}"#;

pub fn hpa() -> Result<Vec<Figure>> {
    let plugin = artifacts::plugin()?;
    let image = artifacts::services_image()?;
    let name = format!("hpa-{}", std::process::id());
    let lab = Lab::up_with(&name, Scope::Full, Timings::Default, Life::Tied)?;
    let target = Target::lab(lab, plugin, &image)?;
    target.deploy_services()?;
    target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "patch",
        "deployment/frontend",
        "--patch",
        CAREFUL,
    ])?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/frontend")?;
    let installed = target.run_plugin(&["install", "--only=autoscaling"])?;
    ensure!(
        installed.status.success(),
        "install: {}",
        String::from_utf8_lossy(&installed.stderr)
    );
    step("waiting for the first figures", || figures_are_there(&target))?;
    let scale_down = "--output=jsonpath={.spec.behavior.scaleDown}";
    let shipped = target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "get", HPA, scale_down])?;
    let mut reports = Vec::new();
    for run in 0..=SHORT_RUNS {
        let (behaviour, hold) = if run < SHORT_RUNS {
            (AT_ONCE, SHORT)
        } else {
            (&*shipped, LONG)
        };
        let patch = format!("{{\"spec\":{{\"behavior\":{{\"scaleDown\":{behaviour}}}}}}}");
        target.run_kubectl(&[
            "--namespace",
            SERVICES_NAMESPACE,
            "patch",
            HPA,
            "--type=merge",
            "--patch",
            &patch,
        ])?;
        let title = format!("kubectl learnflow {} {}", LOAD.join(" "), hold.join(" "));
        progress::line(&title);
        let report = verify(&target, hold)?;
        let file = target_folder().join(format!("bench-hpa-{}.json", run + 1));
        fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
        reports.push(report);
    }
    let number = |report: &Value, path: &str| report.pointer(path).and_then(Value::as_f64);
    let each = |path: &str| -> Result<Vec<f64>> {
        let all = reports
            .iter()
            .map(|report| number(report, path).with_context(|| format!("no {path} in a report")));
        all.collect()
    };
    let failed = each("/requests/failed")?.iter().sum();
    let sent = each("/requests/sent")?.iter().sum();
    let turns = reports
        .last()
        .and_then(|report| number(report, "/scaling/direction_changes"));
    Ok(vec![
        Figure::median("hpa.decision_s", each("/scaling/decision_s")?, "s"),
        Figure::median("hpa.first_replica_s", each("/scaling/first_replica_s")?, "s").at_most(45.0),
        Figure::new("hpa.requests", sent, ""),
        Figure::new("hpa.failed_requests", failed, "").at_most(0.0),
        Figure::new("hpa.flaps_steady", turns.context("direction changes")?, "").at_most(0.0),
    ])
}

fn figures_are_there(target: &Target) -> Result<()> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(180);
    loop {
        let look = target.run_plugin(&["verify", "autoscaling", "frontend"])?;
        if look.status.code() != Some(2) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&look.stderr);
        ensure!(std::time::Instant::now() < deadline, "no figures: {said}");
        std::thread::sleep(std::time::Duration::from_secs(5));
    }
}

/// A promise that is broken is a figure like any other.
fn verify(target: &Target, hold: &[&str]) -> Result<Value> {
    let mut command = target.plugin(&[LOAD, hold].concat());
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run kubectl-learnflow")?;
    ensure!(
        matches!(output.status.code(), Some(0 | 1)),
        "it ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("its report")
}
