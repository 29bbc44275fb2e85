//! Autoscalers under chosen loads: the cases, what was seen of them under a real controller, and what the model says.

use learnflow_autoscaling::{
    Autoscaler, Curve, Flags, Ms, SECOND, Shape, Unit,
    simulate::{Container, Figures, Load, Phases, Report, Scenario, Service, simulate},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const CASES: &str = include_str!("../cases/autoscaling-loads.yaml");
/// Until KWOK has made a pod running that was asked for.
const PENDING: Ms = 100;
/// In seconds, how exact the times are at which something was seen.
const LOOKING: f64 = 1.0;
/// How much sooner metrics-server may have looked than it was seen, in seconds. Where the controller looks within that time,
/// nobody knows which of both was first, so the model is asked with each.
const SOONER: [f64; 4] = [0.0, 0.05, 0.1, 0.15];

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub about: String,
    load: String,
    #[serde(default)]
    steps: bool,
    #[serde(default = "request")]
    pub request: i64,
    #[serde(default = "limit")]
    pub limit: i64,
    #[serde(default = "startup")]
    pub startup: i64,
    pub seconds: i64,
    spec: Spec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    min_replicas: i32,
    max_replicas: i32,
    target: Value,
    behavior: Option<Value>,
}

fn request() -> i64 {
    200
}

fn limit() -> i64 {
    1000
}

fn startup() -> i64 {
    10
}

/// One curve under a real controller. Times in seconds since the load began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    pub curve: String,
    pub controller: Ran,
    /// From the autoscaler's creation until the load began.
    pub lead: f64,
    /// From the autoscaler's creation until metrics-server looked at pods.
    pub scrape: f64,
    /// How much of a second of the clock was over when the load began.
    pub clock: f64,
    /// Each time the number changed.
    pub wanted: Vec<(f64, i32)>,
    pub ready: Vec<(f64, i32)>,
}

/// With which flags, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    pub sync: i64,
    pub initialization: i64,
    pub readiness: i64,
    pub stabilization: i64,
    pub resolution: i64,
}

impl Ran {
    /// As the lab runs them (`tests/lab/src/daemons.rs`).
    pub const LAB: Self = Self {
        sync: 5,
        initialization: 10,
        readiness: 5,
        stabilization: 300,
        resolution: 10,
    };
}

pub fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Cases {
        curves: Vec<Case>,
    }
    let cases: Cases = serde_saphyr::from_str(CASES).expect("cases/autoscaling-loads.yaml");
    cases.curves
}

impl Case {
    pub fn curve(&self) -> Curve {
        let shape = if self.steps { Shape::Steps } else { Shape::Linear };
        Curve::parse(&self.load, Unit::Cpu, shape).expect("a load")
    }

