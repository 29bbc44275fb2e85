//! How far consumers are behind: the one figure that no record has. The collector that asks Kafka tells Prometheus.

use crate::{
    cli::{Global, WhichEvents},
    cluster::Cluster,
    kafka::Component,
    model::Sample,
    problem::Problem,
};
use learnflow_flow::Filter;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    time::Duration,
};
use tokio::{
    sync::mpsc::{Receiver, channel},
    time::sleep,
};

/// The collector asks Kafka as often.
const AGAIN: Duration = Duration::from_secs(10);

/// By partition.
pub(super) type Partitions = BTreeMap<u32, u64>;

/// A Component, a consumer group, and a topic as Kafka calls it.
type Key = [String; 3];

/// Events that have not been read, as far as that is known.
#[derive(Debug)]
pub(super) struct Lags {
    namespace: String,
    components: Vec<Component>,
    by_group: BTreeMap<Key, Partitions>,
    filter: Filter,
}

/// A group that reads nothing, though there is something to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Idle {
    pub(super) group: String,
    /// As its service calls it.
    pub(super) topic: String,
    pub(super) behind: Partitions,
}

impl Lags {
    /// `None` where nobody has a lag to tell: what is in files, and namespaces put together.
    pub(super) async fn ask(which: &WhichEvents, global: &Global) -> Option<Result<Self, Problem>> {
        match cluster(which, global).await? {
            Ok(cluster) => Some(Self::of(&cluster, which.filter()).await),
            Err(problem) => Some(Err(problem)),
        }
    }

    async fn of(cluster: &Cluster, filter: Filter) -> Result<Self, Problem> {
        let (components, samples) = tokio::try_join!(cluster.kafka(), cluster.group_lags())?;
        if samples.is_empty() {
            return Err(Problem::new(format!(
                "Prometheus has none of namespace {}: nobody asks its Kafka, or no consumer has read anything yet.",
                cluster.namespace
            )));
        }
        Ok(Self::new(&cluster.namespace, components, &samples, filter))
    }

    pub(super) fn new(namespace: &str, components: Vec<Component>, samples: &[Sample], filter: Filter) -> Self {
        let mut by_group: BTreeMap<_, Partitions> = BTreeMap::new();
        for sample in samples {
            let key = ["learnflow_pubsub_name", "group", "topic"].map(|label| sample.label(label).to_owned());
            if let Ok(partition) = sample.label("partition").parse() {
                by_group
                    .entry(key)
                    .or_default()
                    .insert(partition, sample.value.max(0.0) as u64);
            }
        }
        Self {
            namespace: namespace.to_owned(),
            components,
            by_group,
            filter,
        }
    }

    /// What a service has not read of a topic. `None`: nobody knows.
    pub(super) fn behind(&self, app: &str, topic: &str) -> Option<Partitions> {
        let told = self.keys(app, topic).filter_map(|key| self.by_group.get(&key));
        told.cloned().reduce(highest)
    }

    /// The groups that are behind, but for those of these services and topics. Which service a group is of, its name says: it is the
    /// app id, as a rule.
    pub(super) fn idle<'a>(&self, but: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Idle> {
        // Whoever asks for outcomes or a trace asks for events, and here are none.
        if !self.filter.outcomes.is_empty() || self.filter.trace.is_some() {
            return Vec::new();
        }
        let known: BTreeSet<Key> = but.flat_map(|(app, topic)| self.keys(app, topic)).collect();
        let waiting = self
            .by_group
            .iter()
            .filter(|(key, behind)| !known.contains(*key) && behind.values().any(|lag| *lag > 0));
        let mut idle: BTreeMap<(&str, &str), Partitions> = BTreeMap::new();
        for ([component, group, topic], behind) in waiting {
            let component = self.components.iter().find(|one| one.name == *component);
            let topic = component.and_then(|component| topic.strip_prefix(self.prefix(component)));
            if let Some(topic) = topic
                && self.filter.takes_service(group)
                && self.filter.takes_topic(topic)
            {
                let of = idle.entry((group, topic)).or_default();
                *of = highest(std::mem::take(of), behind.clone());
            }
        }
        let idle = idle.into_iter().map(|((group, topic), behind)| Idle {
            group: group.to_owned(),
            topic: topic.to_owned(),
            behind,
        });
        idle.collect()
    }

    fn keys(&self, app: &str, topic: &str) -> impl Iterator<Item = Key> {
        self.components.iter().filter_map(move |component| {
            let group = component.group(&self.namespace, app).ok()?;
            Some([
                component.name.clone(),
                group,
                format!("{}{topic}", self.prefix(component)),
            ])
        })
    }

    fn prefix(&self, component: &Component) -> &str {
        if component.is_namespaced() { &self.namespace } else { "" }
    }
}

/// Several Components may lead to the same Kafka, and of each the same is told.
fn highest(mut one: Partitions, other: Partitions) -> Partitions {
    for (partition, lag) in other {
        let known = one.entry(partition).or_default();
        *known = lag.max(*known);
    }
    one
}

