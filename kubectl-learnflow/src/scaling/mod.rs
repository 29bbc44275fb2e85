//! Which services get a HorizontalPodAutoscaler, by which metrics, within which bounds, and a PodDisruptionBudget with it.
//! Pure: no cluster.
//!
//! Whoever is left out is told why. Never `spec.replicas`, and never fewer pods than a service runs before it has an
//! autoscaler.

mod bounds;
mod choice;
mod codes;
mod disruption;
pub(crate) mod explain;
mod findings;
mod keda;
mod lag;
pub(crate) mod metrics;
mod pod;
pub(crate) mod room;
pub(crate) mod shortfall;
mod spread;
mod template;
mod words;

use crate::{
    concern::Profile,
    config::Scale,
    model::{Scaler, Scaling, Service},
    objects::{Object, ObjectRef},
    preflight::Check,
    problem::Problem,
    text::{count, list},
};
use bounds::Range;
use choice::{Kind, LeftOut, left_out};
pub(crate) use findings::FIRST_FIGURES;
use lag::Consumer;
pub(crate) use lag::{Lag, Told};
use std::collections::{BTreeMap, BTreeSet};
use template::Role;

/// What is to become of the services' autoscalers.
#[derive(Debug, Default)]
pub(crate) struct Autoscalers {
    /// Each autoscaler, with its PodDisruptionBudget behind it.
    pub(crate) objects: Vec<Object>,
    /// Ours, of services that must not have one any more.
    pub(crate) gone: Vec<ObjectRef>,
    pub(crate) checks: Vec<Check>,
}

/// What is asked for, and what is known.
pub(crate) struct Wish<'a> {
    pub(crate) namespace: &'a str,
    /// Every service of the namespace.
    pub(crate) all: &'a [Service],
    /// Those meant.
    pub(crate) services: &'a [Service],
    pub(crate) seen: &'a Scaling,
    pub(crate) profile: Profile,
    /// Scaling is asked for by name.
    pub(crate) asked: bool,
    /// The services are named, and not just all that there are.
    pub(crate) named: bool,
    /// The bounds that the settings give, by service.
    pub(crate) said: BTreeMap<&'a str, Scale>,
}

pub(crate) fn plan(wish: &Wish<'_>) -> Result<Autoscalers, Problem> {
    let Wish { namespace, seen, .. } = *wish;
    let mut plan = Autoscalers::default();
    if !seen.served.resources {
        plan.checks.push(unmeasured(wish.asked));
        return Ok(plan);
    }
    if wish.asked && wish.services.is_empty() {
        plan.checks.push(Check::bad(
            format!("No Deployment with a Dapr sidecar in namespace {namespace} to scale"),
            "Annotate the pod template of your services with dapr.io/enabled: \"true\", or name their namespace with -n.",
        ));
    }
    let mut scaled = Vec::new();
    let mut keep = Vec::new();
    for service in wish.services {
        let name = service.name.as_str();
        let ours = ours(seen, name);
        let said = wish.said.get(name).copied().unwrap_or_default();
        if let Some(LeftOut { why, next, kind }) = left_out(namespace, service, seen, ours, said) {
            let text = format!("Deployment {namespace}/{name} is not scaled: {why}");
            plan.checks.push(match kind {
                // What was asked for would never scale: said before, not by `<unknown>` afterwards.
                Kind::Lacks if wish.asked => Check::bad(text, next),
                Kind::Unfit if wish.asked && wish.named => Check::bad(text, next),
                _ => Check::warn(text, next),
            });
            if kind == Kind::Passes {
                keep.push(name);
            }
            continue;
        }
        let consumer = Consumer::of(namespace, service, seen).unwrap_or_default();
        if let Some((why, next)) = consumer.alone() {
            let text = format!("Deployment {namespace}/{name} is not scaled: {why}");
            plan.checks.push(Check::warn(text, next));
            continue;
        }
        keep.push(name);
        let range = match bounds::of(service, ours, said, wish.profile)? {
            Ok(range) => range,
            Err(why) => {
                let next = "Correct `scaling` of this service in learnflow.yaml.";
                plan.checks.push(Check::bad(
                    format!("Bounds of Deployment {namespace}/{name}: {why}"),
                    next,
                ));
                continue;
            }
        };
        plan.checks.extend(consumer.checks(
            &format!("Deployment {namespace}/{name}"),
            range,
            said.max,
            &seen.lag.told,
        ));
        let range = consumer.bounded(range);
        let no_room = no_room(namespace, service, range, seen);
        if !no_room.is_empty() {
            plan.checks.extend(no_room);
            continue;
        }
        let role = Role::of(service, seen);
        let mut autoscaler = template::autoscaler(namespace, service, role, &seen.served, range)?;
        if seen.lag.told != Told::Not
            && let Some(serde_json::Value::Array(metrics)) = autoscaler.edit().pointer_mut("/spec/metrics")
        {
            metrics.extend(consumer.metrics(role.template()?.value()));
        }
        let by = metrics::names(&autoscaler.value()["spec"]);
        scaled.push(format!("{name} ({} to {} pods by {by})", range.min, range.max));
        plan.objects.push(match &seen.lag.told {
            Told::Keda(prometheus) if !consumer.readings.is_empty() => keda::scaled_object(&autoscaler, prometheus),
            _ => autoscaler,
        });
        let (budget, check) = disruption::of(namespace, service, range, &seen.disruptions)?;
        plan.objects.extend(budget);
        plan.checks.extend(check);
    }
    plan.gone = gone(wish, &plan.objects, &keep);
    if !scaled.is_empty() {
        plan.checks.push(Check::good(format!("To scale: {}", list(&scaled))));
    }
    Ok(plan)
}

