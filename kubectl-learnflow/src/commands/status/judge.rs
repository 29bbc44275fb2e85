//! From what was found to a verdict. Pure: no cluster, no terminal.

use super::{
    autoscaling, memory,
    resilience::{self, Loaded},
    topics::{self, Topic},
};
use crate::{
    commands::{
        enrolled_sidecars::{EnrolledSidecars, Seen},
        version::Versions,
    },
    enrolment::Enrolment,
    model::{Existing, Memory, Pod, Resiliency, Scaler, Service},
    problem::Problem,
};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    /// What is wrong, each a sentence.
    pub(crate) problems: Vec<String>,
    /// What is worth knowing, and wrong nowhere.
    pub(crate) notes: Vec<String>,
    pub(crate) namespace: String,
    pub(crate) versions: Versions,
    pub(crate) stack: Vec<Part>,
    /// Absent when no pod of the stack is there, or none can be seen.
    pub(crate) memory: Option<memory::Row>,
    pub(crate) services: Vec<Row>,
    pub(crate) resilience: Vec<resilience::Row>,
    pub(crate) autoscaling: Vec<autoscaling::Row>,
    /// Absent when Prometheus cannot be asked.
    pub(crate) topics: Option<Vec<Topic>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Healthy,
    Unhealthy,
    NotInstalled,
    /// The cluster answers, Prometheus does not tell.
    Unknown,
}

/// A part of the stack, or of the middleware.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) present: bool,
    pub(crate) ready: Option<i32>,
    pub(crate) desired: Option<i32>,
    /// Why it is not ready: its pods' reasons and the last warning.
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) deployment: String,
    pub(crate) app_id: Option<String>,
    pub(crate) enrolled: bool,
    pub(crate) pods_ready: i32,
    pub(crate) pods_desired: i32,
    /// Pods there are, those on their way out aside.
    pub(crate) pods: usize,
    pub(crate) sidecars: usize,
    /// Sidecars that run the middleware; absent when that cannot be told.
    pub(crate) middleware_loaded: Option<usize>,
    /// Sidecars whose metrics Prometheus gets; absent when it cannot be asked.
    pub(crate) metrics_scraped: Option<usize>,
    /// Pods whose sidecar surely runs without the middleware.
    pub(crate) without_middleware: Vec<String>,
    /// Those of them whose sidecar tried to load it and could not.
    pub(crate) could_not_load: Vec<String>,
    /// Pods whose sidecar gives no metrics.
    pub(crate) without_metrics: Vec<String>,
    pub(crate) reason: Option<String>,
}

/// Everything the verdict rests on.
pub(crate) struct Evidence {
    pub(crate) namespace: String,
    pub(crate) versions: Versions,
    /// What this plugin would make of each enrolled service.
    pub(crate) wanted: BTreeMap<String, Enrolment>,
    pub(crate) parts: Vec<Part>,
    pub(crate) component: Option<Existing>,
    pub(crate) services: Vec<(Service, Vec<Pod>, Option<String>)>,
    pub(crate) resiliencies: Vec<Resiliency>,
    /// What `verify` has broken and not put back.
    pub(crate) broken: Option<String>,
    pub(crate) scalers: Vec<Scaler>,
    pub(crate) memory: Option<Memory>,
    /// In seconds since 1970.
    pub(crate) now: i64,
    pub(crate) telemetry: Result<Telemetry, Problem>,
}

#[derive(Default)]
pub(crate) struct Telemetry {
    pub(crate) sidecars: EnrolledSidecars,
    pub(crate) loaded: Loaded,
    pub(crate) topics: Vec<Topic>,
}

pub(crate) fn judge(evidence: Evidence) -> Report {
    let mut problems: Vec<String> = evidence.broken.iter().cloned().collect();
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
            row.judge(
                service,
                scopes,
                evidence.wanted.get(&service.name),
                &mut problems,
                &mut notes,
            );
            row
        })
        .collect();
    if rows.is_empty() {
        problems.push(format!("No Deployment in {} has a Dapr sidecar.", evidence.namespace));
    } else if !rows.iter().any(|row| row.enrolled) {
        problems.push(format!("No service in {} is enrolled.", evidence.namespace));
    }
    let loaded = evidence.telemetry.as_ref().ok().map(|telemetry| &telemetry.loaded);
    let resilience = resilience::rows(&evidence.resiliencies, &evidence.services, loaded);
    let autoscaling = autoscaling::rows(&evidence.scalers, &evidence.services, evidence.now);
    let memory = evidence.memory.as_ref().and_then(memory::row);
    resilience.iter().for_each(|row| row.judge(&mut problems, &mut notes));
    memory.iter().for_each(|row| row.judge(&mut problems, &mut notes));
    autoscaling.iter().for_each(|row| row.judge(&mut problems, &mut notes));
    let mut verdict = if problems.is_empty() {
        Verdict::Healthy
    } else {
        Verdict::Unhealthy
    };
    let topics = match evidence.telemetry {
        Ok(telemetry) => {
            notes.extend(topics::overflow(&telemetry.topics));
            Some(telemetry.topics)
        }
        Err(problem) => {
            if verdict == Verdict::Healthy {
                verdict = Verdict::Unknown;
            }
            problems.push(problem.what);
            None
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
        memory,
        services: rows,
        resilience,
        autoscaling,
        topics,
    }
}

