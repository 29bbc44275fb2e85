//! One event's way: joined from the records of the sidecars, the spans of its trace, and what Kafka has. Pure.
//!
//! What joins them: a publish's record has a trace, a delivery's record a trace and a place in Kafka; the message at that
//! place has a CloudEvent with the trace and the id of the span that published it; Dapr's span of a delivery is a child of
//! that span. See docs/events.md.

mod asked;
mod evidence;
mod missing;
mod sieve;
mod span;
mod steps;
mod tree;

pub(crate) use asked::{Asked, Place};
pub(crate) use evidence::{Evidence, Group, InKafka, Kafka, Looked, Record, Records, Stored};
pub(crate) use missing::Missing;
pub(crate) use sieve::{Known, Sieve};
pub(crate) use span::Span;
pub(crate) use steps::{Hop, Step};

/// What is known of an event, in the order of time.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    pub(crate) trace: Option<String>,
    /// Where it lies in Kafka. A trace may have several events.
    pub(crate) places: Vec<Place>,
    /// The ids of their CloudEvents, as far as Kafka still has them.
    pub(crate) events: Vec<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) missing: Vec<Missing>,
}

pub(crate) fn timeline(asked: &Asked, seen: &Evidence) -> Timeline {
    let trace = seen.trace(asked);
    let steps = steps::steps(asked, seen);
    let missing = missing::missing(asked, seen, &steps);
    let stored = seen.stored().filter_map(|(_, stored)| stored.id().map(str::to_owned));
    Timeline {
        trace: trace.map(|trace| trace.as_str().to_owned()),
        places: seen.places(asked),
        events: stored.collect(),
        steps,
        missing,
    }
}
