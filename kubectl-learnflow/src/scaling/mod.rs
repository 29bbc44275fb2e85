//! Which services get a HorizontalPodAutoscaler, by which metrics, within which bounds. Pure: no cluster.
//!
//! Whoever is left out is told why. Never `spec.replicas`, and never fewer pods than a service runs before it has an
//! autoscaler.

mod bounds;
mod choice;
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
    let mut scaled = Vec::new();
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
        let range = bounds::of(service, ours, profile)?;
        scaled.push(format!("{name} ({} to {} pods)", range.min, range.max));
        let role = Role::of(service, seen);
        let autoscaler = template::autoscaler(namespace, service, role, &seen.served, range)?;
        plan.objects.push(autoscaler);
    }
    let deserted = |scaler: &&Scaler| scaler.ours && !all.iter().any(|service| service.name == scaler.target);
    let deserted = seen.scalers.iter().filter(deserted);
    plan.gone
        .extend(deserted.map(|scaler| ObjectRef::autoscaler(namespace, &scaler.name)));
    if !scaled.is_empty() {
        plan.checks
            .push(Check::good(format!("To scale by CPU: {}", list(&scaled))));
    }
    Ok(plan)
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
