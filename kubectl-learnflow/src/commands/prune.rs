//! What a newer version, or another profile, no longer has: found by our labels, and removed last.

use super::check::Before;
use crate::{
    applyset,
    cluster::Cluster,
    objects::{Object, ObjectRef, Plan, STACK_NAMESPACE},
    patches::Shape,
    problem::Problem,
};
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
    let everything = Shape {
        concerns: crate::concern::Selection::all(),
        ..shape.clone()
    };
    let wanted = Plan::shaped(&cluster.namespace, &BTreeSet::new(), &everything)?;
    let known: BTreeMap<String, ObjectRef> = wanted
        .all()
        .map(|object| (applyset::kind(object), object.reference()))
        .collect();
    let wanted: BTreeSet<ObjectRef> = wanted.all().map(Object::reference).collect();
    let mut orphans = Vec::new();
    for set in sets(plan) {
        let Some(existing) = before.get(&set.reference()) else {
            // Nothing was ever part of it.
            continue;
        };
        let namespace = set.namespace().unwrap_or(STACK_NAMESPACE);
        let kinds = &kinds(&existing.value) | &kinds(set.value());
        orphans.extend(cluster.members(namespace, &kinds, &known).await?);
    }
    orphans.retain(|object| !wanted.contains(object) && object.kind != "PersistentVolumeClaim");
    if orphans.iter().any(|object| object.kind == "ConfigMap") {
        let mounted = cluster.mounted(&cluster.namespace).await?;
        let needed = |object: &ObjectRef| {
            let here = object.namespace.as_ref() == Some(&cluster.namespace);
            here && object.kind == "ConfigMap" && mounted.contains(&object.name)
        };
        orphans.retain(|object| !needed(object));
    }
    // Pods before what they use.
    orphans.sort_by_key(|object| (!is_workload(object), object.clone()));
    Ok(orphans)
}

/// The sets of a plan that it applies.
pub(super) fn sets(plan: &Plan) -> impl Iterator<Item = &Object> {
    let enrols = plan.enrols.then_some(&plan.set);
    plan.stack.first().into_iter().chain(enrols)
}

/// A set that also names the kinds it had before, until those are pruned: whoever is interrupted in
/// between finds them again.
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
