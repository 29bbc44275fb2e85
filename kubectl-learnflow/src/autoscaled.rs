//! A Deployment with its autoscaler, its pods and its Services, as one look at a cluster sees them. Pure: what is read here
//! are objects as the API server has them.

use crate::{capacity::quantity, text::format_duration};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, time::Duration};

/// What Kubernetes takes where an autoscaler does not say.
const WINDOW_DOWN: Duration = Duration::from_secs(300);
/// By default a controller looks this often.
pub(crate) const SYNC: Duration = Duration::from_secs(15);

/// A HorizontalPodAutoscaler.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Autoscaler {
    pub(crate) name: String,
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) current: i32,
    pub(crate) wanted: i32,
    pub(crate) figures: Vec<Figure>,
    pub(crate) conditions: Vec<Condition>,
    /// A pod goes only when nobody wanted it for so long.
    pub(crate) window_down: Duration,
    /// How many may go in which time; none: all at once.
    pub(crate) steps_down: Vec<Step>,
}

/// What it measures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figure {
    /// `cpu of container frontend`
    pub(crate) name: String,
    /// None: nobody serves it, or nothing is measured yet.
    pub(crate) now: Option<f64>,
    pub(crate) target: f64,
    /// Of the request, in percent; else a plain number.
    pub(crate) percent: bool,
    /// The API group from which the controller has it.
    pub(crate) served_as: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) kind: String,
    pub(crate) holds: bool,
    pub(crate) message: String,
}

/// One of the policies of scaling down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) percent: bool,
    pub(crate) value: i32,
    pub(crate) period: Duration,
}

impl Autoscaler {
    pub(crate) fn read(object: &Value) -> Option<Self> {
        let (spec, status) = (object.get("spec")?, &object["status"]);
        let measured = status["currentMetrics"].as_array();
        let figures = spec["metrics"].as_array().into_iter().flatten().enumerate();
        let down = &spec["behavior"]["scaleDown"];
        let window = down["stabilizationWindowSeconds"].as_u64();
        Some(Self {
            name: text(&object["metadata"]["name"]),
            min: number(&spec["minReplicas"]).unwrap_or(1),
            max: number(&spec["maxReplicas"])?,
            current: number(&status["currentReplicas"]).unwrap_or(0),
            wanted: number(&status["desiredReplicas"]).unwrap_or(0),
            figures: figures
                // The controller gives what it measured in the order of what it is to measure.
                .filter_map(|(at, metric)| Figure::read(metric, measured.and_then(|all| all.get(at))))
                .collect(),
            conditions: status["conditions"].as_array().map_or_else(Vec::new, |all| {
                let condition = |condition: &Value| Condition {
                    kind: text(&condition["type"]),
                    holds: condition["status"] == "True",
                    message: text(&condition["message"]),
                };
                all.iter().map(condition).collect()
            }),
            window_down: window.map_or(WINDOW_DOWN, Duration::from_secs),
            steps_down: steps(down),
        })
    }

    /// Those it does not get.
    pub(crate) fn without_figures(&self) -> Vec<&Figure> {
        self.figures.iter().filter(|figure| figure.now.is_none()).collect()
    }

    /// The condition that does not hold, of those without which it does nothing.
    pub(crate) fn hindered(&self) -> Option<&Condition> {
        let needed = ["AbleToScale", "ScalingActive"];
        let mut conditions = self.conditions.iter();
        conditions.find(|condition| !condition.holds && needed.contains(&condition.kind.as_str()))
    }

    /// The figure that is nearest to its target, or farthest above.
    pub(crate) fn strongest(&self) -> Option<&Figure> {
        let known = self.figures.iter().filter(|figure| figure.share().is_some());
        known.max_by(|a, b| a.share().unwrap_or(0.0).total_cmp(&b.share().unwrap_or(0.0)))
    }

    /// How many pods its figures ask for where so many serve: the formula of the controller, without its memory.
    pub(crate) fn asked_for(&self, serving: i32) -> Option<i32> {
        let share = self.strongest()?.share()?;
        // What is a tenth off is good enough for it.
        let wanted = match (share - 1.0).abs() <= 0.1 {
            true => serving,
            false => (f64::from(serving) * share).ceil() as i32,
        };
        Some(wanted.clamp(self.min.min(self.max), self.max))
    }

