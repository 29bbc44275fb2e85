//! What belongs together, as the cluster knows it: an ApplySet (KEP-3659) for the stack and one for
//! each namespace with services. Its parent, a ConfigMap, says which kinds it has, so that a later
//! version finds what it no longer has itself.

use crate::objects::{MANAGED_BY, MANAGER, Object, ObjectRef};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// On each member: the set it is part of.
pub(crate) const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// On the parent: the name of the set.
const ID: &str = "applyset.kubernetes.io/id";
/// On the parent: who may change the set. kubectl keeps its hands off those of others.
const TOOLING: &str = "applyset.kubernetes.io/tooling";
/// On the parent: the kinds that its members have or had.
pub(crate) const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// On the parent: namespaces other than its own that have members.
pub(crate) const ELSEWHERE: &str = "applyset.kubernetes.io/additional-namespaces";
/// The parent's name, in the namespace of its members.
const PARENT: &str = "learnflow";

/// The set whose parent is in this namespace.
pub(crate) fn id(namespace: &str) -> String {
    let parent = format!("{PARENT}.{namespace}.ConfigMap.");
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(Sha256::digest(parent)))
}

/// The parent of a set that has members in its own namespace and in `others`.
pub(crate) fn parent(namespace: &str, kinds: &BTreeSet<String>, others: &[&str]) -> Result<Object, String> {
    Object::new(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": PARENT,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": PARENT,
                ID: id(namespace),
            },
            "annotations": {
                KINDS: join(kinds),
                ELSEWHERE: others.join(","),
                TOOLING: format!("{MANAGER}/v{}", env!("CARGO_PKG_VERSION")),
            },
        },
    }))
}

/// The parent, by name.
pub(crate) fn reference(namespace: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: Some(namespace.into()),
        name: PARENT.into(),
    }
}

/// `ConfigMap`, `Deployment.apps`
pub(crate) fn kind(object: &Object) -> String {
    let reference = object.reference();
    match reference.api_version.split_once('/') {
        Some((group, _)) => format!("{}.{group}", reference.kind),
        None => reference.kind,
    }
}

pub(crate) fn join(kinds: &BTreeSet<String>) -> String {
    kinds.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

pub(crate) fn split(kinds: &str) -> BTreeSet<String> {
    let kinds = kinds.split(',').map(str::trim).filter(|kind| !kind.is_empty());
    kinds.map(str::to_owned).collect()
}

/// Chooses the members of a set that are really ours.
pub(crate) fn selector(namespace: &str) -> String {
    format!("{PART_OF}={},{MANAGED_BY}={MANAGER}", id(namespace))
}

/// The object is such a member.
pub(crate) fn has(namespace: &str, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    labels[PART_OF] == id(namespace) && labels[MANAGED_BY] == MANAGER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_named_as_the_specification_says() {
        // sha256 of learnflow.shop.ConfigMap. , in base64 for URLs, by `openssl dgst -sha256 -binary | basenc --base64url`.
        assert_eq!(id("shop"), "applyset-pFtE82BKwHVsORS36mqcaQzVjGBSe1lOwt6ejcbjpA0-v1");
        assert!(id(&"a".repeat(63)).len() <= 63, "a label's value");
        assert_ne!(id("shop"), id("other"));
    }

    #[test]
    fn a_parent_names_its_kinds() {
        let kinds = split("Deployment.apps, ConfigMap,,");
        assert_eq!(join(&kinds), "ConfigMap,Deployment.apps");
        let parent = parent("shop", &kinds, &["other"]).expect("an object");
        let metadata = &parent.value()["metadata"];
        assert_eq!(metadata["annotations"][KINDS], "ConfigMap,Deployment.apps");
        assert_eq!(metadata["labels"][ID], id("shop"));
        assert_eq!(kind(&parent), "ConfigMap");
    }
}
