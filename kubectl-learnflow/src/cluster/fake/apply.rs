//! What applying means to an object: fields are merged, and each knows who has set it.

use crate::objects::MANAGER;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Merges; a null takes a field away, and so does `$patch: delete` an item.
pub(super) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(into), Value::Array(from)) if from.iter().any(|item| item["$patch"] == "delete") => {
            into.retain(|item| !from.iter().any(|gone| gone["name"] == item["name"]));
        }
        // Nothing of it is there yet, so a null takes nothing away.
        (into, Value::Object(from)) if from.values().any(Value::is_null) => {
            *into = json!({});
            merge(into, &Value::Object(from.clone()));
        }
        (into, from) => *into = from.clone(),
    }
}

fn template(deployment: &mut Value) -> &mut Value {
    &mut deployment["spec"]["template"]
}

const ANNOTATIONS: &str = "/f:spec/f:template/f:metadata/f:annotations";

/// Takes back what our last apply has set, as an apply without these fields does.
pub(super) fn withdraw(deployment: &mut Value) {
    let entries = deployment["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let ours = entries.iter().find(|entry| entry["manager"] == MANAGER);
    let fields = ours.and_then(|entry| entry["fieldsV1"].pointer(ANNOTATIONS)?.as_object().cloned());
    if let Some(annotations) = template(deployment)["metadata"]["annotations"].as_object_mut() {
        annotations.retain(|key, _| !fields.iter().any(|fields| fields.contains_key(&format!("f:{key}"))));
    }
    if let Some(spec) = template(deployment)["spec"].as_object_mut() {
        spec.remove("volumes");
    }
}

/// Notes who has set the annotations that were sent, and that nobody else has any more.
pub(super) fn own(deployment: &mut Value, manager: &str, operation: &str, sent: &Value) {
    let sent = sent
        .pointer("/spec/template/metadata/annotations")
        .and_then(Value::as_object);
    let named = |(key, _): (&String, &Value)| format!("f:{key}");
    let set = sent.into_iter().flatten().filter(|(_, value)| !value.is_null());
    let set: BTreeSet<String> = set.map(named).collect();
    let sent: BTreeSet<String> = sent.into_iter().flatten().map(named).collect();
    let mut entries = deployment["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    entries.retain(|entry| entry["manager"] != manager);
    for entry in &mut entries {
        if let Some(fields) = entry["fieldsV1"]
            .pointer_mut(ANNOTATIONS)
            .and_then(Value::as_object_mut)
        {
            fields.retain(|key, _| !sent.contains(key));
        }
    }
    entries.retain(|entry| {
        entry["fieldsV1"]
            .pointer(ANNOTATIONS)
            .and_then(Value::as_object)
            .is_some_and(|f| !f.is_empty())
    });
    if !set.is_empty() {
        let fields: Value = set
            .into_iter()
            .map(|key| (key, json!({})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        entries.push(
            json!({ "manager": manager, "operation": operation, "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:template": { "f:metadata": { "f:annotations": fields } } } } }),
        );
    }
    deployment["metadata"]["managedFields"] = entries.into();
}
