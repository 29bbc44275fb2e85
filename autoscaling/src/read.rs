//! From an object to an autoscaler: what the API server refuses is refused here, with its place.

use crate::{Autoscaler, Behavior, Metric, Policy, PolicyKind, Resource, Rules, Select, Source, Target, milli};
use serde_json::Value;

/// Something in an object that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// `spec.metrics[0].type`.
    pub place: String,
    pub what: String,
}

/// `MaxPeriodSeconds`, `MaxStabilizationWindowSeconds`.
const LONGEST_PERIOD: i64 = 1800;
const LONGEST_WINDOW: i64 = 3600;

struct Reader {
    wrong: Vec<Wrong>,
}

impl Autoscaler {
    /// Of `autoscaling/v2`.
    pub fn read(object: &Value) -> Result<Self, Vec<Wrong>> {
        let mut reader = Reader { wrong: Vec::new() };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match object["apiVersion"].as_str() {
            Some("autoscaling/v2") => {}
            other => reader.wrong(
                "apiVersion",
                format!("it is {}; only autoscaling/v2 is read", other.unwrap_or("missing")),
            ),
        }
        let spec = &object["spec"];
        let target = |field: &str| text(&spec["scaleTargetRef"][field]);
        if target("name").is_none() {
            reader.wrong("spec.scaleTargetRef.name", "it is missing");
        }
        let min = reader.number(&spec["minReplicas"], "spec.minReplicas", 0, i64::from(i32::MAX));
        let max = reader.number(&spec["maxReplicas"], "spec.maxReplicas", 1, i64::from(i32::MAX));
        if spec["maxReplicas"].is_null() {
            reader.wrong("spec.maxReplicas", "it is missing");
        }
        let min = min.unwrap_or(1);
        if let Some(max) = max.filter(|max| *max < min) {
            reader.wrong(
                "spec.maxReplicas",
                format!("{max} is less than minReplicas, which is {min}"),
            );
        }
        let metrics = match spec["metrics"].as_array().map(Vec::as_slice) {
            None | Some([]) => vec![Metric {
                source: Source::Resource(Resource::Cpu),
                target: Target::Utilization(80),
            }],
            Some(metrics) => {
                let read = |(number, metric)| reader.metric(metric, &format!("spec.metrics[{number}]"));
                metrics.iter().enumerate().filter_map(read).collect()
            }
        };
        let behavior = spec["behavior"].is_object().then(|| Behavior {
            up: reader.rules(&spec["behavior"]["scaleUp"], "spec.behavior.scaleUp", Rules::up()),
            down: reader.rules(&spec["behavior"]["scaleDown"], "spec.behavior.scaleDown", Rules::down()),
        });
        let total = |metric: &Metric| matches!(metric.source, Source::External(_) | Source::Object(_));
        if min == 0 && !metrics.iter().any(total) {
            reader.wrong("spec.minReplicas", "0 takes a metric of type External or Object");
        }
        match reader.wrong.is_empty() {
            false => Err(reader.wrong),
            true => Ok(Self {
                name: text(&object["metadata"]["name"]).unwrap_or_default(),
                namespace: text(&object["metadata"]["namespace"]),
                target: (
                    target("kind").unwrap_or_else(|| "Deployment".into()),
                    target("name").unwrap_or_default(),
                ),
                min,
                max: max.unwrap_or(min),
                metrics,
                behavior,
            }),
        }
    }
}

impl Reader {
    fn wrong(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.wrong.push(Wrong {
            place: place.into(),
            what: what.into(),
        });
    }

    fn number(&mut self, value: &Value, place: &str, least: i64, most: i64) -> Option<i32> {
        if value.is_null() {
            return None;
        }
        match value.as_i64().filter(|number| (least..=most).contains(number)) {
            Some(number) => i32::try_from(number).ok(),
            None => {
                let bound = match most == i64::from(i32::MAX) {
                    true => format!("of {least} or more"),
                    false => format!("from {least} to {most}"),
                };
                self.wrong(place, format!("{value} is not a whole number {bound}"));
                None
            }
        }
    }

    /// Its value in thousandths, which is more than nothing.
    fn quantity(&mut self, value: &Value, place: &str) -> Option<i64> {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let read = milli(&text).filter(|milli| *milli > 0);
        if read.is_none() {
            self.wrong(place, format!("`{text}` is not a quantity above 0"));
        }
        read
    }

