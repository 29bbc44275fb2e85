//! Looks at all that counts events: at Kafka's topics and at the sidecars' own counters.

use super::MIDDLEWARE;
use crate::{
    broker::{Kafka, Way},
    cluster::Cluster,
    coverage::{Component, Counters, Evidence, Sidecar, Subscriber},
    events::now,
    model::{SidecarPod, Subscription},
    problem::Problem,
};
use futures::{StreamExt, stream};
use learnflow_flow::Time;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};
use tokio::time::Instant;

/// How many sidecars are asked at a time.
const AT_ONCE: usize = 8;

/// What stays the same between two looks.
pub(super) struct Scene {
    cluster: Cluster,
    components: BTreeMap<String, Component>,
    /// By the brokers' addresses.
    kafkas: BTreeMap<String, Broker>,
    subscribers: BTreeSet<Subscriber>,
    dead_letters: BTreeSet<(String, String)>,
    /// What could not be seen.
    pub(super) notes: Vec<String>,
}

struct Broker {
    kafka: Kafka,
    /// Topics that were there before the first look.
    known: BTreeSet<String>,
}

pub(super) struct Look {
    pub(super) at: Time,
    pub(super) began: Instant,
    took: Duration,
    /// By their pods.
    pub(super) sidecars: BTreeMap<String, Asked>,
    /// Where topics end, by their Kafka, and their names there.
    ends: BTreeMap<(String, String), i64>,
    notes: Vec<String>,
}

/// One sidecar at one moment.
pub(super) struct Asked {
    pod: SidecarPod,
    pub(super) at: Time,
    took: Duration,
    counters: Result<Counters, String>,
}

impl Scene {
    /// A Kafka that cannot be reached is noted; a namespace without one is an error.
    pub(super) async fn open(cluster: &Cluster, limit: Duration) -> Result<Self, Problem> {
        let found = cluster.kafka().await?;
        if found.is_empty() {
            // Says so, and what to do.
            cluster.kafka_component(None).await?;
        }
        let mut scene = Self {
            cluster: cluster.clone(),
            components: BTreeMap::new(),
            kafkas: BTreeMap::new(),
            subscribers: BTreeSet::new(),
            dead_letters: BTreeSet::new(),
            notes: Vec::new(),
        };
        for component in found {
            let kafka = match scene.reach(&component, limit).await {
                Ok(kafka) => kafka,
                Err(problem) => {
                    let note = format!(
                        "The Kafka of Component {} is not seen: {}",
                        component.name, problem.what
                    );
                    scene.notes.push(note);
                    String::new()
                }
            };
            let prefix = match component.is_namespaced() {
                true => cluster.namespace.clone(),
                false => String::new(),
            };
            scene.components.insert(component.name, Component { kafka, prefix });
        }
        scene.subscriptions().await?;
        Ok(scene)
    }

    /// Which Kafka it is.
    async fn reach(&mut self, component: &crate::kafka::Component, limit: Duration) -> Result<String, Problem> {
        let mut credentials = self.cluster.kafka_credentials(component).await?;
        credentials.brokers.sort();
        let name = credentials.brokers.join(",");
        if let Entry::Vacant(entry) = self.kafkas.entry(name.clone()) {
            let way = Way::Through(self.cluster.broker_streams());
            let kafka = Kafka::connect(&credentials, way, limit).await?;
            let known = kafka.topics().await?.into_keys().collect();
            entry.insert(Broker { kafka, known });
        }
        Ok(name)
    }

