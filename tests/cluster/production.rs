//! The profile `production` on a real cluster: two Prometheus that know the same, whole traces by way of two collectors, and data
//! that a pod's end does not take along.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{Frontend, Prometheus, STACK_NAMESPACE, Target, read_spans};

use crate::{Test, expect, line::whole_trace, stack_is_gone};

pub const TESTS: &[(&str, Test)] = &[("production::it_is_all_there_twice_and_stays", it_stays)];

const VOLUMES: &str = include_str!("../cases/local-volumes.yaml");
const LESSONS: usize = 100;
const EVENTS: f64 = 2.0 * LESSONS as f64;

fn it_stays(target: &Target) -> Result<()> {
    make_volumes(target)?;
    let result = installed(target);
    // Data goes only when a person says so.
    let kept = target.run_kubectl(&["get", "persistentvolumes", "--output=jsonpath={.items[*].status.phase}"]);
    let removed = target.run_kubectl(&["delete", "persistentvolumes,storageclasses", "--all", "--wait=false"]);
    result?;
    let kept = kept?;
    ensure!(kept == "Released Released Released", "{kept}");
    removed.map(|_| ())
}

fn installed(target: &Target) -> Result<()> {
    target.deploy_services()?;
    expect(
        target,
        &[
            "install",
            "--profile=production",
            "--skip=autoscaling",
            "--timeout=180s",
        ],
        0,
    )?;
    expect(target, &["status", "--wait=120s"], 0)?;
    Frontend::of(target)?.request_lessons(LESSONS)?;
    for name in ["deployment/prometheus", "deployment/prometheus-b"] {
        Prometheus::of_workload(target, name)?
            .wait_for("sum(learnflow_events_total)", EVENTS, Duration::from_secs(90))
            .with_context(|| name.to_owned())?;
    }
    let trace = whole_trace(target)?;

    // What has a volume has its data again.
    let samples = "sum(count_over_time(learnflow_events_total[1h]))";
    let before = Prometheus::of_workload(target, "deployment/prometheus")?.number(samples)?;
    for name in ["traces", "prometheus"] {
        let selector = format!("--selector=app.kubernetes.io/name={name}");
        target.run_kubectl(&["--namespace", STACK_NAMESPACE, "delete", "pod", &selector, "--wait"])?;
    }
    expect(target, &["status", "--wait=120s"], 0)?;
    let again = read_spans(target)?.into_iter().filter(|span| span.trace == trace);
    ensure!(again.count() > 0, "trace {trace} is gone");
    let prometheus = Prometheus::of_workload(target, "deployment/prometheus")?;
    prometheus.wait_at_least(samples, before, Duration::from_secs(60))?;

    expect(target, &["uninstall", "--unenroll"], 0)?;
    let namespace = [
        "get",
        "persistentvolumeclaims",
        "--namespace",
        STACK_NAMESPACE,
        "--output=name",
    ];
    ensure!(
        target.run_kubectl(&namespace)?.lines().count() == 3,
        "volumes went with it"
    );
    target.run_kubectl(&["delete", "namespace", STACK_NAMESPACE, "--wait"])?;
    stack_is_gone(target)
}

/// Folders on the lab's node: its /var/log is one of this machine.
fn make_volumes(target: &Target) -> Result<()> {
    let lab = std::env::var("LEARNFLOW_TEST_LAB").context("a lab is needed")?;
    let folder = learnflow_lab::cache()?
        .join("labs")
        .join(lab)
        .join("fs/var-log/volumes");
    let (class, volume) = VOLUMES.split_once("---\n").context("two objects")?;
    let mut manifest = class.to_owned();
    for name in ["volume-1", "volume-2", "volume-3"] {
        fs::create_dir_all(folder.join(name))?;
        let one = volume.replace("NAME", name).replace("FOLDER", "/var/log/volumes");
        manifest.push_str(&format!("---\n{one}"));
    }
    target.apply(None, &manifest)
}
