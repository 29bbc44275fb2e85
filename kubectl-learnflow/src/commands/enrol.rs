//! Enrolling services, one after another, each only when the one before has come up well.

use super::{
    applier::patiently,
    confirm::{self, Confirmed},
};
use crate::{
    cluster::{Cluster, Mode},
    enrolment::{Enrolment, Enrolments, Entry},
    model::{Applied, Outcome, Pod, Service},
    objects::ObjectRef,
    printer::{Mark, Printer},
    problem::Problem,
    text,
};
use std::time::Duration;

/// How long what was undone may take to settle; it ran before, so it is quick.
const BACK: Duration = Duration::from_secs(120);

/// First one service, until its sidecars are seen to run the middleware; then the others. What they
/// load may come up well and still not be loaded, and then one service is enough to find out.
pub(super) async fn carefully(
    cluster: &Cluster,
    enrolments: &Enrolments,
    timeout: Duration,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    if !confirm::is_measured(cluster, timeout, printer).await? {
        return all(cluster, &enrolments.entries, timeout, printer).await;
    }
    let Some(first) = enrolments.entries.iter().position(|entry| !entry.is_done()) else {
        return everyone(cluster, enrolments, &enrolments.entries, timeout, printer).await;
    };
    let mut rest = enrolments.entries.clone();
    let first = rest.remove(first);
    let alone = enrolments.only(&first);
    let mut outcome = all(cluster, &alone.entries, timeout, printer).await?;
    if outcome == Outcome::Good {
        let confirmed = confirm::all(cluster, &alone, timeout, printer).await?;
        // Without metrics it works, for all we know.
        if confirmed == Confirmed::Without {
            let object = ObjectRef::deployment(&cluster.namespace, &first.service.name);
            undo(cluster, &first, &object, printer).await?;
        }
        outcome = confirmed.outcome();
    }
    if outcome == Outcome::Bad {
        not_touched(&rest, printer);
        return Ok(Outcome::Bad);
    }
    everyone(cluster, enrolments, &rest, timeout, printer).await
}

/// Enrols `rest`, and looks at all of them.
async fn everyone(
    cluster: &Cluster,
    enrolments: &Enrolments,
    rest: &[Entry],
    timeout: Duration,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    if rest.is_empty() {
        return Ok(Outcome::Good);
    }
    if all(cluster, rest, timeout, printer).await? == Outcome::Bad {
        return Ok(Outcome::Bad);
    }
    Ok(confirm::all(cluster, enrolments, timeout, printer).await?.outcome())
}

fn not_touched(rest: &[Entry], printer: &Printer) {
    let rest: Vec<&str> = rest.iter().map(|entry| entry.service.name.as_str()).collect();
    if !rest.is_empty() {
        printer.hint(&format!("Not touched: {}.", text::list(&rest)));
    }
}

pub(super) async fn all(
    cluster: &Cluster,
    entries: &[Entry],
    timeout: Duration,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    for (done, entry) in entries.iter().enumerate() {
        let service = &entry.service;
        let object = ObjectRef::deployment(&cluster.namespace, &service.name);
        let taken_over = !entry.replaces().is_empty();
        let enrol = async || cluster.enrol(service, &entry.enrolment, taken_over, Mode::Real).await;
        let applied = patiently(timeout, printer, enrol).await?;
        let failure = come_up(cluster, &object, &entry.enrolment.revision, timeout, printer).await?;
        printer.done_waiting();
        match failure {
            None if applied == Applied::Unchanged => {
                printer.step(Mark::Good, &format!("{object} unchanged"));
            }
            None => {
                printer.step(Mark::Good, &format!("enrolled {object} (app id {})", app_id(service)));
            }
            Some(why) => {
                printer.step(
                    Mark::Bad,
                    &format!("{object} does not come up with the middleware: {why}"),
                );
                if applied == Applied::Unchanged {
                    printer.hint(&format!(
                        "Nothing of it was changed now. Take the middleware out with `kubectl learnflow unenroll {}`.",
                        service.name
                    ));
                } else {
                    undo(cluster, entry, &object, printer).await?;
                }
                not_touched(&entries[done + 1..], printer);
                printer.hint(&format!(
                    "Look at its log with `kubectl -n {} logs deployment/{} -c daprd`, then run this again, or \
                     leave it out.",
                    cluster.namespace, service.name
                ));
                return Ok(Outcome::Bad);
            }
        }
    }
    Ok(Outcome::Good)
}