    /// When it takes pods away.
    pub(crate) fn patience_down(&self) -> String {
        match self.window_down.is_zero() {
            true => "as soon as they are not wanted".into(),
            false => format!("when they were not wanted for {}", format_duration(self.window_down)),
        }
    }

    /// How long it takes at most to get from so many pods to so few once there is no load.
    pub(crate) fn time_down(&self, from: i32, to: i32) -> Duration {
        let mut left = from;
        let mut time = self.window_down + SYNC * 3;
        while left > to {
            let quickest = self.steps_down.iter().map(|step| {
                let pods = match step.percent {
                    true => (left * step.value + 99) / 100,
                    false => step.value,
                };
                (pods.max(1), step.period)
            });
            let Some((pods, period)) = quickest.max_by_key(|(pods, _)| *pods) else {
                break;
            };
            left -= pods;
            time += period.max(SYNC);
        }
        time
    }
}

/// `selectPolicy: Min` and several policies are rare: the quickest counts, as by default.
fn steps(down: &Value) -> Vec<Step> {
    let step = |policy: &Value| {
        Some(Step {
            percent: policy["type"] == "Percent",
            value: number(&policy["value"])?,
            period: Duration::from_secs(policy["periodSeconds"].as_u64()?),
        })
    };
    down["policies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(step)
        .collect()
}

impl Figure {
    fn read(metric: &Value, measured: Option<&Value>) -> Option<Self> {
        let kind = metric["type"].as_str()?;
        let field = format!("{}{}", kind[..1].to_lowercase(), &kind[1..]);
        let metric = &metric[&field];
        let (name, served_as) = match kind {
            "ContainerResource" => (
                format!("{} of container {}", text(&metric["name"]), text(&metric["container"])),
                "metrics.k8s.io/v1beta1",
            ),
            "Resource" => (
                format!("{} of all containers", text(&metric["name"])),
                "metrics.k8s.io/v1beta1",
            ),
            "External" => (text(&metric["metric"]["name"]), "external.metrics.k8s.io/v1beta1"),
            _ => (text(&metric["metric"]["name"]), "custom.metrics.k8s.io/v1beta1"),
        };
        let current = measured.filter(|measured| measured["type"] == kind);
        let current = current.map_or(&Value::Null, |measured| &measured[&field]["current"]);
        let target = &metric["target"];
        let (percent, target, field) = match target["type"].as_str()? {
            "Utilization" => (true, target["averageUtilization"].as_f64(), "averageUtilization"),
            "AverageValue" => (false, quantity(target["averageValue"].as_str()?), "averageValue"),
            _ => (false, quantity(target["value"].as_str()?), "value"),
        };
        let measured = &current[field];
        let now = measured.as_f64().or_else(|| quantity(measured.as_str()?));
        Some(Self {
            name,
            now,
            target: target?,
            percent,
            served_as,
        })
    }

    /// 1 is the target.
    pub(crate) fn share(&self) -> Option<f64> {
        let now = self.now?;
        (self.target > 0.0).then_some(now / self.target)
    }
}

/// `cpu of container frontend 35 %/70 %`
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.percent { " %" } else { "" };
        let short = |value: f64| format!("{}", (value * 100.0).round() / 100.0);
        let now = self.now.map_or_else(|| "?".into(), short);
        write!(f, "{} {now}{unit}/{}{unit}", self.name, short(self.target))
    }
}

/// The Deployment that is scaled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scaled {
    pub(crate) name: String,
    pub(crate) replicas: i32,
    /// Labels by which it knows its pods.
    pub(crate) selector: BTreeMap<String, String>,
    /// Labels that its pods have.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) app_id: Option<String>,
    /// Field managers that own the number of its pods.
    pub(crate) owners: Vec<String>,
    /// Who applies a manifest that says how many pods there are: the next apply of it says so again.
    pub(crate) applied_by: Option<String>,
    /// Containers that end as soon as they are told to.
    pub(crate) ends_at_once: Vec<String>,
    /// A container without a readiness probe gets requests before it listens.
    pub(crate) unprobed: Vec<String>,
    /// Why pods that are wanted do not come, as a quota says it.
    pub(crate) refused: Option<String>,
}

