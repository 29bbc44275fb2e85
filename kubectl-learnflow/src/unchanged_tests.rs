use super::*;
use serde_json::json;

/// A Deployment as the server has it after `wanted` was applied: with defaults, and with fields of others.
fn live() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
            "labels": { "app": "a", "theirs": "x" },
            "annotations": { "deployment.kubernetes.io/revision": "1" },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": "1" }],
            "finalizers": ["example.com/a", "example.com/b"],
            "managedFields": [
                { "manager": MANAGER, "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {
                    "f:metadata": {
                        "f:labels": { "f:app": {} },
                        "f:ownerReferences": { "k:{\"uid\":\"1\"}": {} },
                        "f:finalizers": { "v:\"example.com/a\"": {} },
                    },
                    "f:spec": {
                        "f:replicas": {},
                        "f:selector": {},
                        "f:template": { "f:spec": {
                            "f:containers": {
                                "k:{\"name\":\"app\"}": {
                                    ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                                    "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } },
                                    "f:resources": { "f:limits": { "f:cpu": {} } },
                                },
                                "k:{\"name\":\"side\"}": { ".": {}, "f:name": {} },
                            },
                            "f:volumes": { "k:{\"name\":\"v\"}": { ".": {}, "f:name": {}, "f:emptyDir": {} } },
                        }},
                    },
                }},
                { "manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": { "f:status": {} } },
                { "manager": MANAGER, "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": { "f:spec": { "f:paused": {} } } },
            ],
        },
        "spec": {
            "paused": true,
            "replicas": 2,
            "revisionHistoryLimit": 10,
            "selector": { "matchLabels": { "app": "a" } },
            "template": { "spec": {
                "restartPolicy": "Always",
                "containers": [
                    { "name": "injected", "image": "x" },
                    { "name": "app", "image": "i", "args": ["b", "a"], "imagePullPolicy": "Always",
                      "ports": [{ "containerPort": 80, "protocol": "TCP" }], "resources": { "limits": { "cpu": "1", "memory": "1Gi" } } },
                    { "name": "side" },
                ],
                "volumes": [{ "name": "v", "emptyDir": {} }],
            }},
        },
        "status": { "replicas": 2 },
    })
}

fn wanted() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "a", "namespace": "n", "labels": { "app": "a" },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": "1" }],
            "finalizers": ["example.com/a"],
        },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "a" } },
            "template": { "spec": {
                "containers": [
                    { "name": "app", "image": "i", "args": ["b", "a"], "ports": [{ "containerPort": 80 }],
                      "resources": { "limits": { "cpu": "1" } } },
                    { "name": "side" },
                ],
                "volumes": [{ "name": "v", "emptyDir": {} }],
            }},
        },
    })
}

const OURS: &str = "/metadata/managedFields/0/fieldsV1";
const APP: &str = "/spec/template/spec/containers/0";

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let key = key.replace("~1", "/");
    match object.pointer_mut(parent).expect("the parent") {
        Value::Object(map) if value == "gone" => drop(map.remove(&key)),
        Value::Object(map) => drop(map.insert(key, value)),
        Value::Array(items) => items[key.parse::<usize>().expect("a place")] = value,
        other => panic!("{other} has no members"),
    }
}

#[test]
fn what_was_applied_last_and_still_holds_changes_nothing() {
    assert!(by_apply(&live(), &wanted()));
}

