//! What was found, and where it was not looked.

use super::{Asked, Place, Span, span::Role};
use crate::{
    broker::Message,
    dlq::{self, Letter},
};
use learnflow_core::{Direction, Outcome, TraceId, TraceParent};
use learnflow_flow::{Counts, Event, Names, Time};
use std::collections::BTreeMap;

/// What a source has; or why it was not asked, as a part of a sentence.
pub(crate) type Looked<T> = Result<T, String>;

pub(crate) struct Evidence {
    pub(crate) records: Looked<Records>,
    pub(crate) kafka: Looked<Kafka>,
    /// Of the trace.
    pub(crate) spans: Looked<Vec<Span>>,
    /// The dead letters that it became. Why there is none matters only where it was given up.
    pub(crate) dead: Looked<Vec<(Place, Stored)>>,
    /// The consumer groups of the partition.
    pub(crate) groups: Looked<Vec<Group>>,
}

/// What the sidecars wrote down.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Of the event, or of its trace.
    pub(crate) of_it: Vec<Record>,
    /// Publishes without a trace, at the time of the message.
    pub(crate) untraced: Vec<Record>,
    /// How far each service has got in the partition.
    pub(crate) reached: BTreeMap<String, i64>,
    /// When the first record was written.
    pub(crate) begins: Option<Time>,
    pub(crate) counts: Counts,
}

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) app: String,
    /// Of a bulk delivery the route.
    pub(crate) topic: String,
    pub(crate) event: Event,
}

#[derive(Debug, Default)]
pub(crate) struct Kafka {
    pub(crate) messages: Vec<(Place, InKafka)>,
    /// Among which messages it was searched for.
    pub(crate) searched: Option<String>,
}

/// What Kafka has at a place.
#[derive(Debug, Clone)]
pub(crate) enum InKafka {
    Here(Box<Stored>),
    /// Kafka has nothing before this offset any more.
    Expired(i64),
    /// Between others that are there.
    Removed,
    /// The next message will have this offset.
    NotYet(i64),
    /// There is no such topic or partition.
    Nowhere(String),
}

/// A message without its body.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) event: Option<dlq::Event>,
    pub(crate) parent: Option<Parent>,
    /// Of a dead letter: where the event was.
    pub(crate) origin: Option<Place>,
}

/// What published a message.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) trace: TraceId,
    pub(crate) span: String,
    pub(crate) sampled: bool,
}

/// A consumer group in the partition.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// Of the next message that it will read.
    pub(crate) next: i64,
}

impl Record {
    pub(crate) fn of(event: Event, names: &Names) -> Self {
        Self {
            app: names.text(event.app).to_owned(),
            topic: names.text(event.topic).to_owned(),
            event,
        }
    }

    pub(crate) fn publishes(&self) -> bool {
        self.event.direction == Direction::Publish
    }

    pub(crate) fn place(&self) -> Option<Place> {
        Some(Place {
            topic: self.topic.clone(),
            partition: self.event.partition?.try_into().ok()?,
            offset: self.event.offset?.try_into().ok()?,
        })
    }

    /// The place of what was delivered, as far as it is known.
    pub(crate) fn destination(&self) -> String {
        self.place()
            .map_or_else(|| self.topic.clone(), |place| place.to_string())
    }

    /// A record is written when the call has ended.
    pub(crate) fn begin(&self) -> Time {
        let took = self.event.us.unwrap_or(0).saturating_mul(1000);
        Time(self.event.at.0.saturating_sub(i64::try_from(took).unwrap_or(i64::MAX)))
    }

    /// The call was under way then, give or take what lies between its end and its line in the log.
    pub(crate) fn spans(&self, timestamp: i64) -> bool {
        const TOLERANCE: i64 = 5;
        let millis = |time: Time| time.0.div_euclid(1_000_000);
        // Kafka's time is that of the same sidecar, in milliseconds.
        (millis(self.begin()) - TOLERANCE..=millis(self.event.at)).contains(&timestamp)
    }
}

impl Stored {
    pub(crate) fn of(message: &Message) -> Self {
        let Letter { event, origin, .. } = Letter::of(message);
        let said = event.as_ref().and_then(|event| event.traceparent.as_deref());
        let parent = said.or_else(|| message.header("traceparent"));
        Self {
            timestamp: message.timestamp,
            parent: parent.and_then(Parent::read),
            origin: origin.map(Place::from),
            event,
        }
    }

    pub(crate) fn id(&self) -> Option<&str> {
        self.event.as_ref()?.id.as_deref()
    }
}

impl Parent {
    fn read(text: &str) -> Option<Self> {
        let TraceParent { trace, sampled } = TraceParent::parse(text.as_bytes())?;
        let span = text.get(36..52)?.to_owned();
        Some(Self { trace, span, sampled })
    }
}

impl InKafka {
    /// Where the event of a dead letter was.
    pub(crate) fn origin(&self) -> Option<&Place> {
        match self {
            Self::Here(stored) => stored.origin.as_ref(),
            _ => None,
        }
    }
}

impl Kafka {
    pub(crate) fn stored_at(&self, place: &Place) -> Option<&Stored> {
        let mut all = self.messages.iter();
        all.find_map(|(at, found)| match found {
            InKafka::Here(stored) if at == place => Some(&**stored),
            _ => None,
        })
    }
}

impl Evidence {
    /// No service took it, and some said so.
    pub(crate) fn is_refused(&self) -> bool {
        let mut outcomes = self
            .records()
            .iter()
            .filter(|record| !record.publishes())
            .map(|record| record.event.outcome)
            .peekable();
        outcomes.peek().is_some() && outcomes.all(|outcome| outcome != Outcome::Success)
    }

    /// No record and no span is of a delivery.
    pub(crate) fn is_undelivered(&self) -> bool {
        self.records().iter().all(Record::publishes) && self.spans().iter().all(|span| span.role != Role::Delivery)
    }

    pub(crate) fn records(&self) -> &[Record] {
        self.records.as_ref().map_or(&[], |records| &records.of_it)
    }

    pub(crate) fn untraced(&self) -> &[Record] {
        self.records.as_ref().map_or(&[], |records| &records.untraced)
    }

    pub(crate) fn spans(&self) -> &[Span] {
        self.spans.as_deref().unwrap_or_default()
    }

    pub(crate) fn messages(&self) -> &[(Place, InKafka)] {
        self.kafka.as_ref().map_or(&[], |kafka| &kafka.messages)
    }

    /// The messages that Kafka still has.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&Place, &Stored)> {
        self.messages().iter().filter_map(|(place, found)| match found {
            InKafka::Here(stored) => Some((place, &**stored)),
            _ => None,
        })
    }

    /// Whatever says it.
    pub(crate) fn trace(&self, asked: &Asked) -> Option<TraceId> {
        if let Asked::Trace(trace) = asked {
            return Some(*trace);
        }
        let stored = self
            .stored()
            .find_map(|(_, stored)| Some(stored.parent.as_ref()?.trace));
        stored.or_else(|| self.records().iter().find_map(|record| record.event.trace))
    }

    pub(crate) fn places(&self, asked: &Asked) -> Vec<Place> {
        let mut places: Vec<Place> = match asked {
            Asked::Place(place) => vec![place.clone()],
            Asked::Trace(_) | Asked::Event(_) => self.records().iter().filter_map(Record::place).collect(),
        };
        let messages = self.messages().iter();
        places.extend(messages.map(|(place, found)| found.origin().unwrap_or(place).clone()));
        places.sort();
        places.dedup();
        places
    }
}
