//! The stack is stopped, in part and as a whole: the services do not notice, `status` says so, and what was missed is counted when it
//! is back. How long a publish takes meanwhile is in `tests/stack/publishing.rs`.

use std::time::Duration;

use anyhow::{Result, ensure};
use learnflow_tests::{
    AGENT_NAMESPACE, Frontend, Prometheus, SERVICES_NAMESPACE, STACK_NAMESPACE, Target, progress_of,
};

use crate::{Test, expect, stack_is_gone};

pub const TESTS: &[(&str, Test)] = &[("stopped::nobody_notices_and_all_is_counted", all_is_counted)];

const AGENT: &str = "daemonset/collector-agent";
const NOWHERE: &str = r#"{"spec":{"template":{"spec":{"nodeSelector":{"learnflow.dev/stopped":"true"}}}}}"#;
const EVERYWHERE: &str = r#"{"spec":{"template":{"spec":{"nodeSelector":null}}}}"#;
const LESSONS: u64 = 200;

fn all_is_counted(target: &Target) -> Result<()> {
    target.deploy_services()?;
    expect(target, &["install", "--skip=autoscaling"], 0)?;
    let before = progress_of(target, 0, Duration::ZERO)?.lessons;
    let frontend = Frontend::of(target)?;

    scale(target, &["deployment/prometheus"], 0)?;
    let (table, _) = expect(target, &["status"], 1)?;
    let reason = format!("Deployment {STACK_NAMESPACE}/prometheus is scaled to no pod at all");
    ensure!(table.contains(&reason), "{table}");
    frontend.request_lessons(LESSONS as usize)?;
    becomes_rows(target, before + LESSONS)?;
    scale(target, &["deployment/prometheus"], 1)?;
    expect(target, &["status", "--wait=120s"], 0)?;
    counted(target, LESSONS)?;

    // All of it, the agents too: the sidecars' logs wait on the node.
    let listed = ["get", "deployments", "--output=name"];
    let listed = target.run_kubectl(&[&["--namespace", STACK_NAMESPACE][..], &listed].concat())?;
    let all: Vec<&str> = listed.lines().collect();
    patch_agent(target, NOWHERE)?;
    scale(target, &all, 0)?;
    let gone = ["wait", "pods", "--all", "--for=delete", "--timeout=120s"];
    for namespace in [STACK_NAMESPACE, AGENT_NAMESPACE] {
        target.run_kubectl(&[&["--namespace", namespace][..], &gone].concat())?;
    }
    frontend.request_lessons(LESSONS as usize)?;
    becomes_rows(target, before + 2 * LESSONS)?;
    let (table, _) = expect(target, &["status"], 1)?;
    for workload in &all {
        let name = workload.rsplit('/').next().unwrap_or_default();
        let reason = format!("Deployment {STACK_NAMESPACE}/{name} is scaled to no pod at all");
        ensure!(table.contains(&reason), "{name}: {table}");
    }
    ensure!(table.contains(&format!("{AGENT_NAMESPACE}/collector-agent")), "{table}");

    scale(target, &all, 1)?;
    patch_agent(target, EVERYWHERE)?;
    expect(target, &["status", "--wait=180s"], 0)?;
    // The gateway is a new one, and has begun at 0: what it has is what came while nobody was there.
    counted(target, LESSONS)?;
    expect(target, &["uninstall", "--unenroll"], 0)?;
    stack_is_gone(target)
}

fn scale(target: &Target, workloads: &[&str], replicas: u8) -> Result<()> {
    let replicas = format!("--replicas={replicas}");
    let scale = ["--namespace", STACK_NAMESPACE, "scale", &replicas];
    target.run_kubectl(&[&scale[..], workloads].concat()).map(|_| ())
}

fn patch_agent(target: &Target, patch: &str) -> Result<()> {
    let namespace = ["--namespace", AGENT_NAMESPACE];
    let arguments = ["patch", AGENT, "--type=merge", "--patch", patch];
    target.run_kubectl(&[&namespace[..], &arguments].concat()).map(|_| ())
}

fn becomes_rows(target: &Target, expected: u64) -> Result<()> {
    let rows = progress_of(target, expected, Duration::from_secs(60))?.lessons;
    ensure!(rows == expected, "{rows} rows of {expected} in {SERVICES_NAMESPACE}");
    Ok(())
}

/// Each lesson is published once and delivered once.
fn counted(target: &Target, lessons: u64) -> Result<()> {
    let prometheus = Prometheus::of(target)?;
    prometheus.wait_for(
        "sum(learnflow_events_total)",
        (2 * lessons) as f64,
        Duration::from_secs(90),
    )
}
