//! What autoscaling comes to: each service in words, and what is wrong or worth knowing. Pure.

use super::{
    codes, metrics,
    metrics::Reading,
    pod,
    room::{self, Shortage},
    template::Role,
    words,
};
use crate::{
    capacity::{Needs, readable},
    model::{Limits, Nodes, Scaler, Scaling, Service},
    text::list,
};
use learnflow_resilience::{
    explain::{Finding, Severity},
    read::Place,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[cfg(test)]
pub(crate) use super::codes::ALL as CODES;

/// What is looked at.
pub(crate) struct Evidence<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) services: &'a [Service],
    pub(crate) seen: &'a Scaling,
    /// None: we may not look.
    pub(crate) nodes: Option<&'a Nodes>,
    /// In seconds since 1970.
    pub(crate) now: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Explanation {
    pub(crate) services: Vec<Explained>,
    pub(crate) findings: Vec<Finding>,
}

/// One service.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Explained {
    pub(crate) deployment: String,
    pub(crate) role: &'static str,
    /// Absent where nothing scales it.
    pub(crate) autoscaler: Option<By>,
    /// Pods now, as they serve.
    pub(crate) pods: i32,
    /// What one pod takes, under the names that quotas use: cores, bytes.
    pub(crate) pod: BTreeMap<String, f64>,
    /// How many pods there is room for in all, up to the maximum; absent where that is not known.
    pub(crate) room: Option<i32>,
    /// All of it in sentences.
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct By {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) learnflow: bool,
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) metrics: Vec<Reading>,
}

impl Explanation {
    pub(crate) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// What is about one service, or about several of which it is one.
    pub(crate) fn only(mut self, service: &str) -> Self {
        self.services.retain(|explained| explained.deployment == service);
        self.findings
            .retain(|finding| finding.apps.iter().any(|app| app == service));
        self
    }
}

pub(crate) fn explain(evidence: &Evidence<'_>) -> Explanation {
    let subjects: Vec<Subject<'_>> = evidence
        .services
        .iter()
        .map(|service| Subject::of(service, evidence))
        .collect();
    let mut all = Explanation::default();
    for subject in &subjects {
        all.findings.extend(subject.findings(evidence));
        all.services.push(subject.explained(evidence));
    }
    all.findings.extend(together(&subjects, evidence));
    // What is worst comes first.
    all.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

/// A service, with what is known of it.
pub(super) struct Subject<'a> {
    pub(super) service: &'a Service,
    pub(super) role: Role,
    /// What it goes by, and within which bounds.
    pub(super) scaler: Option<&'a Scaler>,
    /// What to speak of: KEDA's ScaledObject rather than the autoscaler that it has made.
    pub(super) named: Option<&'a Scaler>,
    /// The spec and the needs of one of its pods.
    pub(super) pod: Value,
    pub(super) needs: Needs,
}

impl<'a> Subject<'a> {
    fn of(service: &'a Service, evidence: &Evidence<'a>) -> Self {
        let seen = evidence.seen;
        let scalers = || seen.scalers.iter().filter(|scaler| scaler.target == service.name);
        let made = scalers().find(|scaler| scaler.kind == "HorizontalPodAutoscaler");
        let maker = scalers().find(|scaler| scaler.kind != "HorizontalPodAutoscaler");
        let bounds = seen.limits.as_ref().map(|limits| limits.bounds.as_slice());
        Self {
            role: Role::of(service, seen),
            scaler: made.or(maker),
            named: maker.or(made),
            pod: pod::injected(service),
            needs: pod::needs(service, bounds.unwrap_or_default()),
            service,
        }
    }

    /// Pods that it has more than now at its maximum.
    pub(super) fn more(&self) -> i32 {
        let max = self.scaler.map_or(0, |scaler| scaler.max);
        (max - self.service.rollout.total).max(0)
    }

