//! What gets applied, as plain data: the stack's objects and the middleware's, labelled as ours.

use crate::{
    applyset, assets,
    concern::Concern,
    config, enrolment,
    grafana::{self, Host},
    kafka,
    monitoring::Keeper,
    patches::{Shape, shaped, traced},
    problem::Problem,
    quota, replicas, stack,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt};

/// Who we are to the API server, and in `app.kubernetes.io/managed-by`.
pub(crate) const MANAGER: &str = "kubectl-learnflow";
/// Where the stack lives.
pub(crate) const STACK_NAMESPACE: &str = "learnflow-system";
/// And where that of it lives which Pod Security lets in nowhere else.
pub(crate) const AGENT_NAMESPACE: &str = "learnflow-agents";
/// All namespaces that are ours.
pub(crate) const OUR_NAMESPACES: [&str; 2] = [STACK_NAMESPACE, AGENT_NAMESPACE];
/// The Component and the Configuration.
pub(crate) const MIDDLEWARE: &str = "learnflow";
/// The volume that brings the guest into a sidecar, and how the names of its ConfigMaps begin.
pub(crate) const GUEST: &str = "learnflow-wasm";
/// The ConfigMap that `prometheus.yaml` mounts for its rules.
const RULES: &str = "prometheus-rules";
/// Where the sidecar finds the guest; `component.yaml` says the same.
pub(crate) const GUEST_MOUNT: &str = "learnflow-wasm:/learnflow";

pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(crate) const VERSION_LABEL: &str = "app.kubernetes.io/version";
const PART_OF: &str = "app.kubernetes.io/part-of";
/// Chooses pods of ours.
pub(crate) const PART_OF_US: &str = "app.kubernetes.io/part-of=learnflow";
/// On a pod template: what makes pods roll when the guest, the Component or the Configuration changes.
pub(crate) const REVISION: &str = "learnflow.dev/guest";
/// On a pod template: when its pods were last rolled for nothing but a fresh start.
pub(crate) const RESTARTED: &str = "learnflow.dev/restarted";
/// On a pod template: what an enrolment has replaced there, as JSON.
pub(crate) const BEFORE: &str = "learnflow.dev/before";
/// On the set of the stack: whose Prometheus keeps the metrics, as JSON, when it is not ours.
pub(crate) const KEEPER: &str = "learnflow.dev/prometheus";
/// On the set of the stack: the namespaces of services that it was installed for.
pub(crate) const NAMESPACES: &str = "learnflow.dev/namespaces";
/// And which parts of it: one that was left out is not missing.
pub(crate) const PARTS: &str = "learnflow.dev/parts";
/// On the set of the stack: which Grafana shows the boards, as JSON, when it is not ours.
pub(crate) const HOST: &str = "learnflow.dev/grafana";
/// On a pod template of the stack: what makes pods roll when their ConfigMap changes.
pub(crate) const CONFIG_REVISION: &str = "learnflow.dev/config";

/// A Kubernetes object as it stands in a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object(Value);

/// The name of an object, enough to find it and to speak of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectRef {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// Everything `install` applies and `uninstall` removes, in the order in which it is applied.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Those of [`OUR_NAMESPACES`] that something goes into.
    pub(crate) namespaces: Vec<Object>,
    /// What goes into them and to the whole cluster, its set first.
    pub(crate) stack: Vec<Object>,
    /// Named after what it holds, so that a newer one never takes a running sidecar's away.
    pub(crate) guest: Object,
    pub(crate) component: Object,
    /// What a service gets that has no Configuration of its own; also named after what it holds.
    pub(crate) configuration: Object,
    /// Enrols services, and has the objects that takes.
    pub(crate) enrols: bool,
    /// The Resiliency that the services in its scope run under, when there is one. What is in the
    /// cluster decides about it: see [`crate::resilience`].
    pub(crate) resiliency: Option<Object>,
    /// Brings or changes that Resiliency; otherwise it stays as it is.
    pub(crate) polices: bool,
    /// Gives services a HorizontalPodAutoscaler: see [`crate::scaling`].
    pub(crate) scales: bool,
    /// Asks Kafka for lag.
    pub(crate) measures: bool,
    /// What that takes in the services' namespace; what is in the cluster decides about it: see [`kafka`].
    pub(crate) kafka: kafka::Part,
    /// Who keeps the metrics.
    pub(crate) keeper: Keeper,
    /// Who shows the boards.
    pub(crate) host: Host,
}

impl Object {
    pub(crate) fn new(value: Value) -> Result<Self, String> {
        let object = Self(value);
        let named = !object.text("/metadata/name").is_empty();
        if named && !object.text("/apiVersion").is_empty() && !object.text("/kind").is_empty() {
            Ok(object)
        } else {
            Err("an object without apiVersion, kind or name".into())
        }
    }

    /// One that is well made, because we made it.
    pub(crate) fn known(value: Value) -> Self {
        Self(value)
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        Some(self.text("/metadata/namespace")).filter(|ns| !ns.is_empty())
    }

