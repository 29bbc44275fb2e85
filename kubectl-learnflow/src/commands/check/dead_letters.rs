//! Where do events go that a service never takes? The sidecars know it of every subscription, whoever declared it.

use crate::{
    model::{Probe, SidecarPod, Subscribed},
    preflight::Check,
    text::{count, list},
};
use std::collections::BTreeSet;

/// Nothing to say where nobody subscribes to Kafka.
pub(super) fn look(found: &[(&SidecarPod, Probe)], kafka: &[String]) -> Option<Check> {
    // Pods of one service say the same.
    let all: BTreeSet<(&str, &Subscribed)> = found
        .iter()
        .flat_map(|(pod, probe)| probe.subscriptions.iter().map(|one| (pod.app_id.as_str(), one)))
        .filter(|(_, one)| kafka.contains(&one.pubsub))
        .collect();
    // The topic of dead letters needs none of its own.
    let last: BTreeSet<_> = all
        .iter()
        .filter_map(|(_, one)| Some((&one.pubsub, one.dead_letters.as_ref()?)))
        .collect();
    let without: Vec<String> = all
        .iter()
        .filter(|(_, one)| one.dead_letters.is_none() && !last.contains(&(&one.pubsub, &one.topic)))
        .map(|(app_id, one)| format!("{} of {app_id}", one.topic))
        .collect();
    if all.is_empty() {
        return None;
    }
    Some(match without.is_empty() {
        true => Check::good(format!(
            "{} of Kafka, each with a dead-letter topic",
            count(all.len(), "subscription")
        )),
        false => Check::warn(
            format!("No dead-letter topic: {}", list(&without)),
            "An event that the service never takes holds its partition there for ever. Name a topic in the subscription \
             (deadLetterTopic), see docs/resilience.md.",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::Mark;

    fn probe(subscriptions: &[(&str, &str, Option<&str>)]) -> Probe {
        let subscribed = |(pubsub, topic, dead): &(&str, &str, Option<&str>)| Subscribed {
            pubsub: (*pubsub).into(),
            topic: (*topic).into(),
            dead_letters: dead.map(Into::into),
        };
        Probe {
            outbound: Ok(()),
            components: Ok(Vec::new()),
            subscriptions: subscriptions.iter().map(subscribed).collect(),
            metrics: None,
        }
    }

    fn said(pods: &[(&str, Probe)]) -> Option<(Mark, String)> {
        let pods: Vec<_> = pods
            .iter()
            .map(|(app_id, probe)| {
                let pod = SidecarPod {
                    name: format!("{app_id}-1"),
                    app_id: (*app_id).into(),
                    metrics: None,
                    enrolled: true,
                };
                (pod, probe.clone())
            })
            .collect();
        let found: Vec<_> = pods.iter().map(|(pod, probe)| (pod, probe.clone())).collect();
        look(&found, &["kafka".into()]).map(|check| (check.mark, check.text))
    }

    #[test]
    fn a_subscription_without_one_is_named_once() {
        let carts = probe(&[("kafka", "orders", None), ("redis", "other", None)]);
        assert_eq!(
            said(&[("cart", carts.clone()), ("cart", carts)]),
            Some((Mark::Warn, "No dead-letter topic: orders of cart".into()))
        );
    }

    #[test]
    fn who_takes_the_dead_letters_needs_none() {
        let cart = probe(&[("kafka", "orders", Some("orders.dead"))]);
        let clerk = probe(&[("kafka", "orders.dead", None)]);
        assert_eq!(
            said(&[("cart", cart), ("clerk", clerk)]),
            Some((
                Mark::Good,
                "2 subscriptions of Kafka, each with a dead-letter topic".into()
            ))
        );
        assert_eq!(said(&[("cart", probe(&[("redis", "other", None)]))]), None);
    }
}
