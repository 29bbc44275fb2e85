//! Whether an apply would change nothing, told from the object as it is, without asking the server. Pure.
//!
//! The server notes in `metadata.managedFields` which fields a manager's last apply had. One that has the same fields
//! with the values that the object has sets nothing and removes nothing, and where values are equal nobody is in
//! conflict. What is not surely so is none: the server sets defaults, writes quantities its own way, and fields change
//! hands. Then it must be asked.

use crate::objects::MANAGER;
use serde_json::{Map, Value};

/// What the server leaves out of an apply's fields.
const IDENTITY: [&str; 2] = ["apiVersion", "kind"];
const NAME: [&str; 2] = ["name", "namespace"];

/// Maps that the server takes as a whole. Of any other that it notes as a whole, the last apply's was empty.
const WHOLE: [&str; 10] = [
    "configMapKeyRef",
    "fieldRef",
    "labelSelector",
    "namespaceSelector",
    "nodeSelector",
    "podSelector",
    "resourceFieldRef",
    "roleRef",
    "secretKeyRef",
    "selector",
];

/// Applying `wanted` in our name would leave `live` as it is.
pub(crate) fn by_apply(live: &Value, wanted: &Value) -> bool {
    let leaving = !live["metadata"]["deletionTimestamp"].is_null();
    let same_kind = IDENTITY
        .iter()
        .all(|field| live[field].is_string() && live[field] == wanted[field]);
    let Some(fields) = ours(live, &wanted["apiVersion"]).filter(|_| same_kind && !leaving) else {
        return false;
    };
    let Value::Object(mut wanted) = wanted.clone() else {
        return false;
    };
    wanted.retain(|field, _| !IDENTITY.contains(&field.as_str()));
    if let Some(Value::Object(metadata)) = wanted.get_mut("metadata") {
        metadata.retain(|field, _| !NAME.contains(&field.as_str()));
        if metadata.is_empty() {
            wanted.remove("metadata");
        }
    }
    members(fields, &wanted, live)
}

/// The fields of our last apply, if there is one that is meant.
fn ours<'a>(live: &'a Value, api_version: &Value) -> Option<&'a Map<String, Value>> {
    let entries = live["metadata"]["managedFields"].as_array()?;
    let mut applied = entries
        .iter()
        .filter(|entry| entry["manager"] == MANAGER && entry["operation"] == "Apply");
    let entry = applied.next()?;
    let whole = entry["subresource"].as_str().unwrap_or_default().is_empty();
    let meant = applied.next().is_none() && whole && entry["apiVersion"] == *api_version;
    entry["fieldsV1"].as_object().filter(|_| meant)
}

/// These fields, which stand under `name`, are those of `wanted`, no more and no less, and have its values in `live`.
fn holds(name: Option<&str>, fields: &Map<String, Value>, wanted: &Value, live: &Value) -> bool {
    let mut children = fields.keys().filter(|key| *key != ".").peekable();
    match (wanted, children.peek()) {
        (Value::Null, _) => false,
        (Value::Object(wanted), Some(_)) => members(fields, wanted, live),
        (Value::Array(wanted), Some(_)) => items(fields, wanted, live),
        (_, Some(_)) => false,
        (Value::Object(map), None) if !map.is_empty() && name.is_some_and(|name| !WHOLE.contains(&name)) => false,
        (_, None) => wanted == live && !has_null(wanted),
    }
}

fn members(fields: &Map<String, Value>, wanted: &Map<String, Value>, live: &Value) -> bool {
    let children = fields.keys().filter(|key| *key != ".").count();
    children == wanted.len()
        && wanted.iter().all(|(name, wanted)| {
            let Some(Value::Object(fields)) = fields.get(&format!("f:{name}")) else {
                return false;
            };
            live.get(name)
                .is_some_and(|live| holds(Some(name), fields, wanted, live))
        })
}

/// Elements that are told apart by some of their fields (`k:`), or are what they are (`v:`). An apply brings them
/// into its own order.
fn items(fields: &Map<String, Value>, wanted: &[Value], live: &Value) -> bool {
    let Some(live) = live.as_array() else { return false };
    let children: Vec<(&String, &Value)> = fields.iter().filter(|(key, _)| *key != ".").collect();
    if children.len() != wanted.len() {
        return false;
    }
    let mut next = 0;
    wanted.iter().all(|wanted| {
        let Some((key, fields)) = only(children.iter().filter(|(key, _)| is_meant(key, wanted, true))) else {
            return false;
        };
        let found = live.iter().enumerate().filter(|(_, live)| is_meant(key, live, false));
        let (Some((at, live)), Value::Object(fields)) = (only(found), fields) else {
            return false;
        };
        let in_order = at >= next;
        next = at + 1;
        in_order && holds(None, fields, wanted, live)
    })
}

/// `k:{"containerPort":80,"protocol":"TCP"}` or `v:"text"`. What `wanted` says of its protocol may be nothing.
fn is_meant(key: &str, item: &Value, wanted: bool) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    match key.split_once(':') {
        Some(("v", value)) => parsed(value).as_ref() == Some(item),
        Some(("k", names)) => {
            let Some(Value::Object(names)) = parsed(names) else {
                return false;
            };
            let defaulted = |name: &str, value: &Value| wanted && name == "protocol" && value == "TCP";
            let same = |(name, value): (&String, &Value)| match item.get(name) {
                Some(own) => own == value,
                None => defaulted(name, value),
            };
            item.is_object() && names.iter().all(same)
        }
        _ => false,
    }
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(map) => map.values().any(has_null),
        _ => false,
    }
}

#[cfg(test)]
#[path = "unchanged_tests.rs"]
mod tests;
