//! What the page shows, in the shape in which its script gets it. Times are milliseconds, figures seconds.

use crate::graph::Graph;
use learnflow_core::Direction;
use learnflow_flow::{Event, Names, Time};
use serde::Serialize;

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Events that were read since the page was opened.
    pub read: u64,
    pub broken: u64,
    /// Events that came while the page did not listen.
    pub missed: u64,
    pub last: f64,
    /// In the window.
    pub events: u64,
    pub failed: u64,
    pub rate: f64,
    pub rows: Vec<Row>,
    /// Rows that are left out.
    pub more: usize,
    pub graph: Graph,
}

/// A topic and a service, one way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub topic: String,
    pub route: bool,
    pub service: String,
    pub dir: &'static str,
    pub events: u64,
    pub success: u64,
    pub retries: u64,
    pub rate: f64,
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub age_p95: Option<f64>,
    pub skew: Option<f64>,
}

impl Row {
    pub fn of(row: &learnflow_flow::Row, names: &Names) -> Self {
        Self {
            topic: names.text(row.flow.topic).to_owned(),
            route: row.flow.route,
            service: names.text(row.flow.app).to_owned(),
            dir: if row.flow.delivers { "deliver" } else { "publish" },
            events: row.events(),
            success: row.success,
            retries: row.retry,
            rate: row.rate,
            p50: row.p50,
            p95: row.p95,
            p99: row.p99,
            age_p95: row.age_p95,
            skew: row.skew(),
        }
    }
}

/// One event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    pub number: u64,
    pub at: f64,
    pub service: String,
    pub pod: String,
    pub dir: &'static str,
    pub pubsub: String,
    pub topic: String,
    pub route: bool,
    pub outcome: &'static str,
    pub status: Option<u16>,
    pub took: Option<f64>,
    pub bytes: Option<u64>,
    pub bulk: bool,
    pub partition: Option<u32>,
    pub offset: Option<u64>,
    pub age: Option<f64>,
    pub trace: Option<String>,
}

impl Seen {
    pub fn of(event: &Event, number: u64, names: &Names) -> Self {
        let text = |name| names.text(name).to_owned();
        Self {
            number,
            at: millis(event.at),
            service: text(event.app),
            pod: text(event.pod),
            dir: event.direction.as_str(),
            pubsub: text(event.pubsub),
            topic: text(event.topic),
            route: event.route,
            outcome: event.outcome.as_str(),
            status: event.status,
            took: event.us.map(|us| us as f64 / 1e6),
            bytes: event.bytes,
            bulk: event.bulk,
            partition: event.partition,
            offset: event.offset,
            age: event.age_ms.map(|age| age as f64 / 1e3),
            trace: event.trace.map(|trace| trace.as_str().to_owned()),
        }
    }
}

/// An event's way, as far as records tell.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    pub event: Seen,
    /// By when they began.
    pub steps: Vec<Step>,
    pub left_out: usize,
}

/// Why an event stands in a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    Itself,
    /// The same partition and offset.
    Message,
    Trace,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    #[serde(flatten)]
    pub seen: Seen,
    pub found: Found,
    /// A record is written when the call has ended.
    pub begin: f64,
    pub end: f64,
    /// Since when it was in Kafka.
    pub kafka: Option<f64>,
    /// The how manieth of those that are kept.
    pub attempt: Option<usize>,
}

impl Step {
    pub fn of(event: &Event, number: u64, found: Found, names: &Names) -> Self {
        let seen = Seen::of(event, number, names);
        let begin = seen.at - seen.took.unwrap_or_default() * 1e3;
        let delivered = event.direction == Direction::Deliver;
        Self {
            begin,
            end: seen.at,
            kafka: seen.age.filter(|_| delivered).map(|age| begin - age * 1e3),
            seen,
            found,
            attempt: None,
        }
    }
}

pub fn millis(time: Time) -> f64 {
    time.0 as f64 / 1e6
}

/// Nothing in these cannot be written.
pub fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
