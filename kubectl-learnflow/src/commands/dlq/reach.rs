//! Kafka, and who has which dead-letter topic there.

use crate::{
    broker::{Credentials, Kafka, Message, Partition, Way},
    cli::{Global, Letters, WhichKafka},
    cluster::Cluster,
    kafka::Component,
    model::Subscription,
    printer::{Mark, Printer},
    problem::Problem,
    text,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

pub(super) struct Reach {
    /// Where it was asked for.
    pub(super) cluster: Option<Cluster>,
    pub(super) kafka: Kafka,
    /// As Kafka has them, without its own.
    pub(super) topics: BTreeMap<String, BTreeSet<i32>>,
    /// Of the Component, their topics as Kafka has them.
    subscriptions: Vec<Subscription>,
}

/// Kafka; and the cluster with the Component that says how to get there, where these were asked.
pub(in crate::commands) async fn connect(
    which: &WhichKafka,
    global: &Global,
) -> Result<(Kafka, Option<(Cluster, Component)>), Problem> {
    let limit = global.request_timeout;
    if let (Some(brokers), None) = (&which.bootstrap, &which.component) {
        let credentials = Credentials {
            brokers: brokers.0.clone(),
            ..Credentials::default()
        };
        return Ok((Kafka::connect(&credentials, Way::Direct, limit).await?, None));
    }
    let cluster = Cluster::connect_for_streams(global).await?;
    let component = cluster.kafka_component(which.component.as_deref()).await?;
    let mut credentials = cluster.kafka_credentials(&component).await?;
    let way = match &which.bootstrap {
        Some(brokers) => {
            credentials.brokers.clone_from(&brokers.0);
            Way::Direct
        }
        None => Way::Through(cluster.broker_streams()),
    };
    let kafka = Kafka::connect(&credentials, way, limit).await?;
    Ok((kafka, Some((cluster, component))))
}

pub(super) async fn reach(args: &Letters, global: &Global, printer: &Printer) -> Result<Reach, Problem> {
    let (kafka, through) = connect(&args.kafka, global).await?;
    let (cluster, subscriptions) = match through {
        None => (None, Vec::new()),
        Some((cluster, component)) => {
            let (subscriptions, silent) = cluster.subscriptions(&component).await?;
            if !silent.is_empty() {
                let silent = text::list(&silent);
                printer.step(
                    Mark::Warn,
                    &format!("Sidecars that do not say what they subscribe to: {silent}"),
                );
                printer.hint("Dead-letter topics that only these know are missing here.");
            }
            (Some(cluster), subscriptions)
        }
    };
    Ok(Reach {
        cluster,
        topics: kafka.topics().await?,
        kafka,
        subscriptions,
    })
}

impl Reach {
    /// The dead-letter topics that subscriptions name.
    pub(super) fn dead_letter_topics(&self) -> BTreeSet<&str> {
        self.subscriptions
            .iter()
            .filter_map(|one| one.dead_letters.as_deref())
            .collect()
    }

    /// Subscriptions with this dead-letter topic.
    pub(super) fn subscriptions_of<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Subscription> {
        self.subscriptions
            .iter()
            .filter(move |one| one.dead_letters.as_deref() == Some(topic))
    }

    /// The topics whose dead letters may be in this one: a dead-letter topic may have one of its own.
    pub(super) fn origins(&self, topic: &str) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut open = vec![topic.to_owned()];
        while let Some(topic) = open.pop() {
            let new: Vec<String> = self.subscriptions_of(&topic).map(|one| one.topic.clone()).collect();
            open.extend(new.into_iter().filter(|topic| found.insert(topic.clone())));
        }
        found
    }

    /// The partitions of a topic that is in Kafka.
    pub(super) fn partitions(&self, topic: &str, partition: Option<i32>) -> Result<Vec<i32>, Problem> {
        let Some(partitions) = self.topics.get(topic) else {
            let named = self.dead_letter_topics();
            return Err(match named.contains(topic) {
                true => Problem::new(format!("Kafka has no topic {topic} yet: nothing has died."))
                    .next("Dapr makes it with the first dead letter."),
                false => Problem::new(format!("Kafka has no topic {topic}."))
                    .next("See `kubectl learnflow dlq ls` for the dead-letter topics there are."),
            });
        };
        match partition {
            None => Ok(partitions.iter().copied().collect()),
            Some(partition) if partitions.contains(&partition) => Ok(vec![partition]),
            Some(partition) => Err(
                Problem::new(format!("Topic {topic} has no partition {partition}.")).next(format!(
                    "It has {}: they are counted from 0 on.",
                    text::count(partitions.len(), "partition")
                )),
            ),
        }
    }
}

/// Each message within `offsets`, in order, until `act` has seen enough.
pub(super) async fn each(
    partition: &Partition,
    name: &str,
    mut offsets: Range<i64>,
    printer: &Printer,
    mut act: impl FnMut(Message) -> bool,
) -> Result<(), Problem> {
    while offsets.start < offsets.end {
        printer.waiting(&format!("reading {name}: {} to go", offsets.end - offsets.start));
        let (messages, next) = partition.read(offsets.clone()).await?;
        if !messages.into_iter().all(&mut act) {
            break;
        }
        offsets.start = next;
    }
    printer.done_waiting();
    Ok(())
}
