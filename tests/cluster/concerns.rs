//! Policies and autoscalers on the lab: loaded and measuring, what others have left alone, and nothing left at the end. What
//! an outage of Kafka does is in `resilience`.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{Prometheus, SERVICES_NAMESPACE, Target};
use serde_json::{Value, json};

use crate::{Test, expect, objects, scaling::a_quota_keeps_pods_away};

pub const TESTS: &[(&str, Test)] = &[
    ("concerns::installed_and_gone_again", installed_and_gone_again),
    ("concerns::what_others_have_stays", what_others_have_stays),
    (
        "concerns::their_kube_state_metrics_is_used",
        their_kube_state_metrics_is_used,
    ),
];

const SERVICES: [&str; 3] = ["course-agent", "frontend", "user-progress"];
fn installed_and_gone_again(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let before = objects(target)?;
    let (_, said) = expect(target, &["install"], 0)?;
    let singleton = format!("‼ Deployment {SERVICES_NAMESPACE}/user-progress is not scaled: its strategy is Recreate");
    ensure!(said.contains(&singleton), "{said}");
    every_enrolled_sidecar_has_loaded_it(target)?;
    autoscalers_have_figures(target)?;
    shown_by_status(target)?;
    expect(target, &["diff"], 0)?;
    a_quota_keeps_pods_away(target)?;
    no_sidecar_was_restarted(target)?;
    expect(target, &["uninstall", "--unenroll"], 0)?;
    let after = objects(target)?;
    let left: Vec<_> = after.iter().filter(|object| !before.contains(object)).collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}

fn every_enrolled_sidecar_has_loaded_it(target: &Target) -> Result<()> {
    let prometheus = Prometheus::of(target)?;
    let query =
        format!("count(dapr_resiliency_loaded{{job=\"dapr\",namespace=\"{SERVICES_NAMESPACE}\",name=\"learnflow\"}})");
    prometheus.wait_for(&query, SERVICES.len() as f64, Duration::from_secs(60))?;
    Ok(())
}

/// `<unknown>` would be an autoscaler that never scales.
fn autoscalers_have_figures(target: &Target) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let list = target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "get", "hpa", "--output=json"])?;
        let list: Value = serde_json::from_str(&list)?;
        let items = list["items"].as_array().context("a list")?;
        let names: Vec<&str> = items
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str())
            .collect();
        ensure!(names == ["course-agent", "frontend"], "{names:?}");
        let load = |item: &Value| {
            item.pointer("/status/currentMetrics/0/containerResource/current/averageUtilization")
                .and_then(Value::as_u64)
        };
        if items.iter().all(|item| load(item).is_some()) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no figures: {list}");
        thread::sleep(Duration::from_secs(2));
    }
}

fn shown_by_status(target: &Target) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = target.run_plugin(&["status", "--output=json"])?;
        let report: Value = serde_json::from_slice(&output.stdout).context("status -o json")?;
        let policies = json!([{ "name": "learnflow", "learnflow": true, "components": ["kafka-pubsub"], "sidecars": 3,
            "loaded": 3, "breakers": report["resilience"][0]["breakers"] }]);
        let scaled = report["autoscaling"].as_array().map_or(0, Vec::len);
        if output.status.success() && report["resilience"] == policies && scaled == 2 {
            let (table, _) = expect(target, &["status"], 0)?;
            ensure!(
                table.contains("\nRESILIENCE\n") && table.contains("\nAUTOSCALING\n"),
                "{table}"
            );
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{report:#}");
        thread::sleep(Duration::from_secs(2));
    }
}

/// In place, as Dapr does at a change of policies: its `/metrics` would be broken afterwards.
fn no_sidecar_was_restarted(target: &Target) -> Result<()> {
    // A pod that is being made, for which there was no quota before, has no log yet.
    target.wait_for_services()?;
    for service in SERVICES {
        let selector = format!("--selector=app.kubernetes.io/name={service}");
        let arguments = [
            "--namespace",
            SERVICES_NAMESPACE,
            "logs",
            &selector,
            "--container=daprd",
            "--tail=-1",
        ];
        let log = target.run_kubectl(&arguments)?;
        ensure!(
            !log.contains("triggering SIGHUP reload"),
            "{service} was restarted in place"
        );
        ensure!(
            log.contains("Loading Resiliency configuration: learnflow"),
            "{service} has not loaded it"
        );
    }
    Ok(())
}

