//! The Resiliency in the services' namespace: bringing it, changing it and taking it away so that no
//! running sidecar notices.
//!
//! With Dapr 1.18 a sidecar that has hot reload on restarts its runtime in place when a Resiliency comes
//! or changes in whose scope it is, and when one goes that it knows. Enrolled sidecars have it off. So a
//! service is enrolled before it comes into the scope, and leaves the scope before it is let go.

use super::{
    applier::{Applier, patiently},
    enrol,
};
use crate::{
    cluster::{Cluster, Mode},
    enrolment::{Enrolments, Entry},
    model::{Applied, Outcome, Service},
    objects::{Object, ObjectRef},
    printer::{Mark, Printer},
    problem::Problem,
    resilience, text,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(500);

/// Enrols plainly who is not enrolled yet. What is left to do then knows the services as they are now.
pub(super) async fn settle(
    cluster: &Cluster,
    enrolments: &mut Enrolments,
    timeout: Duration,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let entries = enrolments.entries.iter();
    let first: Vec<Entry> = entries.filter(|entry| entry.reloads()).map(Entry::plainly).collect();
    if first.is_empty() {
        return Ok(Outcome::Good);
    }
    let plainly = Enrolments {
        entries: first,
        ..enrolments.clone()
    };
    if enrol::carefully(cluster, &plainly, timeout, printer).await? == Outcome::Bad {
        return Ok(Outcome::Bad);
    }
    let services = patiently(timeout, printer, async || cluster.services().await).await?;
    for entry in &mut enrolments.entries {
        if let Some(service) = services.iter().find(|service| service.name == entry.service.name) {
            entry.service = service.clone();
        }
    }
    Ok(Outcome::Good)
}

/// Applies it, when the services in its scope have no pod left that might reload.
pub(super) async fn apply(
    applier: &Applier<'_>,
    enrolments: &Enrolments,
    timeout: Duration,
) -> Result<Outcome, Problem> {
    let Some(resiliency) = &enrolments.resiliency else {
        return Ok(Outcome::Good);
    };
    let Applier { cluster, printer, .. } = applier;
    if !stays(applier, resiliency) {
        let services = in_scope(enrolments, resiliency);
        let deployments: Vec<ObjectRef> = services
            .map(|service| ObjectRef::deployment(&cluster.namespace, &service.name))
            .collect();
        let tell = |all: &[crate::cluster::Progress]| {
            if let Some(slow) = all.iter().find(|progress| !progress.is_done()) {
                printer.waiting(&slow.to_string());
            }
        };
        let rest = cluster.wait_ready(&deployments, timeout, tell).await?;
        let mut missing = rest
            .first()
            .map(|slow| format!("not ready after {}: {slow}", text::format_duration(timeout)));
        if missing.is_none() {
            let old = wait_for_old_sidecars(cluster, &deployments, timeout, printer).await?;
            missing = old
                .first()
                .map(|pod| format!("not gone after {}: pod {pod}", text::format_duration(timeout)));
        }
        printer.done_waiting();
        if let Some(missing) = missing {
            printer.step(Mark::Bad, &missing);
            printer.hint(&format!(
                "{resiliency} was not applied: older sidecars of it would restart in place. Mend it and run this again."
            ));
            return Ok(Outcome::Bad);
        }
    }
    applier.apply(resiliency).await?;
    Ok(Outcome::Good)
}

/// Waits until the last pod that was never enrolled is gone. A pod that ends still answers calls, for as
/// long as its sidecar is told to wait, and would restart in the midst of them.
async fn wait_for_old_sidecars(
    cluster: &Cluster,
    deployments: &[ObjectRef],
    timeout: Duration,
    printer: &Printer,
) -> Result<Vec<String>, Problem> {
    let began = Instant::now();
    loop {
        let old = patiently(timeout, printer, async || old_sidecars(cluster, deployments).await).await?;
        if old.is_empty() || began.elapsed() >= timeout {
            return Ok(old);
        }
        printer.waiting(&format!("the end of {}", text::list(&old)));
        sleep(POLL).await;
    }
}

async fn old_sidecars(cluster: &Cluster, deployments: &[ObjectRef]) -> Result<Vec<String>, Problem> {
    let mut workloads = Vec::with_capacity(deployments.len());
    for deployment in deployments {
        workloads.extend(cluster.workload(deployment).await?);
    }
    let pods = cluster.pods_of(&workloads).await?.into_iter().flatten();
    let old = pods.filter(|pod| pod.sidecar.is_some() && pod.revision.is_none());
    Ok(old.map(|pod| pod.name).collect())
}

/// Whether it can be applied at once, without a wait.
pub(super) async fn can_come(applier: &Applier<'_>, enrolments: &Enrolments) -> Result<bool, Problem> {
    let Some(resiliency) = enrolments.resiliency.as_ref() else {
        return Ok(true);
    };
    if stays(applier, resiliency) {
        return Ok(true);
    }
    let reload = enrolments.entries.iter().any(Entry::reloads);
    let services: Vec<&Service> = in_scope(enrolments, resiliency).collect();
    if reload || !services.iter().all(|service| service.rollout.is_settled()) {
        return Ok(false);
    }
    let cluster = applier.cluster;
    let deployments: Vec<ObjectRef> = services
        .iter()
        .map(|service| ObjectRef::deployment(&cluster.namespace, &service.name))
        .collect();
    Ok(old_sidecars(cluster, &deployments).await?.is_empty())
}

fn stays(applier: &Applier<'_>, resiliency: &Object) -> bool {
    let tried = applier.seen.tried.get(&resiliency.reference());
    tried.is_some_and(|tried| tried.applied() == Applied::Unchanged)
}

fn in_scope<'a>(enrolments: &'a Enrolments, resiliency: &'a Object) -> impl Iterator<Item = &'a Service> {
    let services = enrolments.entries.iter().map(|entry| &entry.service);
    services.filter(|service| resilience::is_for(resiliency, service))
}

/// Takes services out of the scope of ours, while they are still enrolled.
pub(super) async fn leave(
    cluster: &Cluster,
    services: &[Service],
    timeout: Duration,
    printer: &Printer,
) -> Result<(), Problem> {
    let known = cluster.resiliencies().await?;
    let gone: BTreeSet<&str> = services
        .iter()
        .filter_map(|service| service.app_id.as_deref())
        .collect();
    let Some(there) = resilience::our(&known).filter(|there| there.scopes.iter().any(|id| gone.contains(id.as_str())))
    else {
        return Ok(());
    };
    let reference = ObjectRef::resiliency(&cluster.namespace, &there.name);
    match resilience::rescoped(&cluster.namespace, there, &gone) {
        None => {
            patiently(timeout, printer, async || cluster.delete(&reference).await).await?;
            printer.step(Mark::Good, &format!("removed {reference}: no service is in its scope"));
        }
        Some(rescoped) => {
            let existing = cluster.existing(&reference).await?;
            let apply = async || cluster.apply(&rescoped, existing.as_ref(), Mode::Real).await;
            let applied = patiently(timeout, printer, apply).await?;
            printer.step(Mark::Good, &format!("applied {reference} ({applied})"));
        }
    }
    Ok(())
}
