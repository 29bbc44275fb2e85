//! An autoscaler in plain words.

use super::{metrics, template::Role};
use crate::{
    capacity::{quantity, readable},
    model::Scaler,
    text::{count, format_duration},
};
use serde_json::{Value, json};
use std::time::Duration;

/// What one has who does not say.
fn defaults() -> Value {
    json!({
        "scaleUp": { "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
            { "type": "Percent", "value": 100, "periodSeconds": 15 }, { "type": "Pods", "value": 4, "periodSeconds": 15 },
        ]},
        "scaleDown": { "stabilizationWindowSeconds": 300, "selectPolicy": "Max", "policies": [
            { "type": "Percent", "value": 100, "periodSeconds": 15 },
        ]},
    })
}

/// Sentences; of `ours` with the reason for each number. `pod` is the spec of its pods, sidecar included.
pub(super) fn of(scaler: &Scaler, role: Role, ours: bool, pod: &Value) -> Vec<String> {
    let spec = &scaler.spec;
    let reason = |why: &str| match ours {
        true => format!(": {why}"),
        false => String::new(),
    };
    let mut sentences = vec![format!(
        "{} to {}.",
        scaler.min,
        count(scaler.max.max(0) as usize, "pod")
    )];
    let readings = metrics::readings(scaler);
    let all = spec["metrics"].as_array().into_iter().flatten();
    for (metric, reading) in all.zip(readings) {
        let now = reading
            .now
            .map_or_else(|| "no figure yet".into(), |now| format!("now {now}"));
        let why = match (metrics::name(metric).as_str(), role) {
            ("CPU", Role::Called) => reason("the rest is room for what comes until a new pod is ready"),
            ("CPU", Role::Consumer) => reason("events wait in Kafka meanwhile, and nobody waits for an answer"),
            ("memory", _) => reason("high, because a process keeps what memory it has taken"),
            _ => String::new(),
        };
        sentences.push(format!("By {}{why}. {}.", target(metric, pod), capital(&now)));
        if metrics::name(metric) == "memory"
            && let Some(percent) = metrics::part(metric)["target"]["averageUtilization"].as_i64()
            && scaler.max > 1
        {
            let from = i64::from(scaler.max);
            sentences.push(format!(
                "For memory to let the last of {from} pods go, they must take {}% or less on average.",
                percent * (from - 1) / from
            ));
        }
    }
    if spec["metrics"].as_array().is_some_and(|all| all.len() > 1) {
        sentences.push("Whichever of them wants the most pods decides.".into());
    }
    let rules = |side: &str| {
        let said = &spec["behavior"][side];
        let mut rules = defaults()[side].clone();
        for key in ["stabilizationWindowSeconds", "selectPolicy", "policies"] {
            if !said[key].is_null() {
                rules[key] = said[key].clone();
            }
        }
        rules
    };
    let (up, down) = (rules("scaleUp"), rules("scaleDown"));
    let (fast, slow) = match role {
        Role::Called => (
            "learners wait meanwhile",
            "pods that go between two rushes would have to come again",
        ),
        Role::Consumer => (
            "each consumer that comes stops the others for seconds while partitions are dealt out anew",
            "each that goes does the same, and the rest must catch up first",
        ),
    };
    sentences.push(format!(
        "Up: {}, {}{}.",
        window(&up, |length| format!("after {length} of need")),
        steps(&up),
        reason(fast)
    ));
    sentences.push(format!(
        "Down: {}, {}{}.",
        window(&down, |length| format!("after {length} without need")),
        steps(&down),
        reason(slow)
    ));
    sentences
}

fn target(metric: &Value, pod: &Value) -> String {
    let name = metrics::name(metric);
    let part = metrics::part(metric);
    let goal = &part["target"];
    let whose = match (metric["type"].as_str(), part["container"].as_str()) {
        (_, Some(container)) => format!("{name} of container {container}"),
        (Some("Resource"), None) => format!("{name} of all containers of a pod together, the sidecar's with it"),
        _ => format!("the metric {name}"),
    };
    if let Some(percent) = goal["averageUtilization"].as_i64() {
        let resource = name.to_lowercase();
        let request = part["container"]
            .as_str()
            .and_then(|container| requested(pod, container, &resource));
        let of = request.map_or_else(
            || "of the request".to_owned(),
            |request| {
                let key = format!("requests.{resource}");
                let share = readable(&key, request * percent as f64 / 100.0);
                format!("of the request of {}, which is {share}", readable(&key, request))
            },
        );
        return format!("{whose}, {percent}% {of}, on average");
    }
    match (goal["averageValue"].as_str(), goal["value"].as_str()) {
        (Some(each), _) => format!("{whose}, {each} a pod on average"),
        (None, Some(all)) => format!("{whose}, {all} in all"),
        _ => whose,
    }
}

/// What a container of a pod requests of `cpu` or `memory`.
pub(super) fn requested(pod: &Value, container: &str, resource: &str) -> Option<f64> {
    let mut containers = pod["containers"].as_array().into_iter().flatten();
    let found = containers.find(|found| found["name"] == container)?;
    let resources = &found["resources"];
    // A limit without a request is the request.
    let amount = resources["requests"][resource]
        .as_str()
        .or_else(|| resources["limits"][resource].as_str());
    quantity(amount?)
}

fn window(rules: &Value, after: impl Fn(String) -> String) -> String {
    match rules["stabilizationWindowSeconds"].as_u64().unwrap_or_default() {
        0 => "at once".into(),
        seconds => after(length(seconds)),
    }
}

fn steps(rules: &Value) -> String {
    if rules["selectPolicy"] == "Disabled" {
        return "never".into();
    }
    let all = rules["policies"].as_array().into_iter().flatten();
    let each = all.map(|policy| {
        let (value, period) = (
            policy["value"].as_u64().unwrap_or_default(),
            policy["periodSeconds"].as_u64(),
        );
        let how_many = match policy["type"].as_str() {
            Some("Percent") => format!("{value}%"),
            _ => count(value as usize, "pod"),
        };
        format!("{how_many} in {}", length(period.unwrap_or_default()))
    });
    let each: Vec<String> = each.collect();
    let which = if rules["selectPolicy"] == "Min" { "less" } else { "more" };
    match each.as_slice() {
        [] => "without a limit".into(),
        [one] => format!("at most {one}"),
        several => format!("at most {}, whichever is {which}", several.join(" or ")),
    }
}

fn length(seconds: u64) -> String {
    format_duration(Duration::from_secs(seconds))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
