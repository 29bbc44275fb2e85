//! What of the events is seen, and what is not and why. Pure: what four sources have counted goes in, rows come out.
//!
//! Kafka knows how far a topic grew, a sidecar what it sent and handed over, a record that the middleware saw it, a span that
//! tracing did. Where one knows less than the one before it, there is a reason.

mod counts;
mod evidence;
mod why;

use counts::BULK;
pub(crate) use counts::{Counters, Counts, Key, What};
pub(crate) use evidence::{Component, Evidence, Sidecar, Spans, Subscriber};
use learnflow_core::Direction;
use serde::{Serialize, Serializer};
use std::{collections::BTreeSet, time::Duration};
pub(crate) use why::Why;

/// Who publishes what no sidecar sent.
const WITHOUT_DAPR: &str = "(without Dapr)";
/// Who publishes dead letters.
const DAPR: &str = "(Dapr)";
/// A span is sent, counted and scraped each 5 s: between two looks there may be so much more or less of them.
const SPANS_APART: Duration = Duration::from_secs(15);

/// One service's part in one topic. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) service: String,
    /// Empty where several may be meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) pubsub: String,
    pub(crate) topic: String,
    #[serde(serialize_with = "named")]
    pub(crate) dir: Direction,
    /// By how much the topic grew in Kafka, whoever published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broker: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sidecar: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spans: Option<u64>,
    /// The share of what should be seen that has a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) covered: Option<f64>,
    pub(crate) why: Vec<Why>,
}

impl Row {
    /// Who gives to whom.
    pub(crate) fn arrow(&self) -> String {
        match self.dir {
            Direction::Publish => format!("{} → {}", self.service, self.topic),
            Direction::Deliver => format!("{} → {}", self.topic, self.service),
        }
    }
}

fn named<S: Serializer>(dir: &Direction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dir.as_str())
}

/// What a row is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    topic: String,
    pubsub: String,
    dir: Direction,
    app: String,
}

