//! Which steps are missing, and why, as precisely as is known.

use super::{Asked, Evidence, Group, Hop, InKafka, Place, Step, span::Role};
use crate::text::{count, list};
use learnflow_core::Outcome;
use learnflow_flow::Time;
use serde::Serialize;
use std::collections::BTreeSet;

/// Something of the way that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Missing {
    pub(crate) what: String,
    pub(crate) why: String,
}

/// What a delivery that was done and not written down may be.
const UNWRITTEN: &str =
    "its sidecar has no middleware, gets events in bulk or over gRPC, or the log that had it is gone";

struct Way<'a> {
    asked: &'a Asked,
    seen: &'a Evidence,
    steps: &'a [Step],
}

pub(super) fn missing(asked: &Asked, seen: &Evidence, steps: &[Step]) -> Vec<Missing> {
    let way = Way { asked, seen, steps };
    let mut all = Vec::new();
    let mut add = |what: &str, why: Option<String>| {
        let what = what.to_owned();
        all.extend(why.map(|why| Missing { what, why }));
    };
    // Only Kafka knows ids; and what is not there yet has no way.
    if matches!(asked, Asked::Event(_)) || (steps.is_empty() && way.is_to_come()) {
        add("message", way.not_in_kafka());
        return all;
    }
    match way.no_spans() {
        Some(why) => add("spans (HTTP request, database)", Some(why)),
        None => {
            add("HTTP request", way.no_request());
            add("span of the publish", way.no_publish_span());
        }
    }
    add("publish", way.no_publish());
    add("record of the publish", way.no_publish_record());
    add("broker", way.not_in_kafka());
    add("delivery", way.no_delivery());
    add("record of the delivery", way.no_delivery_record());
    add("span of the delivery", way.no_delivery_span());
    add("dead letter", way.no_dead_letter());
    add("database", way.no_database());
    all
}