/// Asks again and again.
pub(super) struct Watch(Option<Receiver<Result<Lags, Problem>>>);

impl Watch {
    pub(super) async fn start(which: &WhichEvents, global: &Global) -> Result<Self, Problem> {
        let Some(cluster) = cluster(which, global).await.transpose()? else {
            return Ok(Self(None));
        };
        let (told, answers) = channel(1);
        let filter = which.filter();
        // It ends when nobody listens any more.
        tokio::spawn(async move {
            while told.send(Lags::of(&cluster, filter.clone()).await).await.is_ok() {
                sleep(AGAIN).await;
            }
        });
        Ok(Self(Some(answers)))
    }

    /// Never, where there is nothing to come.
    pub(super) async fn next(&mut self) -> Result<Lags, Problem> {
        if let Some(answers) = &mut self.0
            && let Some(answer) = answers.recv().await
        {
            return answer;
        }
        pending().await
    }
}

async fn cluster(which: &WhichEvents, global: &Global) -> Option<Result<Cluster, Problem>> {
    if which.are_saved() || which.all_namespaces {
        return None;
    }
    Some(Cluster::connect(global).await)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    fn component(name: &str, metadata: serde_json::Value) -> Component {
        Component::read(name, &json!({ "spec": { "metadata": metadata } }))
    }

    pub(in super::super) fn sample(component: &str, group: &str, topic: &str, partition: u32, value: f64) -> Sample {
        let labels = [
            ("learnflow_pubsub_name", component.to_owned()),
            ("group", group.to_owned()),
            ("topic", topic.to_owned()),
            ("partition", partition.to_string()),
        ];
        Sample {
            labels: labels.map(|(name, value)| (name.to_owned(), value)).into(),
            value,
        }
    }

    #[test]
    fn a_lag_is_that_of_the_services_group() {
        let components = vec![
            component("plain", json!([])),
            component("twin", json!([])),
            component(
                "named",
                json!([{ "name": "consumerGroup", "value": "group-of-{appID}" }]),
            ),
            component("each", json!([{ "name": "consumerGroup", "value": "{podName}" }])),
            component("prefixed", json!([{ "name": "clientID", "value": "{namespace}" }])),
        ];
        let samples = [
            sample("plain", "cart", "orders", 0, 3.0),
            sample("plain", "cart", "orders", 2, 4.0),
            sample("plain", "other", "orders", 0, 50.0),
            sample("named", "group-of-cart", "orders", 0, 10.0),
            sample("twin", "cart", "orders", 2, 4.0),
            sample("named", "cart", "orders", 0, 60.0),
            sample("each", "cart-6d5f8c7b9-x2kqp", "orders", 0, 70.0),
            sample("prefixed", "cart", "shopbills", 1, 0.0),
        ];
        let lags = Lags::new("shop", components, &samples, Filter::default());
        for (app, topic, expected) in [
            ("cart", "orders", Some(Partitions::from([(0, 10), (2, 4)]))),
            ("cart", "bills", Some(Partitions::from([(1, 0)]))),
            ("other", "orders", Some(Partitions::from([(0, 50)]))),
            ("cart", "unheard.of", None),
            ("nobody", "orders", None),
        ] {
            assert_eq!(lags.behind(app, topic), expected, "{app} {topic}");
        }
    }

    #[test]
    fn who_reads_nothing_is_not_forgotten() {
        let components = || {
            vec![
                component("p", json!([{ "name": "clientID", "value": "{namespace}" }])),
                component("twin", json!([])),
            ]
        };
        let samples = [
            sample("p", "cart", "shoporders", 0, 3.0),
            sample("p", "stalled", "shoporders", 0, 4.0),
            sample("twin", "stalled", "orders", 0, 4.0),
            sample("p", "stalled", "shoporders", 1, 0.0),
            sample("p", "done", "shoporders", 0, 0.0),
            sample("p", "of-others", "bills", 0, 4.0),
            sample("gone", "stalled", "shoporders", 0, 9.0),
        ];
        let idle =
            |filter: Filter| Lags::new("shop", components(), &samples, filter).idle([("cart", "orders")].into_iter());
        let stalled = Idle {
            group: "stalled".into(),
            topic: "orders".into(),
            behind: Partitions::from([(0, 4), (1, 0)]),
        };
        assert_eq!(idle(Filter::default()), [stalled]);
        for (topics, services, found) in [("ord*", "st*", 1), ("bills", "*", 0), ("*", "cart", 0)] {
            let filter = Filter {
                topics: vec![topics.into()],
                services: vec![services.into()],
                ..Filter::default()
            };
            assert_eq!(idle(filter).len(), found, "{topics} {services}");
        }
        let of_a_trace = Filter {
            trace: Some("0af7651916cd43dd8448eb211c80319c".into()),
            ..Filter::default()
        };
        assert_eq!(idle(of_a_trace), []);
    }
}
