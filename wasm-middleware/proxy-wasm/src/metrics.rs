//! Counters and histograms, topic by topic.

use std::collections::BTreeMap;

use learnflow_core::{Direction, Outcome, Record};

use crate::visible::Visible;
use crate::{Config, Host, Kind};

/// Where the topics beyond the limit are counted.
const OVERFLOW: &str = "(overflow)";

/// The metrics of one of Envoy's worker threads. Envoy adds up those of the same name.
///
/// Envoy's metrics have no labels but what `stats_tags` finds in their names, so a name holds all of them:
/// `learnflow_calls_total;outcome=success;operation=send;pubsub=kafka-pubsub;topic=lesson.generated;`. No value has a
/// semicolon in it.
#[derive(Debug)]
pub struct Metrics {
    config: Config,
    topics: BTreeMap<String, Series>,
    overflow: BTreeMap<String, Series>,
    overflowed: Option<u32>,
}

/// The metrics of one topic in one direction, as far as they were needed.
#[derive(Debug, Default)]
struct Series {
    /// One for each outcome that was seen.
    calls: Vec<(Outcome, u32)>,
    duration: Option<u32>,
}

impl Metrics {
    /// None yet, but the one that tells of an overflow: it shows as 0 from the start.
    pub fn new(host: &mut impl Host, config: Config) -> Self {
        Self {
            config,
            topics: BTreeMap::new(),
            overflow: BTreeMap::new(),
            overflowed: host.define_metric(Kind::Counter, "learnflow_overflow_total"),
        }
    }

    /// Counts one call.
    pub fn count(&mut self, host: &mut impl Host, record: &Record) {
        let key = labels(record.direction, record.pubsub.as_str(), topic(record));
        let room = self.topics.len() < self.config.max_topics || self.topics.contains_key(&key);
        let (series, key) = if room {
            (&mut self.topics, key)
        } else {
            if let Some(metric) = self.overflowed {
                host.increment_metric(metric, 1);
            }
            // The component, too, is whatever a caller has put in the path.
            (&mut self.overflow, labels(record.direction, OVERFLOW, OVERFLOW))
        };
        if !series.contains_key(&key) {
            series.insert(key.clone(), Series::default());
        }
        if let Some(series) = series.get_mut(&key) {
            series.count(host, record, &key);
        }
    }
}

impl Series {
    fn count(&mut self, host: &mut impl Host, record: &Record, labels: &str) {
        let known = self.calls.iter().find(|(outcome, _)| *outcome == record.outcome);
        let calls = known.map(|(_, metric)| *metric).or_else(|| {
            let name = format!("learnflow_calls_total;outcome={}{labels}", record.outcome.as_str());
            let metric = host.define_metric(Kind::Counter, &name)?;
            self.calls.push((record.outcome, metric));
            Some(metric)
        });
        if let Some(metric) = calls {
            host.increment_metric(metric, 1);
        }
        let Some(us) = record.us else {
            return;
        };
        let name = || format!("learnflow_call_duration_us{labels}");
        self.duration = self.duration.or_else(|| host.define_metric(Kind::Histogram, &name()));
        if let Some(metric) = self.duration {
            host.record_metric(metric, us);
        }
    }
}

fn labels(direction: Direction, pubsub: &str, topic: &str) -> String {
    let operation = operation(direction);
    let (pubsub, topic) = (label(pubsub), label(topic));
    format!(";operation={operation};pubsub={pubsub};topic={topic};")
}

/// Envoy cuts dots off the end of a label's value. Two topics would become one series, twice in what Prometheus reads.
fn label(value: &str) -> String {
    let kept = value.trim_end_matches('.');
    let dots = value.len().saturating_sub(kept.len());
    Visible(kept).to_string() + &"%2E".repeat(dots)
}

/// The topic, as the Collector writes it where it is not known: of a bulk delivery.
pub(crate) fn topic(record: &Record) -> &str {
    if record.topic.is_empty() {
        return "(unknown)";
    }
    record.topic.as_str()
}

/// The direction, by the OpenTelemetry conventions.
pub(crate) fn operation(direction: Direction) -> &'static str {
    match direction {
        Direction::Publish => learnflow_core::attribute::SEND,
        Direction::Deliver => "process",
    }
}
