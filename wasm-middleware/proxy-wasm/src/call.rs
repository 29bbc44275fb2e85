//! One call, from request to answer.

use learnflow_core::{Answer, Direction, Headers, Outcome, Publish, Record, Route, Text, TraceParent};
use learnflow_core::{attribute, is_publish_method, publish_outcome};

use crate::metrics::{operation, topic};
use crate::visible::Visible;
use crate::{Host, Map, Metrics};

/// What is remembered of a call until it is over. Of one that is not pub/sub: nothing.
#[derive(Debug, Default)]
pub struct Call(Option<Box<State>>);

#[derive(Debug)]
struct State {
    record: Record,
    answer: Answer,
    /// Whether more of the answer's body can matter.
    reading: bool,
    started: Option<u64>,
}

impl Call {
    /// Looks at a request before it goes on. The path comes first: it settles most of what is not pub/sub.
    pub fn on_request(&mut self, host: &mut impl Host) {
        let Some(mut path) = host.header(Map::Request, ":path") else {
            return;
        };
        let record = match Route::of(&mut path) {
            Route::OtherApi => None,
            Route::Publish(publish) => begin_publish(host, publish),
            Route::Elsewhere => begin_delivery(host),
        };
        self.0 = record.map(|record| {
            show(host, "learnflow.operation", operation(record.direction));
            show(host, "learnflow.pubsub", record.pubsub.as_str());
            show(host, "learnflow.topic", topic(&record));
            Box::new(State {
                answer: Answer::new(record.bulk),
                record,
                reading: false,
                // Last, so that our own work is not in it.
                started: host.monotonic(),
            })
        });
    }

    /// Looks at the status of the answer, Envoy's own answers included.
    pub fn on_answer(&mut self, host: &mut impl Host) {
        let Some(state) = &mut self.0 else {
            return;
        };
        let status = host.header(Map::Response, ":status");
        state.record.status = status.and_then(|status| str::from_utf8(&status).ok()?.parse().ok());
        // Outside of 2xx the body does not count.
        let successful = matches!(state.record.status, Some(200..=299));
        state.reading = successful && state.record.direction == Direction::Deliver;
    }

    /// Looks at a piece of the answer's body, as it passes.
    pub fn on_answer_body(&mut self, host: &mut impl Host, len: usize) {
        if let Some(state) = self.0.as_mut().filter(|state| state.reading) {
            let piece = host.response_body(len).unwrap_or_default();
            state.reading = state.answer.read(&piece);
        }
    }

    /// Counts the call, once it is over.
    pub fn on_end(&mut self, host: &mut impl Host, metrics: &mut Metrics) {
        let Some(state) = self.0.take() else {
            return;
        };
        let mut record = state.record;
        record.us = host
            .monotonic()
            .zip(state.started)
            .map(|(ended, started)| ended.saturating_sub(started) / 1000);
        record.outcome = match (record.direction, record.status) {
            (Direction::Publish, Some(status)) => publish_outcome(status),
            (Direction::Publish, None) => Outcome::Error,
            (Direction::Deliver, Some(status)) => state.answer.outcome(status),
            // Dapr went away, or gave up waiting, and will try again.
            (Direction::Deliver, None) => Outcome::Retry,
        };
        show(host, "learnflow.outcome", record.outcome.as_str());
        metrics.count(host, &record);
    }
}

fn begin_publish(host: &mut impl Host, publish: Publish<'_>) -> Option<Record> {
    let method = host.header(Map::Request, ":method")?;
    if !is_publish_method(&method) {
        return None;
    }
    let mut record = Record::new(Direction::Publish, Text::EMPTY, Text::EMPTY);
    publish.begin(&mut record);
    let parent = record.ask(&mut Request::new(host), None);
    add_attributes(host, &record, parent);
    Some(record)
}

fn begin_delivery(host: &mut impl Host) -> Option<Record> {
    let mut request = Request::new(host);
    let mut record = Record::new(Direction::Deliver, Text::EMPTY, Text::EMPTY);
    if !record.begin_delivery(&mut request) {
        return None;
    }
    // Kafka's time, partition and offset are in the sidecar's records; no metric here has them.
    record.ask(&mut request, None);
    Some(record)
}

/// Adds what Dapr's span of this publish lacks.
fn add_attributes(host: &mut impl Host, record: &Record, parent: Option<TraceParent>) {
    // Dapr's sampler follows its parent (`ParentBased` in `pkg/diagnostics/tracing_sampler.go`).
    if parent.is_some_and(|parent| !parent.sampled) {
        return;
    }
    let mut add = |name: &str, value: &str| {
        if host.header(Map::Request, name).is_none() {
            host.add_request_header(name, value);
        }
    };
    add(attribute::DESTINATION, &Visible(record.topic.as_str()).to_string());
    add(attribute::SYSTEM, attribute::KAFKA);
    add(attribute::OPERATION, attribute::SEND);
}

fn show(host: &mut impl Host, name: &str, value: &str) {
    host.set_property(name, &Visible(value).to_string());
}

/// A request, to be asked for its headers.
struct Request<'a, H> {
    host: &'a mut H,
    value: Vec<u8>,
}

impl<'a, H: Host> Request<'a, H> {
    fn new(host: &'a mut H) -> Self {
        Self {
            host,
            value: Vec::new(),
        }
    }
}

impl<H: Host> Headers for Request<'_, H> {
    fn header(&mut self, name: &str) -> Option<&[u8]> {
        self.value = self.host.header(Map::Request, name)?;
        Some(&self.value)
    }

    fn uri(&mut self) -> Option<&[u8]> {
        self.header(":path")
    }
}
