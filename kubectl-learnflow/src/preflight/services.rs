//! The services to enrol: what stands against it, and what somebody should know before.

use super::Check;
use crate::{
    enrolment::{self, Enrolments, Entry},
    model::{Configuration, Facts, Gap, Service},
    printer::Mark,
    text::{count, list},
};

/// Looks at the services to enrol.
pub(crate) fn services(enrolments: &Enrolments, facts: &Facts, namespace: &str, force: bool) -> Vec<Check> {
    let entries = &enrolments.entries;
    if entries.is_empty() {
        let none = Check::bad(
            format!("No Deployment with a Dapr sidecar in namespace {namespace}"),
            "Annotate the pod template of your services with dapr.io/enabled: \"true\", or name their \
             namespace with -n.",
        );
        return vec![none.id("services")];
    }
    let mut checks: Vec<Check> = Vec::new();
    for entry in entries {
        let check = service(entry, &facts.configurations, namespace, force).id("service");
        let well = check.mark == Mark::Good;
        checks.push(check);
        if well && !entry.is_done() {
            checks.extend(
                merging(entry, namespace)
                    .into_iter()
                    .map(|check| check.id("service-merge")),
            );
        }
    }
    let rolling = || {
        entries
            .iter()
            .filter(|entry| !entry.is_done())
            .map(|entry| &entry.service)
    };
    for gap in [Gap::Recreate, Gap::AllAtOnce, Gap::NoReadinessProbe, Gap::EndsAtOnce] {
        let gappy: Vec<&str> = rolling()
            .filter(|s| s.gap == Some(gap))
            .map(|s| s.name.as_str())
            .collect();
        if !gappy.is_empty() {
            checks.push(interrupted(gap, &list(&gappy)).id("service-gap"));
        }
    }
    let restless: Vec<&str> = rolling()
        .filter(|s| !s.rollout.is_settled())
        .map(|s| s.name.as_str())
        .collect();
    if !restless.is_empty() {
        let why = format!("Not all pods are ready yet: {}", list(&restless));
        let next = "If they do not become ready, enrolling them will stop there and be undone.";
        checks.push(Check::warn(why, next).id("services-ready"));
    }
    checks
}

/// A rolling update that some calls will notice. It is the Deployment's own affair; it must be known.
fn interrupted(gap: Gap, names: &str) -> Check {
    match gap {
        Gap::Recreate => Check::warn(
            format!("Its strategy is Recreate, so there is a gap when pods are replaced: {names}"),
            "Calls to it fail meanwhile; its events wait in Kafka. Strategy RollingUpdate has no gap.",
        ),
        Gap::AllAtOnce => Check::warn(
            format!("All its pods may go at once when they are replaced: {names}"),
            "Calls may fail meanwhile. Set strategy.rollingUpdate.maxUnavailable to 0, or run more pods.",
        ),
        Gap::NoReadinessProbe => Check::warn(
            format!("A container without a readinessProbe gets calls before it listens: {names}"),
            "Some calls may fail while pods are replaced.",
        ),
        Gap::EndsAtOnce => Check::warn(
            format!("Its sidecars end while others still call them, when pods are replaced: {names}"),
            "Some calls through Dapr may fail then. Let them wait with dapr.io/block-shutdown-duration, see \
             docs/zero-downtime.md.",
        ),
    }
}

/// What is merged into, and who has set it.
fn merging(entry: &Entry, namespace: &str) -> Vec<Check> {
    let name = format!("Deployment {namespace}/{}", entry.service.name);
    let mut checks = Vec::new();
    for (annotation, value, owners) in entry.replaces() {
        let who = if owners.is_empty() {
            "somebody".into()
        } else {
            list(owners)
        };
        let next = if annotation == "dapr.io/config" {
            format!(
                "It will read {}, a copy with LearnFlow's part in it. {value} itself stays as it is, and the \
                 service goes back to it when it is let go.",
                entry.enrolment.config
            )
        } else {
            "LearnFlow's mount is added behind it, and taken out again when the service is let go.".into()
        };
        checks.push(Check::warn(
            format!("{name} has {annotation}: {value} (set by {who})"),
            next,
        ));
    }
    if let Some(endpoint) = &entry.spans_elsewhere {
        checks.push(Check::warn(
            format!("{name} sends its spans to {endpoint}, and goes on to"),
            "LearnFlow counts its events all the same; only its traces are not in LearnFlow.",
        ));
    }
    checks
}

fn service(entry: &Entry, configurations: &[Configuration], namespace: &str, force: bool) -> Check {
    let service = &entry.service;
    let name = format!("Deployment {namespace}/{}", service.name);
    let leave = "or leave this one out.";
    if service.app_id.as_deref().unwrap_or_default().is_empty() {
        return Check::bad(
            format!("{name} has no annotation dapr.io/app-id"),
            format!("Give its pod template one, {leave}"),
        );
    }
    if let Some(config) = entry.enrolment.before.config.as_deref()
        && enrolment::find(configurations, config).is_none()
    {
        return Check::bad(
            format!("{name} uses the Dapr Configuration {config}, which does not exist"),
            format!("Create it, or take the annotation dapr.io/config off, {leave}"),
        );
    }
    if let Some(mount) = enrolment::in_the_way(service) {
        return Check::bad(
            format!("{name} already mounts {mount} into its sidecar, where LearnFlow's file must go"),
            format!("Mount that volume elsewhere (annotation dapr.io/volume-mounts), {leave}"),
        );
    }
    if service.foreign_volume {
        return Check::bad(
            format!("{name} has a volume learnflow-wasm that is not LearnFlow's"),
            format!("Rename that volume, {leave}"),
        );
    }
    if let Some((annotation, value, owner)) = fought_over(entry).filter(|_| !force) {
        return Check::bad(
            format!("{name}: {annotation} is {value}, a field that belongs to {owner}"),
            format!(
                "{owner} would put it back. Let it set {annotation} to {} instead, take the field over with \
                 --force-conflicts, {leave}",
                wanted(entry, annotation)
            ),
        );
    }
    if service.paused {
        return Check::bad(
            format!("{name} is paused, so its pods would never roll"),
            format!(
                "Resume it with `kubectl -n {namespace} rollout resume deployment/{}`, {leave}",
                service.name
            ),
        );
    }
    let app_id = service.app_id.as_deref().unwrap_or_default();
    let state = if service.enrolled { "enrolled" } else { "to enrol" };
    Check::good(format!("{name}, app id {app_id}, {} ({state})", count_pods(service)))
}

fn wanted<'a>(entry: &'a Entry, annotation: &str) -> &'a str {
    match annotation {
        "dapr.io/config" => &entry.enrolment.config,
        _ => &entry.enrolment.mounts,
    }
}

/// A value to replace that a tool owns. What a person has set with kubectl is taken over and said; a
/// tool would come back and set it again.
fn fought_over(entry: &Entry) -> Option<(&'static str, String, String)> {
    let tool = |owners: &[String]| owners.iter().find(|owner| !owner.starts_with("kubectl")).cloned();
    let replaced = entry.replaces().into_iter();
    replaced
        .filter_map(|(annotation, value, owners)| Some((annotation, value.to_owned(), tool(owners)?)))
        .next()
}

fn count_pods(service: &Service) -> String {
    count(usize::try_from(service.rollout.desired).unwrap_or(0), "pod")
}
