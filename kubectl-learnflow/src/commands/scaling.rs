//! The autoscalers of the services: looking at what there is, applying ours, taking ours away.

use super::{
    adapter,
    applier::{Applier, patiently},
};
use crate::{
    cluster::Cluster,
    concern::Concern,
    config::Settings,
    model::{Facts, Service},
    objects::{ObjectRef, Plan},
    printer::{Mark, Printer},
    problem::Problem,
    scaling::{self, Autoscalers},
};
use std::time::Duration;

/// What is to become of them; nothing, when they are not meant.
pub(super) async fn plan(
    cluster: &Cluster,
    plan: &Plan,
    facts: &Facts,
    services: &[Service],
    settings: &Settings,
) -> Result<Autoscalers, Problem> {
    if !plan.scales {
        return Ok(Autoscalers::default());
    }
    let mut seen = cluster.scaling(services).await?;
    seen.lag = adapter::lag(cluster, plan, facts, settings).await?;
    let wanted = scaling::topics(&cluster.namespace, &seen);
    seen.lag.partitions = adapter::partitions(cluster, &seen.lag.components, &wanted).await;
    scaling::plan(
        &cluster.namespace,
        &facts.services,
        services,
        &seen,
        settings.profile.value,
        settings.concerns.value.asks_for(Concern::Autoscaling),
    )
}

pub(super) async fn apply(applier: &Applier<'_>, autoscalers: &Autoscalers) -> Result<(), Problem> {
    for object in &autoscalers.objects {
        applier.apply(object).await?;
    }
    for object in &autoscalers.gone {
        let delete = async || applier.cluster.delete(object).await;
        if applier.patience.with(delete).await? {
            let what = format!("removed {object}; the pods stay as many as they are");
            applier.printer.step(Mark::Good, &what);
        }
    }
    Ok(())
}

/// Those of ours for these services.
pub(super) async fn of(cluster: &Cluster, services: &[Service]) -> Result<Vec<ObjectRef>, Problem> {
    let ours = cluster.scalers().await?.into_iter().filter(|scaler| scaler.ours);
    let theirs = ours.filter(|scaler| services.iter().any(|service| service.name == scaler.target));
    Ok(theirs
        .map(|scaler| ObjectRef::autoscaler(&cluster.namespace, &scaler.name))
        .collect())
}

pub(super) async fn remove(
    cluster: &Cluster,
    services: &[Service],
    timeout: Duration,
    printer: &Printer,
) -> Result<(), Problem> {
    for object in of(cluster, services).await? {
        if patiently(timeout, printer, async || cluster.delete(&object).await).await? {
            printer.step(
                Mark::Good,
                &format!("removed {object}; the pods stay as many as they are"),
            );
        }
    }
    Ok(())
}
