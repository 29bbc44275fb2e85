//! What a newer version, or another profile, no longer has: found by our labels, and removed last.
//!
//! This is about the stack. In the services' namespace versions lie side by side, and what decides there
//! is which of them a pod still reads: see [`super::middleware`].

use super::guard::Before;
use crate::{
    applyset,
    cluster::Cluster,
    concern::Selection,
    model::Existing,
    objects::{OUR_NAMESPACES, Object, ObjectRef, Plan, STACK_NAMESPACE, kinds_of_stack},
    patches::Shape,
    problem::Problem,
};
use serde_json::Value;
use std::collections::BTreeSet;

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
    let Some(existing) = before.get(&set.reference()) else {
        // Nothing was ever part of it.
        return Ok(Vec::new());
    };
    let everything = Shape {
        concerns: Selection::all(),
        ..shape.clone()
    };
    let wanted = Plan::shaped(&cluster.namespace, &BTreeSet::new(), &everything)?;
    let wanted: BTreeSet<ObjectRef> = wanted.outside().map(Object::reference).collect();
    let mut kinds = &kinds(&existing.value) | &kinds(set.value());
    // Those were looked at with all else; and volumes hold data.
    kinds.remove("PersistentVolumeClaim");
    let listed: BTreeSet<String> = plan.outside().map(applyset::kind).collect();
    kinds.retain(|kind| !listed.contains(kind));
    let others = cluster
        .members(STACK_NAMESPACE, &OUR_NAMESPACES, &kinds, &kinds_of_stack()?)
        .await?;
    let members = before
        .iter()
        .chain(others.iter().map(|(object, found)| (object, found)));
    let is_orphan = |object: &ObjectRef, found: &Existing| {
        !wanted.contains(object)
            && object.kind != "PersistentVolumeClaim"
            && applyset::has(STACK_NAMESPACE, &found.value)
            && is_free(found)
    };
    let orphans = members.filter(|(object, found)| is_orphan(object, found));
    let mut orphans: Vec<ObjectRef> = orphans.map(|(object, _)| object.clone()).collect();
    // Pods before what they use.
    orphans.sort_by_key(|object| (!is_workload(object), object.clone()));
    Ok(orphans)
}

/// The set, also with the kinds it had before, until those are pruned: whoever is interrupted in between
/// finds them again.
pub(super) fn widened(set: &Object, before: &Before) -> Object {
    let mut set = set.clone();
    if let Some(existing) = before.get(&set.reference()) {
        let kinds = &kinds(&existing.value) | &kinds(set.value());
        set.edit()["metadata"]["annotations"][applyset::KINDS] = applyset::join(&kinds).into();
    }
    set
}

fn kinds(set: &Value) -> BTreeSet<String> {
    let kinds = set["metadata"]["annotations"][applyset::KINDS].as_str();
    applyset::split(kinds.unwrap_or_default())
}

/// What belongs to another object goes with that, and what is on its way out needs nobody.
fn is_free(found: &Existing) -> bool {
    found.value["metadata"]["ownerReferences"].is_null() && !found.leaving
}

fn is_workload(object: &ObjectRef) -> bool {
    matches!(object.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet")
}
