//! What is to say of the calls of an app: publishes above all.

use super::{
    Findings, Flow, OUTAGE, Question, Schedule,
    codes::{self, Code, Severity},
    length,
    outage::{Trial, Worst},
};
use crate::{
    policy::{Backoff, Retry},
    read::{ComponentKind, Direction, Objects, Origin, Place, Target, policy_of},
    simulate::Client,
};
use std::time::Duration;

/// What the Kafka client gives a broker to acknowledge an event.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

pub(super) fn find(flow: &Flow, objects: &Objects, question: &Question, findings: &mut Findings) {
    let found = &flow.found;
    let policy = &found.policy;
    let place = |origin: &Option<crate::read::Origin>| origin.as_ref().and_then(|origin| origin.place.clone());
    let mut add = flow.adder(findings);
    retries(flow, &mut add);
    hidden_default(flow, objects, &mut add);
    let (name, kind) = match &flow.target {
        Target::Component { name, kind } => (name, *kind),
        Target::App(_) => {
            if let Some(within) = &found.within {
                let attempts = u64::from(within.max_retries.unwrap_or(0)) + 1;
                let what = format!("Each attempt of a call to an app is up to {attempts} of Dapr's own");
                let next = "Name the app in targets.apps: then Dapr's own retries do not apply.";
                add(
                    codes::TWICE,
                    Severity::Warning,
                    place(&found.retry).or(place(&found.timeout)),
                    what,
                    next,
                );
            }
            return;
        }
        Target::Actor(_) => return,
    };
    shared_breaker(flow, objects, &mut add);
    if kind != ComponentKind::Pubsub {
        return;
    }
    let nothing = policy.retry.is_none() && policy.breaker.is_none() && policy.timeout.is_none();
    if nothing && found.missing.is_empty() {
        let what = format!("No policy applies to publishes by {name}: each is refused with the first failure");
        let next = "Name a retry under targets.components.…outbound.";
        return add(codes::NOTHING, Severity::Warning, found.target.clone(), what, next);
    }
    if let Some(timeout) = policy.timeout.filter(|timeout| *timeout < ACKNOWLEDGED) {
        let what = format!(
            "A publish by {name} is given up after {}, and Kafka has {} to acknowledge it: its retry may publish twice",
            length(timeout),
            length(ACKNOWLEDGED)
        );
        let next = "Take the timeout out: the Kafka client ends its attempts itself.";
        add(codes::SHORT, Severity::Warning, place(&found.timeout), what, next);
    }
    if found.http_codes.is_some() || found.grpc_codes.is_some() {
        let what = format!("`matching` does nothing for publishes by {name}: failures of Kafka have no status code");
        add(
            codes::NO_MATCH,
            Severity::Warning,
            place(&found.retry),
            what,
            "Take it out.",
        );
    }
    promises(flow, question, name, &mut add);
}

/// Both of them: publishes outlive an outage, and a breaker stops them in a longer one.
fn promises(
    flow: &Flow,
    question: &Question,
    name: &str,
    add: &mut impl FnMut(Code, Severity, Option<Place>, String, &str),
) {
    let policy = &flow.found.policy;
    let place = |origin: &Option<Origin>| origin.as_ref().and_then(|origin| origin.place.clone());
    let measured = question.rates.of(&flow.apps, name);
    // Who asks for a rate or an outage wants an answer; otherwise it is a guess.
    let asked = measured.is_some() || question.outage.is_some();
    let severity = if asked { Severity::Error } else { Severity::Warning };
    let outage = question.outage.unwrap_or(OUTAGE);
    let trial = Trial {
        policy,
        outage,
        rate: measured.unwrap_or(1.0),
        partitions: question.partitions.unwrap_or(Client::default().partitions),
    };
    let at = |rate: f64| match measured {
        Some(_) => format!("At {} publishes/s", number(rate)),
        None => "At no more than one publish a second".to_owned(),
    };
    if let Some(Worst { rate, report }) = trial.retries_end() {
        let used_up = match policy.retry {
            Some(_) => format!(
                "the retries are used up, half of them before {}",
                time(report.refusals.p50)
            ),
            None => "they are not tried again".to_owned(),
        };
        let what = format!(
            "{} up to {} of {} publishes by {name} are refused in an outage of {}: {used_up}",
            at(rate),
            report.refused,
            report.calls_since,
            length(outage),
        );
        let next = "Raise maxRetries or the pause between retries; `kubectl learnflow simulate --fit` proposes both.";
        add(codes::EARLY, severity, place(&flow.found.retry), what, next);
    }
    let endless = policy
        .retry
        .is_some_and(|retry| Schedule::of(&retry).attempts.is_none());
    let breaker = policy.breaker.as_ref().filter(|breaker| breaker.trip.never().is_none());
    if breaker.is_none() && endless {
        let what = format!("Publishes by {name} wait without end, and there is no breaker");
        let next = "Set maxRetries for the longest outage to be survived, and a breaker for what is beyond it.";
        return add(codes::ENDLESS, Severity::Warning, place(&flow.found.retry), what, next);
    }
    if let Some(Worst { rate, report }) = trial.breaker_opens() {
        let ended = if policy.retry.is_some() {
            ", and the retries of those that wait end for good"
        } else {
            ""
        };
        let opens = report.breaker.first().map_or(0.0, |change| change.at);
        let what = format!(
            "{} the breaker of {name} opens {} into an outage of {}: up to {} of {} publishes are refused{ended}",
            at(rate),
            time(opens),
            length(outage),
            report.refused,
            report.calls_since,
        );
        let next = "Let it count to more than the failures of the whole outage; `kubectl learnflow simulate --fit` proposes it.";
        return add(codes::CONFLICT, severity, place(&flow.found.breaker), what, next);
    }
    // At a rate that is a guess it would be one as well.
    if let Some((longer, report)) = measured.and_then(|_| trial.nothing_stops()) {
        let what = format!(
            "{} no breaker opens in an outage of {}: publishes by {name} are not refused at once, but wait for up to {}, \
             up to {} at a time ({} MB of the sidecar)",
            at(trial.rate),
            length(longer),
            time(report.answers.longest),
            report.waiting_at_most,
            report.memory.div_ceil(1_000_000),
        );
        let next = "If that is too long for its callers, let a breaker count to less; see docs/resilience.md.";
        add(codes::WAITS, Severity::Note, place(&flow.found.breaker), what, next);
    }
}

