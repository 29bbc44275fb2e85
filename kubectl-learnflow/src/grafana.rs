//! Which Grafana shows the boards, and what it is told.

use crate::{
    assets,
    monitoring::{Address, Keeper, Labels, Spot},
    objects::{Object, ObjectRef, STACK_NAMESPACE},
    patches::Shape,
    problem::Problem,
    yaml,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;

/// The ConfigMap with the boards, wherever it goes, and that with the data sources for a Grafana that is not ours.
pub(crate) const BOARDS: &str = "learnflow-boards";
const SOURCES: &str = "learnflow-datasources";
/// The Secret with the password of our own, and its key.
pub(crate) const PASSWORD: (&str, &str) = ("grafana", "password");
/// Where its ConfigMap has them.
const SOURCES_FILE: &str = "/data/datasources.yaml";

/// Which Grafana shows the boards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Host {
    /// The one that we bring.
    #[default]
    Own,
    /// None that we know of.
    None,
    Existing(Box<Theirs>),
}

/// A Grafana that is there, and where a sidecar of it looks for ConfigMaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Theirs {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) boards: Spot,
    /// None: data sources are its owner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sources: Option<Spot>,
}

/// What there is to know of a Grafana before it is chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Those of its pods, as their workload has them.
    pub(crate) containers: Vec<Value>,
}

impl Theirs {
    /// One that nobody has looked at: everything goes to `place`.
    pub(crate) fn assumed(namespace: &str, name: &str, place: &str) -> Self {
        let spot = |label: &str| Spot {
            namespace: place.into(),
            labels: Labels::from([(label.to_owned(), "1".to_owned())]),
        };
        Self {
            namespace: namespace.into(),
            name: name.into(),
            boards: spot("grafana_dashboard"),
            sources: Some(spot("grafana_datasource")),
        }
    }
}

impl Candidate {
    /// How this Grafana is told about the boards; or why it cannot be.
    pub(crate) fn judge(&self) -> Result<Theirs, String> {
        let boards = self.sidecar("dashboard").ok_or(
            "it has no container that reads boards from ConfigMaps (the sidecar k8s-sidecar, with its variable LABEL)",
        )?;
        Ok(Theirs {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            boards: boards?,
            sources: self.sidecar("datasource").and_then(Result::ok),
        })
    }

    /// Where the sidecar for these things looks.
    fn sidecar(&self, things: &str) -> Option<Result<Spot, String>> {
        let variable = |container: &Value, name: &str| {
            let all = container["env"].as_array().into_iter().flatten();
            let mut found = all.filter(|variable| variable["name"] == name);
            Some(found.next()?["value"].as_str()?.to_owned())
        };
        let is_it = |container: &&Value| variable(container, "LABEL").is_some_and(|label| label.contains(things));
        let container = self.containers.iter().find(is_it)?;
        let label = variable(container, "LABEL")?;
        if variable(container, "RESOURCE").as_deref() == Some("secret") {
            return Some(Err("its sidecar reads Secrets only (`RESOURCE`)".into()));
        }
        let value = variable(container, "LABEL_VALUE").filter(|value| !value.is_empty());
        let namespaces = variable(container, "NAMESPACE").unwrap_or_default();
        let sees = |namespace: &str| namespaces.split(',').any(|one| one.trim() == namespace);
        let namespace = match namespaces.split(',').next().map(str::trim) {
            _ if sees("ALL") || sees(STACK_NAMESPACE) => STACK_NAMESPACE,
            None | Some("") => &self.namespace,
            Some(first) => first,
        };
        Some(Ok(Spot {
            namespace: namespace.to_owned(),
            labels: Labels::from([(label, value.unwrap_or_else(|| "1".into()))]),
        }))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => write!(f, "LearnFlow's own Grafana"),
            Self::None => write!(f, "no Grafana"),
            Self::Existing(theirs) => write!(f, "Grafana {}/{}", theirs.namespace, theirs.name),
        }
    }
}

/// The objects of the part, for whichever it is.
pub(crate) fn objects(own: Vec<Object>, shape: &Shape) -> Result<Vec<Object>, Problem> {
    match &shape.host {
        Host::None => Ok(Vec::new()),
        Host::Own => own.into_iter().map(|object| fitted(object, shape)).collect(),
        Host::Existing(theirs) => {
            let mut objects = vec![spotted(boards(), &theirs.boards)];
            // Who has a Prometheus has its data source.
            if let (Some(spot), Keeper::Own) = (&theirs.sources, &shape.keeper) {
                let manifest = own.iter().find_map(|object| object.value().pointer(SOURCES_FILE));
                let sources = sources(manifest.unwrap_or_default(), shape, Some("learnflow-"))?;
                let map = config_map(SOURCES, [("learnflow-datasources.yaml", sources)]);
                objects.push(spotted(map, spot));
            }
            Ok(objects)
        }
    }
}

