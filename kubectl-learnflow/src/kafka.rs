//! The collector that asks Kafka itself: made out for the pub/sub Components of a namespace. Pure: no cluster.
//!
//! How Kafka is reached is said once, in the Component, and followed from there: see [`receiver`]. A Component that the
//! collector cannot follow is left out with a finding; that is no reason to fail.

mod login;
mod receiver;

use crate::{
    assets,
    objects::{CONFIG_REVISION, Object, ObjectRef, revision},
    patches::{Shape, shaped},
    preflight::Check,
    problem::Problem,
    text::list,
    yaml,
};
use base64::{Engine, engine::general_purpose::STANDARD};
pub(crate) use login::{Component, LeftOut, Login, Source};
use receiver::Receiver;
pub(crate) use receiver::port;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub(crate) const COLLECTOR: &str = "collector-kafka";
const MANIFEST: &str = "kafka/collector.yaml";
/// The file of its ConfigMap that is made out for each Component, and the Component that the manifest names.
const FILE: &str = "/data/brokers.yaml";
const COMPONENT: &str = "kafka-pubsub";
/// The file of its Secret, and where that is.
const SECRETS: &str = "secrets.yaml";
const MOUNT: &str = "/etc/otelcol-secrets";

/// What goes to the services' namespace for it, and what there is to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) objects: Vec<Object>,
    pub(crate) checks: Vec<Check>,
}

/// `asked`: this part is asked for by name.
pub(crate) fn plan(namespace: &str, components: &[Component], shape: &Shape, asked: bool) -> Result<Part, Problem> {
    let mut part = Part::default();
    let mut components: Vec<&Component> = components.iter().collect();
    components.sort_by_key(|component| &component.name);
    let mut receivers = Vec::new();
    for component in components {
        let name = format!("Component {namespace}/{}", component.name);
        match Receiver::of(component, receivers.len()) {
            Ok(receiver) => receivers.push((component.name.as_str(), receiver)),
            Err(left_out) => part.checks.push(Check::warn(
                format!("The Kafka of {name} is not asked for lag: {}", left_out.why),
                left_out.next,
            )),
        }
    }
    if receivers.is_empty() {
        if asked {
            part.checks.push(Check::bad(
                format!("No Component of type pubsub.kafka in namespace {namespace} says how to ask its Kafka for lag"),
                "Create or correct the Dapr Component for your Kafka, or leave this part out with --skip kafka.",
            ));
        }
        return Ok(part);
    }
    let names: Vec<&str> = receivers.iter().map(|(name, _)| *name).collect();
    part.checks
        .push(Check::good(format!("To ask for lag: the Kafka of {}", list(&names))));
    part.objects = objects(namespace, &receivers, shape)?;
    Ok(part)
}

/// All that this part may have in a namespace, in the order in which it is applied.
pub(crate) fn references(namespace: &str) -> Vec<ObjectRef> {
    let kinds = [
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("apps/v1", "Deployment"),
    ];
    let each = kinds.map(|(api_version, kind)| ObjectRef {
        api_version: api_version.into(),
        kind: kind.into(),
        namespace: Some(namespace.into()),
        name: COLLECTOR.into(),
    });
    each.into()
}