fn what_others_have_stays(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let theirs = include_str!("../cases/concerns-of-others.yaml");
    target.apply(Some(SERVICES_NAMESPACE), theirs)?;
    let result = left_alone(target);
    // Whatever came of it: what is theirs goes last, so that a later test finds nothing of it.
    let gone = expect(target, &["uninstall", "--unenroll"], 0).map(|_| ());
    let namespace = ["--namespace", SERVICES_NAMESPACE, "delete"];
    target.run_kubectl(&[&namespace[..], &["hpa/by-hand", "resiliency/by-hand"]].concat())?;
    target.wait_for_services()?;
    result.and(gone)
}

fn left_alone(target: &Target) -> Result<()> {
    let (_, said) = expect(target, &["install", "--only=resilience,autoscaling"], 0)?;
    for sentence in [
        "‼ Resiliency learnflow/by-hand already decides about kafka-pubsub for course-agent: LearnFlow's is left out there",
        "‼ Deployment learnflow/frontend is not scaled: HorizontalPodAutoscaler learnflow/by-hand does that already",
    ] {
        ensure!(said.contains(sentence), "{sentence}: {said}");
    }
    let get = |what: &str, path: &str| {
        let path = format!("--output=jsonpath={path}");
        target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "get", what, &path])
    };
    let scopes = get("resiliency/learnflow", "{.scopes[*]}")?;
    ensure!(scopes == "frontend user-progress", "{scopes}");
    let autoscalers: String = get("hpa", "{.items[*].metadata.name}")?;
    let autoscalers: BTreeSet<&str> = autoscalers.split(' ').collect();
    ensure!(
        autoscalers == BTreeSet::from(["by-hand", "course-agent"]),
        "{autoscalers:?}"
    );
    let Ok(log) = target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "logs",
        "--selector=app.kubernetes.io/name=course-agent",
        "--container=daprd",
        "--tail=-1",
    ]) else {
        bail!("course-agent has no log");
    };
    ensure!(
        !log.contains("Loading Resiliency configuration: learnflow"),
        "both are loaded"
    );
    ensure!(
        log.contains("Loading Resiliency configuration: by-hand"),
        "theirs is not loaded"
    );
    Ok(())
}

fn their_kube_state_metrics_is_used(target: &Target) -> Result<()> {
    target.deploy_services()?;
    target.apply(None, include_str!("../cases/kube-state-metrics.yaml"))?;
    let result = read_and_bounded(target);
    // Whatever came of it, a later test must not find theirs.
    let gone = expect(target, &["uninstall", "--unenroll"], 0).map(|_| ());
    let roles = [
        "clusterrole/their-kube-state-metrics",
        "clusterrolebinding/their-kube-state-metrics",
    ];
    target.run_kubectl(&[&["delete", "namespace/monitoring"], &roles[..], &["--wait"]].concat())?;
    result.and(gone)
}

fn read_and_bounded(target: &Target) -> Result<()> {
    target.wait_rolled_out("monitoring", "deployment/kube-state-metrics")?;
    let (_, said) = expect(target, &["install", "--only=prometheus"], 0)?;
    let sentence = "√ The kube-state-metrics in namespace monitoring is used";
    ensure!(said.contains(sentence), "{said}");
    let ours = ["--namespace", "learnflow-system", "get", "deployments", "--output=name"];
    let ours = target.run_kubectl(&ours)?;
    ensure!(!ours.contains("kube-state-metrics"), "{ours}");
    let prometheus = Prometheus::of(target)?;
    let all = format!("count(kube_deployment_spec_replicas{{namespace=\"{SERVICES_NAMESPACE}\"}})");
    prometheus.wait_for(&all, SERVICES.len() as f64, Duration::from_secs(60))?;
    // It tells of all namespaces; Kafka's is none of LearnFlow's business.
    let others = "count(kube_pod_container_resource_limits{namespace!~\"learnflow.*\"}) or vector(0)";
    ensure!(prometheus.number(others)? == 0.0, "{:?}", prometheus.query(others)?);
    Ok(())
}