/// The boards as they are shipped.
pub(crate) fn boards() -> Object {
    config_map(BOARDS, assets::boards().map(|(name, text)| (name, text.to_owned())))
}

fn config_map<'a>(name: &str, files: impl IntoIterator<Item = (&'a str, String)>) -> Object {
    let data: Map<String, Value> = files
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    Object::known(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": STACK_NAMESPACE, "labels": { "app.kubernetes.io/name": "grafana" },
        },
        "data": data,
    }))
}

fn spotted(mut object: Object, spot: &Spot) -> Object {
    for (key, value) in &spot.labels {
        object.map("/metadata/labels").insert(key.clone(), value.clone().into());
    }
    object.in_namespace(&spot.namespace)
}

/// What our own asks, where that is not what the manifest says.
fn fitted(mut object: Object, shape: &Shape) -> Result<Object, Problem> {
    if shape.keeper == Keeper::Own && shape.has_store() {
        return Ok(object);
    }
    if let Some(file) = object.edit().pointer_mut(SOURCES_FILE) {
        *file = sources(file, shape, None)?.into();
    }
    if object.kind() == "NetworkPolicy" {
        let address = shape.keeper.address();
        let rules = object.edit().pointer_mut("/spec/egress").and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            let asked = rule.pointer("/to/0/podSelector/matchLabels/app.kubernetes.io~1name");
            if shape.keeper != Keeper::Own && asked.is_some_and(|name| name == "prometheus") {
                // Which pods are behind its Service, and at which port, is its owner's.
                let namespace = json!({ "matchLabels": { "kubernetes.io/metadata.name": address.namespace } });
                *rule = json!({ "to": [{ "namespaceSelector": namespace }] });
            }
        }
    }
    Ok(object)
}

/// The file with the data sources, for what is there. With a prefix for one whose other data sources are not ours.
fn sources(manifest: &Value, shape: &Shape, prefix: Option<&str>) -> Result<String, Problem> {
    let mut file = assets::yaml("datasources.yaml", manifest.as_str().unwrap_or_default())?;
    let all = file["datasources"].as_array_mut();
    let all: &mut Vec<Value> = all.ok_or_else(|| Problem::new("The manifest of Grafana has no data sources."))?;
    all.retain(|source| shape.has_store() || source["type"] != "jaeger");
    for source in all {
        if source["type"] == "prometheus" {
            if shape.keeper != Keeper::Own {
                let address = shape.keeper.address();
                source["url"] = url(&address).into();
                if address.tls {
                    // For a name that the certificate need not have, signed by whom only its owner knows.
                    source["jsonData"]["tlsSkipVerify"] = true.into();
                }
            }
            if !shape.has_store()
                && let Some(more) = source["jsonData"].as_object_mut()
            {
                more.remove("exemplarTraceIdDestinations");
            }
        }
        if let Some(prefix) = prefix {
            among_others(source, prefix);
        }
    }
    if prefix.is_some() {
        // What it says of data sources that are gone is about all of that Grafana's.
        file.as_object_mut().map(|file| file.remove("prune"));
    }
    yaml::write(&file)
}

/// A data source of ours in a Grafana that has others: with names of its own, and an address that is good from everywhere.
fn among_others(source: &mut Value, prefix: &str) {
    for place in ["/uid", "/jsonData/exemplarTraceIdDestinations/0/datasourceUid"] {
        if let Some(Value::String(uid)) = source.pointer_mut(place) {
            uid.insert_str(0, prefix);
        }
    }
    let text = |source: &Value, key: &str| source[key].as_str().unwrap_or_default().to_owned();
    source["name"] = format!("LearnFlow {}", text(source, "name")).into();
    source["isDefault"] = false.into();
    let url = text(source, "url");
    let (host, port) = url.rsplit_once(':').unwrap_or((&url, "80"));
    source["url"] = format!("{host}.{STACK_NAMESPACE}:{port}").into();
}

/// As a pod reaches it.
fn url(address: &Address) -> String {
    let scheme = if address.tls { "https" } else { "http" };
    let Address {
        namespace,
        name,
        port,
        path,
        ..
    } = address;
    let host = match address.resource.as_str() {
        // A pod of the Operator has a name within the Service that stands for all of them.
        "pods" => format!("{name}.prometheus-operated.{namespace}"),
        _ => format!("{name}.{namespace}"),
    };
    format!("{scheme}://{host}:{port}{path}")
}

/// The password of our own.
pub(crate) fn secret() -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Secret".into(),
        namespace: Some(STACK_NAMESPACE.into()),
        name: PASSWORD.0.into(),
    }
}

#[cfg(test)]
#[path = "grafana_tests.rs"]
mod tests;
