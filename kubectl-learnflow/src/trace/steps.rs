//! From what was found to the steps of the way.

use super::{Asked, Evidence, Place, Record, Span, Stored, span::Role, tree::Tree};
use learnflow_flow::{Event, Time};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A part of an event's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Hop {
    /// What led to the publish.
    Request,
    Publish,
    /// Kafka has it.
    Broker,
    Delivery,
    /// Kafka has it in a dead-letter topic.
    DeadLetter,
    /// Within the service that got it.
    Work,
    Database,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) hop: Hop,
    /// How many others of the way it is in.
    pub(crate) depth: usize,
    pub(crate) begin: Time,
    /// `None`: a moment.
    pub(crate) end: Option<Time>,
    pub(crate) service: String,
    pub(crate) what: String,
    /// The dead-letter topic that it came from.
    pub(crate) dead_letter: Option<String>,
    /// Of a delivery: which one in its service.
    pub(crate) attempt: Option<usize>,
    /// What its record says.
    pub(crate) record: Option<Event>,
    /// What its span says: it failed.
    pub(crate) failed: Option<bool>,
    /// What the span of a call is like.
    pub(super) role: Option<Role>,
    /// Nothing but the time says that it belongs here.
    pub(crate) likely: bool,
}

/// Which span a record is of.
type Pairs = BTreeMap<usize, Record>;

pub(super) fn steps(asked: &Asked, seen: &Evidence) -> Vec<Step> {
    let spans = seen.spans();
    let tree = Tree::of(spans);
    let (mut pairs, alone) = pairs(&tree, seen);
    let way = way(asked, seen, &tree, &pairs);
    let mut steps: Vec<Step> = Vec::new();
    for at in &way {
        let depth = tree.outer(*at).iter().filter(|outer| way.contains(outer)).count();
        steps.push(Step::seen(&spans[*at], hop(&tree, *at), depth, pairs.remove(at)));
    }
    // A publish lies below what asked for it, and all that comes of it below the publish.
    let deepest = |steps: &[Step], hop| {
        let of_it = steps.iter().filter(|step| step.hop == hop);
        of_it.map(|step| step.depth + 1).max().unwrap_or(0)
    };
    let (publishes, deliveries): (Vec<Record>, Vec<Record>) = alone.into_iter().partition(Record::publishes);
    if !steps.iter().any(|step| step.hop == Hop::Publish) {
        let (publishes, likely) = published(asked, seen, publishes);
        let depth = deepest(&steps, Hop::Request);
        steps.extend(publishes.iter().map(|record| Step {
            likely,
            ..Step::written(record, depth)
        }));
    }
    let depth = deepest(&steps, Hop::Publish);
    steps.extend(deliveries.iter().map(|record| Step::written(record, depth)));
    let dead = seen.dead.iter().flatten().map(|(place, stored)| (place, stored));
    steps.extend(
        seen.stored()
            .chain(dead)
            .map(|(place, stored)| Step::stored(place, stored, depth)),
    );
    in_order(&mut steps);
    count_attempts(&mut steps);
    steps
}

/// Records with the spans of the same calls, and those that have none.
fn pairs(tree: &Tree<'_>, seen: &Evidence) -> (Pairs, Vec<Record>) {
    let (mut pairs, mut alone) = (Pairs::new(), Vec::new());
    let mut pair = |record: &Record| {
        let at = tree.span_of(record, |at| !pairs.contains_key(&at));
        at.map(|at| pairs.insert(at, record.clone())).is_some()
    };
    for record in seen.records() {
        if !pair(record) {
            alone.push(record.clone());
        }
    }
    for record in seen.untraced() {
        pair(record);
    }
    (pairs, alone)
}

/// The spans of this event. Of a trace all are meant, and so they are where nothing says which of them is the event's.
fn way(asked: &Asked, seen: &Evidence, tree: &Tree<'_>, pairs: &Pairs) -> BTreeSet<usize> {
    let all = || (0..seen.spans().len()).collect();
    let Asked::Place(place) = asked else { return all() };
    let published = seen.stored().filter(|(at, _)| *at == place);
    let published = published.filter_map(|(_, stored)| tree.with_id(&stored.parent.as_ref()?.span));
    let delivered = pairs
        .iter()
        .filter(|(_, record)| record.place().as_ref() == Some(place));
    let known: Vec<usize> = published.chain(delivered.map(|(at, _)| *at)).collect();
    match known.is_empty() {
        true => all(),
        false => known.into_iter().flat_map(|at| tree.way(at)).collect(),
    }
}