    pub(crate) fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.text("/apiVersion").to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    pub(crate) fn renamed(mut self, name: String) -> Self {
        self.map("/metadata").insert("name".into(), name.into());
        self
    }

    /// The same object under another name and in another namespace.
    pub(crate) fn moved(&self, namespace: &str, name: &str) -> Self {
        let mut moved = self.clone();
        let metadata = moved.map("/metadata");
        metadata.insert("namespace".into(), namespace.into());
        metadata.insert("name".into(), name.into());
        moved
    }

    /// A workload: it has pods that become ready.
    pub(crate) fn is_workload(&self) -> bool {
        matches!(self.kind(), "Deployment" | "DaemonSet" | "StatefulSet")
    }

    /// How many pods it asks for.
    pub(crate) fn replicas(&self) -> u64 {
        self.0.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)
    }

    /// The memory that one pod of it may take, in bytes.
    pub(crate) fn memory_limit(&self) -> u64 {
        let containers = self
            .0
            .pointer("/spec/template/spec/containers")
            .and_then(Value::as_array);
        let limits = containers.into_iter().flatten().filter_map(|container| {
            let limit = container.pointer("/resources/limits/memory")?;
            config::bytes(limit.as_str()?)
        });
        limits.sum()
    }

    pub(crate) fn in_namespace(mut self, namespace: &str) -> Self {
        self.map("/metadata").insert("namespace".into(), namespace.into());
        self
    }

    pub(crate) fn labelled(mut self) -> Self {
        let labels = self.map("/metadata/labels");
        labels.entry(PART_OF).or_insert_with(|| MIDDLEWARE.into());
        labels.insert(MANAGED_BY.into(), MANAGER.into());
        self
    }

    pub(crate) fn versioned(mut self) -> Self {
        self.map("/metadata/labels")
            .insert(VERSION_LABEL.into(), env!("CARGO_PKG_VERSION").into());
        self
    }

    /// For changes to what is inside; its name stays.
    pub(crate) fn edit(&mut self) -> &mut Value {
        &mut self.0
    }

    fn member_of(mut self, set: &str) -> Self {
        self.map("/metadata/labels")
            .insert(applyset::PART_OF.into(), applyset::id(set).into());
        self
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The map at a pointer, made where it is missing.
    pub(crate) fn map(&mut self, pointer: &str) -> &mut Map<String, Value> {
        let mut value = &mut self.0;
        for key in pointer.split('/').skip(1) {
            value = into_map(value).entry(key).or_insert(Value::Null);
        }
        into_map(value)
    }
}

fn into_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made a map above"),
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference().fmt(f)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

impl ObjectRef {
    /// As `kubectl -o name` writes it: `deployment.apps/cart`.
    pub(crate) fn short(&self) -> String {
        let group = self.api_version.split_once('/').map(|(group, _)| format!(".{group}"));
        format!(
            "{}{}/{}",
            self.kind.to_lowercase(),
            group.unwrap_or_default(),
            self.name
        )
    }

    pub(crate) fn namespace(name: &str) -> Self {
        Self {
            api_version: "v1".into(),
            kind: "Namespace".into(),
            namespace: None,
            name: name.into(),
        }
    }

