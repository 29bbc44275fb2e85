//! Records as the agent sends them, and spans as sidecars do, over OTLP.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

/// What a record says.
#[derive(Debug, Clone)]
pub struct Record {
    pub deliver: bool,
    pub pubsub: String,
    pub topic: String,
    pub outcome: &'static str,
    pub status: i64,
}

impl Record {
    pub fn published(topic: &str) -> Record {
        Record {
            deliver: false,
            pubsub: "kafka-pubsub".into(),
            topic: topic.into(),
            outcome: "success",
            status: 204,
        }
    }

    pub fn delivered(topic: &str) -> Record {
        Record {
            deliver: true,
            status: 200,
            ..Record::published(topic)
        }
    }

    pub fn failed(pubsub: &str, topic: &str, status: i64) -> Record {
        Record {
            pubsub: pubsub.into(),
            outcome: "error",
            status,
            ..Record::published(topic)
        }
    }

    fn to_json(&self) -> Value {
        let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
        let number = |key: &str, value: i64| json!({ "key": key, "value": { "intValue": value.to_string() } });
        let mut fields = vec![
            number("lf", 1),
            text("dir", if self.deliver { "deliver" } else { "publish" }),
            text("pubsub", &self.pubsub),
            text("topic", &self.topic),
            text("outcome", self.outcome),
            number("status", self.status),
            number("us", 1234),
        ];
        if self.deliver {
            fields.extend([number("partition", 0), number("offset", 42), number("age_ms", 31)]);
        } else {
            fields.push(number("bytes", 400));
        }
        json!({ "timeUnixNano": "1700000000000000000", "attributes": fields })
    }
}

/// Sends them in one request, as an agent does with what a poll found.
pub fn send(port: u16, service: &str, records: &[Record]) {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let resource = [
        text("service.name", service),
        text("k8s.namespace.name", "shop"),
        text("k8s.pod.name", &format!("{service}-1")),
    ];
    let body = json!({ "resourceLogs": [{
        "resource": { "attributes": resource },
        "scopeLogs": [{ "logRecords": records.iter().map(Record::to_json).collect::<Vec<_>>() }],
    }]});
    ureq::post(format!("http://127.0.0.1:{port}/v1/logs"))
        .send_json(body)
        .expect("the gateway takes the records");
}

/// A span as a sidecar sends it.
#[derive(Debug, Clone)]
pub struct Span {
    pub service: &'static str,
    pub trace: u128,
    pub topic: String,
    /// Otherwise a publish, as the guest has marked it.
    pub deliver: bool,
    pub lasted: Duration,
    pub failed: bool,
}

impl Span {
    pub fn published(trace: u128, topic: &str) -> Span {
        Span {
            service: "course-agent",
            trace,
            topic: topic.into(),
            deliver: false,
            lasted: Duration::from_millis(3),
            failed: false,
        }
    }

    pub fn delivered(trace: u128, topic: &str) -> Span {
        Span {
            service: "user-progress",
            deliver: true,
            ..Span::published(trace, topic)
        }
    }

    pub fn lasting(self, lasted: Duration) -> Span {
        Span { lasted, ..self }
    }

    pub fn failed(self) -> Span {
        Span { failed: true, ..self }
    }

    fn to_json(&self, ended: Duration) -> Value {
        let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
        // One of each kind in a trace.
        let id = (self.trace as u64).wrapping_mul(2).wrapping_add(self.deliver.into()) | 1 << 63;
        let (name, attributes) = match self.deliver {
            true => (
                format!("pubsub/{}", self.topic),
                vec![
                    text("messaging.system", "pubsub"),
                    text("messaging.destination.name", &self.topic),
                ],
            ),
            false => (
                format!("/v1.0/publish/kafka-pubsub/{}", self.topic),
                vec![
                    text("messaging.system", "pubsub"),
                    text("dapr-messaging.destination.name", &self.topic),
                ],
            ),
        };
        json!({
            "traceId": trace_id(self.trace), "spanId": format!("{id:016x}"), "name": name, "kind": 3, "attributes": attributes,
            "startTimeUnixNano": (ended - self.lasted).as_nanos().to_string(),
            "endTimeUnixNano": ended.as_nanos().to_string(),
            "status": if self.failed { json!({ "code": 2 }) } else { json!({}) },
        })
    }
}

/// As the trace store writes it.
pub fn trace_id(trace: u128) -> String {
    format!("{trace:032x}")
}

/// Ids that look random and are the same each time.
pub fn trace(n: usize) -> u128 {
    let half = |n: u64| (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n + 1).rotate_left(29);
    (u128::from(half(n as u64)) << 64) | u128::from(half(n as u64 + 1_000_003))
}

/// Sends spans that have just ended in one request, as a sidecar does with those of five seconds.
pub fn send_spans(port: u16, spans: &[Span]) {
    let ended = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time");
    let mut by_service: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for span in spans {
        by_service.entry(span.service).or_default().push(span.to_json(ended));
    }
    let resources = by_service.into_iter().map(|(service, spans)| {
        json!({
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] },
            "scopeSpans": [{ "scope": { "name": "dapr-diagnostics" }, "spans": spans }],
        })
    });
    let body = json!({ "resourceSpans": resources.collect::<Vec<_>>() });
    ureq::post(format!("http://127.0.0.1:{port}/v1/traces"))
        .send_json(body)
        .expect("the gateway takes the spans");
}
