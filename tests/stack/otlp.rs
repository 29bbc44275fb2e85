//! Records as the agent sends them, over OTLP.

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
