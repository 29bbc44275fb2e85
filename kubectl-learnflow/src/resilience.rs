//! Which Resiliency the services get. Pure: no cluster.
//!
//! Its name is always the same, unlike that of a Configuration: Dapr merges every Resiliency in the scope
//! of a sidecar, so that two versions side by side would be one of both. A change of it in place harms
//! nobody: enrolled sidecars read it only when they start, and others are not in its scope. That it holds
//! for a service which is enrolled right now is up to the order: see [`crate::commands`].

use crate::{
    model::{Facts, Resiliency, Service},
    objects::{MIDDLEWARE, Object, ObjectRef, Plan, only},
    preflight::Check,
    problem::Problem,
    text::list,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The pub/sub component that the manifest names.
const COMPONENT: &str = "kafka-pubsub";

/// Policies that apply to a pub/sub component without naming it, as Dapr builds their names.
const DEFAULTS: [&str; 6] = [
    "PubsubComponentOutbound",
    "PubsubComponentInbound",
    "ComponentOutbound",
    "ComponentInbound",
    "Component",
    "",
];

/// A Resiliency of somebody else's that already decides about a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rival<'a> {
    pub(crate) name: &'a str,
    pub(crate) component: &'a str,
    pub(crate) app_ids: BTreeSet<&'a str>,
}

/// The Kafka components that policies are for: the one that is named, or all there are.
pub(crate) fn components(named: Option<&str>, facts: &Facts) -> Vec<String> {
    match (named, facts.pubsubs()) {
        (Some(named), _) => vec![named.to_owned()],
        (None, found) if found.is_empty() => vec![COMPONENT.to_owned()],
        (None, found) => found,
    }
}

/// Gives the plan what the services run under: the plugin's own, when it is meant, and otherwise what of
/// ours is there already.
pub(crate) fn decide(
    plan: &mut Plan,
    facts: &Facts,
    components: &[String],
    services: &[Service],
) -> Result<(), Problem> {
    let namespace = plan.component.namespace().unwrap_or_default().to_owned();
    let there = ours(facts);
    if !plan.polices {
        plan.resiliency = there.map(|there| as_it_is(&namespace, there));
        return Ok(());
    }
    // Who was enrolled earlier and is left out now keeps what it has. One whose rollout never ended may
    // have sidecars that would restart in place, so it does not get what it did not have.
    let stays = |service: &&Service| {
        let id = service.app_id.as_ref();
        let has = there.zip(id).is_some_and(|(there, id)| there.scopes.contains(id));
        service.enrolled && (has || service.rollout.is_settled())
    };
    let chosen = services.iter().chain(facts.services.iter().filter(stays));
    let mut app_ids: BTreeSet<String> = chosen.filter_map(|service| service.app_id.clone()).collect();
    let theirs = taken(facts, components, &app_ids);
    app_ids.retain(|id| !theirs.contains(id));
    plan.resiliency = match app_ids.is_empty() {
        // No scope at all would mean every sidecar of the namespace.
        true => None,
        false => Some(manifest(&namespace, components, &app_ids)?),
    };
    Ok(())
}

fn manifest(namespace: &str, components: &[String], app_ids: &BTreeSet<String>) -> Result<Object, Problem> {
    let mut object = only("resilience/resiliency.yaml")?
        .in_namespace(namespace)
        .labelled()
        .versioned();
    object.map("").insert("scopes".into(), json!(app_ids));
    let targets = object.map("/spec/targets/components");
    if let Some(policies) = targets.remove(COMPONENT) {
        targets.extend(components.iter().map(|name| (name.clone(), policies.clone())));
    }
    Ok(object)
}

/// Brings services into the scope of ours, which otherwise stays as it is; does nothing when there is none.
pub(crate) fn extend(plan: &mut Plan, facts: &Facts, services: &[Service]) -> Vec<Check> {
    let there = ours(facts);
    plan.polices = there.is_some();
    let Some(there) = there else {
        return Vec::new();
    };
    let namespace = plan.component.namespace().unwrap_or_default().to_owned();
    let targets = there.spec["targets"]["components"].as_object();
    let components: Vec<String> = targets.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let mut new: BTreeSet<String> = services.iter().filter_map(|service| service.app_id.clone()).collect();
    new.retain(|id| !there.scopes.contains(id));
    let theirs = taken(facts, &components, &new);
    let scopes = there.scopes.iter().chain(new.iter().filter(|id| !theirs.contains(*id)));
    let wider = Resiliency {
        scopes: scopes.cloned().collect(),
        ..there.clone()
    };
    plan.resiliency = Some(as_it_is(&namespace, &wider));
    checks(plan, facts, &components, services)
}

