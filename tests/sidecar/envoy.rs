//! Envoy with its filter in front of a sidecar: the publishes of `cases/envoy.json`, of which real Dapr and Kafka take some,
//! are counted as when the answers are scripted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{
    envoy::{Counts, Envoy},
    http::{Answer, Client, serve},
    sidecar::{Middleware, PUBSUB, Rig},
};
use serde::Deserialize;

use crate::Test;

pub const TESTS: &[(&str, Test)] = &[("envoy::counts_what_the_sidecar_takes", counts_what_the_sidecar_takes)];

/// What is of use here of a case.
#[derive(Deserialize)]
struct Case {
    name: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    counts: Option<[String; 4]>,
    #[serde(default)]
    adds: BTreeMap<String, String>,
}

const BULK: &[u8] = br#"[{"entryId":"1","event":"a","contentType":"text/plain"}]"#;
const TOPIC: &str = "dapr-messaging.destination.name";

fn counts_what_the_sidecar_takes(rig: &Rig) -> Result<()> {
    let spans: Arc<Mutex<Vec<u8>>> = Arc::default();
    let for_receiver = Arc::clone(&spans);
    let receiver = serve(move |request| {
        if let Ok(mut spans) = for_receiver.lock() {
            spans.extend(request.body);
        }
        Answer::new(200, "")
    })?;
    // Envoy's filter is alone: what is on the spans is of its doing.
    let middleware = Middleware::installed()?.out_of_pipelines();
    let sidecar = rig
        .sidecar(middleware)
        .app_id("behind-envoy")
        .spans_to(receiver)
        .start()?;
    let envoy = Envoy::start(sidecar.api(), &[])?;
    let mut client = Client::new(envoy.listener())?;

    let cases: Vec<Case> = serde_json::from_str(include_str!("../cases/envoy.json")).context("cases")?;
    let mut expected = Counts::new();
    let mut on_spans = Vec::new();
    for case in cases {
        let Some([operation, _, pubsub, topic]) = case.counts.filter(|counts| counts[0] == "send") else {
            continue;
        };
        // Dapr names a span after the decoded path, and what is not UTF-8 makes it lose all spans of five seconds.
        if case.path.contains("%ff") {
            continue;
        }
        let body: &[u8] = if case.path.contains("/bulk/") { BULK } else { b"{}" };
        let headers: Vec<_> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let answer = client.send(&case.method, &case.path, &headers, body, false)?;
        let taken = pubsub == PUBSUB && is_topic(&topic);
        ensure!((answer.status() == 204) == taken, "{}: {answer:?}", case.name);
        let outcome = if taken { "success" } else { "error" };
        *expected.entry([operation, outcome.into(), pubsub, topic]).or_default() += 1.0;
        on_spans.extend(case.adds.get(TOPIC).map(|topic| (case.name, topic.clone())));
    }
    let taken = expected.keys().filter(|key| key[1] == "success").count();
    ensure!(
        taken > 1 && expected.len() > taken,
        "the cases are too few: {expected:?}"
    );
    envoy
        .wait("counts as expected", || {
            let counts = envoy.counts("learnflow_calls_total").ok()?;
            (counts == expected).then_some(())
        })
        .with_context(|| format!("{:#?}\ninstead of {expected:#?}", envoy.counts("learnflow_calls_total")))?;

    for (name, topic) in on_spans {
        let attribute = attribute(TOPIC, &topic)?;
        let seen = || {
            let spans = spans.lock().ok()?;
            spans
                .windows(attribute.len())
                .any(|part| part == attribute)
                .then_some(())
        };
        sidecar.wait(&format!("span with the topic: {name}"), seen)?;
    }
    Ok(())
}

/// What Kafka allows.
fn is_topic(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A text attribute of a span, in OTLP's protobuf. (No name or value here takes a second byte for its length.)
fn attribute(name: &str, value: &str) -> Result<Vec<u8>> {
    let field = |tag: u8, content: &[u8]| -> Result<Vec<u8>> {
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 128);
        Ok([&[tag, length.context("a short one")?], content].concat())
    };
    Ok([
        field(0x0a, name.as_bytes())?,
        field(0x12, &field(0x0a, value.as_bytes())?)?,
    ]
    .concat())
}
