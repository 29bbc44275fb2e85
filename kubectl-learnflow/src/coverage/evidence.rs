//! What four sources tell.

use super::Counts;
use learnflow_core::Direction;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What was seen between two looks. What a source does not tell is absent.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) window: Duration,
    /// How long a sidecar took to answer, both times: what it does meanwhile may be in its counters and not among the records
    /// that are meant, or the other way round.
    pub(crate) asking: Duration,
    /// The same of both looks as a whole, between Kafka and the sidecars.
    pub(crate) looking: Duration,
    pub(crate) components: BTreeMap<String, Component>,
    pub(crate) sidecars: Vec<Sidecar>,
    /// Apps with pods that were there at first only. What these did last, nobody has counted.
    pub(crate) gone: BTreeSet<String>,
    /// By how much topics grew: by their Kafka, and their names there.
    pub(crate) grown: BTreeMap<(String, String), u64>,
    pub(crate) subscribers: BTreeSet<Subscriber>,
    /// Component and topic of what is never taken.
    pub(crate) dead_letters: BTreeSet<(String, String)>,
    pub(crate) spans: Option<Spans>,
}

/// By app id, topic and direction.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(crate) counts: BTreeMap<(String, String, Direction), u64>,
    /// Some topics have no row of their own: what has none is not known.
    pub(crate) overflow: bool,
}

/// A Component of type pubsub.kafka.
#[derive(Debug, Clone, Default)]
pub(crate) struct Component {
    /// Which Kafka: several Components may have the same.
    pub(crate) kafka: String,
    /// What stands before the app's names of topics in Kafka.
    pub(crate) prefix: String,
}

/// One pod's sidecar.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sidecar {
    pub(crate) pod: String,
    pub(crate) app: String,
    /// It has come meanwhile.
    pub(crate) new: bool,
    pub(crate) enrolled: bool,
    /// It could not load the middleware.
    pub(crate) failed: bool,
    /// Prometheus has its counters.
    pub(crate) scraped: Option<bool>,
    pub(crate) counted: Option<Counts>,
    pub(crate) recorded: Option<Counts>,
}

/// An app that is to be sent the events of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscriber {
    pub(crate) app: String,
    pub(crate) pubsub: String,
    pub(crate) topic: String,
}
