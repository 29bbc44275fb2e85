//! Dead letters of a cluster's Kafka, through port-forwards, with the permissions that `rbac` prints.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, Target};
use serde_json::Value;

use crate::{Test, expect, rbac};

pub const TESTS: &[(&str, Test)] = &[("dlq::through_port_forwards", through_port_forwards)];

const OBJECTS: &str = include_str!("../cases/dead-letters.yaml");
/// As docs/dlq.md has it, for a Kafka that is in another namespace.
const ELSEWHERE: &str = include_str!("../cases/dlq-elsewhere.yaml");
const LEASE: &str = "
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: learnflow-dlq-replay}
spec: {holderIdentity: killed, leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z'}
";
const DEAD: &str = "shelf.dead";

fn through_port_forwards(target: &Target) -> Result<()> {
    target.deploy_services()?;
    target.apply(Some(SERVICES_NAMESPACE), OBJECTS)?;
    // Whether a Subscription is noticed depends on the Configuration: a new pod has read it anyhow.
    let namespace = format!("--namespace={SERVICES_NAMESPACE}");
    target.run_kubectl(&["rollout", "restart", "deployment/user-progress", &namespace])?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/user-progress")?;

    // Not one of these is a CloudEvent: the sidecar cannot deliver it, and the app never sees it.
    let sidecar = target.port_forward(SERVICES_NAMESPACE, "deployment/course-agent", 3500)?;
    for book in ["one", "two", "three"] {
        let url = sidecar.url("/v1.0/publish/kafka-pubsub/shelf?metadata.rawPayload=true&metadata.partitionKey=shelf");
        ureq::post(url).header("content-type", "text/plain").send(book)?;
    }
    wait_for_dead(target, 3)?;

    let user = rbac::user_of(target, "dlq")?;
    target.apply(None, ELSEWHERE)?;
    let under_its_role =
        |arguments: &[&str], code| expect(target, &[&["dlq"], arguments, &["--as", &user]].concat(), code);
    let (list, _) = under_its_role(&["ls"], 0)?;
    println!("{list}");
    ensure!(
        list.contains("Subscription shelf") && list.contains("shelf (3)"),
        "{list}"
    );
    let (shown, _) = under_its_role(&["show", DEAD], 0)?;
    println!("{shown}");
    let (_, dry) = under_its_role(&["replay", DEAD], 0)?;
    ensure!(dry.contains("Nothing was sent"), "{dry}");
    // As a replay leaves it that was killed.
    target.apply(Some(SERVICES_NAMESPACE), LEASE)?;
    let began = Instant::now();
    let (_, sent) = under_its_role(&["replay", DEAD, "--yes"], 0)?;
    ensure!(sent.contains("3 dead letters of shelf.dead sent"), "{sent}");
    ensure!(began.elapsed() >= Duration::from_secs(15), "it was not watched: {sent}");
    let leases = target.run_kubectl(&["get", "leases", "--output=name", &namespace])?;
    ensure!(!leases.contains("learnflow-dlq-replay"), "{leases}");
    // They are no better than before.
    wait_for_dead(target, 6)?;
    let (report, _) = under_its_role(&["replay", DEAD, "-o", "json"], 0)?;
    let report: Value = serde_json::from_str(&report)?;
    ensure!(report["sentBefore"] == 3 && report["toSend"] == 3, "{report}");

    target.run_kubectl(&["delete", "subscription/shelf", &namespace])?;
    target.run_kubectl(&["delete", "role,rolebinding", "learnflow-dlq", "--namespace=kafka"])?;
    Ok(())
}

fn wait_for_dead(target: &Target, count: i64) -> Result<()> {
    let began = Instant::now();
    loop {
        let (list, _) = expect(target, &["dlq", "ls", "-o", "json"], 0)?;
        let list: Value = serde_json::from_str(&list)?;
        let topics = list["topics"].as_array().context("topics")?;
        let shelf = topics.iter().find(|topic| topic["topic"] == DEAD);
        if shelf.is_some_and(|topic| topic["deadLetters"] == count) {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(60) {
            bail!("no {count} dead letters: {list}");
        }
        thread::sleep(Duration::from_millis(500));
    }
}
