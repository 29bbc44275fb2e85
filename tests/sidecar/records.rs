//! Calls and what the app answers, as data, and the records that have to be in the sidecar's log: in both of its formats, with
//! subscriptions that the app names and such that the operator does.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use learnflow_core::{Direction, Record};
use learnflow_tests::{
    http::{Answer, Client},
    sidecar::{Middleware, PUBSUB, Rig, Setup, app},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Test;

pub const TESTS: &[(&str, Test)] = &[
    ("records::text_log_programmatic_subscriptions", text_log_programmatic),
    ("records::json_log_declarative_subscriptions", json_log_declarative),
];

const TOKEN: &str = "a-token-of-the-sidecar";

/// One call, what the app makes of its deliveries, and the records of both. `@` is the sidecar's name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "post")]
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: String,
    #[serde(default)]
    chunked: bool,
    status: u16,
    /// Its records have this one, and no other case's do. (Those of a bulk delivery have its route.)
    topic: String,
    /// What the subscription says beside component and topic.
    subscribe: Option<Value>,
    /// Status and body, one for each delivery; the last for all that follow. Otherwise 200 and nothing.
    #[serde(default)]
    answers: Vec<(u16, String)>,
    /// Direction, component, outcome, status; then what is there of size, bulk and trace.
    records: Vec<String>,
}

fn post() -> String {
    "POST".into()
}

fn cases(name: &str) -> Result<Vec<Case>> {
    let cases = include_str!("../cases/sidecar.json").replace('@', name);
    serde_json::from_str(&cases).context("cases")
}

fn text_log_programmatic(rig: &Rig) -> Result<()> {
    let cases = cases("text")?;
    let subscriptions = cases.iter().filter_map(|case| {
        let mut subscription = case.subscribe.clone()?;
        subscription["pubsubname"] = PUBSUB.into();
        subscription["topic"] = case.topic.clone().into();
        Some(subscription)
    });
    let subscriptions = Value::Array(subscriptions.collect());
    check(
        rig.sidecar(Middleware::installed()?).app_id("text"),
        &cases,
        subscriptions,
    )
}

fn json_log_declarative(rig: &Rig) -> Result<()> {
    let cases = cases("json")?;
    let mut setup = rig
        .sidecar(Middleware::installed()?)
        .app_id("json")
        .argument("--log-as-json");
    for (number, case) in cases.iter().enumerate() {
        if let Some(mut spec) = case.subscribe.clone() {
            spec["pubsubname"] = PUBSUB.into();
            spec["topic"] = case.topic.clone().into();
            spec["routes"] = json!({"default": spec["route"].take()});
            spec.as_object_mut().context("a subscription")?.remove("route");
            setup = setup.resource(json!({
                "apiVersion": "dapr.io/v2alpha1", "kind": "Subscription",
                "metadata": {"name": format!("case-{number}")}, "spec": spec,
            }));
        }
    }
    check(setup, &cases, json!([]))
}

fn check(setup: Setup, cases: &[Case], subscriptions: Value) -> Result<()> {
    let app = app(subscriptions, answers(cases))?;
    let setup = setup.app(app).environment("DAPR_API_TOKEN", TOKEN);
    // Three attempts, and then Dapr gives up for good.
    let sidecar = setup
        .pubsub("consumeRetryEnabled", "false")
        .resource(three_attempts())
        .start()?;
    let mut client = Client::new(sidecar.api())?;
    for case in cases {
        let mut headers: Vec<_> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        if !case.headers.contains_key("dapr-api-token") {
            headers.push(("dapr-api-token", TOKEN));
        }
        let answer = client.send(&case.method, &case.path, &headers, case.body.as_bytes(), case.chunked)?;
        ensure!(answer.status() == case.status, "{}: {answer:?}", case.name);
    }
    let expected: usize = cases.iter().map(|case| case.records.len()).sum();
    let wait = || sidecar.records().ok().filter(|records| records.len() >= expected);
    if let Err(error) = sidecar.wait("as many records", wait) {
        let faults = faults(cases, &sidecar.records()?);
        return Err(error.context(faults.join("\n")));
    }
    // Were there one too many, it would come about now.
    thread::sleep(Duration::from_millis(500));
    let records = sidecar.records()?;
    let faults = faults(cases, &records);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    ensure!(records.len() == expected, "{} records, not {expected}", records.len());
    Ok(())
}

/// What the app says to each delivery, by its route.
fn answers(cases: &[Case]) -> impl Fn(learnflow_tests::http::Message) -> Answer + Send + Sync + 'static {
    let mut routes = HashMap::new();
    for case in cases {
        if let Some(route) = case
            .subscribe
            .as_ref()
            .and_then(|subscription| subscription["route"].as_str())
        {
            routes.insert(route.to_owned(), case.answers.clone());
        }
    }
    let routes = Arc::new(Mutex::new(routes));
    move |delivery| {
        let mut routes = routes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(answers) = routes.get_mut(delivery.path()).filter(|answers| !answers.is_empty()) else {
            return Answer::new(200, "");
        };
        let (status, body) = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        };
        Answer::new(status, body)
    }
}

fn faults(cases: &[Case], records: &[Record]) -> Vec<String> {
    let mut faults = Vec::new();
    for case in cases {
        let route = case
            .subscribe
            .as_ref()
            .and_then(|subscription| subscription["route"].as_str());
        let found = records.iter().filter(|record| match record.route.as_str() {
            "" => record.topic.as_str() == case.topic,
            bulk => route == Some(bulk),
        });
        // Deliveries may overtake the publish that they come from.
        let [mut found, mut expected] = [found.map(shown).collect(), case.records.clone()];
        found.sort();
        expected.sort();
        if found != expected {
            faults.push(format!(
                "{}:\n  {}\nnot\n  {}",
                case.name,
                found.join("\n  "),
                expected.join("\n  ")
            ));
        }
    }
    faults
}

/// As the cases have it; what must be there of the rest shows only if it is not.
fn shown(record: &Record) -> String {
    let mut shown = format!(
        "{} {} {}",
        record.direction.as_str(),
        record.pubsub.as_str(),
        record.outcome.as_str()
    );
    if let Some(status) = record.status {
        let _ = write!(shown, " {status}");
    }
    if let Some(bytes) = record.bytes {
        let _ = write!(shown, " bytes={bytes}");
    }
    if record.bulk {
        shown += " bulk";
    }
    // Without one of the caller's, Dapr makes one up: it shows in deliveries.
    if let Some(trace) = &record.trace
        && trace.as_str() == "4bf92f3577b34da6a3ce929d0e0e4736"
    {
        let _ = write!(shown, " trace={}", trace.as_str());
    }
    let delivered = record.direction == Direction::Deliver && !record.bulk;
    for (what, there, expected) in [
        ("us", record.us.is_some(), true),
        ("partition", record.partition.is_some(), delivered),
        ("offset", record.offset.is_some(), delivered),
        ("age", record.age_ms.is_some(), delivered),
    ] {
        if there != expected {
            let _ = write!(shown, " {what}: {there}");
        }
    }
    shown
}

fn three_attempts() -> Value {
    json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": "three-attempts"},
        "spec": {
            "policies": {"retries": {"three": {"policy": "constant", "duration": "50ms", "maxRetries": 2}}},
            "targets": {"components": {PUBSUB: {"inbound": {"retry": "three"}}}},
        },
    })
}
