//! Kafka itself: what lies at a place, and the search for what nobody knows the place of.

use crate::{
    broker::{Kafka as Client, Partition},
    cli::{Global, WhichKafka},
    cluster::Cluster,
    commands::dlq::reach,
    kafka::Component,
    printer::Printer,
    problem::Problem,
    text::{count, format_duration, list},
    trace::{InKafka, Kafka, Looked, Place, Stored},
};
use learnflow_flow::Time;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Of each partition in turn, from its end on, so many offsets at a time.
const AT_A_TIME: i64 = 1_000;
const MOST: i64 = 100_000;
/// Each is asked for its offsets before it is read.
const PARTITIONS: usize = 200;
const SINCE: Duration = Duration::from_secs(3600);
/// Clocks of two machines differ, and a message is not older than what led to it.
const BEFORE: i64 = 60_000;

pub(super) struct Broker {
    kafka: Client,
    /// As Kafka has them, without its own.
    topics: BTreeMap<String, BTreeSet<i32>>,
    /// Who knows which topic has which dead-letter topic.
    cluster: Option<(Cluster, Component)>,
}

/// From when on.
#[derive(Debug, Clone, Copy)]
pub(super) struct From {
    /// In milliseconds.
    at: i64,
    known: bool,
    since: Duration,
}

impl From {
    /// When it began, if that is known, or else some time before now.
    pub(super) fn of(begins: Option<Time>, since: Option<Duration>) -> Self {
        let since = since.unwrap_or(SINCE);
        let now = jiff::Timestamp::now().as_millisecond();
        let at = match begins {
            Some(begins) => begins.0.div_euclid(1_000_000) - BEFORE,
            None => now.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        };
        Self {
            at,
            known: begins.is_some(),
            since,
        }
    }

    fn words(self) -> String {
        match self.known {
            true => "since it began".into(),
            false => format!("of the last {}", format_duration(self.since)),
        }
    }
}

/// What is left to search of a partition.
struct Left {
    topic: String,
    number: i32,
    partition: Partition,
    first: i64,
    end: i64,
}

/// Those of dead letters that are not there themselves.
fn origins(messages: &[(Place, InKafka)]) -> BTreeSet<Place> {
    let all = messages.iter().filter_map(|(_, found)| found.origin());
    let is_there = |origin: &&Place| messages.iter().any(|(place, _)| place == *origin);
    all.filter(|origin| !is_there(origin)).cloned().collect()
}

impl Broker {
    pub(super) async fn reach(which: &WhichKafka, global: &Global) -> Result<Self, Problem> {
        let (kafka, cluster) = reach::connect(which, global).await?;
        let topics = kafka.topics().await?;
        Ok(Self { kafka, topics, cluster })
    }

    pub(super) async fn at(&self, place: &Place) -> Result<InKafka, Problem> {
        let Place {
            topic,
            partition,
            offset,
        } = place;
        match self.topics.get(topic) {
            None => return Ok(InKafka::Nowhere(format!("Kafka has no topic {topic}"))),
            Some(partitions) if !partitions.contains(partition) => {
                let there = count(partitions.len(), "partition");
                return Ok(InKafka::Nowhere(format!(
                    "topic {topic} has no partition {partition}: it has {there}"
                )));
            }
            Some(_) => {}
        }
        let partition = self.kafka.partition(topic, *partition).await?;
        let bounds = partition.bounds().await?;
        if *offset < bounds.start {
            return Ok(InKafka::Expired(bounds.start));
        }
        if *offset >= bounds.end {
            return Ok(InKafka::NotYet(bounds.end));
        }
        let message = partition.at(*offset).await?;
        Ok(message.map_or(InKafka::Removed, |message| {
            InKafka::Here(Box::new(Stored::of(&message)))
        }))
    }

