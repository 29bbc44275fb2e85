//! Which services get a HorizontalPodAutoscaler, by which metrics, within which bounds. Pure: no cluster.
//!
//! Whoever is left out is told why. Never `spec.replicas`, and never fewer pods than a service runs before it has an
//! autoscaler.

mod bounds;
mod choice;
mod keda;
mod lag;
mod metrics;
mod template;

use crate::{
    concern::Profile,
    model::{Scaler, Scaling, Service},
    objects::{Object, ObjectRef},
    preflight::Check,
    problem::Problem,
    text::list,
};
use choice::{Kind, LeftOut, left_out};
pub(crate) use lag::{Lag, Told};
use lag::Consumer;
use std::collections::BTreeSet;
use template::Role;

/// What is to become of the services' autoscalers.
#[derive(Debug, Default)]
pub(crate) struct Autoscalers {
    pub(crate) objects: Vec<Object>,
    /// Ours, of services that must not have one any more.
    pub(crate) gone: Vec<ObjectRef>,
    pub(crate) checks: Vec<Check>,
}

/// `asked`: scaling is asked for by name. `all`: every service of the namespace, `services`: those meant.
pub(crate) fn plan(
    namespace: &str,
    all: &[Service],
    services: &[Service],
    seen: &Scaling,
    profile: Profile,
    asked: bool,
) -> Result<Autoscalers, Problem> {
    let mut plan = Autoscalers::default();
    if !seen.served.resources {
        plan.checks.push(unmeasured(asked));
        return Ok(plan);
    }
    if asked && services.is_empty() {
        plan.checks.push(Check::bad(
            format!("No Deployment with a Dapr sidecar in namespace {namespace} to scale"),
            "Annotate the pod template of your services with dapr.io/enabled: \"true\", or name their namespace with -n.",
        ));
    }
    let (mut scaled, mut followed) = (Vec::new(), Vec::new());
    for service in services {
        let name = &service.name;
        let mut scalers = seen.scalers.iter();
        let ours = scalers.find(|scaler| scaler.ours && scaler.name == *name);
        if let Some(LeftOut { why, next, kind }) = left_out(namespace, service, seen, ours) {
            let text = format!("Deployment {namespace}/{name} is not scaled: {why}");
            plan.checks.push(match kind {
                // What was asked for would never scale: said before, not by `<unknown>` afterwards.
                Kind::Lacks if asked => Check::bad(text, next),
                _ => Check::warn(text, next),
            });
            if kind != Kind::Passes {
                plan.gone
                    .extend(ours.map(|ours| ObjectRef::autoscaler(namespace, &ours.name)));
            }
            continue;
        }
        let consumer = Consumer::of(namespace, service, seen).unwrap_or_default();
        if let Some((why, next)) = consumer.alone() {
            let text = format!("Deployment {namespace}/{name} is not scaled: {why}");
            plan.checks.push(Check::warn(text, next));
            plan.gone
                .extend(ours.map(|ours| ObjectRef::autoscaler(namespace, &ours.name)));
            continue;
        }
        let wanted = bounds::of(service, ours, profile)?;
        plan.checks
            .extend(consumer.checks(&format!("Deployment {namespace}/{name}"), wanted, &seen.lag.told));
        let range = consumer.bounded(wanted);
        scaled.push(format!("{name} ({} to {} pods)", range.min, range.max));
        let role = Role::of(service, seen);
        let mut autoscaler = template::autoscaler(namespace, service, role, &seen.served, range)?;
        let by_lag = match seen.lag.told {
            Told::Not => Vec::new(),
            Told::Metric | Told::Keda(_) => consumer.metrics(role.template()?.value()),
        };
        if by_lag.is_empty() {
            plan.objects.push(autoscaler);
            continue;
        }
        followed.push(name.clone());
        if let Some(serde_json::Value::Array(metrics)) = autoscaler.edit().pointer_mut("/spec/metrics") {
            metrics.extend(by_lag);
        }
        plan.objects.push(match &seen.lag.told {
            Told::Keda(prometheus) => keda::scaled_object(&autoscaler, prometheus),
            Told::Not | Told::Metric => autoscaler,
        });
    }
    let deserted = |scaler: &&Scaler| scaler.ours && !all.iter().any(|service| service.name == scaler.target);
    let deserted = seen.scalers.iter().filter(deserted);
    plan.gone
        .extend(deserted.map(|scaler| ObjectRef::autoscaler(namespace, &scaler.name)));
    if !scaled.is_empty() {
        plan.checks
            .push(Check::good(format!("To scale by CPU: {}", list(&scaled))));
    }
    if !followed.is_empty() {
        plan.checks
            .push(Check::good(format!("To scale by lag as well: {}", list(&followed))));
    }
    Ok(plan)
}

/// Whether any of these services would be scaled by its lag.
pub(crate) fn follows(namespace: &str, services: &[Service], seen: &Scaling) -> bool {
    seen.served.resources
        && services.iter().any(|service| {
            let consumer = Consumer::of(namespace, service, seen);
            let mut scalers = seen.scalers.iter();
            let ours = scalers.find(|scaler| scaler.ours && scaler.name == service.name);
            consumer.is_some_and(|consumer| !consumer.readings.is_empty())
                && left_out(namespace, service, seen, ours).is_none_or(|left_out| left_out.kind == Kind::Passes)
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