/// Whether any of these services would be scaled by its lag.
pub(crate) fn follows(namespace: &str, services: &[Service], seen: &Scaling) -> bool {
    seen.served.resources
        && services.iter().any(|service| {
            let consumer = Consumer::of(namespace, service, seen);
            let ours = ours(seen, &service.name);
            let said = Scale::default();
            consumer.is_some_and(|consumer| !consumer.readings.is_empty())
                && left_out(namespace, service, seen, ours, said).is_none_or(|left_out| left_out.kind == Kind::Passes)
        })
}

/// The topics that any service is sent by way of Kafka, by Component, as Kafka calls them.
pub(crate) fn topics(namespace: &str, seen: &Scaling) -> BTreeSet<(String, String)> {
    let all = seen.consumed.values().flatten();
    let known = all.filter_map(|(component, topic)| {
        let found = seen.lag.components.iter().find(|found| found.name == *component)?;
        let prefix = if found.is_namespaced() { namespace } else { "" };
        Some((component.clone(), format!("{prefix}{topic}")))
    });
    known.collect()
}

/// Our autoscaler of a service.
fn ours<'a>(seen: &'a Scaling, service: &str) -> Option<&'a Scaler> {
    let mut scalers = seen.scalers.iter();
    scalers.find(|scaler| scaler.ours && scaler.name == service)
}

/// What of ours is for nobody: of a service that is gone, of one that is left out for good, and budgets that are of no use.
/// `keep`: those whose autoscaler stays.
fn gone(wish: &Wish<'_>, coming: &[Object], keep: &[&str]) -> Vec<ObjectRef> {
    let Wish { namespace, seen, .. } = *wish;
    let meant = |name: &str| wish.services.iter().any(|service| service.name == name);
    let there = |name: &str| wish.all.iter().any(|service| service.name == name);
    // Whoever is not meant this time stays as it is.
    let goes = |name: &str| !there(name) || (meant(name) && !keep.contains(&name));
    let comes = |reference: &ObjectRef| coming.iter().any(|object| object.reference() == *reference);
    // An autoscaler in place of KEDA's: one of the two.
    let doubled =
        |scaler: &&Scaler| scaler.kind == "ScaledObject" && comes(&ObjectRef::autoscaler(namespace, &scaler.name));
    let scalers = seen.scalers.iter().filter(|scaler| scaler.ours);
    let scalers = scalers.filter(|scaler| goes(&scaler.target) || doubled(scaler));
    let scalers = scalers.map(|scaler| scaler.reference(namespace));
    let scaled = |name: &str| coming.iter().any(|object| object.name() == name);
    let budgets = seen.disruptions.iter().filter(|budget| budget.ours);
    let budgets = budgets.map(|budget| ObjectRef::disruption(namespace, &budget.name));
    let budgets = budgets.filter(|budget| goes(&budget.name) || (scaled(&budget.name) && !comes(budget)));
    scalers.chain(budgets).collect()
}

/// An autoscaler that cannot even have its minimum would be of no use, and a quota of zero takes no pod at all.
fn no_room(namespace: &str, service: &Service, range: Range, seen: &Scaling) -> Vec<Check> {
    let Some(limits) = &seen.limits else {
        return Vec::new();
    };
    let name = &service.name;
    let needs = pod::needs(service, &limits.bounds);
    let short = room::quotas(&needs, service.rollout.total, range.min, &limits.quotas, namespace);
    let short = short.into_iter().map(|short| {
        let text = format!(
            "Deployment {namespace}/{name} cannot have its minimum of {}: {} allows {} {}, and with them the namespace needs {}",
            count(range.min.max(0) as usize, "pod"),
            short.object,
            short.amount(short.hard),
            short.resource,
            short.amount(short.raise_to)
        );
        let next = format!(
            "Raise {} in {} to {}, or leave this part out with --skip autoscaling.",
            short.resource,
            short.object,
            short.amount(short.raise_to)
        );
        Check::bad(text, next)
    });
    short.collect()
}

fn unmeasured(asked: bool) -> Check {
    let text = "The cluster has no metrics API (metrics.k8s.io), so services are not scaled";
    let next = "Install metrics-server (https://github.com/kubernetes-sigs/metrics-server) and run this again, or \
                leave this part out with --skip autoscaling.";
    if asked {
        Check::bad(text, next)
    } else {
        Check::warn(text, next)
    }
}

#[cfg(test)]
mod tests;
