//! Ways as data: tests/cases/trace.yaml.

use super::show;
use crate::{
    broker::Message,
    printer::tests::captured,
    trace::{Asked, Evidence, Group, InKafka, Kafka, Known, Looked, Place, Records, Sieve, Span, Stored, timeline},
};
use learnflow_flow::{Event, Names, Reader};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// 10:00:00 on a day, in milliseconds.
const BEGIN: i64 = 1_768_471_200_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    asked: String,
    records: Source<Map<String, Value>>,
    kafka: Source<InCase>,
    #[serde(default)]
    searched: Option<String>,
    spans: Source<SpanInCase>,
    #[serde(default)]
    dead: Source<InCase>,
    #[serde(default)]
    groups: Source<GroupInCase>,
    /// It is said on stderr then.
    #[serde(default)]
    nothing: bool,
    says: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Source<T> {
    All(Vec<T>),
    Not(String),
}

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl<T> Source<T> {
    fn looked(&self) -> Looked<&[T]> {
        match self {
            Self::All(all) => Ok(all),
            Self::Not(why) => Err(why.clone()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupInCase {
    name: String,
    next: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InCase {
    at: String,
    #[serde(default)]
    time: i64,
    traceparent: Option<String>,
    id: Option<String>,
    /// It is a dead letter of this one.
    of: Option<String>,
    body: Option<String>,
    expired: Option<i64>,
    next: Option<i64>,
    nowhere: Option<String>,
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpanInCase {
    id: String,
    #[serde(default)]
    parent: String,
    service: String,
    name: String,
    at: f64,
    took: f64,
    #[serde(default)]
    failed: bool,
    #[serde(default)]
    attributes: Map<String, Value>,
}

impl InCase {
    fn place(&self) -> Place {
        place(&self.at)
    }

    /// What Dapr adds to a dead letter.
    fn headers(&self) -> BTreeMap<String, Vec<u8>> {
        let Some(of) = &self.of else { return BTreeMap::new() };
        let Place {
            topic,
            partition,
            offset,
        } = place(of);
        let all = [
            ("__topic", topic),
            ("__partition", partition.to_string()),
            ("__offset", offset.to_string()),
            ("__timestamp", BEGIN.to_string()),
        ];
        all.map(|(name, value)| (name.to_owned(), value.into_bytes())).into()
    }

    fn stored(&self) -> Stored {
        let event = json!({ "specversion": "1.0", "id": self.id, "traceparent": self.traceparent });
        Stored::of(&Message {
            partition: 0,
            offset: 0,
            timestamp: BEGIN + self.time,
            key: None,
            headers: self.headers(),
            value: Some(self.body.clone().unwrap_or_else(|| event.to_string()).into_bytes()),
        })
    }

    fn found(&self) -> InKafka {
        match (self.expired, self.next, &self.nowhere, self.removed) {
            (Some(first), ..) => InKafka::Expired(first),
            (_, Some(next), ..) => InKafka::NotYet(next),
            (_, _, Some(why), _) => InKafka::Nowhere(why.clone()),
            (.., true) => InKafka::Removed,
            _ => InKafka::Here(Box::new(self.stored())),
        }
    }
}

impl SpanInCase {
    /// As the trace store gives it.
    fn otlp(&self) -> Value {
        let nanos = |millis: f64| (BEGIN * 1_000_000 + (millis * 1e6) as i64).to_string();
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } }));
        json!({
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": self.service } }] },
            "scopeSpans": [{ "spans": [{
                "spanId": self.id, "parentSpanId": self.parent, "name": self.name,
                "startTimeUnixNano": nanos(self.at), "endTimeUnixNano": nanos(self.at + self.took),
                "attributes": attributes.collect::<Vec<_>>(),
                "status": if self.failed { json!({ "code": 2 }) } else { json!({}) },
            }] }],
        })
    }
}

fn place(given: &str) -> Place {
    match Asked::parse(given) {
        Ok(Asked::Place(place)) => place,
        other => panic!("{given} is no place: {other:?}"),
    }
}

/// A line of daprd's log.
fn line(record: &Map<String, Value>) -> String {
    let at = BEGIN + record["at"].as_i64().expect("a time");
    let time = jiff::Timestamp::from_millisecond(at).expect("a time").to_string();
    let mut text = format!(r#"{{"lf":1,"dir":{},"pubsub":"kafka-pubsub""#, record["dir"]);
    for (key, value) in record
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "at" | "app" | "dir"))
    {
        text.push_str(&format!(",\"{key}\":{value}"));
    }
    json!({ "app_id": record["app"], "msg": text + "}", "time": time }).to_string() + "\n"
}

fn records(all: &[Map<String, Value>], known: &Known) -> Records {
    let (mut names, mut events) = (Names::default(), Vec::<Event>::new());
    let mut reader = Reader::default();
    for record in all {
        reader.read(line(record).as_bytes(), &mut names, |event| events.push(event));
    }
    assert_eq!(events.len(), all.len(), "a line that is no record");
    events.sort_by_key(|event| event.at);
    let mut sieve = Sieve::new(known);
    for event in events {
        sieve.take(event, &names);
    }
    sieve.found
}

fn evidence(case: &Case, asked: &Asked) -> Evidence {
    let kafka = case.kafka.looked().map(|all| Kafka {
        messages: all.iter().map(|one| (one.place(), one.found())).collect(),
        searched: case.searched.clone(),
    });
    let known = Known::of(asked, kafka.as_ref().ok());
    let answer = |all: &[SpanInCase]| {
        let spans: Vec<Value> = all.iter().map(SpanInCase::otlp).collect();
        Span::read_all(&json!({ "result": { "resourceSpans": spans } }))
    };
    let groups = |all: &[GroupInCase]| {
        let group = |one: &GroupInCase| Group {
            name: one.name.clone(),
            next: one.next,
        };
        all.iter().map(group).collect()
    };
    Evidence {
        records: case.records.looked().map(|all| records(all, &known)),
        spans: case.spans.looked().map(answer),
        dead: case
            .dead
            .looked()
            .map(|all| all.iter().map(|one| (one.place(), one.stored())).collect()),
        groups: case.groups.looked().map(groups),
        kafka,
    }
}

#[test]
fn each_way_is_told_as_far_as_it_is_known() {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("../../../../tests/cases/trace.yaml")).expect("the cases");
    let (mut all, mut wrong) = (String::new(), Vec::new());
    for case in &cases {
        let asked = Asked::parse(&case.asked).expect(&case.name);
        let timeline = timeline(&asked, &evidence(case, &asked));
        assert_eq!(timeline.steps.is_empty(), case.nothing, "{}", case.name);
        let (printer, out, err) = captured();
        show::print(&asked, &timeline, &printer);
        let printed = out.text() + &err.text();
        all.push_str(&format!("--- {}\n{printed}\n", case.name));
        let missing: Vec<_> = case.says.iter().filter(|words| !printed.contains(*words)).collect();
        let too_much: Vec<_> = case.never.iter().filter(|words| printed.contains(*words)).collect();
        if !missing.is_empty() || !too_much.is_empty() || printed.chars().any(|c| c.is_control() && c != '\n') {
            wrong.push(format!(
                "{} does not say {missing:?}, or says {too_much:?}:\n{printed}",
                case.name
            ));
        }
        let (printer, out, _) = captured();
        printer
            .document(crate::cli::Format::Json, &show::document(&timeline))
            .expect("JSON");
        let document: Value = serde_json::from_str(&out.text()).expect("JSON");
        assert_eq!(document["steps"].as_array().map(Vec::len), Some(timeline.steps.len()));
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(cases.len() >= 25, "{} cases", cases.len());
    crate::testing::same_as_file("tests/cases/trace.expected.txt", &all);
}
