//! Scaling by lag with every part real: events wait in Kafka, collector-kafka counts them, Prometheus keeps the count,
//! prometheus-adapter hands it to the autoscaler of Kubernetes, and that gives the consumer pods.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, STACK_NAMESPACE, Target, backlog};
use serde_json::Value;

use crate::{Test, expect};

pub const TESTS: &[(&str, Test)] = &[(
    "lag::a_consumer_gets_pods_for_its_lag",
    a_consumer_gets_pods_for_its_lag,
)];

const PARTS: &str = "--only=prometheus,prometheus-adapter,autoscaling,kafka";
/// Half a minute of work for one pod.
const EVENTS: usize = 1200;
const MILLIS: u32 = 40;
const PARTITIONS: u64 = 3;

fn a_consumer_gets_pods_for_its_lag(target: &Target) -> Result<()> {
    target.deploy_services()?;
    backlog::slow_consumer(target, MILLIS)?;
    let result = scaled(target);
    // Whatever came of it, a later test must find nothing of this.
    let gone = removed(target);
    let back = backlog::usual_consumer(target);
    result.and(gone).and(back)
}

fn scaled(target: &Target) -> Result<()> {
    let (_, said) = expect(target, &["install", PARTS], 0)?;
    ensure!(said.contains("user-progress (1 to 3 pods by CPU and lag)"), "{said}");
    registered_last(&said)?;
    more_than_partitions_is_refused(target)?;
    // Nobody waits for half a minute of need here, nor for five minutes of none.
    behave(target, "scaleUp", 0)?;
    // A group that has read nothing yet has no lag.
    backlog::publish(target, 10)?;
    let told = |least: u64| move |lag: &Option<u64>| lag.is_some_and(|lag| lag >= least);
    backlog::wait_until("lag is told", Duration::from_secs(60), || backlog::lag(target), told(0))?;

    backlog::publish(target, EVENTS)?;
    top_shows_it(target)?;
    let look = || backlog::pods(target);
    let all = |(ready, wanted): &(u64, u64)| (*ready, *wanted) == (PARTITIONS, PARTITIONS);
    let up = backlog::wait_until("all pods that are of use", Duration::from_secs(90), look, all)?;
    let none = |lag: &Option<u64>| *lag == Some(0);
    let drained = backlog::wait_until("no lag", Duration::from_secs(90), || backlog::lag(target), none)?;
    println!("{EVENTS} events: {PARTITIONS} pods after {up:.0?}, no lag {drained:.0?} later");

    // Each got its share: the partitions are dealt out.
    ensure!(consumed_by(target)? == PARTITIONS, "some pod got nothing");

    behave(target, "scaleDown", 0)?;
    let few = |(_, wanted): &(u64, u64)| *wanted < PARTITIONS;
    backlog::wait_until("fewer pods", Duration::from_secs(60), look, few)?;
    what_is_not_known_takes_no_pods(target)
}

/// Of a consumer whose events nobody sees, too: here no sidecar writes records.
fn top_shows_it(target: &Target) -> Result<()> {
    let look = || {
        let (rows, _) = expect(target, &["top", "--output=json"], 0)?;
        let rows: Vec<Value> = serde_json::from_str(&rows)?;
        let ours = |row: &&Value| row["topic"] == "lesson.generated" && row["service"] == "user-progress";
        Ok(rows.iter().find(ours).and_then(|row| row["lag"].as_u64()))
    };
    let some = |lag: &Option<u64>| lag.is_some_and(|lag| lag > 0);
    backlog::wait_until("lag in top", Duration::from_secs(60), look, some)?;
    Ok(())
}

/// The whole cluster's place for this API is taken only by somebody who answers.
fn registered_last(said: &str) -> Result<()> {
    let ready = said.find("Deployment learnflow-system/prometheus-adapter 1/1 ready");
    let taken = said.find("applied APIService v1beta1.external.metrics.k8s.io");
    ensure!(ready.context("ready")? < taken.context("taken")?, "{said}");
    Ok(())
}