fn hop(tree: &Tree<'_>, at: usize) -> Hop {
    match tree.role(at) {
        Role::Publish { .. } | Role::PublishByGrpc => Hop::Publish,
        Role::Delivery => Hop::Delivery,
        Role::Database => Hop::Database,
        Role::Other
            if tree
                .outer(at)
                .into_iter()
                .any(|outer| tree.role(outer) == Role::Delivery) =>
        {
            Hop::Work
        }
        Role::Other => Hop::Request,
    }
}

/// The publishes among records that have no span. Without a trace it is the only one at the time of the message, likely.
fn published(asked: &Asked, seen: &Evidence, mut of_trace: Vec<Record>) -> (Vec<Record>, bool) {
    let Asked::Place(place) = asked else {
        return (of_trace, false);
    };
    // Where the Component puts the namespace in front, a publish's record has the name without it.
    let of_topic = |record: &Record| place.topic.ends_with(&record.topic);
    of_trace.retain(of_topic);
    let timestamp = seen
        .stored()
        .find(|(at, _)| *at == place)
        .map(|(_, stored)| stored.timestamp);
    if of_trace.len() > 1
        && let Some(timestamp) = timestamp
        && of_trace.iter().any(|record| record.spans(timestamp))
    {
        of_trace.retain(|record| record.spans(timestamp));
    }
    match (of_trace.is_empty(), seen.untraced()) {
        (true, [only]) => (vec![only.clone()], true),
        _ => (of_trace, false),
    }
}

impl Step {
    /// From a span, with what the record of the same call says.
    fn seen(span: &Span, hop: Hop, depth: usize, record: Option<Record>) -> Self {
        let topic = span.topic.as_deref().unwrap_or(&span.name);
        let what = match (hop, &record) {
            (Hop::Delivery, Some(record)) => record.destination(),
            (Hop::Publish | Hop::Delivery, _) => topic.to_owned(),
            _ => span.name.clone(),
        };
        // A dead letter's record names the topic that the event had, its span the one that it lies in now.
        let single = record
            .as_ref()
            .filter(|record| hop == Hop::Delivery && !record.event.bulk);
        let dead = single.is_some_and(|record| record.topic != topic);
        Self {
            end: Some(span.end),
            dead_letter: dead.then(|| topic.to_owned()),
            record: record.map(|record| record.event),
            failed: Some(span.failed),
            role: Some(span.role),
            ..Self::new(hop, depth, span.begin, &span.service, what)
        }
    }

    /// From a record whose span is not there.
    fn written(record: &Record, depth: usize) -> Self {
        let hop = match record.publishes() {
            true => Hop::Publish,
            false => Hop::Delivery,
        };
        Self {
            end: Some(record.event.at),
            record: Some(record.event),
            ..Self::new(hop, depth, record.begin(), &record.app, record.destination())
        }
    }

    fn stored(place: &Place, stored: &Stored, depth: usize) -> Self {
        let hop = match stored.origin {
            None => Hop::Broker,
            Some(_) => Hop::DeadLetter,
        };
        let at = Time(stored.timestamp.saturating_mul(1_000_000));
        Self::new(hop, depth, at, "Kafka", place.to_string())
    }

    fn new(hop: Hop, depth: usize, begin: Time, service: &str, what: String) -> Self {
        Self {
            hop,
            depth,
            begin,
            end: None,
            service: service.to_owned(),
            what,
            dead_letter: None,
            attempt: None,
            record: None,
            failed: None,
            role: None,
            likely: false,
        }
    }
}

/// By time. Kafka's has milliseconds: within the same one, what was published comes first.
fn in_order(steps: &mut [Step]) {
    let published = steps
        .iter()
        .filter(|step| step.hop == Hop::Publish)
        .map(|step| step.begin)
        .min();
    steps.sort_by_key(|step| match (step.hop, published) {
        (Hop::Broker, Some(published)) if published.0 - step.begin.0 < 5_000_000 => {
            (step.begin.max(published), step.hop)
        }
        _ => (step.begin, step.hop),
    });
}

fn count_attempts(steps: &mut [Step]) {
    let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
    for step in steps
        .iter_mut()
        .filter(|step| step.hop == Hop::Delivery && step.dead_letter.is_none())
    {
        let count = counted.entry((step.service.clone(), step.what.clone())).or_default();
        *count += 1;
        step.attempt = Some(*count);
    }
}