    /// What running sidecars say, and Subscriptions for apps that may not run.
    async fn subscriptions(&mut self) -> Result<(), Problem> {
        let mut apps = BTreeSet::new();
        for pod in self.cluster.sidecars().await? {
            // The pods of one app say the same.
            if !apps.insert(pod.app_id.clone()) {
                continue;
            }
            match self.cluster.subscribed(&pod).await {
                Ok(all) => all.into_iter().for_each(|one| self.subscribe(&pod.app_id, one)),
                Err(why) => {
                    let note = format!(
                        "What {} subscribes to is not known: {}",
                        pod.app_id,
                        why.trim_end_matches('.')
                    );
                    self.notes.push(note);
                }
            }
        }
        for (scopes, subscription) in self.cluster.declared().await? {
            for app in &scopes {
                self.subscribe(app, subscription.clone());
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, app: &str, subscription: Subscription) {
        let Subscription {
            component,
            topic,
            dead_letters,
            ..
        } = subscription;
        self.dead_letters
            .extend(dead_letters.map(|topic| (component.clone(), topic)));
        self.subscribers.insert(Subscriber {
            app: app.to_owned(),
            pubsub: component,
            topic,
        });
    }

    pub(super) fn prefix(&self, pubsub: &str) -> &str {
        self.components.get(pubsub).map_or("", |component| &component.prefix)
    }

    pub(super) async fn look(&self) -> Result<Look, Problem> {
        let (at, began) = (now(), Instant::now());
        let pods = self.cluster.sidecars().await?;
        let sidecars = stream::iter(pods).map(|pod| self.ask(pod)).buffer_unordered(AT_ONCE);
        let sidecars: BTreeMap<String, Asked> = sidecars.map(|asked| (asked.pod.name.clone(), asked)).collect().await;
        let mut notes = Vec::new();
        let mut ends = BTreeMap::new();
        for (name, topics) in self.topics(&sidecars) {
            let Some(Broker { kafka, .. }) = self.kafkas.get(&name) else {
                continue;
            };
            match kafka.ends(&topics).await {
                Ok(found) => ends.extend(found.into_iter().map(|(topic, end)| ((name.clone(), topic), end))),
                Err(problem) => notes.push(problem.what),
            }
        }
        Ok(Look {
            at,
            began,
            took: began.elapsed(),
            sidecars,
            ends,
            notes,
        })
    }

    async fn ask(&self, pod: SidecarPod) -> Asked {
        let began = Instant::now();
        let counters = match pod.metrics {
            Some(port) => self.cluster.metrics_of(&pod.name, port).await,
            None => Err("its metrics are off".into()),
        };
        let counters = counters.map(|page| Counters::read(&page, MIDDLEWARE));
        // It has counted when it answers.
        Asked {
            pod,
            at: now(),
            took: began.elapsed(),
            counters,
        }
    }

    /// Which topics matter, by their Kafka: those that somebody subscribes to, dead letters, and those that sidecars know.
    fn topics(&self, sidecars: &BTreeMap<String, Asked>) -> BTreeMap<String, BTreeSet<String>> {
        let subscribed = self
            .subscribers
            .iter()
            .map(|one| (one.pubsub.as_str(), one.topic.as_str()));
        let died = self
            .dead_letters
            .iter()
            .map(|(pubsub, topic)| (pubsub.as_str(), topic.as_str()));
        let counters = sidecars.values().filter_map(|asked| asked.counters.as_ref().ok());
        let mut topics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (pubsub, topic) in subscribed.chain(died).chain(counters.flat_map(Counters::topics)) {
            if let Some(Component { kafka, prefix }) = self.components.get(pubsub) {
                topics
                    .entry(kafka.clone())
                    .or_default()
                    .insert(format!("{prefix}{topic}"));
            }
        }
        topics
    }

    /// What Kafka and the sidecars tell.
    pub(super) fn evidence(&mut self, first: &Look, second: &Look) -> Evidence {
        let went =
            |(pod, asked): (&String, &Asked)| (!second.sidecars.contains_key(pod)).then(|| asked.pod.app_id.clone());
        let gone = first.sidecars.iter().filter_map(went).collect();
        let sidecars = second
            .sidecars
            .values()
            .map(|now| sidecar(first.sidecars.get(&now.pod.name), now));
        let sidecars: Vec<Sidecar> = sidecars.collect();
        let silent = first
            .sidecars
            .values()
            .chain(second.sidecars.values())
            .filter_map(|asked| {
                let why = asked.counters.as_ref().err()?.trim_end_matches('.');
                Some(format!("Pod {} is not counted: {why}", asked.pod.name))
            });
        // Said once, though it may hold for both.
        let notes: BTreeSet<String> = silent.chain(first.notes.iter().chain(&second.notes).cloned()).collect();
        self.notes.extend(notes);
        Evidence {
            window: second.began - first.began,
            asking: first.longest() + second.longest(),
            looking: first.took + second.took,
            components: self.components.clone(),
            sidecars,
            gone,
            grown: self.grown(first, second),
            subscribers: self.subscribers.clone(),
            dead_letters: self.dead_letters.clone(),
            spans: None,
        }
    }

    fn grown(&self, first: &Look, second: &Look) -> BTreeMap<(String, String), u64> {
        let grew = |(place, end): (&(String, String), &i64)| {
            let (kafka, topic) = place;
            let start = match first.ends.get(place) {
                Some(start) => *start,
                // It was made meanwhile.
                None if first.notes.is_empty() && !self.kafkas.get(kafka)?.known.contains(topic) => 0,
                None => return None,
            };
            // A topic that ends before it ended is another one.
            Some((place.clone(), u64::try_from(end - start).ok()?))
        };
        second.ends.iter().filter_map(grew).collect()
    }
}

impl Look {
    fn longest(&self) -> Duration {
        let answered = self.sidecars.values().filter(|asked| asked.counters.is_ok());
        let each = answered.map(|asked| asked.took);
        each.max().unwrap_or_default()
    }
}

fn sidecar(before: Option<&Asked>, now: &Asked) -> Sidecar {
    let counted = match (before.map(|before| &before.counters), &now.counters) {
        (Some(Ok(before)), Ok(now)) => Some(now.since(Some(before))),
        (None, Ok(now)) => Some(now.since(None)),
        _ => None,
    };
    Sidecar {
        pod: now.pod.name.clone(),
        app: now.pod.app_id.clone(),
        new: before.is_none(),
        enrolled: now.pod.enrolled,
        failed: now.counters.as_ref().is_ok_and(|counters| counters.failed),
        scraped: None,
        counted,
        recorded: None,
    }
}
