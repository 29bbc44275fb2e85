//! Which of the canaries are in Kafka: read from its topic, from where it ended before the first of them.

use super::publish::mark;
use crate::{
    broker::{Credentials, Kafka, Message, Way},
    cluster::Cluster,
    problem::Problem,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// For one answer of Kafka.
const ANSWER: Duration = Duration::from_secs(15);
const PARTITIONS: usize = 200;

/// What was read, by the number of the canary: how often it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::commands) struct Read(pub(super) BTreeMap<u32, u32>);

impl Read {
    fn add(&mut self, run: &str, message: &Message) {
        let text = String::from_utf8_lossy(message.value.as_deref().unwrap_or_default()).into_owned();
        // mark() ends in a point, so that 1 is not found in 12.
        let rest = text.split_once(&format!("{run}-")).map(|(_, rest)| rest);
        let number = rest.and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        if let Some(number) = number.filter(|number| text.contains(&mark(run, *number))) {
            *self.0.entry(number).or_default() += 1;
        }
    }

    /// What lay on one disk and what lies on the next: a canary may have been read on both.
    pub(super) fn and(mut self, other: &Self) -> Self {
        for (number, times) in &other.0 {
            let there = self.0.entry(*number).or_default();
            *there = (*there).max(*times);
        }
        self
    }

    pub(super) fn delivered(&self) -> BTreeSet<u32> {
        self.0.keys().copied().collect()
    }

    pub(super) fn twice(&self) -> BTreeSet<u32> {
        self.0
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(number, _)| *number)
            .collect()
    }
}

/// A way to read Kafka.
#[derive(Clone)]
pub(super) struct Reader {
    cluster: Cluster,
    credentials: Credentials,
    topic: String,
    /// Where each partition ended before the first canary.
    from: BTreeMap<i32, i64>,
}

impl Reader {
    /// `cluster`: for ports. What is in the topic from earlier runs is left out.
    pub(super) async fn new(cluster: Cluster, credentials: Credentials, topic: &str) -> Result<Self, Problem> {
        let mut reader = Self {
            cluster,
            credentials,
            topic: topic.to_owned(),
            from: BTreeMap::new(),
        };
        let kafka = reader.kafka().await?;
        for number in reader.partitions(&kafka).await? {
            let bounds = kafka.partition(topic, number).await?.bounds().await?;
            reader.from.insert(number, bounds.end);
        }
        Ok(reader)
    }

    async fn kafka(&self) -> Result<Kafka, Problem> {
        Kafka::connect(&self.credentials, Way::Through(self.cluster.broker_streams()), ANSWER).await
    }

    async fn partitions(&self, kafka: &Kafka) -> Result<BTreeSet<i32>, Problem> {
        let found = kafka.topics().await?.remove(&self.topic).unwrap_or_default();
        match found.len() <= PARTITIONS {
            true => Ok(found),
            false => Err(
                Problem::new(format!("Topic {} has {} partitions", self.topic, found.len()))
                    .next("Take a topic with fewer: --topic."),
            ),
        }
    }

    /// Where these topics end, all of their partitions together. One that is not there has no end.
    pub(super) async fn ends(&self, topics: &BTreeSet<String>) -> Result<BTreeMap<String, i64>, Problem> {
        match topics.is_empty() {
            true => Ok(BTreeMap::new()),
            false => self.kafka().await?.ends(topics).await,
        }
    }

    /// `anew`: Kafka may have begun with an empty disk since, so that offsets mean nothing.
    pub(super) async fn read(&self, run: &str, anew: bool) -> Result<Read, Problem> {
        let kafka = self.kafka().await?;
        let mut read = Read::default();
        for number in self.partitions(&kafka).await? {
            let partition = kafka.partition(&self.topic, number).await?;
            let mut bounds = partition.bounds().await?;
            let from = self.from.get(&number).filter(|_| !anew);
            bounds.start = bounds.start.max(from.copied().unwrap_or(0));
            while bounds.start < bounds.end {
                let (messages, next) = partition.read(bounds.clone()).await?;
                messages.iter().for_each(|message| read.add(run, message));
                bounds.start = next;
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message {
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: None,
            headers: BTreeMap::new(),
            value: Some(text.as_bytes().to_vec()),
        }
    }

    #[test]
    fn canaries_of_this_run_are_counted_and_no_others() {
        let mut read = Read::default();
        for text in [
            r#"{"data":{"canary":"ab12-7."}}"#,
            r#"{"data":{"canary":"ab12-12."}}"#,
            r#"{"data":{"canary":"ab12-12."}}"#,
            r#"{"data":{"canary":"ffff-3."}}"#,
            "ab12-x.",
            "",
        ] {
            read.add("ab12", &message(text));
        }
        assert_eq!(read.delivered(), BTreeSet::from([7, 12]));
        assert_eq!(read.twice(), BTreeSet::from([12]));
        let again = Read(BTreeMap::from([(7, 1), (8, 1)]));
        assert_eq!(read.and(&again).0, BTreeMap::from([(7, 1), (8, 1), (12, 2)]));
    }
}
