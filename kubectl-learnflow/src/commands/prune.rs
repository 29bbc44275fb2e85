//! What a newer version, or another profile, no longer has: found by our labels, and removed last.
//!
//! This is about the stack. In the services' namespace versions lie side by side, and what decides there
//! is which of them a pod still reads: see [`super::middleware`].

use super::guard::Before;
use crate::{
    applyset,
    cluster::Cluster,
    concern::Selection,
    objects::{Object, ObjectRef, Plan, STACK_NAMESPACE},
    patches::Shape,
    problem::Problem,
    stack,
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
    let (kinds, elsewhere) = (listed(applyset::KINDS), listed(applyset::ELSEWHERE));
    let mut orphans = cluster.members(STACK_NAMESPACE, &kinds, &known).await?;
    // Nothing but monitors and rules lies in others' namespaces.
    let there: BTreeSet<String> = kinds.into_iter().filter(|kind| foreign.contains_key(kind)).collect();
    for namespace in elsewhere {
        orphans.extend(cluster.members_in(&namespace, STACK_NAMESPACE, &there, &known).await?);
    }
    orphans.retain(|object| !wanted.contains(object) && object.kind != "PersistentVolumeClaim");
    // Pods before what they use.
    orphans.sort_by_key(|object| (!is_workload(object), object.clone()));
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

fn is_workload(object: &ObjectRef) -> bool {
    matches!(object.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet")
}
