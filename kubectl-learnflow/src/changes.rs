//! What differs between an object as it is and as it would be, field by field. Pure.

use serde::Serialize;
use serde_json::{Map, Value};

/// What the server writes by itself at every change.
const NOISE: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
];
/// What names an element of a list, where one has it.
const NAMES: [&str; 4] = ["name", "key", "containerPort", "port"];

/// One field that is not what it would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Change {
    /// `spec.template.spec.containers[name=app].image`
    pub(crate) field: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// Fields that differ, without what the server writes by itself.
pub(crate) fn between(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(&told(before)), Some(&told(after)), &mut changes);
    changes
}

/// Nothing at all would change, not even who owns what.
pub(crate) fn same(before: &Value, after: &Value) -> bool {
    untimed(before) == untimed(after)
}

/// An object without noise.
pub(crate) fn told(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        NOISE.iter().for_each(|noise| drop(metadata.remove(*noise)));
    }
    object
}

fn untimed(object: &Value) -> Value {
    let owners = object.pointer("/metadata/managedFields").cloned();
    let mut object = told(object);
    let Some(mut owners) = owners else { return object };
    for owner in owners.as_array_mut().into_iter().flatten() {
        owner.as_object_mut().map(|owner| owner.remove("time"));
    }
    object["metadata"]["managedFields"] = owners;
    object
}

