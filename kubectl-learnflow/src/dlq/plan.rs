//! Which dead letters are sent again, where to, in which order, and which are not and why.

use super::{Letter, Origin};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

/// Why one is not sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Skip {
    /// Its headers do not say where it was.
    NoOrigin,
    /// They name a topic that no subscription with this dead-letter topic reads.
    Foreign(String),
    /// That topic is gone.
    Gone(String),
    /// Dapr would not deliver it.
    Expired,
    /// Another dead letter says that it was at the same place, with other bytes.
    Contradiction,
    /// The same event died twice; one of them is sent.
    Twice,
    /// A message in the topic carries its place.
    SentBefore,
    /// Kafka has removed what would show whether it was sent before.
    Unproven,
}

impl Skip {
    /// There is nothing left to do about it.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::SentBefore | Self::Twice)
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrigin => f.write_str("its headers do not say which topic it comes from"),
            Self::Foreign(topic) => write!(
                f,
                "it says that it comes from {topic}, which has another dead-letter topic or none"
            ),
            Self::Gone(topic) => write!(f, "topic {topic} is not in Kafka"),
            Self::Expired => f.write_str("its event has expired: Dapr would not deliver it"),
            Self::Contradiction => {
                f.write_str("another dead letter with other bytes says that it comes from the same place")
            }
            Self::Twice => f.write_str("the same event is among the dead letters twice"),
            Self::SentBefore => f.write_str("it was sent before"),
            Self::Unproven => {
                f.write_str("Kafka no longer has the messages that would show whether it was sent before")
            }
        }
    }
}

/// A dead letter, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) letter: Letter,
    /// The partition that it goes to, or why it goes nowhere.
    pub(crate) fate: Result<i32, Skip>,
}

/// What is known of the topics that may be sent to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets {
    /// Topics whose dead letters these are, with their partitions in order; `None`: not in Kafka.
    pub(crate) topics: BTreeMap<String, Option<Vec<i32>>>,
    /// The places that messages there carry.
    pub(crate) sent: HashSet<String>,
    /// By topic and partition: the offset and the time of the first message that is still there.
    pub(crate) kept: BTreeMap<(String, i32), (i64, i64)>,
    /// Milliseconds since 1970.
    pub(crate) now: i64,
    /// What is not proven is sent all the same.
    pub(crate) unproven: bool,
}

impl Targets {
    /// Where a message from there belongs: the partition that it had, so that it stays with those of its key.
    pub(crate) fn partition(&self, origin: &Origin) -> Result<i32, Skip> {
        let topic = || origin.topic.clone();
        let partitions = self.topics.get(&origin.topic).ok_or_else(|| Skip::Foreign(topic()))?;
        let partitions = partitions.as_ref().ok_or_else(|| Skip::Gone(topic()))?;
        if partitions.contains(&origin.partition) {
            return Ok(origin.partition);
        }
        // The topic was made anew with fewer.
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        let index = origin.partition.checked_rem(count).unwrap_or_default();
        let chosen = usize::try_from(index).ok().and_then(|index| partitions.get(index));
        chosen.copied().ok_or_else(|| Skip::Gone(topic()))
    }

    fn fate(&self, letter: &Letter) -> Result<i32, Skip> {
        let origin = letter.origin.as_ref().ok_or(Skip::NoOrigin)?;
        let partition = self.partition(origin)?;
        if self.sent.contains(&origin.to_string()) {
            return Err(Skip::SentBefore);
        }
        if letter.expires().is_some_and(|expires| expires <= self.now) {
            return Err(Skip::Expired);
        }
        // Whatever was sent again lies behind the original, and later than the dead letter.
        let whole = match self.kept.get(&(origin.topic.clone(), partition)) {
            None => true,
            Some((first, time)) => *first <= origin.offset + 1 || *time <= letter.timestamp,
        };
        if whole || self.unproven {
            Ok(partition)
        } else {
            Err(Skip::Unproven)
        }
    }
}

/// All dead letters with what becomes of each, those that are sent in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) decided: Vec<Decided>,
}

pub(crate) fn plan(letters: Vec<Letter>, targets: &Targets) -> Plan {
    let mut digests: HashMap<Origin, BTreeSet<u64>> = HashMap::new();
    for letter in &letters {
        if let Some(origin) = &letter.origin {
            digests.entry(origin.clone()).or_default().insert(letter.digest);
        }
    }
    let mut seen: HashSet<Origin> = HashSet::new();
    let mut queues: BTreeMap<(String, i32), Vec<Decided>> = BTreeMap::new();
    let mut decided = Vec::new();
    for letter in letters {
        let mut fate = targets.fate(&letter);
        if let (Ok(_), Some(origin)) = (&fate, &letter.origin) {
            if digests.get(origin).is_some_and(|digests| digests.len() > 1) {
                fate = Err(Skip::Contradiction);
            } else if !seen.insert(origin.clone()) {
                fate = Err(Skip::Twice);
            }
        }
        match (&fate, &letter.origin) {
            (Ok(partition), Some(origin)) => {
                let queue = queues.entry((origin.topic.clone(), *partition)).or_default();
                queue.push(Decided { letter, fate });
            }
            _ => decided.push(Decided { letter, fate }),
        }
    }
    decided.extend(merged(queues.into_values().collect()));
    Plan { decided }
}

/// Within a partition in the order that they had there; among partitions by time.
fn merged(mut queues: Vec<Vec<Decided>>) -> Vec<Decided> {
    let place = |one: &Decided| {
        one.letter
            .origin
            .as_ref()
            .map(|origin| (origin.partition, origin.offset))
    };
    let time = |one: &Decided| one.letter.origin.as_ref().map(|origin| origin.timestamp);
    for queue in &mut queues {
        queue.sort_by_key(|one| std::cmp::Reverse(place(one)));
    }
    let mut all = Vec::new();
    loop {
        queues.retain(|queue| !queue.is_empty());
        let first = queues.iter_mut().min_by_key(|queue| queue.last().and_then(time));
        match first.and_then(Vec::pop) {
            Some(next) => all.push(next),
            None => return all,
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
