//! The spans of a real sidecar, with a real Kafka: what they say when they come, and what the trace store has of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use learnflow_tests::{
    Span,
    http::{Answer, serve},
    sidecar::{Middleware, PUBSUB, Rig, app},
};
use serde_json::json;

use crate::{gateway::Gateway, jaeger::Jaeger, port};

const TOPIC: &str = "lesson.generated";
const BULK: &[u8] =
    br#"[{"entryId":"1","event":"a","contentType":"text/plain"},{"entryId":"2","event":"b","contentType":"text/plain"}]"#;

/// Of what a span says, what is about messages; and its kind.
fn about(span: &Span) -> BTreeMap<&str, &str> {
    let said = span
        .attributes
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let mut said: BTreeMap<&str, &str> = said.filter(|(key, _)| key.contains("messaging")).collect();
    said.insert(
        "kind",
        ["", "internal", "server", "client", "producer", "consumer"][span.kind as usize],
    );
    said
}

fn shown(spans: &[Span]) -> Vec<String> {
    let mut lines: Vec<String> = spans
        .iter()
        .filter(|span| span.name.contains("publish") || span.name.starts_with("pubsub/"))
        .map(|span| format!("{} {:?}", span.name, about(span)))
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn every_span_about_an_event_names_its_destination() {
    let (store, raw_store) = (port(), port());
    let (jaeger, raw_jaeger) = (Jaeger::start(store), Jaeger::start(raw_store));
    let gateway = Gateway::with(|config| config, &crate::gateway::spans(store));
    // The same without what makes names of OpenTelemetry.
    let raw = crate::gateway::spans(raw_store).replace("transform/spans, batch", "batch");
    let raw_gateway = Gateway::with(|config| config, &raw);

    let seen: Arc<Mutex<usize>> = Arc::default();
    let for_app = Arc::clone(&seen);
    let subscriptions = json!([{"pubsubname": PUBSUB, "topic": TOPIC, "route": "/lessons"}]);
    let app = app(subscriptions, move |_| {
        *for_app.lock().expect("a number") += 1;
        Answer::new(200, "")
    })
    .expect("an app");
    // A sidecar has one receiver: what comes goes to both gateways.
    let targets = [gateway.otlp, raw_gateway.otlp];
    let both = serve(move |request| {
        for target in targets {
            let sent = ureq::post(format!("http://127.0.0.1:{target}/v1/traces"))
                .content_type("application/x-protobuf")
                .send(&request.body[..]);
            sent.expect("the gateway takes it");
        }
        Answer::new(200, "")
    })
    .expect("a receiver");
    let rig = Rig::start().expect("Kafka");
    let middleware = Middleware::installed().expect("the middleware");
    let sidecar = rig.sidecar(middleware).app_id("agent").app(app).spans_to(both);
    let sidecar = sidecar.start().expect("a sidecar");
    let mut client = sidecar.client().expect("a client");
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    for (path, body, status) in [
        (format!("/v1.0/publish/{PUBSUB}/{TOPIC}"), &b"{}"[..], 204),
        (format!("/v1.0/publish/bulk/{PUBSUB}/{TOPIC}"), BULK, 204),
        (format!("/v1.0/publish/nobody/{TOPIC}"), &b"{}"[..], 404),
    ] {
        let answer = client.send("POST", &path, &headers, body, false).expect("an answer");
        assert_eq!(answer.status(), status, "{path}: {answer:?}");
    }
    let delivered = || (*seen.lock().expect("a number") >= 3).then_some(());
    sidecar.wait("three deliveries", delivered).expect("delivered");
    // A sidecar sends its spans each 5 s.
    let (after, before) = (jaeger.settled(Duration::from_secs(10)), raw_jaeger.spans());
    println!(
        "before:\n{}\nafter:\n{}",
        shown(&before).join("\n"),
        shown(&after).join("\n")
    );

    let of_events: Vec<&Span> = after
        .iter()
        .filter(|span| span.name.contains("publish") || span.name.starts_with("pubsub/"))
        .collect();
    // Three calls, two events of the bulk call, three deliveries.
    assert_eq!(of_events.len(), 8, "{of_events:#?}");
    for span in of_events {
        let delivery = span.name.starts_with("pubsub/");
        let said = about(span);
        assert_eq!(said.get("messaging.destination.name"), Some(&TOPIC), "{span:?}");
        assert_eq!(said.get("messaging.system"), Some(&"kafka"), "{span:?}");
        let operation = if delivery { "process" } else { "send" };
        assert_eq!(said.get("messaging.operation.type"), Some(&operation), "{span:?}");
        assert_eq!(said["kind"], if delivery { "consumer" } else { "producer" }, "{span:?}");
        assert!(!said.keys().any(|key| key.starts_with("dapr-")), "{span:?}");
    }
    let failed = after.iter().find(|span| span.name.contains("/nobody/"));
    assert!(failed.is_some_and(|span| span.failed), "{failed:?}");
}
