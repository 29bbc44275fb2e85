//! From what was found to a verdict. Pure: no cluster, no terminal.

use super::topics::Topic;
use crate::{
    commands::version::Versions,
    model::{Existing, Pod, Sample, Service},
    objects::MIDDLEWARE,
    problem::Problem,
};
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) verdict: Verdict,
    /// What is wrong, each a sentence.
    pub(super) problems: Vec<String>,
    /// What is worth knowing, and wrong nowhere.
    pub(super) notes: Vec<String>,
    pub(super) namespace: String,
    pub(super) versions: Versions,
    pub(super) stack: Vec<Part>,
    pub(super) services: Vec<Row>,
    pub(super) topics: Vec<Topic>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Healthy,
    Unhealthy,
    NotInstalled,
    /// The cluster answers, Prometheus does not tell.
    Unknown,
}

/// A part of the stack, or of the middleware.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Part {
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) present: bool,
    pub(super) ready: Option<i32>,
    pub(super) desired: Option<i32>,
    /// Why it is not ready: its pods' reasons and the last warning.
    pub(super) reason: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) deployment: String,
    pub(super) app_id: Option<String>,
    pub(super) enrolled: bool,
    pub(super) pods_ready: i32,
    pub(super) pods_desired: i32,
    pub(super) sidecars: usize,
    /// Sidecars that run the middleware; absent when that cannot be told.
    pub(super) middleware_loaded: Option<usize>,
    /// Sidecars whose metrics Prometheus gets; absent when it cannot be asked.
    pub(super) metrics_scraped: Option<usize>,
    pub(super) reason: Option<String>,
}

/// Everything the verdict rests on.
pub(super) struct Evidence {
    pub(super) namespace: String,
    pub(super) versions: Versions,
    /// The revision that this plugin would install.
    pub(super) revision: String,
    pub(super) parts: Vec<Part>,
    pub(super) component: Option<Existing>,
    pub(super) services: Vec<(Service, Vec<Pod>, Option<String>)>,
    pub(super) telemetry: Result<Telemetry, Problem>,
}

#[derive(Default)]
pub(super) struct Telemetry {
    /// `up` of each sidecar.
    pub(super) up: Vec<Sample>,
    /// Sidecars that could not load our Component.
    pub(super) failed: Vec<Sample>,
    pub(super) topics: Vec<Topic>,
}

pub(super) fn judge(evidence: Evidence) -> Report {
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    let installed =
        evidence.parts.iter().any(|part| part.present) || evidence.services.iter().any(|(s, ..)| s.enrolled);
    for part in &evidence.parts {
        if let Some(problem) = part.problem() {
            problems.push(problem);
        }
    }
    let scopes = evidence
        .component
        .as_ref()
        .map(|c| c.scopes.as_slice())
        .unwrap_or_default();
    let rows: Vec<Row> = evidence
        .services
        .iter()
        .map(|(service, pods, trouble)| {
            let row = row(service, pods, trouble.clone(), &evidence);
            row.judge(service, scopes, &evidence.revision, &mut problems, &mut notes);
            row
        })
        .collect();
    if rows.is_empty() {
        problems.push(format!("No Deployment in {} has a Dapr sidecar.", evidence.namespace));
    } else if !rows.iter().any(|row| row.enrolled) {
        problems.push(format!("No service in {} is enrolled.", evidence.namespace));
    }
    let mut verdict = if problems.is_empty() {
        Verdict::Healthy
    } else {
        Verdict::Unhealthy
    };
    let topics = match evidence.telemetry {
        Ok(telemetry) => telemetry.topics,
        Err(problem) => {
            if verdict == Verdict::Healthy {
                verdict = Verdict::Unknown;
            }
            problems.push(problem.what);
            Vec::new()
        }
    };
    if !installed {
        verdict = Verdict::NotInstalled;
        problems = vec![format!(
            "LearnFlow is not installed for namespace {}.",
            evidence.namespace
        )];
    }
    Report {
        verdict,
        problems,
        notes,
        namespace: evidence.namespace,
        versions: evidence.versions,
        stack: evidence.parts,
        services: rows,
        topics,
    }
}