    pub fn autoscaler(&self) -> Value {
        let metric = json!({ "name": "cpu", "container": "app", "target": self.spec.target });
        let mut object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": self.name },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": self.name },
                "minReplicas": self.spec.min_replicas, "maxReplicas": self.spec.max_replicas,
                "metrics": [{ "type": "ContainerResource", "containerResource": metric }],
            },
        });
        if let Some(behavior) = &self.spec.behavior {
            object["spec"]["behavior"] = behavior.clone();
        }
        object
    }

    /// Of pods that use what an annotation of their node says.
    pub fn deployment(&self) -> Value {
        let labels = json!({ "app": self.name });
        let annotations = json!({
            "lab.learnflow.dev/ready-after": format!("{}s", self.startup),
            "lab.learnflow.dev/cpu-of": self.annotation(),
        });
        let resources = json!({ "requests": { "cpu": format!("{}m", self.request) } });
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": self.name },
            "spec": {
                "replicas": self.spec.min_replicas,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels, "annotations": annotations },
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "nodeSelector": { "type": "kwok" },
                        "tolerations": [{ "key": "kwok.x-k8s.io/node", "operator": "Exists" }],
                        "containers": [{ "name": "app", "image": "registry.k8s.io/pause:3.6", "resources": resources }],
                    },
                },
            },
        })
    }

    pub fn annotation(&self) -> String {
        format!("lab.learnflow.dev/cpu-{}", self.name)
    }

    /// What each of so many pods uses, in thousandths of a core.
    pub fn share(&self, seconds: f64, pods: usize) -> i64 {
        let load = self.curve().at((seconds.max(0.0) * 1e3) as Ms);
        ((load / pods.max(1) as f64) as i64).clamp(1, self.limit)
    }

    /// The same in the model, at the moments at which they were in reality.
    pub fn simulated(&self, seen: &Seen) -> Report {
        let Ran {
            sync,
            initialization,
            readiness,
            stabilization,
            resolution,
        } = seen.controller;
        let curve = self.curve();
        let millis = |seconds: f64| (seconds * 1e3).round() as Ms;
        simulate(&Scenario {
            hpa: Autoscaler::read(&self.autoscaler()).expect("an autoscaler"),
            flags: Flags {
                sync_period: sync * SECOND,
                cpu_initialization: initialization * SECOND,
                initial_readiness: readiness * SECOND,
                downscale_stabilization: stabilization * SECOND,
                ..Flags::default()
            },
            service: Service {
                containers: vec![Container {
                    name: "app".into(),
                    cpu: Some(self.request),
                    memory: None,
                }],
                capacity: Some(self.limit as f64),
                pending: PENDING,
                startup: self.startup * SECOND,
                jitter: 0.0,
                idle: 0.0,
                starting: 1.0,
                memory: None,
            },
            figures: Figures {
                resolution: resolution * SECOND,
                // KWOK counts when it is asked.
                housekeeping: 0,
                external: 0,
            },
            replicas: Some(self.spec.min_replicas),
            lead: millis(seen.lead),
            tail: self.seconds * SECOND - curve.end(),
            load: Load {
                cpu: Some(curve),
                events: None,
            },
            seed: 1,
            phases: Some(Phases {
                // A new autoscaler waits for one period.
                sync: sync * SECOND,
                scrape: millis(seen.scrape),
                clock: millis(seen.clock),
            }),
        })
    }
}

/// Seen and simulated, side by side.
#[derive(Debug)]
pub struct Row {
    case: Case,
    seen: Seen,
    report: Report,
    /// In seconds, how long one of both had a number that the other did not have within a sync period.
    pub apart: f64,
}

impl Row {
    pub fn of(case: &Case, seen: &Seen) -> Self {
        let rows = SOONER.map(|sooner| Self::with(case, seen, sooner));
        let best = rows.into_iter().min_by(|one, other| one.apart.total_cmp(&other.apart));
        best.expect("four rows")
    }

    fn with(case: &Case, seen: &Seen, sooner: f64) -> Self {
        let report = case.simulated(&Seen {
            scrape: (seen.scrape - sooner).max(0.001),
            ..seen.clone()
        });
        let begin = seen.wanted.first().map_or(0, |first| first.1);
        let mut simulated = vec![(0.0, report.slices.first().map_or(begin, |slice| slice.desired))];
        simulated.extend(report.changes.iter().map(|change| (change.at, change.to)));
        let within = seen.controller.sync as f64 + LOOKING;
        let end = case.seconds as f64;
        let apart = apart(&seen.wanted, &simulated, within, end).max(apart(&simulated, &seen.wanted, within, end));
        Self {
            case: case.clone(),
            seen: seen.clone(),
            report,
            apart,
        }
    }

