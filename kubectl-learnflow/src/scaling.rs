//! Which services get a HorizontalPodAutoscaler, and with which bounds. Pure: no cluster.
//!
//! Only where more pods are surely meant and surely work; whoever is left out is told why. Never
//! `spec.replicas`, and never fewer pods than a service runs before it has an autoscaler.

use crate::{
    assets,
    concern::Profile,
    model::{Gap, Scaler, Scaling, Service},
    objects::{Object, ObjectRef},
    preflight::Check,
    problem::Problem,
    text::list,
};
use serde_json::json;

/// The manifest, whose first object is made out for each service.
const MANIFEST: &str = "autoscaling/services.yaml";

/// What is to become of the services' autoscalers.
#[derive(Debug, Default)]
pub(crate) struct Autoscalers {
    pub(crate) objects: Vec<Object>,
    /// Ours, of services that must not have one any more.
    pub(crate) gone: Vec<ObjectRef>,
    pub(crate) checks: Vec<Check>,
}

/// Why a service is not scaled.
struct LeftOut {
    why: String,
    next: String,
    /// Ours stays where there is one: this may pass.
    passes: bool,
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
    if !seen.measured {
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
        let ours = seen
            .scalers
            .iter()
            .find(|scaler| scaler.ours && scaler.name == service.name);
        let container = service.container.as_deref();
        let left_out = left_out(namespace, service, container, seen, ours);
        match (left_out, container) {
            (None, Some(container)) => {
                let (min, max) = bounds(service, ours, profile)?;
                scaled.push(format!("{} ({min} to {max} pods)", service.name));
                plan.objects
                    .push(object(namespace, &service.name, container, min, max)?);
            }
            (Some(LeftOut { why, next, passes }), _) => {
                let text = format!("Deployment {namespace}/{} is not scaled: {why}", service.name);
                plan.checks.push(Check::warn(text, next));
                if !passes {
                    plan.gone
                        .extend(ours.map(|ours| ObjectRef::autoscaler(namespace, &ours.name)));
                }
            }
            (None, None) => {}
        }
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

fn left_out(
    namespace: &str,
    service: &Service,
    container: Option<&str>,
    seen: &Scaling,
    ours: Option<&Scaler>,
) -> Option<LeftOut> {
    let name = &service.name;
    let because = |why: String, next: &str| LeftOut {
        why,
        next: next.into(),
        passes: false,
    };
    // A ScaledObject has a HorizontalPodAutoscaler of its own; it is the one to speak of.
    let mut rivals = seen
        .scalers
        .iter()
        .filter(|scaler| !scaler.ours && scaler.target == *name)
        .rev();
    let rival = rivals
        .clone()
        .find(|scaler| scaler.kind == "ScaledObject")
        .or_else(|| rivals.next());
    if let Some(Scaler { kind, name, .. }) = rival {
        return Some(because(
            format!("{kind} {namespace}/{name} does that already"),
            "Two of them would fight. Delete that one and run this again if LearnFlow's is to take over.",
        ));
    }
    let taken = |scaler: &&Scaler| !scaler.ours && scaler.kind == "HorizontalPodAutoscaler" && scaler.name == *name;
    if let Some(taken) = seen.scalers.iter().find(taken) {
        return Some(because(
            format!(
                "HorizontalPodAutoscaler {namespace}/{name} is for {} and not LearnFlow's",
                taken.target
            ),
            "Rename that one and run this again.",
        ));
    }
    if service.gap == Some(Gap::Recreate) {
        return Some(because(
            "its strategy is Recreate, as for one that must run alone".into(),
            "If several pods of it may run at once, set strategy RollingUpdate and run this again.",
        ));
    }
    if let Some((claim, why)) = service
        .claims
        .iter()
        .find_map(|claim| seen.unshared.get_key_value(claim))
    {
        return Some(because(
            format!("its pods would share PersistentVolumeClaim {claim}, {why}"),
            "Use a volume that several nodes can mount (ReadWriteMany), or a StatefulSet with a claim for each pod.",
        ));
    }
    let Some(container) = container else {
        return Some(because(
            "which container is the app's own cannot be told".into(),
            "Name it as `container` of this service in learnflow.yaml.",
        ));
    };
    if !service.requesting.iter().any(|requesting| requesting == container) {
        return Some(because(
            format!("container {container} requests no CPU, so that nothing says how much is a lot"),
            "Set resources.requests.cpu of that container and run this again.",
        ));
    }
    if service.paused {
        return Some(LeftOut {
            why: "it is paused".into(),
            next: format!(
                "Resume it with `kubectl -n {namespace} rollout resume deployment/{name}` and run this again."
            ),
            passes: true,
        });
    }
    match service.rollout.desired {
        0 => Some(LeftOut {
            why: "it is scaled to no pod at all, and an autoscaler does not begin at zero".into(),
            next: format!(
                "Start it with `kubectl -n {namespace} scale deployment/{name} --replicas=1` and run this again."
            ),
            passes: true,
        }),
        pods if ours.is_none() && pods >= most().unwrap_or(i32::MAX) => Some(because(
            format!(
                "it runs {pods} pods already, and LearnFlow's default maximum is {}",
                most().unwrap_or(pods)
            ),
            "An autoscaler would take pods away. Give it one of your own, with bounds that fit.",
        )),
        _ => None,
    }
}

/// Never fewer pods than a service ran when it had no autoscaler yet; what ours says now is as much.
fn bounds(service: &Service, ours: Option<&Scaler>, profile: Profile) -> Result<(i32, i32), Problem> {
    let least = match profile {
        Profile::Dev => 1,
        Profile::Production => 2,
    };
    let (min, max) = ours.map_or((service.rollout.desired, 0), |ours| (ours.min, ours.max));
    let min = min.max(least);
    Ok((min, max.max(most()?).max(min)))
}

fn most() -> Result<i32, Problem> {
    let max = template()?.value()["spec"]["maxReplicas"].as_i64();
    Ok(max.and_then(|max| i32::try_from(max).ok()).unwrap_or(1))
}

fn template() -> Result<Object, Problem> {
    let first = assets::manifest(MANIFEST)?.into_iter().next();
    first.ok_or_else(|| Problem::new(format!("The manifest {MANIFEST} inside this plugin is empty.")))
}

fn object(namespace: &str, name: &str, container: &str, min: i32, max: i32) -> Result<Object, Problem> {
    let mut object = template()?.moved(namespace, name);
    object
        .map("/metadata/labels")
        .insert("app.kubernetes.io/name".into(), json!(name));
    let spec = object.map("/spec");
    spec.insert("minReplicas".into(), json!(min));
    spec.insert("maxReplicas".into(), json!(max));
    object.edit()["spec"]["scaleTargetRef"]["name"] = json!(name);
    object.edit()["spec"]["metrics"][0]["containerResource"]["container"] = json!(container);
    Ok(object.labelled().versioned())
}

#[cfg(test)]
#[path = "scaling_tests.rs"]
mod tests;
