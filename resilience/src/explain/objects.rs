//! What is wrong with the objects themselves.

use super::{
    Finding, Findings, Flow, Question,
    codes::{self, Code, Severity},
};
use crate::read::{Objects, Part, Place, Resiliency, Target, contradictions};
use std::collections::BTreeSet;

const KINDS: [(&str, &str); 3] = [
    ("timeouts", "Timeout"),
    ("retries", "Retry"),
    ("circuitBreakers", "CircuitBreaker"),
];
/// What LearnFlow brings for others to name; it has no target of its own.
const OFFERED: &str = "learnflow-invoke";

pub(super) fn find(objects: &Objects, question: &Question, flows: &[Flow], findings: &mut Findings) {
    let mut add = |code: Code, severity: Severity, places: Vec<Place>, what: String, next: String| {
        findings.add(Finding {
            code,
            severity,
            what,
            next,
            places,
            apps: Vec::new(),
        });
    };
    for place in &objects.ignored {
        let what = "Dapr does not read this field".to_owned();
        let next = "Take it out, or mend its name.".to_owned();
        add(codes::IGNORED, Severity::Warning, vec![place.clone()], what, next);
    }
    for found in contradictions(objects) {
        let field = &found.first.field;
        let what = format!(
            "{} and {} say two things of {field}",
            found.first.object, found.second.object
        );
        let next = "Give one of them another name, or set scopes that have no app in common.".to_owned();
        add(
            codes::CONTRADICTION,
            Severity::Error,
            vec![found.second, found.first],
            what,
            next,
        );
    }
    let components: BTreeSet<&str> = objects
        .components
        .iter()
        .map(|object| object.meta.name.as_str())
        .collect();
    for resiliency in &objects.resiliencies {
        for (name, entry) in &resiliency.components {
            if !components.is_empty() && !components.contains(name.as_str()) {
                let what = format!("There is no Component {name}: its policies apply to nothing");
                let there: Vec<&str> = components.iter().copied().collect();
                let next = format!("Write the name of a Component: {}.", there.join(", "));
                add(codes::NO_TARGET, Severity::Error, vec![entry.place.clone()], what, next);
            }
        }
        for (name, entry) in &resiliency.apps {
            // Another namespace's app, or an address, may well be called.
            let elsewhere = name.contains('.') || name.contains(':');
            if let Some(apps) = &question.apps
                && !apps.contains(name)
                && !elsewhere
            {
                let what = format!("No workload of the namespace has the app id {name}");
                let next = "Mend the name, unless it is an HTTPEndpoint.".to_owned();
                add(
                    codes::UNKNOWN_APP,
                    Severity::Warning,
                    vec![entry.place.clone()],
                    what,
                    next,
                );
            }
        }
        for (name, breaker) in &resiliency.breakers {
            let trip = &breaker.value.trip;
            let why = match (trip.unknown(), trip.never()) {
                (Some(unknown), _) => Some(format!("`{unknown}` is none of Dapr's counts")),
                (None, Some(why)) => Some(why.to_owned()),
                (None, None) => None,
            };
            if let Some(why) = why {
                let what = format!("Circuit breaker {name} never opens: {} ({why})", trip.text);
                let counts = crate::trip::Count::ALL.map(crate::trip::Count::name).join(", ");
                let next = format!("Write a comparison of {counts}.");
                add(
                    codes::NEVER_OPENS,
                    Severity::Error,
                    vec![breaker.place.clone()],
                    what,
                    next,
                );
            }
            if trip.divides_whole() {
                let what = format!("Circuit breaker {name} divides whole numbers: {}", trip.text);
                let next = "Write double(totalFailures) / double(requests), or multiply instead.".to_owned();
                add(
                    codes::WHOLE_DIVISION,
                    Severity::Warning,
                    vec![breaker.place.clone()],
                    what,
                    next,
                );
            }
        }
        for (name, retry) in &resiliency.retries {
            let protected = name == "DaprBuiltInActorNotFoundRetries";
            let few = retry.value.retry.max_retries.is_none_or(|retries| retries < 3);
            if name.starts_with("DaprBuiltIn") && (few || protected) {
                let what = match protected {
                    true => format!("{name} cannot be replaced: Dapr keeps its own"),
                    false => format!("{name} is given less than 3 retries, or no end: Dapr makes it 3"),
                };
                let next = "Write maxRetries: 3 or more, or name a policy of your own in targets.".to_owned();
                add(
                    codes::BUILT_IN,
                    Severity::Warning,
                    vec![retry.place.clone()],
                    what,
                    next,
                );
            }
        }
        for (place, kind, name) in unused(objects, resiliency) {
            let what = format!("No target names {name} of {kind}");
            let next = "Name it in targets of this object or another, or take it out.".to_owned();
            add(codes::UNUSED, Severity::Note, vec![place], what, next);
        }
    }
    for flow in flows {
        missing(flow, findings);
    }
}