    /// What one curve alone can promise, whose figures may be on the edge between two numbers: the first step comes within a
    /// period, the last one with the next figure at the latest and to the same number, and the most pods differ by one.
    pub fn resembles(&self) -> bool {
        let simulated = &self.report.changes;
        let seen = self.seen.wanted.get(1..).unwrap_or_default();
        let near = |at: f64, other: f64| (at - other).abs() <= self.sync() + LOOKING;
        let most = seen.iter().map(|step| step.1).max().unwrap_or(0);
        match (seen.first(), seen.last(), simulated.first(), simulated.last()) {
            (Some(first), Some(last), Some(one), Some(other)) => {
                let figure = self.seen.controller.resolution as f64;
                let ends = last.1 == other.to && (last.0 - other.at).abs() <= figure + self.sync();
                near(first.0, one.at) && ends && (most - self.report.most_pods).abs() <= 1
            }
            _ => false,
        }
    }

    /// The period of the controller, in seconds.
    pub fn sync(&self) -> f64 {
        self.seen.controller.sync as f64
    }

    /// Of Markdown, for docs/simulate-autoscaling.md.
    fn line(&self) -> String {
        let Self {
            case,
            seen,
            report,
            apart,
        } = self;
        let told = |changes: &mut dyn Iterator<Item = (f64, i32)>| {
            let told: Vec<String> = changes.map(|(at, to)| format!("{to} at {at:.0}")).collect();
            told.join(", ")
        };
        let pods = |timeline: &[(f64, i32)]| {
            let ends = timeline.iter().skip(1).map(|step| step.0).chain([case.seconds as f64]);
            let parts = timeline
                .iter()
                .zip(ends)
                .map(|((from, pods), to)| f64::from(*pods) * (to - from));
            parts.sum::<f64>() / 3600.0
        };
        let first = seen.wanted.first().map_or(0, |first| first.1);
        let mut simulated = vec![(0.0, first)];
        simulated.extend(report.changes.iter().map(|change| (change.at, change.to)));
        format!(
            "| {}: {} | {} s, {} s | {} | {} | {:.3} | {:.3} | {} |",
            case.name,
            case.about,
            seen.controller.sync,
            seen.controller.resolution,
            told(&mut seen.wanted.iter().copied()),
            told(&mut simulated.iter().copied()),
            pods(&seen.wanted),
            pods(&simulated),
            if *apart == 0.0 {
                "yes".to_owned()
            } else {
                format!("**no**, for {apart:.0} s")
            },
        )
    }
}

/// How long `one` has a number that `other` has not within so many seconds before or after.
fn apart(one: &[(f64, i32)], other: &[(f64, i32)], within: f64, end: f64) -> f64 {
    const STEP: f64 = 0.25;
    let at = |timeline: &[(f64, i32)], time: f64| {
        let before = timeline.iter().take_while(|step| step.0 <= time).last();
        before.or(timeline.first()).map_or(0, |step| step.1)
    };
    let near = |time: f64, number: i32| {
        let (from, to) = (time - within, time + within);
        let changes = other.iter().filter(|step| (from..=to).contains(&step.0));
        at(other, from) == number || changes.into_iter().any(|step| step.1 == number)
    };
    let steps = (end / STEP) as usize;
    let times = (0..steps).map(|step| step as f64 * STEP);
    times.filter(|time| !near(*time, at(one, *time))).count() as f64 * STEP
}

pub fn table(rows: &[Row]) -> String {
    let head = "| curve | sync, metrics | wanted: pods at second | simulated | pod-hours | simulated | within one sync period |\n\
                |---|---|---|---|---|---|---|";
    let lines = rows.iter().map(Row::line);
    std::iter::once(head.to_owned())
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timelines_differ_when_a_number_is_missing_or_late() {
        let seen = [(0.0, 1), (20.0, 4), (60.0, 1)];
        let apart = |other: &[(f64, i32)]| apart(&seen, other, 5.0, 100.0);
        assert_eq!(apart(&seen), 0.0);
        assert_eq!(apart(&[(0.0, 1), (24.0, 4), (56.0, 1)]), 0.0);
        assert_eq!(apart(&[(0.0, 1), (30.0, 4), (60.0, 1)]), 5.0);
        assert!(apart(&[(0.0, 1), (20.0, 5), (60.0, 1)]) > 20.0);
    }
}
