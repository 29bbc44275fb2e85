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
    scaling::{self, Autoscalers, Wish},
};
use futures::try_join;
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
    let mut seen = cluster.scaling(&facts.services).await?;
    seen.lag = adapter::lag(cluster, plan, facts, settings).await?;
    let topics = scaling::topics(&cluster.namespace, &seen);
    seen.lag.partitions = adapter::partitions(cluster, &seen.lag.components, &topics).await;
    let entries = &settings.services.value;
    let said = entries.iter().map(|entry| (entry.name.as_str(), entry.scaling));
    scaling::plan(&Wish {
        namespace: &cluster.namespace,
        all: &facts.services,
        services,
        seen: &seen,
        profile: settings.profile.value,
        asked: settings.concerns.value.asks_for(Concern::Autoscaling),
        named: !entries.is_empty(),
        said: said.collect(),
    })
}

pub(super) async fn apply(applier: &Applier<'_>, autoscalers: &Autoscalers) -> Result<(), Problem> {
    for object in &autoscalers.objects {
        applier.apply(object).await?;
    }
    for object in &autoscalers.gone {
        let delete = async || applier.cluster.delete(object).await;
        if applier.patience.with(delete).await? {
            applier.printer.step(Mark::Good, &removed(object));
        }
    }
    Ok(())
}

fn removed(object: &ObjectRef) -> String {
    match object.kind.as_str() {
        "HorizontalPodAutoscaler" => format!("removed {object}; the pods stay as many as they are"),
        _ => format!("removed {object}"),
    }
}

/// Those of ours for these services.
pub(super) async fn of(cluster: &Cluster, services: &[Service]) -> Result<Vec<ObjectRef>, Problem> {
    let meant = |name: &String| services.iter().any(|service| service.name == *name);
    let (scalers, budgets) = try_join!(cluster.scalers(), cluster.disruptions(services))?;
    let scalers = scalers
        .into_iter()
        .filter(|scaler| scaler.ours && meant(&scaler.target));
    let scalers = scalers.map(|scaler| scaler.reference(&cluster.namespace));
    let budgets = budgets.into_iter().filter(|budget| budget.ours && meant(&budget.name));
    let budgets = budgets.map(|budget| ObjectRef::disruption(&cluster.namespace, &budget.name));
    Ok(scalers.chain(budgets).collect())
}

pub(super) async fn remove(
    cluster: &Cluster,
    services: &[Service],
    timeout: Duration,
    printer: &Printer,
) -> Result<(), Problem> {
    for object in of(cluster, services).await? {
        if patiently(timeout, printer, async || cluster.delete(&object).await).await? {
            printer.step(Mark::Good, &removed(&object));
        }
    }
    Ok(())
}