const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Scaled {
    /// What will undo what its autoscaler does, and what to do about it.
    pub(crate) fn applied(&self) -> Option<(String, &'static str)> {
        let who = self.applied_by.as_ref()?;
        Some((
            format!("{who} applies a manifest with spec.replicas: its next apply fights the autoscaler"),
            "Take spec.replicas out of the manifest; docs/autoscaling.md says when.",
        ))
    }

    pub(crate) fn read(object: &Value) -> Self {
        let (metadata, spec) = (&object["metadata"], &object["spec"]);
        let template = &spec["template"];
        let containers = || template["spec"]["containers"].as_array().into_iter().flatten();
        let applied = metadata["annotations"][APPLIED].as_str().unwrap_or_default();
        let applied: Value = serde_json::from_str(applied).unwrap_or_default();
        let owns = |entry: &&Value| !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null();
        let owners = || metadata["managedFields"].as_array().into_iter().flatten().filter(owns);
        let applies = owners()
            .find(|entry| entry["operation"] == "Apply")
            .map(|entry| text(&entry["manager"]));
        let client_side = applied["spec"]["replicas"].is_number().then(|| "kubectl".to_owned());
        let names = |lacks: fn(&Value) -> bool| containers().filter(|c| lacks(c)).map(|c| text(&c["name"])).collect();
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let mut refused = conditions.filter(|one| one["type"] == "ReplicaFailure" && one["status"] == "True");
        Self {
            name: text(&metadata["name"]),
            replicas: number(&spec["replicas"]).unwrap_or(1),
            selector: labels(&spec["selector"]["matchLabels"]),
            labels: labels(&template["metadata"]["labels"]),
            app_id: template["metadata"]["annotations"]["dapr.io/app-id"]
                .as_str()
                .map(str::to_owned),
            owners: owners().map(|entry| text(&entry["manager"])).collect(),
            applied_by: applies.or(client_side),
            ends_at_once: names(|container| container["lifecycle"]["preStop"].is_null()),
            unprobed: names(|container| container["readinessProbe"].is_null()),
            refused: refused.next().map(|one| text(&one["message"])),
        }
    }

    pub(crate) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// A pod of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScaledPod {
    pub(crate) name: String,
    pub(crate) ip: Option<String>,
    pub(crate) ready: bool,
    /// Told to end.
    pub(crate) leaving: bool,
    /// Why it does not come: no node takes it, or a container waits.
    pub(crate) reason: Option<String>,
}

impl ScaledPod {
    pub(crate) fn read(object: &Value) -> Self {
        let status = &object["status"];
        let condition = |kind: &str| {
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            conditions.find(|condition| condition["type"] == kind)
        };
        let unscheduled = condition("PodScheduled").filter(|condition| condition["status"] == "False");
        let mut containers = status["containerStatuses"].as_array().into_iter().flatten();
        let waiting = containers.find_map(|container| container["state"]["waiting"]["reason"].as_str());
        let reason = unscheduled.map(|condition| text(&condition["message"]));
        Self {
            name: text(&object["metadata"]["name"]),
            ip: status["podIP"].as_str().map(str::to_owned),
            ready: condition("Ready").is_some_and(|condition| condition["status"] == "True"),
            leaving: !object["metadata"]["deletionTimestamp"].is_null(),
            reason: reason.or_else(|| waiting.map(str::to_owned)),
        }
    }
}

/// A Service that leads to its pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Front {
    pub(crate) name: String,
    pub(crate) ports: Vec<Port>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) number: u16,
    pub(crate) tls: bool,
}

impl Front {
    /// If it leads to pods with these labels.
    pub(crate) fn read(object: &Value, to: &BTreeMap<String, String>) -> Option<Self> {
        let spec = &object["spec"];
        if !Scaled::selects(&labels(&spec["selector"]), to) {
            return None;
        }
        let port = |port: &Value| {
            let name = text(&port["name"]);
            let protocol = port["appProtocol"].as_str().unwrap_or(&name);
            let tls = protocol.starts_with("https");
            (port["protocol"].as_str().unwrap_or("TCP") == "TCP").then(|| Port {
                tls,
                number: port["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or(0),
                name,
            })
        };
        Some(Self {
            name: text(&object["metadata"]["name"]),
            ports: spec["ports"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(port)
                .collect(),
        })
    }
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let each = value.as_object().into_iter().flatten();
    each.map(|(key, value)| (key.clone(), text(value))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> Option<i32> {
    value.as_i64()?.try_into().ok()
}

#[cfg(test)]
#[path = "autoscaled_tests.rs"]
mod tests;