    pub(super) fn limits<'b>(&self, evidence: &Evidence<'b>) -> Option<(&'b Limits, &'b str)> {
        let limits = evidence.seen.limits.as_ref()?;
        self.scaler.is_some().then_some((limits, evidence.namespace))
    }

    pub(super) fn short_of_quota(&self, evidence: &Evidence<'_>) -> Vec<Shortage> {
        let (Some((limits, namespace)), Some(scaler)) = (self.limits(evidence), self.scaler) else {
            return Vec::new();
        };
        let running = self.service.rollout.total;
        room::quotas(&self.needs, running, scaler.max, &limits.quotas, namespace)
    }

    /// How many pods the nodes have room for in all, those that they have already among them.
    pub(super) fn fit_on_nodes(&self, evidence: &Evidence<'_>) -> Option<i32> {
        let nodes = evidence.nodes?;
        let app = self.service.app_id.as_ref();
        let waiting = app.and_then(|app| nodes.waiting.get(app)).copied().unwrap_or_default();
        let here = (self.service.rollout.total - waiting).max(0);
        let wanted = self.scaler?.max - here;
        let placed = room::place(&[(&self.needs, &self.pod, wanted)], &nodes.machines);
        Some(here + placed.first().copied().unwrap_or_default())
    }

    fn explained(&self, evidence: &Evidence<'_>) -> Explained {
        let scaler = self.scaler;
        let by = scaler.zip(self.named).map(|(scaler, named)| By {
            kind: named.kind.clone(),
            name: named.name.clone(),
            learnflow: named.ours,
            min: scaler.min,
            max: scaler.max,
            metrics: metrics::readings(scaler),
        });
        let quota = self.short_of_quota(evidence).iter().map(|short| short.fit).min();
        let nodes = self.fit_on_nodes(evidence);
        let room = scaler.map(|scaler| {
            quota
                .unwrap_or(scaler.max)
                .min(nodes.unwrap_or(scaler.max))
                .min(scaler.max)
        });
        let known = evidence.seen.limits.is_some() || evidence.nodes.is_some();
        let mut sentences = scaler.map_or_else(Vec::new, |scaler| {
            let ours = self.named.is_some_and(|named| named.ours);
            words::of(scaler, self.role, ours, &self.pod)
        });
        sentences.push(format!(
            "A pod requests {}, its sidecar with it, and may take {}.",
            takes(&self.needs, "requests"),
            takes(&self.needs, "limits")
        ));
        if let (Some(scaler), Some(room)) = (scaler, room.filter(|_| known)) {
            let all = f64::from(scaler.max);
            let sum = |resource: &str| {
                let key = format!("requests.{resource}");
                let one = self.needs.amounts.get(&key).copied().unwrap_or_default();
                readable(&key, one * all)
            };
            let fits = if room >= scaler.max {
                "there is room for them".into()
            } else {
                format!("there is room for {room}")
            };
            sentences.push(format!(
                "{} request {} CPU and {} memory: {fits}.",
                crate::text::count(scaler.max.max(0) as usize, "pod"),
                sum("cpu"),
                sum("memory")
            ));
        }
        Explained {
            deployment: self.service.name.clone(),
            role: match self.role {
                Role::Called => "called",
                Role::Consumer => "consumer",
            },
            autoscaler: by,
            pods: self.service.rollout.ready,
            pod: self.needs.amounts.clone(),
            room: room.filter(|_| known),
            words: sentences,
        }
    }
}

/// All of them at their maximum at once.
fn together(subjects: &[Subject<'_>], evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(limits) = &evidence.seen.limits else {
        return Vec::new();
    };
    let scaled: Vec<&Subject<'_>> = subjects.iter().filter(|subject| subject.more() > 0).collect();
    if scaled.len() < 2 {
        return Vec::new();
    }
    let alone: Vec<Shortage> = scaled
        .iter()
        .flat_map(|subject| subject.short_of_quota(evidence))
        .collect();
    let wants: Vec<(&Needs, i32)> = scaled.iter().map(|subject| (&subject.needs, subject.more())).collect();
    let names: Vec<String> = scaled.iter().map(|subject| subject.service.name.clone()).collect();
    let short = room::together(&wants, &limits.quotas, evidence.namespace).into_iter();
    // What one of them lacks alone is said already.
    let said = |short: &Shortage| {
        let same = |other: &Shortage| other.object == short.object && other.resource == short.resource;
        alone.iter().any(same)
    };
    let finding = |short: Shortage| Finding {
        code: codes::TOGETHER,
        severity: Severity::Warning,
        what: format!(
            "{} at their maximum at once need {} more {}, and there is {} of {} left",
            list(&names),
            short.amount(short.needed),
            short.resource,
            short.amount(short.free),
            short.amount(short.hard)
        ),
        next: format!(
            "Raise {} to {}, or lower a maximum: whoever comes last does not get its pods.",
            short.resource,
            short.amount(short.raise_to)
        ),
        places: vec![place(short.object)],
        apps: names.clone(),
    };
    short.filter(|short| !said(short)).map(finding).collect()
}

pub(super) fn place(object: String) -> Place {
    Place {
        file: None,
        line: None,
        object,
        field: String::new(),
    }
}

/// `100m CPU and 112Mi memory`; what a container leaves open is nothing as a request, and no limit as a limit.
pub(super) fn takes(needs: &Needs, kind: &str) -> String {
    let each = ["cpu", "memory"].map(|resource| {
        let key = format!("{kind}.{resource}");
        let name = if resource == "cpu" { "CPU" } else { resource };
        let amount = needs.amounts.get(&key).copied().unwrap_or_default();
        match needs.open.contains(&key) {
            true if kind == "limits" => format!("as much {name} as there is"),
            _ => format!("{} {name}", readable(&key, amount)),
        }
    });
    each.join(" and ")
}