    /// KEDA's.
    pub(crate) fn scaled_object(namespace: &str, name: &str) -> Self {
        Self {
            api_version: "keda.sh/v1alpha1".into(),
            kind: "ScaledObject".into(),
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    pub(crate) fn autoscaler(namespace: &str, name: &str) -> Self {
        Self {
            api_version: "autoscaling/v2".into(),
            kind: "HorizontalPodAutoscaler".into(),
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    pub(crate) fn disruption(namespace: &str, name: &str) -> Self {
        Self {
            api_version: "policy/v1".into(),
            kind: "PodDisruptionBudget".into(),
            ..Self::autoscaler(namespace, name)
        }
    }

    pub(crate) fn resiliency(namespace: &str, name: &str) -> Self {
        Self {
            api_version: "dapr.io/v1alpha1".into(),
            kind: "Resiliency".into(),
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    pub(crate) fn deployment(namespace: &str, name: &str) -> Self {
        Self {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }
}

impl Plan {
    /// Everything this plugin installs for the services of a namespace.
    pub(crate) fn new(namespace: &str, app_ids: &BTreeSet<String>) -> Result<Self, Problem> {
        Self::shaped(namespace, app_ids, &Shape::default())
    }

    /// The same as the settings want it.
    pub(crate) fn shaped(namespace: &str, app_ids: &BTreeSet<String>, shape: &Shape) -> Result<Self, Problem> {
        let chosen = shape.concerns.iter().filter(|concern| concern.is_of_stack());
        let stack = chosen.map(|concern| stack::objects(concern, shape));
        let mut stack = stack.collect::<Result<Vec<_>, _>>()?.concat();
        let namespaces = stack::namespaces(&mut stack, &shape.keeper)?;
        if let Some(fit) = &shape.fit {
            stack.extend(quota::objects(fit, &namespaces));
        }
        // Pods last: a ReplicaSet that misses its ServiceAccount backs off for longer than all this takes.
        stack.sort_by_key(Object::is_workload);
        let revisions = config_revisions(&stack);
        let stack_set = stack::set(&stack, shape)?;
        let shaped = stack
            .into_iter()
            .flat_map(|object| replicas::of(shaped(object, shape), shape));
        let members = shaped.map(|object| {
            let object = follow_config(object, &revisions);
            object.member_of(STACK_NAMESPACE).labelled().versioned()
        });
        // Nothing but a set is no stack.
        let members: Vec<Object> = members.collect();
        let stack = match members.len() {
            0 => Vec::new(),
            _ => std::iter::once(stack_set).chain(members).collect(),
        };

        let mut component = only("middleware/component.yaml")?
            .in_namespace(namespace)
            .labelled()
            .versioned();
        component.map("").insert("scopes".into(), json!(app_ids));
        // No version label: see the manifest.
        let configuration = only("middleware/configuration.yaml")?
            .in_namespace(namespace)
            .labelled();
        let configuration = enrolment::named(traced(configuration, shape), None);
        Ok(Self {
            namespaces,
            stack,
            guest: guest_config_map(namespace, assets::guest()).labelled().versioned(),
            component,
            configuration,
            enrols: shape.concerns.has(Concern::Middleware),
            resiliency: None,
            polices: shape.concerns.has(Concern::Resilience),
            scales: shape.concerns.has(Concern::Autoscaling),
            measures: shape.concerns.has(Concern::Kafka),
            kafka: kafka::Part::default(),
            keeper: shape.keeper.clone(),
            host: shape.host.clone(),
        })
    }

    /// Somebody else brings the stack.
    pub(crate) fn leave_stack(&mut self) {
        self.namespaces.clear();
        self.stack.clear();
    }

    /// What does not belong to the services' namespace, in order.
    pub(crate) fn outside(&self) -> impl Iterator<Item = &Object> {
        self.namespaces.iter().chain(&self.stack)
    }

    /// The parent of all else in the stack.
    pub(crate) fn set(&self) -> Option<&Object> {
        self.stack.first()
    }

    /// What goes to the services' namespace, in order: the file before the Component that loads it
    /// before the Configuration that uses it.
    pub(crate) fn middleware(&self) -> [&Object; 3] {
        [&self.guest, &self.component, &self.configuration]
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Object> {
        let middleware = self.middleware().into_iter().filter(|_| self.enrols);
        self.outside().chain(middleware)
    }
}

pub(crate) fn only(path: &str) -> Result<Object, Problem> {
    let mut objects = assets::manifest(path)?;
    match objects.pop() {
        Some(object) if objects.is_empty() => Ok(object),
        _ => Err(Problem::new(format!(
            "The manifest {path} inside this plugin must hold one object."
        ))),
    }
}

/// What Prometheus computes and watches for.
pub(crate) fn rules_config_map() -> Object {
    let data: Map<String, Value> = assets::rules()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    Object(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": RULES, "namespace": STACK_NAMESPACE },
        "data": data,
    }))
}

fn guest_config_map(namespace: &str, wasm: &[u8]) -> Object {
    Object(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": format!("{GUEST}-{}", revision(&[wasm])), "namespace": namespace },
        "immutable": true,
        "binaryData": { "learnflow.wasm": STANDARD.encode(wasm) },
    }))
}

/// A short name for what these bytes are.
pub(crate) fn revision(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// (name, hash) of each ConfigMap of the stack. Not the boards: Grafana looks for changed ones by itself.
fn config_revisions(stack: &[Object]) -> Vec<(String, String)> {
    let maps = stack
        .iter()
        .filter(|object| object.kind() == "ConfigMap" && object.name() != grafana::BOARDS);
    maps.map(|map| (map.name().to_owned(), revision(&[map.0["data"].to_string().as_bytes()])))
        .collect()
}

/// A process reads its configuration once: a changed ConfigMap must roll the pods that mount it.
/// Not those that watch it themselves: a restart of Prometheus would cost what it remembers.
fn follow_config(mut object: Object, revisions: &[(String, String)]) -> Object {
    if !object.is_workload() || object.0.to_string().contains("auto-reload") {
        return object;
    }
    let volumes = object
        .0
        .pointer("/spec/template/spec/volumes")
        .and_then(Value::as_array);
    let mounted = volumes
        .into_iter()
        .flatten()
        .filter_map(|v| v.pointer("/configMap/name")?.as_str());
    let hashes: Vec<&str> = mounted
        .filter_map(|name| revisions.iter().find(|(map, _)| map == name))
        .map(|(_, hash)| hash.as_str())
        .collect();
    if !hashes.is_empty() {
        let value = hashes.join("-");
        object
            .map("/spec/template/metadata/annotations")
            .insert(CONFIG_REVISION.into(), value.into());
    }
    object
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "network_tests.rs"]
mod network_tests;
