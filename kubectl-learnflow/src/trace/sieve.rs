//! What of all records is of an event, in one pass.

use super::{Asked, Kafka, Place, Record, Records};
use learnflow_core::{Direction, TraceId};
use learnflow_flow::{Event, Names};
use std::collections::VecDeque;

/// Publishes of which it is not known yet whether they are meant: a delivery says so, later.
const WAITING: usize = 100_000;
/// An event that no app ever takes is tried again for ever.
const MOST: usize = 1_000;

/// What is known before a log is read.
#[derive(Default)]
pub(crate) struct Known {
    place: Option<Place>,
    trace: Option<TraceId>,
    /// Kafka's, in milliseconds.
    timestamp: Option<i64>,
}

impl Known {
    pub(crate) fn of(asked: &Asked, kafka: Option<&Kafka>) -> Self {
        match asked {
            Asked::Trace(trace) => Self {
                trace: Some(*trace),
                ..Self::default()
            },
            Asked::Event(_) => Self::default(),
            Asked::Place(place) => {
                let stored = kafka.and_then(|kafka| kafka.stored_at(place));
                Self {
                    place: Some(place.clone()),
                    trace: stored.and_then(|stored| Some(stored.parent.as_ref()?.trace)),
                    timestamp: stored.map(|stored| stored.timestamp),
                }
            }
        }
    }
}

/// Takes records in the order of time.
pub(crate) struct Sieve<'a> {
    known: &'a Known,
    trace: Option<TraceId>,
    pub(crate) found: Records,
    waiting: VecDeque<Event>,
    /// More than are kept.
    pub(crate) left_out: usize,
}

impl<'a> Sieve<'a> {
    pub(crate) fn new(known: &'a Known) -> Self {
        Self {
            known,
            trace: known.trace,
            found: Records::default(),
            waiting: VecDeque::new(),
            left_out: 0,
        }
    }

    pub(crate) fn take(&mut self, event: Event, names: &Names) {
        self.found.begins.get_or_insert(event.at);
        let at_place = self
            .known
            .place
            .as_ref()
            .is_some_and(|place| self.in_partition(&event, place, names));
        if at_place && self.trace.is_none() && event.trace.is_some() {
            self.trace = event.trace;
            let waiting = std::mem::take(&mut self.waiting);
            for earlier in waiting.into_iter().filter(|earlier| earlier.trace == event.trace) {
                self.keep(earlier, names);
            }
        }
        let of_trace = self.trace.is_some() && event.trace == self.trace;
        if at_place || (of_trace && self.may_be_meant(&event)) {
            return self.keep(event, names);
        }
        if event.direction != Direction::Publish {
            return;
        }
        match (event.trace, &self.known.place, self.known.timestamp) {
            (Some(_), Some(_), _) if self.trace.is_none() => {
                if self.waiting.len() == WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back(event);
            }
            (None, Some(place), Some(timestamp)) => {
                let record = Record::of(event, names);
                if record.spans(timestamp) && place.topic.ends_with(&record.topic) && self.found.untraced.len() < MOST {
                    self.found.untraced.push(record);
                }
            }
            _ => {}
        }
    }

    /// Whether it is a delivery of the event at `place`; and how far in its partition the service has got.
    fn in_partition(&mut self, event: &Event, place: &Place, names: &Names) -> bool {
        let (Some(partition), Some(offset)) = (event.partition, event.offset) else {
            return false;
        };
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        if i64::from(partition) != i64::from(place.partition) || names.text(event.topic) != place.topic {
            return false;
        }
        let reached = self
            .found
            .reached
            .entry(names.text(event.app).to_owned())
            .or_insert(offset);
        *reached = offset.max(*reached);
        offset == place.offset
    }

    /// Of the trace of one event: another one's delivery is not meant.
    fn may_be_meant(&self, event: &Event) -> bool {
        self.known.place.is_none() || event.direction == Direction::Publish || event.bulk
    }

    fn keep(&mut self, event: Event, names: &Names) {
        match self.found.of_it.len() < MOST {
            true => self.found.of_it.push(Record::of(event, names)),
            false => self.left_out += 1,
        }
    }
}
