//! One pub/sub call, as it is written down.

use crate::{Text, TraceId};

/// What every record begins with. A Collector takes the lines whose message begins like this, and no others.
pub const PREFIX: &str = r#"{"lf":1,"dir":""#;

/// Which way the event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the app to the broker.
    Publish,
    /// From the broker to the app.
    Deliver,
}

/// What became of the event, as Dapr sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Not taken by the broker, or the call broke inside the sidecar.
    Error,
    /// Taken by the broker, or done by the app.
    Success,
    /// The app did not take it: Dapr tries again, as its policies say.
    Retry,
    /// The app will never take it: Dapr gives it to the dead-letter topic, if there is one.
    Drop,
}

/// One call. What is not known is `None`, never a zero.
///
/// `docs/records.md` says of every field what it means and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which way the event went.
    pub direction: Direction,
    /// The pub/sub component.
    pub pubsub: Text,
    /// The topic. Empty if it is not known: then there is a route.
    pub topic: Text,
    /// Where in the app a bulk delivery goes to: path and query, escaped. Empty where the topic is known.
    pub route: Text,
    /// What became of the event.
    pub outcome: Outcome,
    /// The HTTP status: Dapr's for a publish, the app's for a delivery.
    pub status: Option<u16>,
    /// How long the call took, in microseconds.
    pub us: Option<u64>,
    /// The size of the request's body, in bytes.
    pub bytes: Option<u64>,
    /// Several events in one call.
    pub bulk: bool,
    /// Kafka's partition.
    pub partition: Option<u32>,
    /// Kafka's offset.
    pub offset: Option<u64>,
    /// From Kafka's timestamp to the start of the delivery, in milliseconds.
    pub age_ms: Option<u64>,
    /// The trace the event belongs to.
    pub trace: Option<TraceId>,
}

impl Record {
    /// A call that has just begun. Until an answer says otherwise, it failed.
    pub const fn new(direction: Direction, pubsub: Text, topic: Text) -> Self {
        Self {
            direction,
            pubsub,
            topic,
            route: Text::EMPTY,
            outcome: Outcome::Error,
            status: None,
            us: None,
            bytes: None,
            bulk: false,
            partition: None,
            offset: None,
            age_ms: None,
            trace: None,
        }
    }

    /// Begins anew, in place: names take room, and to move one costs more than to write it.
    #[inline(never)]
    pub(crate) fn begin(&mut self, direction: Direction) {
        self.direction = direction;
        self.pubsub.clear();
        self.topic.clear();
        self.route.clear();
        self.outcome = Outcome::Error;
        self.status = None;
        self.us = None;
        self.bytes = None;
        self.bulk = false;
        self.partition = None;
        self.offset = None;
        self.age_ms = None;
        self.trace = None;
    }
}

impl Direction {
    const ALL: [Self; 2] = [Self::Publish, Self::Deliver];

    /// As it stands in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Deliver => "deliver",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| direction.as_str() == name)
    }
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Success, Self::Retry, Self::Drop, Self::Error];

    /// As it stands in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Retry => "retry",
            Self::Drop => "drop",
            Self::Error => "error",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// Names of the fields, in the order in which they are written.
pub(crate) mod field {
    pub(crate) const PUBSUB: &str = "pubsub";
    pub(crate) const TOPIC: &str = "topic";
    pub(crate) const ROUTE: &str = "route";
    pub(crate) const OUTCOME: &str = "outcome";
    pub(crate) const STATUS: &str = "status";
    pub(crate) const US: &str = "us";
    pub(crate) const BYTES: &str = "bytes";
    pub(crate) const BULK: &str = "bulk";
    pub(crate) const PARTITION: &str = "partition";
    pub(crate) const OFFSET: &str = "offset";
    pub(crate) const AGE_MS: &str = "age_ms";
    pub(crate) const TRACE: &str = "trace";
}
