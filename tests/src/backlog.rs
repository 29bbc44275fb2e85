//! A consumer that is behind: slow on purpose, with more events in Kafka than it has read.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{SERVICES_NAMESPACE, Target};

const CONSUMER: &str = "user-progress";
/// What a daprd publishes at once.
const AT_ONCE: usize = 500;
const METRIC: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/learnflow/learnflow_consumer_lag?labelSelector=group%3Duser-progress";

/// user-progress as a service that several pods may run of, each of which takes `millis` for an event, one after another.
pub fn slow_consumer(target: &Target, millis: u32) -> Result<()> {
    let patch = json!({ "spec": {
        "strategy": { "$retainKeys": ["type"], "type": "RollingUpdate" },
        "template": { "spec": { "containers": [{
            "name": CONSUMER, "env": [{ "name": "TAKE_MS", "value": millis.to_string() }] }] } },
    } });
    let namespace = ["--namespace", SERVICES_NAMESPACE];
    let patch = ["patch", "deployment", CONSUMER, "--patch", &patch.to_string()].map(str::to_owned);
    let arguments: Vec<&str> = namespace.into_iter().chain(patch.iter().map(String::as_str)).collect();
    target.run_kubectl(&arguments)?;
    target.wait_rolled_out(SERVICES_NAMESPACE, &format!("deployment/{CONSUMER}"))
}

/// As it was.
pub fn usual_consumer(target: &Target) -> Result<()> {
    let delete = [
        "--namespace",
        SERVICES_NAMESPACE,
        "delete",
        "deployment",
        CONSUMER,
        "--wait",
    ];
    target.run_kubectl(&delete)?;
    target.deploy_services()
}

/// Publishes lessons through the sidecar of course-agent, many at once.
pub fn publish(target: &Target, count: usize) -> Result<()> {
    let forward = target.port_forward(SERVICES_NAMESPACE, "deployment/course-agent", 3500)?;
    let url = forward.url("/v1.0/publish/bulk/kafka-pubsub/lesson.generated");
    let run = format!("{:?}", Instant::now());
    for start in (0..count).step_by(AT_ONCE) {
        let entry = |number: usize| {
            let lesson = json!({ "id": format!("{run}-{number}"), "course": "rust", "title": "Lag", "text": "…" });
            json!({ "entryId": number.to_string(), "event": lesson, "contentType": "application/json" })
        };
        let entries: Vec<Value> = (start..count.min(start + AT_ONCE)).map(entry).collect();
        ureq::post(&url).send_json(entries).context("events were not taken")?;
    }
    Ok(())
}

/// The lag of user-progress as autoscalers are told of it; none: nobody tells them.
pub fn lag(target: &Target) -> Result<Option<u64>> {
    let Ok(answer) = target.run_kubectl(&["get", "--raw", METRIC]) else {
        return Ok(None);
    };
    let answer: Value = serde_json::from_str(&answer)?;
    let items = answer["items"].as_array().context("a list")?;
    let values = items.iter().map(|item| number(&item["value"]));
    Ok(values.sum::<Option<u64>>().filter(|_| !items.is_empty()))
}

/// As Kubernetes writes it: `1200`, or `2k`.
fn number(quantity: &Value) -> Option<u64> {
    let text = quantity.as_str()?;
    match text.strip_suffix('k') {
        Some(thousands) => Some(thousands.parse::<u64>().ok()? * 1000),
        None => text.parse().ok(),
    }
}

/// The pods of user-progress that are ready, and those that its autoscaler wants.
pub fn pods(target: &Target) -> Result<(u64, u64)> {
    let get = |kind: &str| -> Result<Value> {
        let get = [
            "--namespace",
            SERVICES_NAMESPACE,
            "get",
            kind,
            CONSUMER,
            "--output=json",
        ];
        Ok(serde_json::from_str(&target.run_kubectl(&get)?)?)
    };
    let ready = get("deployment")?["status"]["readyReplicas"].as_u64().unwrap_or(0);
    let wanted = get("hpa")?["status"]["desiredReplicas"].as_u64().unwrap_or(0);
    Ok((ready, wanted))
}

/// Looks once a second until `holds`; how long that took. What was seen last is in the error.
pub fn wait_until<T: std::fmt::Debug>(
    what: &str,
    limit: Duration,
    look: impl Fn() -> Result<T>,
    holds: impl Fn(&T) -> bool,
) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let seen = look()?;
        if holds(&seen) {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < limit, "{what} not within {limit:?}: {seen:?}");
        thread::sleep(Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let read = |text: &str| number(&json!(text));
        assert_eq!(
            [read("0"), read("1234"), read("2k"), read("1m")],
            [Some(0), Some(1234), Some(2000), None]
        );
    }
}
