//! The collector that asks Kafka, in the services' namespace: bringing it, and taking away what of it is not wanted.

use super::applier::Applier;
use crate::{
    cluster::Cluster,
    kafka,
    objects::{MANAGER, Object, ObjectRef, Plan},
    printer::Mark,
    problem::Problem,
};
use std::collections::BTreeSet;

/// The Deployment comes last: its pods read all the others.
pub(super) async fn apply(applier: &Applier<'_>, plan: &Plan) -> Result<(), Problem> {
    for object in &plan.kafka.objects {
        applier.apply(object).await?;
    }
    Ok(())
}

/// What of ours is there and not wanted any more; this part being left out is no reason to remove it.
pub(super) async fn leftovers(cluster: &Cluster, plan: &Plan) -> Result<Vec<ObjectRef>, Problem> {
    if !plan.measures {
        return Ok(Vec::new());
    }
    let wanted: BTreeSet<ObjectRef> = plan.kafka.objects.iter().map(Object::reference).collect();
    let mut all = of(cluster).await?;
    all.retain(|object| !wanted.contains(object));
    Ok(all)
}

/// All of ours that is there, the Deployment first.
pub(super) async fn of(cluster: &Cluster) -> Result<Vec<ObjectRef>, Problem> {
    let mut ours = Vec::new();
    for object in kafka::references(&cluster.namespace).into_iter().rev() {
        let existing = cluster.existing(&object).await?;
        if existing.is_some_and(|found| found.managed_by.as_deref() == Some(MANAGER)) {
            ours.push(object);
        }
    }
    Ok(ours)
}

pub(super) async fn prune(applier: &Applier<'_>, plan: &Plan) -> Result<(), Problem> {
    let Applier {
        cluster,
        patience,
        printer,
        ..
    } = applier;
    for object in patience.with(async || leftovers(cluster, plan).await).await? {
        if patience.with(async || cluster.delete(&object).await).await? {
            printer.step(Mark::Good, &format!("removed {object}: no Component asks for it"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "kafka_tests.rs"]
mod tests;