/// Each of these alone, and the server must be asked. `gone` takes a field away.
#[test]
fn whatever_is_not_surely_so_is_asked() {
    let wanted_changes = [
        ("another value", "/spec/replicas", json!(3)),
        ("one field more", "/spec/paused", json!(true)),
        ("one field less", "/spec/replicas", json!("gone")),
        ("a label less", "/metadata/labels", json!({})),
        ("no labels at all", "/metadata/labels", json!("gone")),
        (
            "a default of the server's, now ours",
            "/spec/revisionHistoryLimit",
            json!(10),
        ),
        ("null", "/spec/replicas", Value::Null),
        ("null inside", "/spec/selector/matchLabels/app", Value::Null),
        ("another quantity", &format!("{APP}/resources/limits/cpu"), json!("2")),
        (
            "a quantity written otherwise",
            &format!("{APP}/resources/limits/cpu"),
            json!("1000m"),
        ),
        (
            "a field of others, now ours",
            &format!("{APP}/resources/limits/memory"),
            json!("1Gi"),
        ),
        (
            "another port",
            &format!("{APP}/ports"),
            json!([{ "containerPort": 81 }]),
        ),
        (
            "another protocol",
            &format!("{APP}/ports"),
            json!([{ "containerPort": 80, "protocol": "UDP" }]),
        ),
        (
            "a protocol that was left to the server",
            &format!("{APP}/ports"),
            json!([{ "containerPort": 80, "protocol": "TCP" }]),
        ),
        (
            "a port twice",
            &format!("{APP}/ports"),
            json!([{ "containerPort": 80 }, { "containerPort": 80 }]),
        ),
        ("no ports", &format!("{APP}/ports"), json!([])),
        ("a list in another order", &format!("{APP}/args"), json!(["a", "b"])),
        (
            "containers in another order",
            "/spec/template/spec/containers",
            json!([
                { "name": "side" },
                { "name": "app", "image": "i", "args": ["b", "a"], "ports": [{ "containerPort": 80 }], "resources": { "limits": { "cpu": "1" } } },
            ]),
        ),
        (
            "a container less",
            "/spec/template/spec/containers",
            json!([{ "name": "side" }]),
        ),
        (
            "a volume that was empty",
            "/spec/template/spec/volumes/0/emptyDir",
            json!({ "medium": "Memory" }),
        ),
        ("another owner", "/metadata/ownerReferences/0/kind", json!("Y")),
        ("another finalizer", "/metadata/finalizers", json!(["example.com/b"])),
        (
            "one finalizer more",
            "/metadata/finalizers",
            json!(["example.com/a", "example.com/b"]),
        ),
        ("another version of its kind", "/apiVersion", json!("apps/v2")),
    ];
    for (why, pointer, value) in wanted_changes {
        let mut wanted = wanted();
        set(&mut wanted, pointer, value);
        assert!(!by_apply(&live(), &wanted), "{why}");
    }
    let app = "/spec/template/spec/containers/1";
    let live_changes = [
        ("somebody set it", "/spec/replicas", json!(5)),
        ("somebody removed it", "/spec/replicas", json!("gone")),
        (
            "somebody set a value in a map",
            &*format!("{app}/resources/limits/cpu"),
            json!("2"),
        ),
        (
            "somebody removed a container",
            "/spec/template/spec/containers",
            json!([{ "name": "side" }]),
        ),
        (
            "somebody added to a whole list",
            &format!("{app}/args"),
            json!(["b", "a", "c"]),
        ),
        (
            "somebody added to a whole map",
            "/spec/selector/matchLabels/tier",
            json!("x"),
        ),
        (
            "somebody changed an owner",
            "/metadata/ownerReferences/0/controller",
            json!(true),
        ),
        (
            "it is being deleted",
            "/metadata/deletionTimestamp",
            json!("2026-01-01T00:00:00Z"),
        ),
        ("nobody's fields are known", "/metadata/managedFields", json!("gone")),
        (
            "somebody took a field over",
            &format!("{OURS}/f:spec/f:replicas"),
            json!("gone"),
        ),
        (
            "somebody took a container's field over",
            &format!("{OURS}/f:spec/f:template/f:spec/f:containers/k:{{\"name\":\"app\"}}/f:image"),
            json!("gone"),
        ),
        ("the last apply had more", &format!("{OURS}/f:spec/f:paused"), json!({})),
        (
            "the last apply had another container",
            &format!("{OURS}/f:spec/f:template/f:spec/f:containers/k:{{\"name\":\"old\"}}"),
            json!({ ".": {}, "f:name": {} }),
        ),
        (
            "that was an apply of another version",
            "/metadata/managedFields/0/apiVersion",
            json!("apps/v1beta2"),
        ),
        (
            "that was no apply",
            "/metadata/managedFields/0/operation",
            json!("Update"),
        ),
        (
            "that was somebody else's",
            "/metadata/managedFields/0/manager",
            json!("argocd"),
        ),
        (
            "that was of its status",
            "/metadata/managedFields/0/subresource",
            json!("status"),
        ),
        (
            "it was applied twice in our name",
            "/metadata/managedFields/2/operation",
            json!("Apply"),
        ),
        // An apply of `{}` notes the map as a whole too, and then others may have put the same into it.
        (
            "a map that was empty when it was applied",
            &format!("{OURS}/f:metadata/f:labels"),
            json!({}),
        ),
        (
            "a list by places",
            &format!("{OURS}/f:spec/f:template/f:spec/f:volumes"),
            json!({ "i:0": {} }),
        ),
    ];
    for (why, pointer, value) in live_changes {
        let mut live = live();
        set(&mut live, pointer, value);
        assert!(!by_apply(&live, &wanted()), "{why}");
    }
}

#[test]
fn what_others_do_elsewhere_does_not_matter() {
    let changes = [
        ("their label", "/metadata/labels/theirs", json!("y")),
        ("their field", "/spec/paused", json!(false)),
        ("their status", "/status/replicas", json!(9)),
        (
            "their quantity",
            "/spec/template/spec/containers/1/resources/limits/memory",
            json!("2Gi"),
        ),
        ("their container", "/spec/template/spec/containers/0/image", json!("y")),
        (
            "their finalizer",
            "/metadata/finalizers",
            json!(["example.com/z", "example.com/a"]),
        ),
    ];
    for (why, pointer, value) in changes {
        let mut live = live();
        set(&mut live, pointer, value);
        assert!(by_apply(&live, &wanted()), "{why}");
    }
}

#[test]
fn an_object_of_nothing_but_a_name() {
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "a", "namespace": "n" } });
    let mut live = account.clone();
    assert!(!by_apply(&live, &account), "never applied");
    let entry = json!({ "manager": MANAGER, "operation": "Apply", "apiVersion": "v1", "fieldsV1": {} });
    live["metadata"]["managedFields"] = json!([entry]);
    assert!(by_apply(&live, &account));
}