fn row(service: &Service, pods: &[Pod], reason: Option<String>, evidence: &Evidence) -> Row {
    let pods: Vec<&Pod> = pods.iter().filter(|pod| !pod.leaving).collect();
    let sidecars = evidence.telemetry.as_ref().ok().map(|telemetry| &telemetry.sidecars);
    let component = evidence.component.as_ref();
    let named = |holds: &dyn Fn(&EnrolledSidecars, &Pod) -> bool| -> Option<Vec<String>> {
        let sidecars = sidecars?;
        let pods = pods.iter().filter(|pod| holds(sidecars, pod));
        Some(pods.map(|pod| pod.name.clone()).collect())
    };
    let loaded = named(&|sidecars, pod| sidecars.of_pod(service, pod, component) == Seen::Loaded);
    let scraped = named(&|sidecars, pod| sidecars.is_up(&pod.name));
    let without = named(&|sidecars, pod| sidecars.of_pod(service, pod, component) == Seen::Without);
    let failed = named(&|sidecars, pod| sidecars.is_up(&pod.name) && sidecars.has_failed(pod));
    let silent = named(&|sidecars, pod| !sidecars.is_up(&pod.name));
    Row {
        deployment: service.name.clone(),
        app_id: service.app_id.clone(),
        enrolled: service.enrolled && Enrolment::of(service).is_some(),
        pods_ready: service.rollout.ready,
        pods_desired: service.rollout.desired,
        pods: pods.len(),
        sidecars: pods.iter().filter(|pod| pod.sidecar.is_some()).count(),
        middleware_loaded: loaded.map(|pods| pods.len()),
        metrics_scraped: scraped.map(|pods| pods.len()),
        without_middleware: without.unwrap_or_default(),
        could_not_load: failed.unwrap_or_default(),
        without_metrics: silent.unwrap_or_default(),
        reason,
    }
}

impl Part {
    pub(crate) fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        // None of the stack is of use with no pod at all.
        self.present && self.ready >= self.desired && self.desired != Some(0) && self.reason.is_none()
    }

    pub(crate) fn problem(&self) -> Option<String> {
        let reason = self
            .reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        match (self.present, self.ready, self.desired) {
            (false, ..) => Some(format!("{} is missing.", self.title())),
            (true, _, Some(0)) => Some(format!("{} is scaled to no pod at all.", self.title())),
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
        wanted: Option<&Enrolment>,
        problems: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) {
        let name = &self.deployment;
        if !self.enrolled {
            // Once taken in and now out again is wrong; never taken in may be meant.
            if service.enrolled || self.app_id.as_ref().is_some_and(|id| scopes.contains(id)) {
                problems.push(lost(service));
            } else {
                notes.push(format!("{name} is not enrolled; `kubectl learnflow install` would."));
            }
            // Dapr 1.18 restarts runtimes in place when a Configuration comes, and their /metrics break.
            if self.metrics_scraped.is_some_and(|scraped| scraped < self.pods) {
                notes.push(format!(
                    "{name} gives no metrics; if it did before, `kubectl rollout restart deployment/{name}` mends it."
                ));
            }
            return;
        }
        if !service.rollout.is_settled() {
            let reason = self
                .reason
                .as_ref()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            problems.push(format!("{name} is at {}{reason}.", service.rollout));
        }
        if self.sidecars < self.pods {
            problems.push(format!(
                "{name} has pods without a Dapr sidecar; is Dapr's sidecar injector well?"
            ));
        }
        let of = |pods: &[String]| format!("{} of {} sidecars ({})", pods.len(), self.pods, some(pods));
        if self.sidecars == self.pods && !self.without_metrics.is_empty() {
            problems.push(format!("{name} gives no metrics from {}.", of(&self.without_metrics)));
        }
        if self.sidecars == self.pods && !self.without_middleware.is_empty() {
            let why = match self.could_not_load.first() {
                Some(pod) => format!(" Dapr could not load it: `kubectl logs {pod} -c daprd` says why."),
                None => String::new(),
            };
            problems.push(format!(
                "{name} runs {} without the middleware: run `kubectl learnflow install`.{why}",
                of(&self.without_middleware)
            ));
        }
        let Some(wanted) = wanted.filter(|wanted| service.revision.as_deref() != Some(&wanted.revision)) else {
            return;
        };
        let config = service.config.as_ref().map(|config| config.value.as_str());
        match &wanted.before.config {
            Some(original) if service.guest.as_ref() == Some(&wanted.guest) && config != Some(&wanted.config) => {
                problems.push(format!(
                    "{name} runs an older copy of its Configuration {original}, which has changed since: run \
                     `kubectl learnflow install`."
                ));
            }
            _ => notes.push(format!(
                "{name} runs another version of the middleware than this plugin carries; \
                 `kubectl learnflow install` brings this one."
            )),
        }
    }
}

/// Taken out by somebody: who, when that can be told.
fn lost(service: &Service) -> String {
    let name = &service.name;
    let how = match (&service.config, &service.mounts) {
        (Some(config), _) if !config.is_ours() => {
            format!("{} has set dapr.io/config to {}", who(&config.owners), config.value)
        }
        (_, Some(mounts)) if !mounts.is_ours() => {
            format!(
                "{} has set dapr.io/volume-mounts to {}",
                who(&mounts.owners),
                mounts.value
            )
        }
        (None, _) => "the annotation dapr.io/config is gone".into(),
        _ => "its volume or annotations are gone".into(),
    };
    format!("{name} has lost its enrolment ({how}): run `kubectl learnflow install`.")
}

fn who(owners: &[String]) -> String {
    if owners.is_empty() {
        "somebody".into()
    } else {
        owners.join(", ")
    }
}

/// The first names, and how many more there are.
fn some(pods: &[String]) -> String {
    let (first, rest) = pods.split_at(pods.len().min(3));
    match rest.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
