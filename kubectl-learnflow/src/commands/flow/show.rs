//! An event, as a person or a program reads it.

use crate::{
    printer::{Table, Tone, plain},
    text::format_seconds,
};
use learnflow_core::{Direction, Outcome};
use learnflow_flow::{Event, Names};
use serde::Serialize;

/// The fields of the record, with when and where.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    time: String,
    app: &'a str,
    pod: &'a str,
    dir: &'static str,
    pubsub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bulk: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(event: &Event, names: &'a Names) -> Self {
        let topic = names.text(event.topic);
        Self {
            time: event.at.rfc3339(),
            app: names.text(event.app),
            pod: names.text(event.pod),
            dir: event.direction.as_str(),
            pubsub: names.text(event.pubsub),
            topic: (!event.route).then_some(topic),
            route: event.route.then_some(topic),
            outcome: event.outcome.as_str(),
            status: event.status,
            us: event.us,
            bytes: event.bytes,
            bulk: event.bulk,
            partition: event.partition,
            offset: event.offset,
            age_ms: event.age_ms,
            trace: event.trace.map(|trace| trace.as_str().to_owned()),
        }
    }
}

pub(in crate::commands) fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Success => Tone::Plain,
        Outcome::Retry => Tone::Warn,
        Outcome::Drop | Outcome::Error => Tone::Bad,
    }
}

/// `15:04:05.154 lesson.generated[3]@42 → user-progress  ok  12ms  age 31ms`
pub(in crate::commands) fn compact(event: &Event, names: &Names) -> String {
    let app = match names.text(event.app) {
        "" => "(unknown)",
        app => app,
    };
    let way = match event.direction {
        Direction::Publish => format!("{app} → {}", names.text(event.topic)),
        Direction::Deliver => format!("{}{} → {app}", names.text(event.topic), spot(event)),
    };
    let mut line = format!("{} {way}  {}", event.at, outcome(event));
    if let Some(us) = event.us {
        line.push_str(&format!("  {}", took(us)));
    }
    if let Some(age) = event.age_ms {
        line.push_str(&format!("  age {}", format_seconds(age as f64 / 1e3)));
    }
    if event.bulk {
        line.push_str("  bulk");
    }
    line
}

fn spot(event: &Event) -> String {
    match (event.partition, event.offset) {
        (Some(partition), Some(offset)) => format!("[{partition}]@{offset}"),
        (Some(partition), None) => format!("[{partition}]"),
        (None, Some(offset)) => format!("@{offset}"),
        (None, None) => String::new(),
    }
}

/// What is not as it should be has its status with it.
pub(in crate::commands) fn outcome(event: &Event) -> String {
    match (event.outcome, event.status) {
        (Outcome::Success, _) => "ok".into(),
        (other, Some(status)) => format!("{} ({status})", other.as_str()),
        (other, None) => format!("{} (no answer)", other.as_str()),
    }
}

fn took(us: u64) -> String {
    format_seconds(us as f64 / 1e6)
}

pub(super) fn header() -> Table {
    Table::new(&[
        "TIME",
        "SERVICE",
        "DIR",
        "TOPIC",
        "PARTITION",
        "OFFSET",
        "OUTCOME",
        "TOOK",
        "AGE",
        "POD",
        "TRACE",
    ])
}

pub(super) fn row(event: &Event, names: &Names) -> Vec<(String, Tone)> {
    let or_dash = |text: Option<String>| plain(text.unwrap_or_else(|| "-".into()));
    vec![
        plain(event.at.to_string()),
        plain(names.text(event.app)),
        plain(event.direction.as_str()),
        plain(names.text(event.topic)),
        or_dash(event.partition.map(|number| number.to_string())),
        or_dash(event.offset.map(|number| number.to_string())),
        (outcome(event), tone(event.outcome)),
        or_dash(event.us.map(took)),
        or_dash(event.age_ms.map(|age| format_seconds(age as f64 / 1e3))),
        plain(names.text(event.pod)),
        or_dash(event.trace.map(|trace| trace.as_str().to_owned())),
    ]
}
