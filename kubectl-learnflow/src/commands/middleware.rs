//! What goes into the services' namespace beside their Deployments: putting it there so that no
//! running sidecar notices, and taking away what nothing refers to any more.

use super::applier::{Applier, patiently};
use crate::{
    cluster::{Cluster, Mode},
    enrolment::{Enrolments, owned},
    model::{Applied, Service},
    objects::{Object, ObjectRef, Plan},
    printer::{Mark, Printer},
    problem::Problem,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep_until};

/// How long Dapr's operator may take to notice a Configuration. Its Secret must not be there by then.
const UNNOTICED: Duration = Duration::from_secs(5);

/// Everything an enrolled pod reads, before there is one.
pub(super) async fn prepare(applier: &Applier<'_>, enrolments: &Enrolments) -> Result<(), Problem> {
    // The file before the Component that loads it: one that cannot initialise ends every sidecar of
    // its namespace at once, were it not for `ignoreErrors`.
    applier.apply(&enrolments.guest).await?;
    applier.apply(&enrolments.component).await?;
    for configuration in enrolments.configurations() {
        applier.apply(configuration).await?;
    }
    let noticed = Instant::now() + UNNOTICED;
    for (secret, configuration) in enrolments.secrets() {
        if !applier.seen.before.contains_key(&secret.reference()) {
            applier
                .printer
                .waiting("letting the new Dapr Configuration pass unnoticed");
            sleep_until(noticed).await;
            applier.printer.done_waiting();
        }
        let reference = configuration.reference();
        let known = applier
            .patience
            .with(async || applier.cluster.existing(&reference).await)
            .await?;
        let uid = known.map(|configuration| configuration.uid).unwrap_or_default();
        applier.apply(&owned(secret, configuration, &uid)).await?;
    }
    Ok(())
}

/// Guests and Configurations of earlier versions that no pod has or would have.
pub(super) async fn leftovers(cluster: &Cluster, enrolments: Option<&Enrolments>) -> Result<Vec<ObjectRef>, Problem> {
    let mut all = cluster.guests_and_configurations().await?;
    let current: BTreeSet<&str> = enrolments.iter().flat_map(|e| e.objects()).map(Object::name).collect();
    all.retain(|object| !current.contains(object.name.as_str()));
    if !all.is_empty() {
        let referred_to = cluster.referred_to().await?;
        all.retain(|object| !referred_to.contains(&object.name));
    }
    Ok(all)
}

/// Removes them.
pub(super) async fn prune(
    cluster: &Cluster,
    enrolments: Option<&Enrolments>,
    timeout: Duration,
    printer: &Printer,
) -> Result<(), Problem> {
    for object in patiently(timeout, printer, async || leftovers(cluster, enrolments).await).await? {
        if patiently(timeout, printer, async || cluster.delete(&object).await).await? {
            printer.step(Mark::Good, &format!("removed {object}: nothing uses it any more"));
        }
    }
    Ok(())
}

/// The Component for exactly these services. Without any it goes: no scope at all would mean every
/// sidecar of the namespace.
pub(super) async fn rescope(
    cluster: &Cluster,
    services: &[Service],
    timeout: Duration,
    printer: &Printer,
) -> Result<(), Problem> {
    let app_ids: BTreeSet<String> = services.iter().filter_map(|service| service.app_id.clone()).collect();
    let none = app_ids.is_empty();
    let component = Plan::new(&cluster.namespace, &app_ids)?.component;
    let reference: ObjectRef = component.reference();
    let Some(existing) = cluster.existing(&reference).await? else {
        return Ok(());
    };
    if none {
        patiently(timeout, printer, async || cluster.delete(&reference).await).await?;
        printer.step(Mark::Good, &format!("removed {reference}: no service is enrolled"));
    } else {
        let apply = async || cluster.apply(&component, Some(&existing), Mode::Real).await;
        let applied = patiently(timeout, printer, apply).await?;
        if applied != Applied::Unchanged {
            printer.step(Mark::Good, &format!("applied {component} ({applied})"));
        }
    }
    Ok(())
}