fn more_than_partitions_is_refused(target: &Target) -> Result<()> {
    let file = std::env::temp_dir().join(format!("learnflow-lag-{}.yaml", std::process::id()));
    std::fs::write(&file, "services:\n  - name: user-progress\n    scaling: {max: 4}\n")?;
    let path = file.display().to_string();
    let refused = expect(target, &["install", "--only=autoscaling", "-f", &path], 2);
    std::fs::remove_file(&file)?;
    let (_, said) = refused?;
    let sentence = "4 pods at the most are more than topic lesson.generated has partitions, which is 3";
    ensure!(said.contains(sentence), "{said}");
    Ok(())
}

/// Without Kafka's figures there is no lag to be told, which is not a lag of none.
fn what_is_not_known_takes_no_pods(target: &Target) -> Result<()> {
    let scale = |pods: &str| {
        let replicas = format!("--replicas={pods}");
        let scale = [
            "--namespace",
            SERVICES_NAMESPACE,
            "scale",
            "deployment/collector-kafka",
            &replicas,
        ];
        target.run_kubectl(&scale)
    };
    scale("0")?;
    let gone = |lag: &Option<u64>| lag.is_none();
    let look = || {
        let lag = backlog::lag(target)?;
        ensure!(lag.is_none_or(|lag| lag == 0), "{lag:?}");
        Ok(lag)
    };
    let took = backlog::wait_until("no figure", Duration::from_secs(60), look, gone)?;
    println!("the figure is gone {took:.0?} after collector-kafka");
    let (_, said) = expect(target, &["top"], 0)?;
    ensure!(said.contains("No lag is shown"), "{said}");
    scale("1").map(|_| ())
}

/// How many pods have taken events.
fn consumed_by(target: &Target) -> Result<u64> {
    let pods = ["--namespace", SERVICES_NAMESPACE, "get", "pods", "--output=name"];
    let pods = target.run_kubectl(&[&pods[..], &["--selector=app.kubernetes.io/name=user-progress"]].concat())?;
    let mut busy = 0;
    for pod in pods.lines() {
        let logs = [
            "--namespace",
            SERVICES_NAMESPACE,
            "logs",
            pod,
            "--container=user-progress",
        ];
        busy += u64::from(target.run_kubectl(&logs)?.contains("recorded"));
    }
    Ok(busy)
}

fn behave(target: &Target, direction: &str, window: u32) -> Result<()> {
    let patch = serde_json::json!({ "spec": { "behavior": { direction: {
        "stabilizationWindowSeconds": window,
        "policies": [{ "type": "Pods", "value": 4, "periodSeconds": 15 }],
    } } } });
    let patch = [
        "patch",
        "hpa",
        "user-progress",
        "--type=merge",
        "--patch",
        &patch.to_string(),
    ]
    .map(str::to_owned);
    let patch: Vec<&str> = patch.iter().map(String::as_str).collect();
    target.run_kubectl(&[&["--namespace", SERVICES_NAMESPACE][..], &patch].concat())?;
    Ok(())
}

/// Nothing is left, and discovery of all APIs is whole.
fn removed(target: &Target) -> Result<()> {
    let (_, said) = expect(target, &["uninstall", "--unenroll"], 0)?;
    let line = |what: &str| said.find(&format!("removed {what}")).context(said.clone());
    let registration = line("APIService v1beta1.external.metrics.k8s.io")?;
    ensure!(
        registration < line(&format!("Deployment {STACK_NAMESPACE}/prometheus-adapter"))?,
        "{said}"
    );
    let groups: Value = serde_json::from_str(&target.run_kubectl(&["get", "--raw", "/apis"])?)?;
    ensure!(!groups.to_string().contains("external.metrics"), "{groups}");
    target.run_kubectl(&["api-resources"])?;
    Ok(())
}
