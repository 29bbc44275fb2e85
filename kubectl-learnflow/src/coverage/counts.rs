//! What one sidecar has counted, and what its records add up to: the same things under the same keys.

use crate::exposition;
use learnflow_core::{Direction, Outcome};
use learnflow_flow::{Event, Names};
use std::collections::BTreeMap;

/// The topic of deliveries in bulk: their records have none, and their counters no Component.
pub(super) const BULK: &str = "(bulk)";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// Events that Kafka took.
    Published,
    /// Calls with several events in them; how many, neither side knows.
    PublishedInBulk,
    /// Events that the app took.
    Delivered,
    /// Attempts that the app did not take. Dapr counts some of them twice.
    Refused,
    /// Calls with several events in them.
    DeliveredInBulk,
    /// Calls over gRPC, of all topics: only counters know them.
    GrpcPublish,
    GrpcDelivery,
}

impl What {
    /// The row that it makes.
    pub(super) fn direction(self) -> Option<Direction> {
        match self {
            Self::Published | Self::PublishedInBulk => Some(Direction::Publish),
            Self::Delivered | Self::DeliveredInBulk => Some(Direction::Deliver),
            Self::Refused | Self::GrpcPublish | Self::GrpcDelivery => None,
        }
    }
}

/// Topics have the names that the app knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) what: What,
    pub(crate) pubsub: String,
    pub(crate) topic: String,
}

impl Key {
    pub(crate) fn new(what: What, pubsub: &str, topic: &str) -> Self {
        Self {
            what,
            pubsub: pubsub.to_owned(),
            topic: topic.to_owned(),
        }
    }

    /// Where a record counts. `prefix`: what stands before the app's names of topics in Kafka, which only the records of
    /// deliveries have. What was not taken is no event yet.
    pub(crate) fn of(event: &Event, names: &Names, prefix: &str) -> Option<Self> {
        let (pubsub, topic) = (names.text(event.pubsub), names.text(event.topic));
        match (event.direction, event.bulk) {
            (Direction::Deliver, true) => Some(Self::new(What::DeliveredInBulk, "", BULK)),
            _ if event.outcome != Outcome::Success => None,
            (Direction::Publish, true) => Some(Self::new(What::PublishedInBulk, pubsub, topic)),
            (Direction::Publish, false) => Some(Self::new(What::Published, pubsub, topic)),
            (Direction::Deliver, false) => {
                let topic = topic.strip_prefix(prefix).unwrap_or(topic);
                Some(Self::new(What::Delivered, pubsub, topic))
            }
        }
    }
}

pub(crate) type Counts = BTreeMap<Key, u64>;

/// One sidecar's counters at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counters {
    /// When the process began, in seconds since 1970.
    started: Option<f64>,
    counts: Counts,
    /// It could not load the middleware.
    pub(crate) failed: bool,
}

impl Counters {
    /// From the sidecar's page of metrics. `middleware`: the Component's name.
    pub(crate) fn read(page: &str, middleware: &str) -> Self {
        let mut counters = Self::default();
        for (name, labels, value) in exposition::samples(page) {
            let label = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
            let here = |what| Key::new(what, label("component"), label("topic"));
            let method = |name: &str| label(name).rsplit('/').next().unwrap_or_default().to_owned();
            let key = match name {
                "process_start_time_seconds" => {
                    counters.started = Some(value);
                    continue;
                }
                "dapr_runtime_component_init_fail_total" => {
                    counters.failed |= label("componentName") == middleware && value > 0.0;
                    continue;
                }
                "dapr_component_pubsub_egress_count" if label("success") == "true" => here(What::Published),
                "dapr_component_pubsub_egress_bulk_count" if label("success") == "true" => here(What::PublishedInBulk),
                "dapr_component_pubsub_ingress_count" => match label("process_status") {
                    "success" => here(What::Delivered),
                    "retry" => here(What::Refused),
                    // Too old, for no route, or by the app's wish.
                    _ => continue,
                },
                "dapr_component_pubsub_ingress_bulk_count" => Key::new(What::DeliveredInBulk, "", BULK),
                "dapr_grpc_io_server_completed_rpcs" if label("grpc_server_status") == "OK" => {
                    match method("grpc_server_method").as_str() {
                        "PublishEvent" | "BulkPublishEvent" | "BulkPublishEventAlpha1" => {
                            Key::new(What::GrpcPublish, "", "")
                        }
                        _ => continue,
                    }
                }
                "dapr_grpc_io_client_completed_rpcs" => match method("grpc_client_method").as_str() {
                    "OnTopicEvent" | "OnBulkTopicEvent" | "OnBulkTopicEventAlpha1" => {
                        Key::new(What::GrpcDelivery, "", "")
                    }
                    _ => continue,
                },
                _ => continue,
            };
            *counters.counts.entry(key).or_default() += value as u64;
        }
        counters
    }

    /// What was counted since `before`. Of a process that was not there then: all of it.
    pub(crate) fn since(&self, before: Option<&Self>) -> Counts {
        let Some(before) = before.filter(|before| self.goes_on_from(before)) else {
            return self.counts.clone();
        };
        let grown = |(key, count): (&Key, &u64)| {
            let count = count - before.counts.get(key).unwrap_or(&0);
            (count > 0).then(|| (key.clone(), count))
        };
        self.counts.iter().filter_map(grown).collect()
    }

    fn goes_on_from(&self, before: &Self) -> bool {
        let fewer = |(key, count): (&Key, &u64)| self.counts.get(key).is_none_or(|now| now < count);
        self.started == before.started && !before.counts.iter().any(fewer)
    }

    /// Components and topics that the sidecar ever had to do with.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = self.counts.keys().filter(|key| !key.pubsub.is_empty());
        named.map(|key| (key.pubsub.as_str(), key.topic.as_str()))
    }
}
