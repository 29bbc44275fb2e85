//! What is to say of deliveries.

use super::{
    Findings, Flow, Question,
    codes::{self, Code, Severity},
    outbound, subscriptions,
};
use crate::read::{ComponentKind, Objects, Place, Subscription, Target};
use std::collections::BTreeSet;

pub(super) fn find(flow: &Flow, objects: &Objects, question: &Question, findings: &mut Findings) {
    outbound::hidden_inbound(flow, objects, findings);
    let Target::Component { name, kind } = &flow.target else {
        return;
    };
    if *kind != ComponentKind::Pubsub {
        return;
    }
    let mut add = flow.adder(findings);
    component(flow, objects, name, &mut add);
    let retry = flow.found.policy.retry;
    let origin = |origin: &Option<crate::read::Origin>| origin.as_ref().and_then(|origin| origin.place.clone());
    let endless = retry.is_some_and(|retry| retry.max_retries.is_none() && super::schedule::elapsed(&retry).is_none());
    if endless {
        let what = format!("A delivery by {name} that fails is tried without end: its partition waits for it");
        let next = "Set maxRetries, and a dead-letter topic for what is left then.";
        add(
            codes::ENDLESS_IN,
            Severity::Warning,
            origin(&flow.found.retry),
            what,
            next,
        );
    }
    let app = flow.apps.first().map_or("", String::as_str);
    let early = flow.apps.iter().filter(|app| question.ending_at_once.contains(*app));
    let early: Vec<&str> = early.map(String::as_str).collect();
    let all: Vec<&Subscription> = subscriptions(objects, app, &flow.target).collect();
    // What reads a dead-letter topic needs none itself.
    let letters = objects
        .subscriptions
        .iter()
        .filter_map(|subscription| subscription.dead_letter.as_ref());
    let letters: BTreeSet<&str> = letters.map(|topic| topic.value.as_str()).collect();
    for subscription in &all {
        let topic = &subscription.topic.value;
        match &subscription.dead_letter {
            Some(letter) if letter.value == *topic => {
                let what =
                    format!("Topic {topic} is its own dead-letter topic: an event that fails comes again without end");
                let next = "Name another topic.";
                add(codes::LOOP, Severity::Error, Some(letter.place.clone()), what, next);
            }
            Some(_) if flow.found.policy.breaker.is_some() => {
                let what = format!("While the breaker is open, events of {topic} go to its dead-letter topic untried");
                let next = "Take the breaker out of inbound.";
                add(
                    codes::UNTRIED,
                    Severity::Warning,
                    origin(&flow.found.breaker),
                    what,
                    next,
                );
            }
            // Without retries one refusal is enough.
            Some(letter) if !early.is_empty() && retry.is_none() => {
                let what = format!(
                    "When a pod of {} is replaced, an event of {topic} may become a dead letter: the app ends before its sidecar, and is tried once",
                    early.join(", ")
                );
                let next = "Let the app's container outlive it: lifecycle: {preStop: {sleep: {seconds: 5}}}.";
                let place = Some(letter.place.clone());
                add(codes::GOES_FIRST, Severity::Warning, place, what, next);
            }
            Some(_) => {}
            None if letters.contains(topic.as_str()) => {}
            None => {
                let around = flow.found.around.is_some();
                let place = Some(subscription.topic.place.clone());
                if around && !endless {
                    let what =
                        format!("Topic {topic} has no dead-letter topic: an event that fails holds its partition");
                    let next = "Set deadLetterTopic, or make sure that no event can fail for good.";
                    add(codes::NO_DEAD_LETTER, Severity::Warning, place, what, next);
                } else if !endless {
                    let what = format!(
                        "An event of {topic} whose retries are used up is lost: no dead-letter topic takes it, and consumeRetryEnabled is off"
                    );
                    let next = "Set deadLetterTopic, or consumeRetryEnabled: \"true\".";
                    add(codes::LOST, Severity::Error, place, what, next);
                }
            }
        }
    }
    multiplied(flow, name, &all, &letters, &mut add);
}

/// Without a dead-letter topic the component begins anew with all retries.
fn multiplied(
    flow: &Flow,
    name: &str,
    all: &[&Subscription],
    letters: &BTreeSet<&str>,
    add: &mut impl FnMut(Code, Severity, Option<Place>, String, &str),
) {
    let (Some(around), Some(retry)) = (flow.found.around, flow.found.policy.retry) else {
        return;
    };
    let caught = |subscription: &&Subscription| {
        subscription.dead_letter.is_some() || letters.contains(subscription.topic.value.as_str())
    };
    let open = all.iter().filter(|subscription| !caught(subscription));
    let open: Vec<&str> = open.map(|subscription| subscription.topic.value.as_str()).collect();
    let Some(retries) = retry.max_retries.filter(|retries| *retries > 0 && !open.is_empty()) else {
        return;
    };
    let attempts = u64::from(retries) + 1;
    let rounds = match around.max_retries {
        None => "without end".to_owned(),
        Some(rounds) => format!(
            "{} times, {} attempts in all",
            rounds + 1,
            attempts * (u64::from(rounds) + 1)
        ),
    };
    let what = format!(
        "No dead-letter topic takes an event of {}: {name} makes these {attempts} attempts {rounds}",
        open.join(", ")
    );
    let next = "Give the subscription a deadLetterTopic; then the component has nothing to repeat.";
    let place = flow.found.retry.as_ref().and_then(|origin| origin.place.clone());
    add(codes::MULTIPLIED, Severity::Warning, place, what, next);
}

/// The Kafka component by itself.
fn component(
    flow: &Flow,
    objects: &Objects,
    name: &str,
    add: &mut impl FnMut(Code, Severity, Option<Place>, String, &str),
) {
    let app = flow.apps.first().map_or("", String::as_str);
    let mut components = objects.components.iter();
    let component = components.find(|object| object.meta.name == *name && object.meta.is_for(app));
    let Some(component) = component else {
        return;
    };
    let Some(kafka) = &component.kafka else {
        return;
    };
    if let Some(interval) = &kafka.interval {
        let what = format!("consumeRetryInterval of {name} does not pace the repetition of an event");
        let next = "Write backOffDuration for that.";
        add(
            codes::NOT_EVENTS,
            Severity::Note,
            Some(interval.place.clone()),
            what,
            next,
        );
    }
    let place = Some(component.meta.place.clone());
    if component.ignore_errors {
        let what = format!("A sidecar that starts while Kafka is away runs without {name} until it is replaced");
        let next = "Take ignoreErrors out, so that the pod starts again until Kafka is back.";
        add(codes::START_WITHOUT, Severity::Warning, place, what, next);
    } else {
        let what = format!("A pod that starts while Kafka is away starts again and again until {name} is reached");
        let next =
            "Do not roll or scale its services during an outage; docs/resilience.md says what is served meanwhile.";
        add(codes::START, Severity::Note, place, what, next);
    }
}