impl Evidence {
    /// By topic, publishers first. Nothing happened: no rows.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let ours = |place: &Place| place.pubsub.is_empty() || self.components.contains_key(&place.pubsub);
        let mut places: BTreeSet<Place> = self.sidecars.iter().flat_map(places).filter(ours).collect();
        places.extend(self.waiting());
        let mut rows: Vec<Row> = places.iter().map(|place| self.row(place)).collect();
        rows.extend(
            self.grown
                .iter()
                .filter_map(|((kafka, topic), grew)| self.rest(kafka, topic, *grew)),
        );
        rows.sort_by(|a, b| (&a.topic, &a.pubsub, a.dir, &a.service).cmp(&(&b.topic, &b.pubsub, b.dir, &b.service)));
        rows
    }

    /// How many of so many may be on their way between two sources that are so far apart.
    fn slack(&self, of: u64, apart: Duration) -> u64 {
        let share = apart.as_secs_f64() / self.window.as_secs_f64().max(f64::MIN_POSITIVE);
        (of as f64 * share.min(1.0)).ceil() as u64
    }

    fn sidecars_of<'a>(&'a self, app: &'a str) -> impl Iterator<Item = &'a Sidecar> {
        self.sidecars.iter().filter(move |sidecar| sidecar.app == app)
    }

    fn grew(&self, pubsub: &str, topic: &str) -> Option<u64> {
        let Component { kafka, prefix } = self.components.get(pubsub)?;
        self.grown.get(&(kafka.clone(), format!("{prefix}{topic}"))).copied()
    }

    /// Subscribers of topics to which something came.
    fn waiting(&self) -> impl Iterator<Item = Place> {
        let reached = |one: &&Subscriber| {
            self.grew(&one.pubsub, &one.topic)
                .is_some_and(|grew| grew > self.slack(grew, self.looking))
        };
        self.subscribers.iter().filter(reached).map(|one| Place {
            topic: one.topic.clone(),
            pubsub: one.pubsub.clone(),
            dir: Direction::Deliver,
            app: one.app.clone(),
        })
    }

    fn row(&self, place: &Place) -> Row {
        let (counted, mut recorded) = self.sums(place);
        let mut why = Vec::new();
        let mut covered = None;
        let dead_letters = (place.pubsub.clone(), place.topic.clone());
        if place.dir == Direction::Deliver && self.dead_letters.contains(&dead_letters) {
            recorded = None;
            why.push(Why::OfDeadLetters);
        } else {
            covered = self.gaps(place, &mut why);
        }
        if let Some(stalled) = self.stalled(place) {
            if let Why::Stalled(_) | Why::NoPod(_) = stalled {
                covered = Some(0.0);
            }
            why.push(stalled);
        }
        let spans = self.spans_of(place);
        why.extend(self.unsampled(place, recorded.max(counted), spans, &why));
        why.extend(self.unscraped(place));
        Row {
            service: place.app.clone(),
            pubsub: place.pubsub.clone(),
            topic: place.topic.clone(),
            dir: place.dir,
            broker: self.grew(&place.pubsub, &place.topic),
            sidecar: counted,
            records: recorded,
            spans,
            covered,
            why,
        }
    }

    /// What the sidecars counted and what their records add up to: of those that tell both, where one does.
    fn sums(&self, place: &Place) -> (Option<u64>, Option<u64>) {
        let both = |one: &&Sidecar| one.counted.is_some() && one.recorded.is_some();
        let only_both = self.sidecars_of(&place.app).any(|one| both(&one));
        let sum = |of: fn(&Sidecar) -> Option<&Counts>| {
            let meant = self.sidecars_of(&place.app).filter(|one| !only_both || both(one));
            meant
                .filter_map(of)
                .map(|counts| place.count(counts))
                .reduce(|a, b| a + b)
        };
        (sum(|one| one.counted.as_ref()), sum(|one| one.recorded.as_ref()))
    }

    /// The share of what sidecars counted that has a record, and why the rest has none.
    fn gaps(&self, place: &Place, why: &mut Vec<Why>) -> Option<f64> {
        let (calls, over_grpc): (What, fn(u64) -> Why) = match place.dir {
            Direction::Publish => (What::GrpcPublish, Why::GrpcPublish),
            Direction::Deliver => (What::GrpcDelivery, Why::GrpcDelivery),
        };
        let calls = Key::new(calls, "", "");
        let (mut all, mut bulk) = (0, 0);
        let (mut not_enrolled, mut not_loaded, mut grpc, mut unexplained) = (0, 0, 0, 0);
        for sidecar in self.sidecars_of(&place.app) {
            let Some((counted, recorded)) = sidecar.counted.as_ref().zip(sidecar.recorded.as_ref()) else {
                continue;
            };
            all += place.count(counted);
            bulk += place.of(What::PublishedInBulk, counted);
            let missing = place.count(counted).saturating_sub(place.count(recorded));
            if !sidecar.enrolled {
                not_enrolled += missing;
            } else if sidecar.failed {
                not_loaded += missing;
            } else {
                let over_it = missing.min(counted.get(&calls).copied().unwrap_or(0));
                grpc += over_it;
                unexplained += missing - over_it;
            }
        }
        if unexplained <= self.slack(all, self.asking) {
            unexplained = 0;
        }
        let causes = [
            Why::NotEnrolled(not_enrolled),
            Why::NotLoaded(not_loaded),
            over_grpc(grpc),
            Why::NoRecord(unexplained),
            Why::Bulk(bulk),
        ];
        let counts = [not_enrolled, not_loaded, grpc, unexplained, bulk];
        why.extend(
            causes
                .into_iter()
                .zip(counts)
                .filter(|(_, count)| *count > 0)
                .map(|(cause, _)| cause),
        );
        if self.sidecars_of(&place.app).any(|one| one.counted.is_none()) {
            why.push(Why::NoMetrics);
        }
        let seen = all - not_enrolled - not_loaded - grpc - unexplained;
        (all > 0).then(|| seen as f64 / all as f64)
    }

    /// Events came and none was taken. Not said while pods of it come and go.
    fn stalled(&self, place: &Place) -> Option<Why> {
        let one = Subscriber {
            app: place.app.clone(),
            pubsub: place.pubsub.clone(),
            topic: place.topic.clone(),
        };
        let subscribed = place.dir == Direction::Deliver && self.subscribers.contains(&one);
        let grew = self.grew(&place.pubsub, &place.topic)?;
        if !subscribed || grew <= self.slack(grew, self.looking) || self.gone.contains(&place.app) {
            return None;
        }
        let in_bulk = Key::new(What::DeliveredInBulk, "", BULK);
        let (mut pods, mut taken, mut refused) = (0, 0, 0);
        for sidecar in self.sidecars_of(&place.app) {
            let counted = sidecar.counted.as_ref().filter(|_| !sidecar.new)?;
            pods += 1;
            // In bulk, of several topics together: which of them it was is not known.
            taken += place.count(counted) + counted.get(&in_bulk).copied().unwrap_or(0);
            refused += place.of(What::Refused, counted);
        }
        match (pods, taken, refused) {
            (0, ..) => Some(Why::NoPod(grew)),
            (_, 0, 0) => Some(Why::Stalled(grew)),
            (_, 0, _) => Some(Why::Refused(grew)),
            _ => None,
        }
    }

    fn spans_of(&self, place: &Place) -> Option<u64> {
        let spans = self.spans.as_ref().filter(|_| place.topic != BULK)?;
        let key = (place.app.clone(), place.topic.clone(), place.dir);
        match spans.counts.get(&key) {
            None if spans.overflow => None,
            found => Some(found.copied().unwrap_or(0)),
        }
    }

    /// Fewer spans than events. Dapr's own publish span names no topic, so without the middleware it is not known here.
    fn unsampled(&self, place: &Place, events: Option<u64>, spans: Option<u64>, why: &[Why]) -> Option<Why> {
        let (events, spans) = (events?, spans?);
        let nameless = |why: &Why| matches!(why, Why::NotEnrolled(_) | Why::NotLoaded(_));
        let missing = events.saturating_sub(spans);
        let known = place.dir == Direction::Deliver || !why.iter().any(nameless);
        match spans {
            _ if !known || missing <= self.slack(events, SPANS_APART) => None,
            0 => Some(Why::NoSpans),
            _ => Some(Why::Sampled { spans, events }),
        }
    }

    /// A pod that has just come may not have been asked yet.
    fn unscraped(&self, place: &Place) -> Option<Why> {
        let unknown = |one: &&Sidecar| {
            let counted = one.counted.as_ref().is_some_and(|counts| place.count(counts) > 0);
            one.scraped == Some(false) && !one.new && counted
        };
        let pods: Vec<String> = self
            .sidecars_of(&place.app)
            .filter(unknown)
            .map(|one| one.pod.clone())
            .collect();
        (!pods.is_empty()).then_some(Why::Unscraped(pods))
    }

    /// What came to a topic beside what sidecars sent.
    fn rest(&self, kafka: &str, topic: &str, grew: u64) -> Option<Row> {
        let names = |(name, component): (&String, &Component)| {
            let own = topic
                .strip_prefix(&component.prefix)
                .filter(|_| component.kafka == kafka)?;
            Some((name.clone(), own.to_owned()))
        };
        let names: Vec<(String, String)> = self.components.iter().filter_map(names).collect();
        let (mut sent, mut bulk, mut complete) = (0, 0, self.gone.is_empty());
        for sidecar in &self.sidecars {
            let Some(counted) = &sidecar.counted else {
                complete = false;
                continue;
            };
            for (pubsub, topic) in &names {
                let place = Place {
                    topic: topic.clone(),
                    pubsub: pubsub.clone(),
                    dir: Direction::Publish,
                    app: sidecar.app.clone(),
                };
                bulk += place.of(What::PublishedInBulk, counted);
                sent += place.of(What::Published, counted);
            }
        }
        let more = grew.saturating_sub(sent);
        // How many events a bulk call had is not known.
        if more <= self.slack(grew, self.looking) || bulk > 0 {
            return None;
        }
        let died = names.iter().any(|name| self.dead_letters.contains(name));
        let (service, covered, why) = match (died, complete) {
            (true, _) => (DAPR, None, Why::DeadLetters(more)),
            (false, false) => (WITHOUT_DAPR, None, Why::Uncounted(more)),
            (false, true) => (WITHOUT_DAPR, Some(0.0), Why::WithoutDapr(more)),
        };
        let (pubsub, topic) = names.into_iter().next().unwrap_or_default();
        Some(Row {
            service: service.to_owned(),
            pubsub,
            topic,
            dir: Direction::Publish,
            broker: Some(grew),
            sidecar: None,
            records: None,
            spans: None,
            covered,
            why: vec![why],
        })
    }
}

/// What a sidecar had a part in.
fn places(sidecar: &Sidecar) -> impl Iterator<Item = Place> {
    let keys = sidecar.counted.iter().chain(&sidecar.recorded).flatten();
    keys.filter(|(_, count)| **count > 0).filter_map(|(key, _)| {
        Some(Place {
            topic: key.topic.clone(),
            pubsub: key.pubsub.clone(),
            dir: key.what.direction()?,
            app: sidecar.app.clone(),
        })
    })
}

impl Place {
    /// How much of it is in there.
    fn count(&self, counts: &Counts) -> u64 {
        match self.dir {
            Direction::Publish => self.of(What::Published, counts) + self.of(What::PublishedInBulk, counts),
            Direction::Deliver => self.of(What::Delivered, counts) + self.of(What::DeliveredInBulk, counts),
        }
    }

    fn of(&self, what: What, counts: &Counts) -> u64 {
        let key = Key::new(what, &self.pubsub, &self.topic);
        counts.get(&key).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