/// As a person would say it: to a tenth of a second.
fn time(seconds: f64) -> String {
    length(Duration::from_millis((seconds * 10.0).round() as u64 * 100))
}

fn number(rate: f64) -> String {
    let text = format!("{rate:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What holds for retries wherever they are.
fn retries(flow: &Flow, add: &mut impl FnMut(Code, Severity, Option<Place>, String, &str)) {
    let Some(Retry { backoff, max_retries }) = flow.found.policy.retry else {
        return;
    };
    let place = || flow.found.retry.as_ref().and_then(|origin| origin.place.clone());
    let name = || flow.found.retry.as_ref().map_or("", |origin| origin.name.as_str());
    match backoff {
        Backoff::Constant { interval } if interval.is_zero() && max_retries != Some(0) => {
            let what = format!("Retry {} makes its attempts with no pause between them", name());
            add(
                codes::NO_PAUSE,
                Severity::Warning,
                place(),
                what,
                "Write for example duration: 2s.",
            );
        }
        Backoff::Exponential {
            max_elapsed: Some(limit),
            ..
        } if max_retries.is_none() => {
            let what = format!(
                "Retry {} has no maxRetries, and ends after {} all the same",
                name(),
                length(limit)
            );
            add(
                codes::ELAPSED,
                Severity::Note,
                place(),
                what,
                "For retries without end write policy: constant.",
            );
        }
        _ => {}
    }
}

/// An entry keeps default policies away, for what it does not say as well.
fn hidden_default(flow: &Flow, objects: &Objects, add: &mut impl FnMut(Code, Severity, Option<Place>, String, &str)) {
    if flow.found.target.is_none() {
        return;
    }
    let mut bare = objects.clone();
    for resiliency in &mut bare.resiliencies {
        resiliency.components.clear();
        resiliency.apps.clear();
        resiliency.actors.clear();
    }
    let app = flow.apps.first().map_or("", String::as_str);
    let default = policy_of(&bare, app, &flow.target, flow.direction);
    let found = &flow.found;
    let parts = [
        (&default.timeout, &found.timeout),
        (&default.retry, &found.retry),
        (&default.breaker, &found.breaker),
    ];
    for origin in parts
        .iter()
        .filter(|(_, given)| given.is_none())
        .filter_map(|(default, _)| default.as_ref())
    {
        let side = match flow.direction {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
        };
        let what = format!(
            "The entry keeps {} from applying ({side}), and has nothing in its place",
            origin.name
        );
        add(
            codes::HIDDEN_DEFAULT,
            Severity::Warning,
            None,
            what,
            "Name it in the entry as well.",
        );
    }
}

pub(super) fn hidden_inbound(flow: &Flow, objects: &Objects, findings: &mut Findings) {
    let mut add = flow.adder(findings);
    retries(flow, &mut add);
    hidden_default(flow, objects, &mut add);
}

fn shared_breaker(flow: &Flow, objects: &Objects, add: &mut impl FnMut(Code, Severity, Option<Place>, String, &str)) {
    let Target::Component { name, kind } = &flow.target else {
        return;
    };
    let app = flow.apps.first().map_or("", String::as_str);
    let inbound = policy_of(objects, app, &flow.target, Direction::Inbound);
    if !kind.delivers() || flow.found.policy.breaker.is_none() {
        return;
    }
    if let Some(origin) = inbound.breaker {
        let what = format!(
            "{name} has one breaker for both directions, with the settings of whichever comes first: deliveries that fail stop \
             the publishing"
        );
        add(
            codes::SHARED,
            Severity::Warning,
            origin.place,
            what,
            "Take the breaker out of inbound.",
        );
    }
}
