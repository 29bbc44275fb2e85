//! What a newer version, or another profile, no longer has: found by our labels, and removed last.
//!
//! This is about the stack. In the services' namespace versions lie side by side, and what decides there
//! is which of them a pod still reads: see [`super::middleware`].

use super::guard::Before;
use crate::{
    applyset,
    cluster::Cluster,
    concern::Selection,
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
    let kinds = &kinds(&existing.value) | &kinds(set.value());
    let mut orphans = cluster
        .members(STACK_NAMESPACE, &OUR_NAMESPACES, &kinds, &kinds_of_stack()?)
        .await?;
    orphans.retain(|object| !wanted.contains(object) && object.kind != "PersistentVolumeClaim");
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

fn is_workload(object: &ObjectRef) -> bool {
    matches!(object.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet")
}