fn objects(namespace: &str, receivers: &[(&str, Receiver)], shape: &Shape) -> Result<Vec<Object>, Problem> {
    let mut objects = assets::manifest(MANIFEST)?;
    let variables = receivers.iter().flat_map(|(_, receiver)| &receiver.variables);
    let variables = variables.map(|variable| {
        let of = json!({ "secretKeyRef": { "name": variable.secret, "key": variable.key } });
        json!({ "name": variable.name, "valueFrom": of })
    });
    let mut variables: Vec<Value> = variables.collect();
    // Not as variables: the Collector would read those as YAML, and a password may look like some.
    let mut secrets = Map::new();
    for (name, receiver) in receivers.iter().filter(|(_, receiver)| receiver.secrets != json!({})) {
        secrets.insert(format!("kafkametrics/{name}"), receiver.secrets.clone());
    }
    let secrets = match secrets.is_empty() {
        true => None,
        false => Some(yaml::write(&json!({ "receivers": secrets }))?),
    };
    let mut config = Value::Null;
    for object in &mut objects {
        match object.kind() {
            "ConfigMap" => {
                let file = object.value().pointer(FILE).and_then(Value::as_str);
                let file = made_out(&assets::yaml(FILE, file.unwrap_or_default())?, receivers)?;
                object.map("/data").insert("brokers.yaml".into(), file.into());
                config = object.value()["data"].clone();
            }
            "NetworkPolicy" => {
                if let Some(Value::Array(rules)) = object.edit().pointer_mut("/spec/egress") {
                    rules.pop();
                    rules.push(to_brokers(receivers));
                }
            }
            "Deployment" => {
                // A process reads both once.
                let read = secrets.as_deref().unwrap_or_default();
                let revision = revision(&[config.to_string().as_bytes(), read.as_bytes()]);
                object
                    .map("/spec/template/metadata/annotations")
                    .insert(CONFIG_REVISION.into(), revision.into());
                if let Some(Value::Array(env)) = object.edit().pointer_mut("/spec/template/spec/containers/0/env") {
                    env.append(&mut variables);
                }
                if secrets.is_some() {
                    mount_secrets(object.edit());
                }
            }
            _ => {}
        }
    }
    if let Some(secrets) = secrets {
        let secret = Object::known(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": COLLECTOR, "labels": { "app.kubernetes.io/name": COLLECTOR } },
            "type": "Opaque",
            "data": { SECRETS: STANDARD.encode(secrets) },
        }));
        objects.insert(1, secret);
    }
    let ours = |object: Object| shaped(object.in_namespace(namespace), shape).labelled().versioned();
    Ok(objects.into_iter().map(ours).collect())
}

/// One file more of its configuration, which lies in a Secret.
fn mount_secrets(deployment: &mut Value) {
    let pod = &mut deployment["spec"]["template"]["spec"];
    let add = |list: &mut Value, item: Value| {
        if let Some(list) = list.as_array_mut() {
            list.push(item);
        }
    };
    let volume = json!({ "name": "secrets", "secret": { "secretName": COLLECTOR } });
    add(&mut pod["volumes"], volume);
    let container = &mut pod["containers"][0];
    let mount = json!({ "name": "secrets", "mountPath": MOUNT, "readOnly": true });
    add(&mut container["volumeMounts"], mount);
    add(&mut container["args"], format!("--config={MOUNT}/{SECRETS}").into());
}

/// The file with a receiver of its own for each Component.
fn made_out(template: &Value, receivers: &[(&str, Receiver)]) -> Result<String, Problem> {
    let mut file = json!({});
    for (name, receiver) in receivers {
        // What a Component is called is a name to Kubernetes: there is nothing in it to quote.
        let text = template.to_string().replace(COMPONENT, name);
        let mut one: Value = serde_json::from_str(&text)
            .map_err(|e| Problem::new(format!("The manifest {MANIFEST} cannot be made out for {name}: {e}.")))?;
        let settings = &mut one["receivers"][format!("kafkametrics/{name}")];
        if let (Some(settings), Some(theirs)) = (settings.as_object_mut(), receiver.settings.as_object()) {
            settings.extend(theirs.clone());
        }
        merge(&mut file, one);
    }
    yaml::write(&file)
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert_with(|| json!({})), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// To any address at the ports that the Components name; at any port, when one of them lies in a Secret.
fn to_brokers(receivers: &[(&str, Receiver)]) -> Value {
    let mut ports: BTreeSet<u16> = BTreeSet::new();
    for (_, receiver) in receivers {
        match &receiver.ports {
            Some(of_one) => ports.extend(of_one),
            None => return json!({ "ports": [{ "protocol": "TCP" }] }),
        }
    }
    let ports: Vec<Value> = ports
        .iter()
        .map(|port| json!({ "protocol": "TCP", "port": port }))
        .collect();
    json!({ "ports": ports })
}

#[cfg(test)]
#[path = "kafka_tests.rs"]
mod tests;
