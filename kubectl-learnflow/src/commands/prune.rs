//! What a newer version, or another profile, no longer has: found by our labels, and removed last.
//!
//! This is about the stack. In the services' namespace versions lie side by side, and what decides there
//! is which of them a pod still reads: see [`super::middleware`].

use super::guard::Before;
use crate::{
    applyset,
    cluster::Cluster,
    concern::Selection,
    external,
    model::Existing,
    objects::{OUR_NAMESPACES, Object, ObjectRef, Plan, STACK_NAMESPACE},
    patches::Shape,
    problem::Problem,
    stack,
};
use futures::try_join;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The objects of ours that nothing asks for any more. Parts that are left out now are no reason to
/// remove them, and volumes hold data.
pub(super) async fn orphans(
    cluster: &Cluster,
    plan: &Plan,
    shape: &Shape,
    before: &Before,
) -> Result<Vec<ObjectRef>, Problem> {
    let Some(set) = plan.set() else {
        return Ok(Vec::new());
    };
    if !before.contains_key(&set.reference()) {
        // Nothing was ever part of it.
        return Ok(Vec::new());
    }
    let everything = Shape {
        concerns: Selection::all(),
        ..shape.clone()
    };
    let wanted = Plan::shaped(&cluster.namespace, &BTreeSet::new(), &everything)?;
    let wanted: BTreeSet<ObjectRef> = wanted.outside().map(Object::reference).collect();
    let members = widened(set, before);
    let listed = |key| listed(members.value(), key);
    let foreign = stack::foreign_kinds()?;
    let known: BTreeMap<String, ObjectRef> = stack::kinds()?.into_iter().chain(foreign.clone()).collect();
    let (mut kinds, elsewhere) = (listed(applyset::KINDS), listed(applyset::ELSEWHERE));
    // Nothing but monitors and rules lies in others' namespaces.
    let there: BTreeSet<String> = kinds
        .iter()
        .filter(|kind| foreign.contains_key(*kind))
        .cloned()
        .collect();
    let elsewhere = elsewhere.iter().map(String::as_str);
    let elsewhere: Vec<&str> = elsewhere.filter(|name| !OUR_NAMESPACES.contains(name)).collect();
    // Those were looked at with all else; and volumes hold data.
    kinds.remove("PersistentVolumeClaim");
    let looked_at: BTreeSet<String> = plan
        .outside()
        .filter(|object| is_at_home(object))
        .map(applyset::kind)
        .collect();
    kinds.retain(|kind| !looked_at.contains(kind));
    let (here, there) = try_join!(
        cluster.members(STACK_NAMESPACE, &OUR_NAMESPACES, &kinds, &known),
        cluster.members(STACK_NAMESPACE, &elsewhere, &there, &known)
    )?;
    let others = here.iter().chain(&there).map(|(object, found)| (object, found));
    let is_orphan = |object: &ObjectRef, found: &Existing| {
        !wanted.contains(object)
            && object.kind != "PersistentVolumeClaim"
            && applyset::has(STACK_NAMESPACE, &found.value)
            && !external::is_taken(object, &found.value)
            && is_free(found)
    };
    let orphans = before
        .iter()
        .chain(others)
        .filter(|(object, found)| is_orphan(object, found));
    let orphans: BTreeSet<ObjectRef> = orphans.map(|(object, _)| object.clone()).collect();
    let mut orphans: Vec<ObjectRef> = orphans.into_iter().collect();
    // What leads to pods before them, and pods before what they use.
    orphans.sort_by_key(|object| (!external::is_registration(object), !is_workload(object), object.clone()));
    Ok(orphans)
}

/// The set, also with the kinds and namespaces it had before, until those are pruned: whoever is interrupted in
/// between finds them again.
pub(super) fn widened(set: &Object, before: &Before) -> Object {
    let mut set = set.clone();
    let Some(existing) = before.get(&set.reference()) else {
        return set;
    };
    for key in [applyset::KINDS, applyset::ELSEWHERE] {
        let all = &listed(&existing.value, key) | &listed(set.value(), key);
        if !all.is_empty() {
            set.edit()["metadata"]["annotations"][key] = applyset::join(&all).into();
        }
    }
    set
}

/// What an annotation of the set lists.
fn listed(set: &Value, key: &str) -> BTreeSet<String> {
    applyset::split(set["metadata"]["annotations"][key].as_str().unwrap_or_default())
}

/// It is in a namespace of ours, or in none.
pub(super) fn is_at_home(object: &Object) -> bool {
    object.namespace().is_none_or(|name| OUR_NAMESPACES.contains(&name))
}

/// What belongs to another object goes with that, and what is on its way out needs nobody.
fn is_free(found: &Existing) -> bool {
    found.value["metadata"]["ownerReferences"].is_null() && !found.leaving
}

fn is_workload(object: &ObjectRef) -> bool {
    matches!(object.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet")
}
