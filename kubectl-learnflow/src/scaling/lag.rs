//! Scaling by lag: what a consumer reads, the metric that says how far it is behind, and how many pods are of use.
//!
//! The pods of a group share the partitions of each topic that it reads. So of use are as many pods as the topic with the most
//! partitions has: one more gets nothing of any topic. Lag adds up over the topics, as the same pods work it off.

use super::{
    bounds::Range,
    codes,
    explain::{Evidence, Subject},
};
use crate::{
    external::METRIC,
    kafka::{Component, LeftOut, Login},
    model::{Scaling, Service},
    preflight::Check,
    text::{count, list},
};
use learnflow_resilience::explain::{Finding, Severity};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is known about lag before a consumer is scaled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lag {
    pub(crate) told: Told,
    pub(crate) components: Vec<Component>,
    /// By Component and topic, as Kafka calls it. What is not known is absent.
    pub(crate) partitions: BTreeMap<(String, String), usize>,
}

/// How autoscalers are told about lag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Told {
    #[default]
    Not,
    /// As an external metric.
    Metric,
    /// By KEDA, which asks the Prometheus at this URL.
    Keda(String),
}

/// What a service reads by way of one Component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    component: String,
    group: String,
    /// As Kafka calls them.
    topics: BTreeSet<String>,
}

/// A consumer, as far as its lag is concerned.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Consumer {
    pub(super) readings: Vec<Reading>,
    /// The most pods that are of use, with the topic that says so; none: it is not known.
    most: Option<(usize, String)>,
    /// Components whose lag says nothing of use, each with what to do.
    unfollowed: Vec<(String, String)>,
    /// Topics whose partitions are not known.
    unknown: Vec<String>,
}

impl Consumer {
    /// None: no events are declared to come to it, or not by way of Kafka.
    pub(super) fn of(namespace: &str, service: &Service, seen: &Scaling) -> Option<Self> {
        let app = service.app_id.as_ref()?;
        let mut by_component: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (component, topic) in seen.consumed.get(app)? {
            by_component.entry(component).or_default().insert(topic.clone());
        }
        let mut consumer = Self::default();
        let mut known = false;
        for component in &seen.lag.components {
            let Some(topics) = by_component.remove(component.name.as_str()) else {
                continue;
            };
            known = true;
            let prefix = if component.is_namespaced() { namespace } else { "" };
            let topics: BTreeSet<String> = topics.iter().map(|topic| format!("{prefix}{topic}")).collect();
            for topic in &topics {
                match seen.lag.partitions.get(&(component.name.clone(), topic.clone())) {
                    Some(partitions) if consumer.most.as_ref().is_none_or(|(most, _)| partitions > most) => {
                        consumer.most = Some((*partitions, topic.clone()));
                    }
                    Some(_) => {}
                    None => consumer.unknown.push(topic.clone()),
                }
            }
            match reading(namespace, app, component, topics) {
                Ok(reading) => consumer.readings.push(reading),
                Err(LeftOut { why, next, .. }) => {
                    consumer
                        .unfollowed
                        .push((format!("Component {}: {why}", component.name), next));
                }
            }
        }
        if !known {
            return None;
        }
        // Any of these could have more.
        if !consumer.unknown.is_empty() {
            consumer.most = None;
        }
        Some(consumer)
    }

    /// Why it is of no use to scale it at all, and what to do.
    pub(super) fn alone(&self) -> Option<(String, String)> {
        let (most, topic) = self.most.as_ref()?;
        (*most < 2).then(|| {
            (
                format!("topic {topic} has 1 partition, so a second pod would idle"),
                format!(
                    "Give the topic more partitions and run this again: \
                     `kafka-topics.sh --alter --topic {topic} --partitions 3`. Keys may then go to other partitions."
                ),
            )
        })
    }

    /// No more pods than are of use; but never fewer than there are.
    pub(super) fn bounded(&self, range: Range) -> Range {
        let most = self.most.as_ref().and_then(|(most, _)| i32::try_from(*most).ok());
        let Some(most) = most else { return range };
        Range {
            max: range.max.min(most).max(range.min),
            ..range
        }
    }