fn row(service: &Service, pods: &[Pod], reason: Option<String>, evidence: &Evidence) -> Row {
    let sidecars: Vec<&Pod> = pods
        .iter()
        .filter(|pod| !pod.leaving && pod.sidecar.is_some())
        .collect();
    let telemetry = evidence.telemetry.as_ref().ok();
    let count = |holds: &dyn Fn(&Pod, &Telemetry) -> bool| {
        telemetry.map(|telemetry| sidecars.iter().filter(|pod| holds(pod, telemetry)).count())
    };
    Row {
        deployment: service.name.clone(),
        app_id: service.app_id.clone(),
        enrolled: service.enrolled && service.config.as_deref() == Some(MIDDLEWARE),
        pods_ready: service.rollout.ready,
        pods_desired: service.rollout.desired,
        sidecars: sidecars.len(),
        middleware_loaded: count(&|pod, telemetry| loaded(service, pod, evidence.component.as_ref(), telemetry)),
        metrics_scraped: count(&|pod, telemetry| is_up(pod, telemetry)),
        reason,
    }
}

fn is_up(pod: &Pod, telemetry: &Telemetry) -> bool {
    telemetry
        .up
        .iter()
        .any(|sample| sample.label("pod") == pod.name && sample.value == 1.0)
}

/// An enrolled sidecar reads its Components once, when it starts. So it runs the middleware when the
/// Component was there by then, is meant for it, and the sidecar's own metrics count no failure to
/// load it. A sidecar that gives no metrics proves nothing.
fn loaded(service: &Service, pod: &Pod, component: Option<&Existing>, telemetry: &Telemetry) -> bool {
    let Some(component) = component else {
        return false;
    };
    let in_scope = service.app_id.as_ref().is_some_and(|id| component.scopes.contains(id));
    let started = pod.sidecar.as_ref().and_then(|sidecar| sidecar.started);
    in_scope
        && pod.revision.is_some()
        && started >= component.created
        && is_up(pod, telemetry)
        && !telemetry.failed.iter().any(|sample| sample.label("pod") == pod.name)
}

impl Part {
    fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }

    pub(super) fn is_well(&self) -> bool {
        self.present && self.ready >= self.desired && self.reason.is_none()
    }

    fn problem(&self) -> Option<String> {
        let reason = self
            .reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        match (self.present, self.ready, self.desired) {
            (false, ..) => Some(format!("{} is missing.", self.title())),
            (true, Some(ready), Some(desired)) if !self.is_well() => {
                Some(format!("{} has {ready} of {desired} pods ready{reason}.", self.title()))
            }
            _ => None,
        }
    }
}

impl Row {
    fn judge(
        &self,
        service: &Service,
        scopes: &[String],
        revision: &str,
        problems: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) {
        let name = &self.deployment;
        if !self.enrolled {
            // Once taken in and now out again is wrong; never taken in may be meant.
            if self.app_id.as_ref().is_some_and(|id| scopes.contains(id)) {
                problems.push(format!(
                    "{name} has lost its enrolment: run `kubectl learnflow install`."
                ));
            } else {
                notes.push(format!("{name} is not enrolled; `kubectl learnflow install` would."));
            }
            return;
        }
        if !service.rollout.is_settled() {
            let reason = self
                .reason
                .as_ref()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            problems.push(format!("{name} has {} pods ready{reason}.", service.rollout));
        }
        let all = self.sidecars;
        if self.metrics_scraped.is_some_and(|scraped| scraped < all) {
            problems.push(format!("{name} gives no metrics from some of its sidecars."));
        } else if self.middleware_loaded.is_some_and(|loaded| loaded < all) {
            problems.push(format!("{name} runs some of its sidecars without the middleware."));
        }
        if service.revision.as_deref() != Some(revision) {
            notes.push(format!(
                "{name} runs another version of the middleware than this plugin carries; \
                 `kubectl learnflow install` brings this one."
            ));
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