impl Way<'_> {
    fn of(&self, hop: Hop) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.hop == hop)
    }

    fn has(&self, hop: Hop) -> bool {
        self.of(hop).next().is_some()
    }

    fn has_span(&self, hop: Hop) -> bool {
        self.of(hop).any(|step| step.failed.is_some())
    }

    fn place(&self) -> Option<Place> {
        self.seen.places(self.asked).into_iter().next()
    }

    /// None at all: one reason for all of them.
    fn no_spans(&self) -> Option<String> {
        if !self.seen.spans().is_empty() {
            return None;
        }
        let Some(trace) = self.seen.trace(self.asked) else {
            return Some(format!("its trace is not known: {}", self.no_trace()));
        };
        let not_sampled = self
            .seen
            .stored()
            .filter_map(|(_, stored)| stored.parent.as_ref())
            .any(|parent| !parent.sampled);
        Some(match &self.seen.spans {
            Err(why) => why.clone(),
            Ok(_) if not_sampled => {
                format!(
                    "trace {} is not sampled: the flags of its traceparent are 00",
                    trace.as_str()
                )
            }
            Ok(_) => format!(
                "the trace store has none of trace {}: it was not kept (sampling), is older than what is stored, or they are on \
                 their way (up to 15 s)",
                trace.as_str()
            ),
        })
    }

    fn no_trace(&self) -> String {
        match self.seen.stored().next() {
            Some(_) => "neither the message nor a record has a traceparent".into(),
            None => "no record has it, and the message was not read".into(),
        }
    }

    fn no_request(&self) -> Option<String> {
        if self.has(Hop::Request) {
            return None;
        }
        Some(match self.has_span(Hop::Publish) {
            true => "the publish is the first span of its trace: who asked for it sends none".into(),
            false => LATE.into(),
        })
    }

    fn no_publish_span(&self) -> Option<String> {
        (self.has(Hop::Publish) && !self.has_span(Hop::Publish)).then(|| LATE.into())
    }

    fn no_publish(&self) -> Option<String> {
        if self.has(Hop::Publish) {
            return None;
        }
        let records = match &self.seen.records {
            Err(why) => return Some(why.clone()),
            Ok(records) => records,
        };
        let mut why = match self.seen.trace(self.asked) {
            Some(_) => format!(
                "no record has its trace: it was published over gRPC, by a sidecar without the middleware, or by a caller that \
                 sent no traceparent{}",
                self.or_gone()
            ),
            None => format!("nothing joins it with a publish: {}", self.no_trace()),
        };
        if !records.untraced.is_empty() {
            let apps: BTreeSet<&str> = records.untraced.iter().map(|record| record.app.as_str()).collect();
            let apps: Vec<&str> = apps.into_iter().collect();
            why.push_str(&format!(
                "; at its time {} without a trace, of {}",
                count(records.untraced.len(), "publish"),
                list(&apps)
            ));
        }
        Some(why)
    }

    /// The span says more than that a record is not there.
    fn no_publish_record(&self) -> Option<String> {
        let records = self.seen.records.as_ref();
        let step = self.of(Hop::Publish).find(|step| step.record.is_none())?;
        let service = &step.service;
        Some(match (step.role, records) {
            (Some(Role::PublishByGrpc), _) => {
                format!(
                    "{service} published over gRPC, which the sidecar's HTTP pipeline and the middleware do not see"
                )
            }
            (Some(Role::Publish { named: false }), _) => {
                format!("the sidecar of {service} has no middleware: its span does not name the topic")
            }
            (_, Err(why)) => why.clone(),
            // Each event of a bulk publish has a span, and the call has the record.
            _ if self.of(Hop::Publish).any(|step| step.record.is_some()) => return None,
            _ => format!("the level of the sidecar's log is above info{}", self.or_gone()),
        })
    }

    /// Where the logs begin, if that is too late.
    fn or_gone(&self) -> String {
        let millis = |time: Time| time.0.div_euclid(1_000_000);
        let begins = self.seen.records.as_ref().ok().and_then(|records| records.begins);
        let stored = self.seen.stored().next().map(|(_, stored)| stored.timestamp);
        let seen = self.seen.spans().iter().map(|span| millis(span.begin)).min();
        match (begins, stored.or(seen)) {
            (Some(begins), Some(at)) if millis(begins) > at => {
                format!("; or its record is gone, since the first that is left is of {begins}")
            }
            _ => "; or the log that had its record is gone".into(),
        }
    }

    fn not_in_kafka(&self) -> Option<String> {
        let kafka = match &self.seen.kafka {
            Err(why) => return Some(why.clone()),
            Ok(kafka) => kafka,
        };
        let Some((place, found)) = kafka.messages.first() else {
            return Some(match &kafka.searched {
                Some(searched) if self.was_not_published() => {
                    format!("its sidecar could not publish it, and it is not among {searched}")
                }
                Some(searched) => format!("it is not among {searched}"),
                None => "no record says where it lies".into(),
            });
        };
        match found {
            InKafka::Here(_) => None,
            InKafka::Expired(first) => Some(format!(
                "{place} has expired: Kafka has the messages of that partition from offset {first} on"
            )),
            InKafka::Removed => Some(format!(
                "Kafka has nothing at {place}: it was compacted, or is a mark of a transaction"
            )),
            InKafka::NotYet(next) => Some(format!(
                "there is no {place} yet: the next message will have offset {next}"
            )),
            InKafka::Nowhere(why) => Some(why.clone()),
        }
    }

    /// As far as its records say: an answer may have been lost.
    fn was_not_published(&self) -> bool {
        let mut outcomes = self
            .of(Hop::Publish)
            .map(|step| step.record.map(|record| record.outcome));
        self.has(Hop::Publish) && outcomes.all(|outcome| outcome == Some(Outcome::Error))
    }

    fn no_delivery(&self) -> Option<String> {
        let lies_nowhere = self.was_not_published() && self.seen.messages().is_empty();
        if self.has(Hop::Delivery) || self.is_to_come() || lies_nowhere {
            return None;
        }
        let records = match &self.seen.records {
            Err(why) => return Some(why.clone()),
            Ok(records) => records,
        };
        let Some(place) = self.place() else {
            return Some("no record or span of one; where it lies in Kafka is not known either".into());
        };
        let unknown = match &self.seen.groups {
            Ok(groups) if !groups.is_empty() => {
                let each: Vec<String> = groups.iter().map(|group| consumed(group, &place)).collect();
                return Some(each.join("; "));
            }
            Ok(_) => "no consumer group is known to read this partition".to_owned(),
            Err(why) => format!("how far its consumer groups are is not known: {why}"),
        };
        let each: Vec<String> = records
            .reached
            .iter()
            .map(|(app, last)| reached(app, *last, &place))
            .collect();
        Some(match each.is_empty() {
            true => format!("nothing of that partition was delivered in the logs that were read; {unknown}"),
            false => format!("{}; {unknown}", each.join("; ")),
        })
    }

    fn is_to_come(&self) -> bool {
        let nowhere = |(_, found): &(Place, InKafka)| matches!(found, InKafka::NotYet(_) | InKafka::Nowhere(_));
        self.seen.messages().first().is_some_and(nowhere)
    }

    fn no_delivery_record(&self) -> Option<String> {
        let unwritten = self.has(Hop::Delivery) && self.of(Hop::Delivery).all(|step| step.record.is_none());
        unwritten.then(|| match &self.seen.records {
            Err(why) => why.clone(),
            Ok(_) => format!("it is not in the logs that were read: {UNWRITTEN}"),
        })
    }

    fn no_delivery_span(&self) -> Option<String> {
        let unseen = self.has(Hop::Delivery) && !self.has_span(Hop::Delivery) && self.no_spans().is_none();
        unseen.then(|| "Dapr leaves none where the app was not reached; or it has not come yet (up to 15 s)".to_owned())
    }

    fn no_dead_letter(&self) -> Option<String> {
        let dropped = |step: &Step| step.record.is_some_and(|record| record.outcome == Outcome::Drop);
        self.of(Hop::Delivery)
            .any(dropped)
            .then(|| self.seen.dead.as_ref().err().cloned())?
    }

    fn no_database(&self) -> Option<String> {
        let service = self
            .of(Hop::Delivery)
            .find(|step| step.failed.is_some())
            .map(|step| &step.service)?;
        (!self.has(Hop::Database))
            .then(|| format!("no span in the delivery is of a database: {service} sends none, or asked none"))
    }
}

const LATE: &str =
    "the trace store has only later spans of this trace: what comes late of one that was not kept is judged anew";

fn consumed(group: &Group, place: &Place) -> String {
    let Group { name, next } = group;
    match place.offset - next {
        before @ 0.. => format!("group {name} has not consumed it yet: it is at offset {next}, {before} before it"),
        _ => format!("group {name} has consumed it (it is at offset {next}), and there is no record: {UNWRITTEN}"),
    }
}

fn reached(app: &str, last: i64, place: &Place) -> String {
    match last < place.offset {
        true => format!("{app} has got to offset {last} of that partition, so it is likely not consumed yet"),
        false => {
            format!("{app} has got to offset {last} of that partition, and this one is not in the logs that were read")
        }
    }
}