    /// What there is to say of it, with the bounds that were wanted. `said`: the maximum that the settings ask for.
    pub(super) fn checks(&self, deployment: &str, wanted: Range, said: Option<i32>, told: &Told) -> Vec<Check> {
        let mut checks = Vec::new();
        // Without anybody to tell of lag that is said once, for all.
        for (what, next) in self.unfollowed.iter().filter(|_| *told != Told::Not) {
            checks.push(Check::warn(
                format!("{deployment} is not scaled by the lag of {what}"),
                next,
            ));
        }
        if !self.unknown.is_empty() {
            checks.push(Check::warn(
                format!(
                    "{deployment} may get pods that idle: how many partitions there are is not known yet of {}",
                    list(&self.unknown)
                ),
                "A pod beyond the partitions of its topics gets no events. Run this again when Prometheus knows them, or give \
                 it a maximum with `scaling` in learnflow.yaml.",
            ));
        }
        let Some((most, topic)) = &self.most else {
            return checks;
        };
        let Range { min, max } = self.bounded(wanted);
        let partitions = count(*most, "partition");
        let raise = format!(
            "More pods need more partitions: `kafka-topics.sh --alter --topic {topic} --partitions …`. Keys may then go to \
             other partitions."
        );
        let of_use = i32::try_from(*most).unwrap_or(i32::MAX);
        if let Some(said) = said.filter(|said| *said > of_use) {
            let what = format!(
                "Bounds of {deployment}: {said} pods at the most are more than topic {topic} has partitions, which is {most}"
            );
            let next = format!("Correct `scaling` of this service in learnflow.yaml: a pod more would idle. {raise}");
            checks.push(Check::bad(what, next));
        } else if min > of_use {
            let idle = min - of_use;
            let what = format!("{deployment} runs {min} pods, and topic {topic} has {partitions}: {idle} idle");
            checks.push(Check::warn(what, raise));
        } else if max < wanted.max {
            let what = format!(
                "{deployment} gets at most {max} pods and not {}: topic {topic} has {partitions}",
                wanted.max
            );
            checks.push(Check::warn(what, raise));
        }
        checks
    }

    /// The metrics of a template that say how much is a lot of lag, made out for what it reads.
    pub(super) fn metrics(&self, template: &Value) -> Vec<Value> {
        let all = template["spec"]["metrics"].as_array().into_iter().flatten();
        let ours: Vec<&Value> = all
            .filter(|metric| metric["external"]["metric"]["name"] == METRIC)
            .collect();
        let each = self.readings.iter().flat_map(|reading| {
            ours.iter().map(|metric| {
                let mut metric = (*metric).clone();
                metric["external"]["metric"]["selector"] = reading.selector();
                metric
            })
        });
        each.collect()
    }
}

impl Reading {
    /// A single topic is told apart exactly; of several, each is a regular expression to prometheus-adapter.
    fn selector(&self) -> Value {
        let labels = json!({ "group": self.group, "learnflow_pubsub_name": self.component });
        let topics: Vec<&String> = self.topics.iter().collect();
        match topics.as_slice() {
            [topic] => {
                let mut labels = labels;
                labels["topic"] = json!(topic);
                json!({ "matchLabels": labels })
            }
            topics => json!({
                "matchLabels": labels,
                "matchExpressions": [{ "key": "topic", "operator": "In", "values": topics }],
            }),
        }
    }
}

impl Subject<'_> {
    /// Pods beyond what is of use, as its autoscaler may have them.
    pub(super) fn partitions(&self, evidence: &Evidence<'_>) -> Option<Finding> {
        let scaler = self.scaler?;
        let consumer = Consumer::of(evidence.namespace, self.service, evidence.seen)?;
        let (most, topic) = consumer.most?;
        let beyond = usize::try_from(scaler.max).is_ok_and(|max| max > most);
        let partitions = count(most, "partition");
        let what = format!(
            "It may have {} pods, and topic {topic} has {partitions}: pod {} would idle",
            scaler.max,
            most + 1
        );
        let next = format!(
            "Lower its maximum to {most}, or give the topic more partitions \
             (`kafka-topics.sh --alter --topic {topic} --partitions {}`): keys may then go to other ones.",
            scaler.max
        );
        let object = format!("{} {}/{}", scaler.kind, evidence.namespace, scaler.name);
        beyond.then(|| self.finding(codes::PARTITIONS, Severity::Warning, object, what, next))
    }
}

fn reading(namespace: &str, app: &str, component: &Component, topics: BTreeSet<String>) -> Result<Reading, LeftOut> {
    let not = |why: String, next: &str| LeftOut {
        why,
        next: next.into(),
        correct: true,
    };
    Login::of(component)?;
    let group = component.group(namespace, app).map_err(|why| {
        not(
            why,
            "Set consumerGroup to {appID} in the Component: then all pods of a service share its topics.",
        )
    })?;
    for name in topics.iter().chain([&group]) {
        if !is_label(name) {
            return Err(not(
                format!("autoscalers cannot be told of {name}: as a label's value it is not allowed"),
                "Names of up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, can be.",
            ));
        }
    }
    Ok(Reading {
        component: component.name.clone(),
        group,
        topics,
    })
}

/// What Kubernetes takes as the value of a label, where Kafka is more generous.
fn is_label(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= 63 && ends(text.chars().next()) && ends(text.chars().next_back()) && text.chars().all(inside)
}

#[cfg(test)]
#[path = "lag_tests.rs"]
mod tests;
