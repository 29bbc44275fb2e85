//! What is proposed, as an object to apply.

use super::question::Question;
use crate::{problem::Problem, yaml};
use learnflow_autoscaling::{Fitted, Policy, PolicyKind, Rules, Source, Target};
use serde_json::{Value, json};

/// The object as it was, with other targets, another maximum and behaviour.
pub(super) fn object(question: &Question, fitted: &Fitted) -> Value {
    let mut object = question.object.clone();
    // What a server adds is nobody's wish.
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "labels" | "annotations"));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    let hpa = &fitted.hpa;
    object["spec"]["maxReplicas"] = json!(hpa.max);
    if let Some(behavior) = &hpa.behavior {
        object["spec"]["behavior"] = json!({ "scaleUp": rules(&behavior.up), "scaleDown": rules(&behavior.down) });
    }
    for metric in &hpa.metrics {
        let field = match &metric.source {
            Source::Resource(_) => "resource",
            Source::Container(..) => "containerResource",
            Source::Pods(_) => "pods",
            Source::Object(_) => "object",
            Source::External(_) => "external",
        };
        let name: &str = match &metric.source {
            Source::Resource(resource) | Source::Container(resource, _) => resource.name(),
            Source::Pods(name) | Source::Object(name) | Source::External(name) => name,
        };
        let same = |one: &&mut Value| one[field]["name"] == name || one[field]["metric"]["name"] == name;
        let written = object["spec"]["metrics"].as_array_mut();
        let Some(written) = written.and_then(|metrics| metrics.iter_mut().find(same)) else {
            continue;
        };
        match metric.target {
            Target::Utilization(percent) => written[field]["target"]["averageUtilization"] = json!(percent),
            Target::AverageValue(value) if field == "external" => {
                written[field]["target"]["averageValue"] = json!((value / 1000).to_string());
            }
            _ => {}
        }
    }
    object
}

fn rules(rules: &Rules) -> Value {
    let policy = |policy: &Policy| {
        let kind = match policy.kind {
            PolicyKind::Pods => "Pods",
            PolicyKind::Percent => "Percent",
        };
        json!({ "type": kind, "value": policy.value, "periodSeconds": policy.period })
    };
    let mut written = json!({
        "selectPolicy": "Max",
        "policies": rules.policies.iter().map(policy).collect::<Vec<_>>(),
    });
    if let Some(window) = rules.window {
        written["stabilizationWindowSeconds"] = json!(window);
    }
    if let Some(tolerance) = rules.tolerance {
        written["tolerance"] = json!(tolerance.to_string());
    }
    written
}

pub(super) fn yaml(question: &Question, fitted: &Fitted) -> Result<String, Problem> {
    let written = yaml::write(&object(question, fitted))?;
    Ok(format!(
        "# By kubectl learnflow simulate autoscaling --fit, for one load: simulate again when it changes.\n{written}"
    ))
}
