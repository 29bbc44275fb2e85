//! What an autoscaler goes by: of the metrics in the manifest those that hold for a service in this cluster. The targets
//! stand in the manifest, each with its reason.

use crate::{
    external::METRIC,
    model::{Scaler, Served, Service},
};
use serde::Serialize;
use serde_json::{Value, json};

/// Of the metrics of a template, as the service gets them, in the same order. A metric that nobody serves, or that rests on a
/// request that is not there, would show `<unknown>` for ever, and keep pods from going.
pub(super) fn of(template: &Value, service: &Service, served: &Served) -> Vec<Value> {
    let all = template["spec"]["metrics"].as_array().into_iter().flatten();
    all.filter_map(|metric| made_out(metric, service, served)).collect()
}

/// One kind of metric an arm.
fn made_out(metric: &Value, service: &Service, served: &Served) -> Option<Value> {
    match metric["type"].as_str()? {
        "ContainerResource" => {
            let resource = metric["containerResource"]["name"].as_str()?;
            if !served.resources || !service.requests(resource) {
                return None;
            }
            let mut metric = metric.clone();
            metric["containerResource"]["container"] = json!(service.container);
            Some(metric)
        }
        _ => None,
    }
}

/// What an autoscaler goes by, in words: `CPU and memory`.
pub(super) fn names(spec: &Value) -> String {
    let all = spec["metrics"].as_array().into_iter().flatten();
    let names: Vec<String> = all.map(name).collect();
    match names.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Of any kind of metric that Kubernetes has, ours or not.
pub(super) fn name(metric: &Value) -> String {
    let text = |path: &str| metric.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let resource = |name: &str| {
        if name == "cpu" {
            "CPU".to_owned()
        } else {
            name.to_owned()
        }
    };
    match metric["type"].as_str().unwrap_or_default() {
        "ContainerResource" => resource(text("/containerResource/name")),
        "Resource" => resource(text("/resource/name")),
        "External" => match text("/external/metric/name") {
            METRIC => "lag".to_owned(),
            other => other.to_owned(),
        },
        "Pods" => text("/pods/metric/name").to_owned(),
        "Object" => text("/object/metric/name").to_owned(),
        other => other.to_owned(),
    }
}

/// What a metric is at, and what it is to be at, each as Kubernetes writes it: `2%`, `35m`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reading {
    pub(crate) name: String,
    /// Absent while nobody says.
    pub(crate) now: Option<String>,
    pub(crate) target: String,
}

/// Of all that an autoscaler goes by, in its order.
pub(crate) fn readings(scaler: &Scaler) -> Vec<Reading> {
    let all = scaler.spec["metrics"].as_array().into_iter().flatten();
    let reading = |metric: &Value| {
        let same =
            |other: &&Value| part(other)["container"] == part(metric)["container"] && name(other) == name(metric);
        let mut measured = scaler.measured.as_array().into_iter().flatten();
        Reading {
            name: name(metric),
            now: measured.find(same).and_then(|found| amount(&part(found)["current"])),
            target: amount(&part(metric)["target"]).unwrap_or_default(),
        }
    };
    all.map(reading).collect()
}

/// What a metric says of its own kind: `containerResource`, `external`.
pub(super) fn part(metric: &Value) -> &Value {
    const KINDS: [&str; 5] = ["containerResource", "resource", "external", "pods", "object"];
    let kind = KINDS.into_iter().find(|kind| !metric[*kind].is_null());
    kind.map_or(&Value::Null, |kind| &metric[kind])
}

fn amount(of: &Value) -> Option<String> {
    if let Some(percent) = of["averageUtilization"].as_i64() {
        return Some(format!("{percent}%"));
    }
    let value = of["averageValue"].as_str().or_else(|| of["value"].as_str());
    value.map(str::to_owned)
}