    fn metric(&mut self, metric: &Value, place: &str) -> Option<Metric> {
        const TYPES: [(&str, &str); 5] = [
            ("Resource", "resource"),
            ("ContainerResource", "containerResource"),
            ("Pods", "pods"),
            ("Object", "object"),
            ("External", "external"),
        ];
        let kind = metric["type"].as_str().unwrap_or_default();
        let Some((_, field)) = TYPES.iter().find(|(name, _)| *name == kind) else {
            let known = TYPES.map(|(name, _)| name).join(", ");
            self.wrong(format!("{place}.type"), format!("`{kind}` is not one of {known}"));
            return None;
        };
        let (source, place) = (&metric[*field], format!("{place}.{field}"));
        if !source.is_object() {
            self.wrong(place, format!("it is missing, and type is {kind}"));
            return None;
        }
        let target = self.target(&source["target"], &format!("{place}.target"), kind);
        let name = match kind {
            "Resource" | "ContainerResource" => &source["name"],
            _ => &source["metric"]["name"],
        };
        let Some(name) = name.as_str().map(str::to_owned) else {
            self.wrong(place, "the metric has no name");
            return None;
        };
        let resource = match name.as_str() {
            "cpu" => Some(Resource::Cpu),
            "memory" => Some(Resource::Memory),
            _ => None,
        };
        let source = match (kind, resource) {
            ("Resource", Some(resource)) => Source::Resource(resource),
            ("ContainerResource", Some(resource)) => match source["container"].as_str() {
                Some(container) => Source::Container(resource, container.to_owned()),
                None => {
                    self.wrong(format!("{place}.container"), "it is missing");
                    return None;
                }
            },
            ("Resource" | "ContainerResource", None) => {
                self.wrong(
                    format!("{place}.name"),
                    format!("metrics-server has cpu and memory, and not `{name}`"),
                );
                return None;
            }
            ("Pods", _) => Source::Pods(name),
            ("Object", _) => Source::Object(name),
            _ => Source::External(name),
        };
        Some(Metric {
            source,
            target: target?,
        })
    }

    fn target(&mut self, target: &Value, place: &str, kind: &str) -> Option<Target> {
        let percent = &target["averageUtilization"];
        let percent = self.number(percent, &format!("{place}.averageUtilization"), 1, i64::from(i32::MAX));
        let average = self.quantity(&target["averageValue"], &format!("{place}.averageValue"));
        let value = self.quantity(&target["value"], &format!("{place}.value"));
        let resource = matches!(kind, "Resource" | "ContainerResource");
        let read = match (percent, average, value) {
            (Some(percent), None, None) if resource => Some(Target::Utilization(percent)),
            (None, Some(average), None) => Some(Target::AverageValue(average)),
            (None, None, Some(value)) if matches!(kind, "Object" | "External") => Some(Target::Value(value)),
            _ => None,
        };
        if read.is_none() && self.wrong.iter().all(|wrong| !wrong.place.starts_with(place)) {
            let one = match kind {
                "Pods" => "averageValue",
                "Object" | "External" => "value or averageValue",
                _ => "averageUtilization or averageValue",
            };
            self.wrong(place, format!("it takes {one}, and nothing else"));
        }
        read
    }

    fn rules(&mut self, rules: &Value, place: &str, or: Rules) -> Rules {
        if !rules.is_object() {
            return or;
        }
        let window = &rules["stabilizationWindowSeconds"];
        let window = self.number(
            window,
            &format!("{place}.stabilizationWindowSeconds"),
            0,
            LONGEST_WINDOW,
        );
        let select = match rules["selectPolicy"].as_str() {
            None => or.select,
            Some("Max") => Select::Max,
            Some("Min") => Select::Min,
            Some("Disabled") => Select::Disabled,
            Some(other) => {
                self.wrong(
                    format!("{place}.selectPolicy"),
                    format!("`{other}` is not one of Max, Min, Disabled"),
                );
                or.select
            }
        };
        let policies = match rules["policies"].as_array() {
            None => or.policies,
            Some(policies) => {
                if policies.is_empty() {
                    self.wrong(format!("{place}.policies"), "it has none; leave it out, or give it one");
                }
                let read = |(number, policy)| self.policy(policy, &format!("{place}.policies[{number}]"));
                policies.iter().enumerate().filter_map(read).collect()
            }
        };
        let tolerance = match &rules["tolerance"] {
            Value::String(text) if text == "0" => Some(0.0),
            other => self
                .quantity(other, &format!("{place}.tolerance"))
                .map(|milli| milli as f64 / 1e3),
        };
        Rules {
            window: window.or(or.window),
            select,
            policies,
            tolerance,
        }
    }

    fn policy(&mut self, policy: &Value, place: &str) -> Option<Policy> {
        let kind = match policy["type"].as_str() {
            Some("Pods") => PolicyKind::Pods,
            Some("Percent") => PolicyKind::Percent,
            other => {
                let other = other.unwrap_or_default();
                self.wrong(
                    format!("{place}.type"),
                    format!("`{other}` is not one of Pods, Percent"),
                );
                return None;
            }
        };
        let mut number = |field: &str, most| {
            let place = format!("{place}.{field}");
            if policy[field].is_null() {
                self.wrong(place, "it is missing");
                return None;
            }
            self.number(&policy[field], &place, 1, most)
        };
        let (value, period) = (
            number("value", i64::from(i32::MAX)),
            number("periodSeconds", LONGEST_PERIOD),
        );
        Some(Policy {
            kind,
            value: value?,
            period: period?,
        })
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