/// For no more than these app ids, and otherwise as it is in the cluster; `None` when nobody is left.
pub(crate) fn rescoped(namespace: &str, there: &Resiliency, gone: &BTreeSet<&str>) -> Option<Object> {
    let scopes = there.scopes.iter().filter(|id| !gone.contains(id.as_str()));
    let scopes: Vec<String> = scopes.cloned().collect();
    let there = Resiliency {
        scopes,
        ..there.clone()
    };
    (!there.scopes.is_empty()).then(|| as_it_is(namespace, &there))
}

fn as_it_is(namespace: &str, there: &Resiliency) -> Object {
    let reference = ObjectRef::resiliency(namespace, &there.name);
    let object = Object::known(json!({
        "apiVersion": reference.api_version,
        "kind": reference.kind,
        "metadata": { "name": there.name, "namespace": namespace, "labels": { "app.kubernetes.io/name": MIDDLEWARE } },
        "spec": there.spec,
        "scopes": there.scopes,
    }));
    object.labelled().versioned()
}

/// Ours in the cluster.
pub(crate) fn ours(facts: &Facts) -> Option<&Resiliency> {
    our(&facts.resiliencies)
}

pub(crate) fn our(known: &[Resiliency]) -> Option<&Resiliency> {
    known.iter().find(|there| there.ours && there.name == MIDDLEWARE)
}

/// Ours when it is there and nobody is to have it any more.
pub(crate) fn leftover(plan: &Plan, facts: &Facts) -> Option<ObjectRef> {
    let there = ours(facts).filter(|_| plan.polices && plan.resiliency.is_none())?;
    Some(ObjectRef::resiliency(plan.component.namespace()?, &there.name))
}

/// Whether a service is in the scope of a Resiliency.
pub(crate) fn is_for(resiliency: &Object, service: &Service) -> bool {
    let scopes = resiliency.value()["scopes"].as_array();
    let scopes: Vec<&str> = scopes.into_iter().flatten().filter_map(Value::as_str).collect();
    scopes.is_empty() || service.app_id.as_deref().is_some_and(|id| scopes.contains(&id))
}

/// The app ids about which somebody else's decides already.
fn taken(facts: &Facts, components: &[String], app_ids: &BTreeSet<String>) -> BTreeSet<String> {
    let rivals = rivals(facts, components, app_ids);
    let app_ids = rivals.iter().flat_map(|rival| &rival.app_ids);
    app_ids.map(|id| (*id).to_owned()).collect()
}

/// Those of others that decide about one of the components for one of the app ids.
fn rivals<'a>(facts: &'a Facts, components: &'a [String], app_ids: &'a BTreeSet<String>) -> Vec<Rival<'a>> {
    let theirs = facts.resiliencies.iter().filter(|resiliency| !resiliency.ours);
    let rival = |resiliency: &'a Resiliency| {
        let component = components
            .iter()
            .find(|component| decides(&resiliency.spec, component))?;
        let scopes = &resiliency.scopes;
        let common = app_ids.iter().filter(|id| scopes.is_empty() || scopes.contains(id));
        let app_ids: BTreeSet<&str> = common.map(String::as_str).collect();
        (!app_ids.is_empty()).then_some(Rival {
            name: &resiliency.name,
            component,
            app_ids,
        })
    };
    theirs.filter_map(rival).collect()
}

/// By its name, or by a policy that is the default for all such components.
fn decides(spec: &Value, component: &str) -> bool {
    let named = !spec["targets"]["components"][component].is_null();
    let policies = [
        ("retries", "Retry"),
        ("timeouts", "Timeout"),
        ("circuitBreakers", "CircuitBreaker"),
    ];
    let default = |(list, kind): &(&str, &str)| {
        DEFAULTS
            .iter()
            .any(|level| !spec["policies"][*list][format!("Default{level}{kind}Policy")].is_null())
    };
    named || policies.iter().any(default)
}

/// What is left out and why, and how to choose.
pub(crate) fn checks(plan: &Plan, facts: &Facts, components: &[String], services: &[Service]) -> Vec<Check> {
    if !plan.polices {
        return Vec::new();
    }
    let app_ids: BTreeSet<String> = services.iter().filter_map(|service| service.app_id.clone()).collect();
    let namespace = plan.component.namespace().unwrap_or_default();
    let rivals = rivals(facts, components, &app_ids);
    let said = rivals.iter().map(|Rival { name, component, app_ids }| {
        let app_ids: Vec<&str> = app_ids.iter().copied().collect();
        Check::warn(
            format!(
                "Resiliency {namespace}/{name} already decides about {component} for {}: LearnFlow's is left out there",
                list(&app_ids)
            ),
            format!(
                "To take LearnFlow's policies instead, delete it or take {component} out of its targets and default \
                 policies, and run this again. To keep yours, do nothing; --skip resilience leaves LearnFlow's out \
                 for all services."
            ),
        )
    });
    said.collect()
}

#[cfg(test)]
#[path = "resilience_tests.rs"]
mod tests;
