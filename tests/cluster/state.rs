//! What is in the cluster that an installation could have made, without what differs from run to run.

use anyhow::{Context, Result, ensure};
use learnflow_tests::{STACK_NAMESPACE, Target};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::listable;

/// Every object by its name, and what somebody wants of it.
#[derive(Debug, PartialEq)]
pub struct State(BTreeMap<String, Value>);

/// What the server or a controller adds, and is another each time.
const PASSING: [&str; 5] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
];
const ADDRESSES: [&str; 2] = ["clusterIP", "clusterIPs"];

impl State {
    /// Of the services' namespace, whatever it is called, of the stack's, and of the cluster what carries our label.
    pub fn of(target: &Target, services: &str) -> Result<State> {
        let kinds = listable(target)?;
        let list = target.run_kubectl(&[
            "get",
            &kinds.join(","),
            "--all-namespaces",
            "--ignore-not-found",
            "--output=json",
            "--show-managed-fields",
        ])?;
        let list: Value = serde_json::from_str(&list)?;
        let items = list["items"].as_array().context("a list")?;
        let mut objects = BTreeMap::new();
        for object in items {
            let metadata = &object["metadata"];
            let ours = metadata["labels"]["app.kubernetes.io/managed-by"] == "kubectl-learnflow";
            let here = match metadata["namespace"].as_str() {
                Some(namespace) => [services, STACK_NAMESPACE].contains(&namespace),
                None => ours,
            };
            if here {
                let quoted = |name: &str| format!("\"{name}\"");
                let mut text = object.to_string().replace(&quoted(services), &quoted("SERVICES"));
                // An owner is known by its name; its uid is another each time, in the names of fields too.
                for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
                    let (uid, name) = (owner["uid"].as_str(), owner["name"].as_str());
                    text = text.replace(uid.context("a uid")?, name.context("a name")?);
                }
                let object: Value = serde_json::from_str(&text)?;
                let metadata = &object["metadata"];
                let name = format!(
                    "{} {}/{}",
                    object["kind"].as_str().unwrap_or_default(),
                    metadata["namespace"].as_str().unwrap_or_default(),
                    metadata["name"].as_str().unwrap_or_default()
                );
                objects.insert(name, lasting(&object));
            }
        }
        Ok(State(objects))
    }

    /// Says what differs, when something does.
    pub fn must_be(&self, other: &State) -> Result<()> {
        for (name, wanted) in &other.0 {
            let there = self.0.get(name).with_context(|| format!("{name} is missing"))?;
            ensure!(
                there == wanted,
                "{name} is not what it was:\n{there:#}\nbut was\n{wanted:#}"
            );
        }
        let extra: Vec<&String> = self.0.keys().filter(|name| !other.0.contains_key(*name)).collect();
        ensure!(extra.is_empty(), "left over: {extra:?}");
        Ok(())
    }
}

fn lasting(object: &Value) -> Value {
    let mut object = object.clone();
    let ours = owned_fields(&object["metadata"]["managedFields"]);
    if let Some(whole) = object.as_object_mut() {
        whole.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|name, _| !PASSING.contains(&name.as_str()));
        metadata.insert("ours".into(), ours);
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        // Counts rollouts, of which an interrupted installation may have more.
        annotations.remove("deployment.kubernetes.io/revision");
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.retain(|name, _| !ADDRESSES.contains(&name.as_str()));
    }
    object
}

/// Which fields are ours: an installation that was interrupted owns no other ones.
fn owned_fields(managed: &Value) -> Value {
    let entries = managed.as_array().into_iter().flatten();
    let ours = entries.filter(|entry| entry["manager"] == "kubectl-learnflow");
    ours.map(|entry| entry["fieldsV1"].clone()).collect()
}