/// Waits for the new pods; says why not when they do not come up, or come up without a sidecar.
async fn come_up(
    cluster: &Cluster,
    object: &ObjectRef,
    revision: &str,
    timeout: Duration,
    printer: &Printer,
) -> Result<Option<String>, Problem> {
    let objects = [object.clone()];
    let rest = cluster
        .wait_ready(&objects, timeout, |all| printer.waiting(&all[0].to_string()))
        .await?;
    if let Some(progress) = rest.first() {
        let trouble = progress
            .trouble
            .as_ref()
            .map(|trouble| format!(", {trouble}"))
            .unwrap_or_default();
        let time = text::format_duration(timeout);
        return Ok(Some(format!("{} after {time}{trouble}", progress.rollout)));
    }
    let pods = async || match cluster.workload(object).await? {
        Some(workload) => cluster.pods(&workload).await.map(Some),
        None => Ok(None),
    };
    match patiently(timeout, printer, pods).await? {
        Some(pods) => Ok(wrong_with(&pods, revision)),
        None => Ok(Some("somebody deleted it".into())),
    }
}

/// Ready is not enough: while the injector is down, pods come up well and without a sidecar.
fn wrong_with(pods: &[Pod], revision: &str) -> Option<String> {
    let new = || pods.iter().filter(|pod| !pod.leaving);
    if let Some(pod) = new().find(|pod| pod.revision.as_deref() != Some(revision)) {
        return Some(format!("pod {} runs without what was applied", pod.name));
    }
    let bare = new().find(|pod| pod.sidecar.is_none())?;
    Some(format!(
        "pod {} came up without a Dapr sidecar; is the sidecar injector well?",
        bare.name
    ))
}

/// Back to what it carried before: an earlier enrolment, or none.
async fn undo(cluster: &Cluster, entry: &Entry, object: &ObjectRef, printer: &Printer) -> Result<(), Problem> {
    match Enrolment::of(&entry.service) {
        Some(earlier) => {
            let enrol = async || cluster.enrol(&entry.service, &earlier, false, Mode::Real).await;
            patiently(BACK, printer, enrol).await?
        }
        None => {
            let now = cluster.services().await?;
            let now = now.into_iter().find(|service| service.name == entry.service.name);
            let release = async || cluster.release(now.as_ref().unwrap_or(&entry.service)).await;
            patiently(BACK, printer, release).await?
        }
    };
    let objects = [object.clone()];
    let rest = cluster
        .wait_ready(&objects, BACK, |all| printer.waiting(&all[0].to_string()))
        .await?;
    printer.done_waiting();
    match rest.first() {
        None => printer.step(Mark::Good, &format!("undone: {object} runs as before")),
        Some(progress) => printer.step(Mark::Warn, &format!("undone, but not ready yet: {progress}")),
    }
    Ok(())
}

/// Lets enrolled services go, one after another.
pub(super) async fn release_all(
    cluster: &Cluster,
    services: &[Service],
    timeout: Duration,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    for service in services {
        let object = ObjectRef::deployment(&cluster.namespace, &service.name);
        patiently(timeout, printer, async || cluster.release(service).await).await?;
        let objects = [object.clone()];
        let rest = cluster
            .wait_ready(&objects, timeout, |all| printer.waiting(&all[0].to_string()))
            .await?;
        printer.done_waiting();
        if let Some(progress) = rest.first() {
            printer.step(Mark::Bad, &format!("released, but not ready again: {progress}"));
            printer.hint("Its old pods may still need the middleware, so that stays. Run this again when it is well.");
            return Ok(Outcome::Bad);
        }
        let still = cluster.services().await?.into_iter().find(|s| s.name == service.name);
        let kept = still.and_then(|now| now.config).map(|config| config.value);
        let ours = service.config.as_ref().filter(|config| config.is_ours());
        match ours.filter(|config| kept.as_ref() == Some(&config.value)) {
            Some(config) => {
                printer.step(
                    Mark::Bad,
                    &format!("{object} still names the Configuration {}", config.value),
                );
                printer.hint("Somebody else set the annotation dapr.io/config too: take it off, and run this again.");
                return Ok(Outcome::Bad);
            }
            None => printer.step(Mark::Good, &format!("released {object}{}", back_to(service))),
        }
    }
    Ok(Outcome::Good)
}

fn back_to(service: &Service) -> String {
    match &service.before.config {
        Some(config) => format!(" (back to its Configuration {config})"),
        None => String::new(),
    }
}

fn app_id(service: &Service) -> &str {
    service.app_id.as_deref().unwrap_or(&service.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sidecar;

    #[test]
    fn pods_must_have_what_was_applied_and_a_sidecar() {
        let good = Pod {
            name: "cart-1".into(),
            ready: true,
            revision: Some("r1".into()),
            sidecar: Some(Sidecar::default()),
            ..Pod::default()
        };
        assert_eq!(wrong_with(std::slice::from_ref(&good), "r1"), None);
        assert_eq!(wrong_with(&[], "r1"), None, "scaled to zero");
        let bare = Pod {
            sidecar: None,
            ..good.clone()
        };
        assert!(wrong_with(&[bare], "r1").is_some_and(|why| why.contains("without a Dapr sidecar")));
        let old = Pod {
            revision: None,
            ..good.clone()
        };
        assert!(wrong_with(std::slice::from_ref(&old), "r1").is_some());
        assert_eq!(wrong_with(&[good, Pod { leaving: true, ..old }], "r1"), None);
    }
}