/// Names that lead nowhere.
fn missing(flow: &Flow, findings: &mut Findings) {
    for missing in &flow.found.missing {
        let (kind, comes_to) = match (missing.part, &flow.target) {
            (Part::Timeout, _) => ("timeouts", "no timeout applies"),
            (Part::Retry, _) => ("retries", "no retry applies"),
            (Part::Breaker, Target::Component { .. }) => ("circuitBreakers", "each call ends without an answer"),
            (Part::Breaker, _) => ("circuitBreakers", "no breaker applies"),
        };
        let name = &missing.name.value;
        let next = match missing.known.as_slice() {
            [] => format!("Define it in spec.policies.{kind}."),
            known => format!(
                "Define it in spec.policies.{kind}, or name one of {}.",
                known.join(", ")
            ),
        };
        findings.add(Finding {
            code: codes::NO_POLICY,
            severity: Severity::Error,
            what: format!("There is no {name} in {kind}: {comes_to}"),
            next,
            places: vec![missing.name.place.clone()],
            apps: flow.apps.clone(),
        });
    }
}

/// Policies that nobody names.
fn unused<'a>(objects: &'a Objects, of: &'a Resiliency) -> Vec<(Place, &'static str, &'a str)> {
    let mut named: [BTreeSet<&str>; 3] = Default::default();
    for object in &objects.resiliencies {
        let components = object
            .components
            .values()
            .flat_map(|entry| [&entry.value.outbound, &entry.value.inbound]);
        let others = object
            .apps
            .values()
            .chain(object.actors.values())
            .map(|entry| &entry.value);
        for names in components.chain(others) {
            for (set, name) in named.iter_mut().zip([&names.timeout, &names.retry, &names.breaker]) {
                set.extend(name.iter().map(|name| name.value.as_str()));
            }
        }
    }
    let timeouts = of.timeouts.iter().map(|(name, written)| (0, name, &written.place));
    let retries = of.retries.iter().map(|(name, written)| (1, name, &written.place));
    let breakers = of.breakers.iter().map(|(name, written)| (2, name, &written.place));
    let all = timeouts.chain(retries).chain(breakers);
    let by_itself =
        |kind: usize, name: &str| name.starts_with("DaprBuiltIn") || is_default(name, KINDS[kind].1) || name == OFFERED;
    all.filter(|(kind, name, _)| !named[*kind].contains(name.as_str()) && !by_itself(*kind, name))
        .map(|(kind, name, place)| (place.clone(), KINDS[kind].0, name.as_str()))
        .collect()
}

/// Whether Dapr asks for a policy of that name where no target names one.
fn is_default(name: &str, kind: &str) -> bool {
    let level = name
        .strip_prefix("Default")
        .and_then(|rest| rest.strip_suffix(&format!("{kind}Policy")));
    let Some(level) = level else {
        return false;
    };
    let of_component = |sort: &str| {
        let sorts = [
            "",
            "Pubsub",
            "Statestore",
            "Binding",
            "Secretstore",
            "Configuration",
            "Lock",
            "Crypto",
            "Conversation",
        ];
        sorts.contains(&sort)
    };
    match level {
        "" | "App" | "Actor" | "Component" => true,
        level => ["ComponentOutbound", "ComponentInbound"]
            .iter()
            .any(|side| level.strip_suffix(side).is_some_and(of_component)),
    }
}