fn compare(field: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => maps(field, before, after, changes),
        (Some(Value::Array(before)), Some(Value::Array(after))) => lists(field, before, after, changes),
        (before, after) => changes.push(Change {
            field: field.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn maps(field: &str, before: &Map<String, Value>, after: &Map<String, Value>, changes: &mut Vec<Change>) {
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        // A key with a dot of its own would read like two.
        let step = match key.contains(['.', '[', ' ']) {
            true => format!("[{key}]"),
            false if field.is_empty() => key.clone(),
            false => format!(".{key}"),
        };
        compare(&format!("{field}{step}"), before.get(key), after.get(key), changes);
    }
}

fn lists(field: &str, before: &[Value], after: &[Value], changes: &mut Vec<Change>) {
    let Some(name) = NAMES.into_iter().find(|name| names(before, name) && names(after, name)) else {
        for n in 0..before.len().max(after.len()) {
            compare(&format!("{field}[{n}]"), before.get(n), after.get(n), changes);
        }
        return;
    };
    let find = |list: &[Value], value: &Value| list.iter().find(|item| item[name] == *value).cloned();
    let only_after = after.iter().filter(|item| find(before, &item[name]).is_none());
    for item in before.iter().chain(only_after) {
        let value = &item[name];
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (before, after) = (find(before, value), find(after, value));
        compare(
            &format!("{field}[{name}={shown}]"),
            before.as_ref(),
            after.as_ref(),
            changes,
        );
    }
}

/// Each element has this name, and no two have the same.
fn names(list: &[Value], name: &str) -> bool {
    let named: Vec<&Value> = list.iter().filter_map(|item| item.get(name)).collect();
    named.len() == list.len() && named.iter().enumerate().all(|(n, value)| !named[..n].contains(value))
}

/// The value at a field as the API server names it: `.spec.containers[name="app"].image`. Keys may have
/// dots of their own, which it does not escape.
pub(crate) fn at<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    if field.is_empty() {
        return Some(object);
    }
    if let Some(inside) = field.strip_prefix('[') {
        let (key, rest) = inside.split_once(']')?;
        let item = object.as_array()?.iter().find(|item| is_meant(item, key));
        let item = item.or_else(|| object.get(key.parse::<usize>().ok()?))?;
        return at(item, rest);
    }
    let path = field.strip_prefix('.')?;
    // The longest first: `.dapr.io/config` is one key where there is such a key.
    let ends = path.match_indices(['.', '[']).map(|(end, _)| end);
    let mut ends: Vec<usize> = ends.chain([path.len()]).collect();
    ends.reverse();
    ends.into_iter()
        .find_map(|end| at(object.get(&path[..end])?, &path[end..]))
}

/// `name="app"`, `containerPort=80,protocol="TCP"`, `="value"`
fn is_meant(item: &Value, key: &str) -> bool {
    key.contains('=')
        && key.split(',').all(|part| {
            let Some((name, wanted)) = part.split_once('=') else {
                return false;
            };
            let wanted: Value = serde_json::from_str(wanted).unwrap_or_else(|_| wanted.into());
            match name {
                "" => *item == wanted,
                name => item.get(name) == Some(&wanted),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(before: Value, after: Value) -> Vec<String> {
        let value = |value: Option<Value>| value.map_or("-".into(), |value| value.to_string());
        between(&before, &after)
            .into_iter()
            .map(|change| format!("{}: {} {}", change.field, value(change.before), value(change.after)))
            .collect()
    }

    #[test]
    fn fields_are_compared_one_by_one() {
        let before = json!({
            "metadata": { "resourceVersion": "1", "managedFields": [1], "labels": { "a.b/c": "x" } },
            "spec": { "replicas": 1, "args": ["a", "b"], "gone": true },
            "status": { "ready": 1 },
        });
        let after = json!({
            "metadata": { "resourceVersion": "2", "managedFields": [2], "labels": { "a.b/c": "y" } },
            "spec": { "replicas": 2, "args": ["a", "c", "d"], "new": { "x": 1 } },
        });
        assert_eq!(
            shown(before, after),
            [
                "metadata.labels[a.b/c]: \"x\" \"y\"",
                "spec.args[1]: \"b\" \"c\"",
                "spec.args[2]: - \"d\"",
                "spec.gone: true -",
                "spec.new: - {\"x\":1}",
                "spec.replicas: 1 2",
            ]
        );
    }

    #[test]
    fn elements_are_told_apart_by_their_names_and_not_by_their_places() {
        let before = json!([{ "name": "a", "v": 1 }, { "name": "b", "v": 1 }]);
        let after = json!([{ "name": "b", "v": 2 }, { "name": "c" }]);
        assert_eq!(
            shown(json!({ "l": before }), json!({ "l": after })),
            [
                "l[name=a]: {\"name\":\"a\",\"v\":1} -",
                "l[name=b].v: 1 2",
                "l[name=c]: - {\"name\":\"c\"}"
            ]
        );
        let twice = json!({ "l": [{ "name": "a" }, { "name": "a" }] });
        assert_eq!(
            shown(twice, json!({ "l": [{ "name": "a" }] })),
            ["l[1]: {\"name\":\"a\"} -"]
        );
    }

    #[test]
    fn a_change_of_owners_alone_is_a_change_but_none_to_show() {
        let object = |time: &str, manager: &str| json!({ "metadata": { "managedFields": [{ "manager": manager, "time": time }], "generation": 1 } });
        assert!(same(&object("1", "a"), &object("2", "a")));
        assert!(!same(&object("1", "a"), &object("1", "b")));
        assert_eq!(between(&object("1", "a"), &object("1", "b")), []);
    }

    #[test]
    fn a_field_is_found_as_the_server_names_it() {
        let object = json!({ "metadata": { "annotations": { "dapr.io/config": "x", "dapr": { "io": 1 } } },
            "spec": { "containers": [
                { "name": "app", "image": "i", "ports": [{ "containerPort": 80, "protocol": "TCP", "name": "http" }] },
            ], "finalizers": ["f"] } });
        for (field, value) in [
            (".metadata.annotations.dapr.io/config", json!("x")),
            (".spec.containers[name=\"app\"].image", json!("i")),
            (
                ".spec.containers[name=\"app\"].ports[containerPort=80,protocol=\"TCP\"].name",
                json!("http"),
            ),
            (".spec.finalizers[=\"f\"]", json!("f")),
            (".spec.finalizers[0]", json!("f")),
        ] {
            assert_eq!(at(&object, field), Some(&value), "{field}");
        }
        for nowhere in [".spec.x", ".spec.containers[name=\"b\"]", "spec", ".spec.finalizers[9]"] {
            assert_eq!(at(&object, nowhere), None, "{nowhere}");
        }
    }
}