    /// The dead letters of the event at a place, or why there is none.
    pub(super) async fn dead_letters(
        &self,
        place: &Place,
        since: Time,
        printer: &Printer,
    ) -> Result<Looked<Vec<(Place, Stored)>>, Problem> {
        let Some((cluster, component)) = &self.cluster else {
            return Ok(Err("which dead-letter topic it has, only the cluster knows".into()));
        };
        printer.waiting("asking sidecars for dead-letter topics");
        let (subscriptions, _) = cluster.subscriptions(component).await?;
        let of_topic = subscriptions.into_iter().filter(|one| one.topic == place.topic);
        let topics: BTreeSet<String> = of_topic.filter_map(|one| one.dead_letters).collect();
        if topics.is_empty() {
            return Ok(Err(format!(
                "no subscription to {} has a dead-letter topic",
                place.topic
            )));
        }
        let topics: Vec<String> = topics.into_iter().collect();
        let of_it = |stored: &Stored| stored.origin.as_ref() == Some(place);
        let Kafka { messages, searched } = self
            .search(of_it, &topics, From::of(Some(since), None), printer)
            .await?;
        let found = messages.into_iter().filter_map(|(place, found)| match found {
            InKafka::Here(stored) if stored.origin.is_some() => Some((place, *stored)),
            _ => None,
        });
        let found: Vec<_> = found.collect();
        Ok(match found.is_empty() {
            true => Err(format!("it is not among {}", searched.unwrap_or_default())),
            false => Ok(found),
        })
    }

    /// Those that are `wanted`, among the newest.
    pub(super) async fn search(
        &self,
        wanted: impl Fn(&Stored) -> bool,
        topics: &[String],
        from: From,
        printer: &Printer,
    ) -> Result<Kafka, Problem> {
        let topics = self.named(topics)?;
        let mut left = self.left(&topics, from).await?;
        let (mut messages, mut read) = (Vec::new(), 0);
        while messages.is_empty() && !left.is_empty() && read < MOST {
            for left in &mut left {
                printer.waiting(&format!(
                    "searching {}/{}: {read} messages read",
                    left.topic, left.number
                ));
                let begin = left.first.max(left.end - AT_A_TIME);
                let mut offsets = begin..left.end;
                while offsets.start < offsets.end {
                    let (some, next) = left.partition.read(offsets.clone()).await?;
                    read += some.len() as i64;
                    for message in some {
                        let stored = Stored::of(&message);
                        if wanted(&stored) {
                            let place = Place {
                                topic: left.topic.clone(),
                                partition: left.number,
                                offset: message.offset,
                            };
                            messages.push((place, InKafka::Here(Box::new(stored))));
                        }
                    }
                    offsets.start = next;
                }
                left.end = begin;
            }
            left.retain(|left| left.first < left.end);
        }
        // Of a dead letter the event itself is meant.
        for origin in origins(&messages) {
            let found = self.at(&origin).await?;
            messages.push((origin, found));
        }
        // The newest first, and events before dead letters.
        messages.sort_by_key(|(_, found)| match found {
            InKafka::Here(stored) => (stored.origin.is_some(), Reverse(stored.timestamp)),
            _ => (false, Reverse(i64::MIN)),
        });
        let more = if left.is_empty() { "all" } else { "the newest" };
        let searched = format!("{more} {read} messages {} in {}", from.words(), list(&topics));
        Ok(Kafka {
            messages,
            searched: Some(searched),
        })
    }

    /// The topics that are meant: as they are named, or with a namespace in front; without a name all of them.
    fn named<'a>(&'a self, wanted: &[String]) -> Result<Vec<&'a str>, Problem> {
        let is = |topic: &str, wanted: &String| {
            topic == wanted || (!self.topics.contains_key(wanted) && topic.ends_with(wanted.as_str()))
        };
        let meant = |topic: &&String| wanted.is_empty() || wanted.iter().any(|wanted| is(topic, wanted));
        let topics: Vec<&str> = self.topics.keys().filter(meant).map(String::as_str).collect();
        if topics.is_empty() && !wanted.is_empty() {
            return Err(Problem::new(format!("Kafka has no topic {}.", list(wanted))));
        }
        let partitions: usize = topics
            .iter()
            .filter_map(|topic| self.topics.get(*topic))
            .map(BTreeSet::len)
            .sum();
        match partitions > PARTITIONS {
            true => Err(Problem::new(format!(
                "Kafka has {partitions} partitions there, more than are searched; name a topic with --topic."
            ))),
            false => Ok(topics),
        }
    }

    async fn left(&self, topics: &[&str], from: From) -> Result<Vec<Left>, Problem> {
        let mut all = Vec::new();
        for topic in topics {
            for number in self.topics.get(*topic).into_iter().flatten() {
                let partition = self.kafka.partition(topic, *number).await?;
                let bounds = partition.bounds().await?;
                let first = match bounds.is_empty() {
                    true => bounds.end,
                    false => partition.offset_at(from.at).await?.max(bounds.start),
                };
                if first < bounds.end {
                    all.push(Left {
                        topic: (*topic).to_owned(),
                        number: *number,
                        partition,
                        first,
                        end: bounds.end,
                    });
                }
            }
        }
        Ok(all)
    }
}
