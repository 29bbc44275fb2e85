//! Whose Prometheus keeps the metrics, and what our monitors must look like for it to take them.

use crate::{
    budget::KUBE_STATE_METRICS,
    model::{Existing, Rollout},
    objects::{MANAGER, OUR_NAMESPACES, Object, ObjectRef, STACK_NAMESPACE},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt};

pub(crate) type Labels = BTreeMap<String, String>;

/// What names its namespace, on every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Where the Operator lets every Prometheus of a namespace answer.
const GOVERNING_SERVICE: &str = "prometheus-operated";
const PORT: u16 = 9090;
const TRACES_PORT: u16 = 16686;
/// The gateway's series at the very most: see docs/architecture.md.
const SERIES: u64 = 50_000;

/// Whose Prometheus keeps the metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Keeper {
    /// The one that we bring.
    #[default]
    Own,
    /// An object Prometheus of the Prometheus Operator.
    Operated(Box<Operated>),
    /// Another one, whose configuration is its owner's.
    Plain(Address),
}

/// A Prometheus of the Prometheus Operator, and how it is told about us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operated {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) address: Address,
    /// Who looks for pods.
    pub(crate) service_account: String,
    pub(crate) monitors: Spot,
    /// None: it takes no rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<Spot>,
    /// What our own namespace must be labelled with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) namespace_labels: Labels,
}

/// Where an object is seen, and the labels that it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spot {
    pub(crate) namespace: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: Labels,
}

/// Where a Prometheus answers: a Service, or a pod where a Service stands for several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Address {
    pub(crate) namespace: String,
    /// `services` or `pods`.
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) port: u16,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tls: bool,
    /// What comes before `/api/v1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) path: String,
}

/// What there is to know of an object Prometheus before it is chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) leaving: bool,
    pub(crate) spec: Value,
    /// The labels of its namespace.
    pub(crate) labels: Labels,
    /// It is not the only one in its namespace.
    pub(crate) beside_others: bool,
}

/// Our own namespace, as far as selectors see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) labels: Labels,
    /// We may label it.
    pub(crate) ours: bool,
}

impl Keeper {
    /// The object that stands for it, if one does.
    pub(crate) fn object(&self) -> Option<ObjectRef> {
        match self {
            Self::Operated(operated) => Some(operated.object()),
            Self::Own | Self::Plain(_) => None,
        }
    }

    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Own => Address::own(),
            Self::Operated(operated) => operated.address.clone(),
            Self::Plain(address) => address.clone(),
        }
    }
}

impl Operated {
    /// One that nobody has looked at.
    pub(crate) fn assumed(namespace: &str, name: &str, place: &str) -> Self {
        let spot = Spot {
            namespace: place.into(),
            labels: Labels::new(),
        };
        Self {
            namespace: namespace.into(),
            name: name.into(),
            address: Address::service(namespace, GOVERNING_SERVICE, PORT),
            service_account: "default".into(),
            monitors: spot.clone(),
            rules: Some(spot),
            namespace_labels: Labels::new(),
        }
    }

    pub(crate) fn object(&self) -> ObjectRef {
        ObjectRef {
            api_version: "monitoring.coreos.com/v1".into(),
            kind: "Prometheus".into(),
            namespace: Some(self.namespace.clone()),
            name: self.name.clone(),
        }
    }
}

/// How far the Operator is with an object Prometheus.
pub(crate) fn rollout(prometheus: &Existing) -> Rollout {
    let number = |pointer: &str| prometheus.value.pointer(pointer).and_then(Value::as_i64);
    let number = |pointer: &str| number(pointer).and_then(|n| i32::try_from(n).ok());
    Rollout {
        observed: true,
        desired: number("/spec/replicas").unwrap_or(1),
        updated: number("/status/updatedReplicas").unwrap_or_default(),
        total: number("/status/replicas").unwrap_or_default(),
        ready: number("/status/availableReplicas").unwrap_or_default(),
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => write!(f, "LearnFlow's own Prometheus"),
            Self::Operated(operated) => write!(f, "Prometheus {}/{}", operated.namespace, operated.name),
            Self::Plain(address) => write!(f, "the Prometheus at {address}"),
        }
    }
}

impl Address {
    pub(crate) fn own() -> Self {
        Self::service(STACK_NAMESPACE, "prometheus", PORT)
    }

    /// The trace store's.
    pub(crate) fn traces() -> Self {
        Self::service(STACK_NAMESPACE, "traces", TRACES_PORT)
    }

    pub(crate) fn service(namespace: &str, name: &str, port: u16) -> Self {
        Self {
            namespace: namespace.into(),
            resource: "services".into(),
            name: name.into(),
            port,
            tls: false,
            path: String::new(),
        }
    }

    /// As the API server's proxy calls it: `http:prometheus:9090`.
    pub(crate) fn proxied(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}:{}:{}", self.name, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}{}", self.namespace, self.name, self.port, self.path)
    }
}

impl Home {
    /// As we make it.
    pub(crate) fn made(namespace: &Object) -> Self {
        let labels = namespace.value()["metadata"]["labels"].as_object();
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let mut labels: Labels = labels.into_iter().flatten().filter_map(text).collect();
        labels.insert(NAMESPACE_NAME.into(), STACK_NAMESPACE.into());
        Self { labels, ours: true }
    }
}

impl Candidate {
    /// How this Prometheus is told about us, with what else is worth saying; or why it cannot be.
    pub(crate) fn judge(&self, home: &Home) -> Result<(Operated, Vec<String>), String> {
        let spec = &self.spec;
        let set = |field: &str| spec[field].as_bool() == Some(true);
        let words = |field: &str| spec[field].as_str().unwrap_or_default();
        for (bad, why) in [
            (self.leaving, "it is being deleted"),
            (set("paused"), "it is paused: the Operator leaves it alone (`paused`)"),
            (set("listenLocal"), "nothing but itself reaches it (`listenLocal`)"),
            (
                set("ignoreNamespaceSelectors"),
                "its monitors see no pods of other namespaces (`ignoreNamespaceSelectors`)",
            ),
            (
                set("overrideHonorLabels"),
                "it renames the labels of what it scrapes (`overrideHonorLabels`)",
            ),
            (
                !words("enforcedNamespaceLabel").is_empty(),
                "it gives all series the namespace of their monitor (`enforcedNamespaceLabel`)",
            ),
            (
                spec["shards"].as_u64().unwrap_or(1) > 1,
                "each of its shards has a part of the metrics only (`shards`)",
            ),
        ] {
            if bad {
                return Err(why.to_owned());
            }
        }
        let (monitors, mut namespace_labels) = self.spot("podMonitor", home)?;
        let mut remarks = Vec::new();
        let rules = match self.spot("rule", home) {
            Ok((rules, labels)) => {
                namespace_labels.extend(labels);
                Some(rules)
            }
            Err(why) => {
                remarks.push(format!("It gets no rules, and so no alerts: {why}"));
                None
            }
        };
        if let Some(limit) = spec["enforcedSampleLimit"].as_u64().filter(|limit| *limit < SERIES) {
            remarks.push(format!(
                "It drops a whole scrape of more than {limit} series (`enforcedSampleLimit`); a flood of topics makes \
                 up to {SERIES}"
            ));
        }
        let service = match words("serviceName") {
            "" => GOVERNING_SERVICE,
            name => name,
        };
        let mut address = Address::service(&self.namespace, service, PORT);
        if self.beside_others {
            // That Service leads to any of them.
            address.resource = "pods".into();
            address.name = format!("prometheus-{}-0", self.name);
        }
        address.tls = !spec["web"]["tlsConfig"].is_null();
        address.path = words("routePrefix").trim_end_matches('/').to_owned();
        let operated = Operated {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            address,
            service_account: match words("serviceAccountName") {
                "" => "default".into(),
                name => name.into(),
            },
            monitors,
            rules,
            namespace_labels,
        };
        Ok((operated, remarks))
    }

    /// Where it sees an object, and what our own namespace must be labelled with for that. To the Operator a
    /// selector that is not set selects no object but its own namespace, and an empty one selects everything.
    fn spot(&self, what: &str, home: &Home) -> Result<(Spot, Labels), String> {
        let (field, namespaces) = (format!("{what}Selector"), format!("{what}NamespaceSelector"));
        let selector = &self.spec[&field];
        if selector.is_null() {
            return Err(format!("its `{field}` is not set, so it takes none at all"));
        }
        let labels = lacking(selector, &our_labels()).map_err(|why| format!("its `{field}` asks for {why}"))?;
        let at = |namespace: &str| Spot {
            namespace: namespace.to_owned(),
            labels: labels.clone(),
        };
        let selector = &self.spec[&namespaces];
        let sees = |labels: &Labels| lacking(selector, labels).is_ok_and(|lacking| lacking.is_empty());
        if !selector.is_null() && sees(&home.labels) {
            return Ok((at(STACK_NAMESPACE), Labels::new()));
        }
        if selector.is_null() || sees(&self.labels) {
            return Ok((at(&self.namespace), Labels::new()));
        }
        match lacking(selector, &home.labels) {
            Ok(labels) if home.ours => Ok((at(STACK_NAMESPACE), labels)),
            Ok(labels) => Err(format!(
                "its `{namespaces}` asks for {} on namespace {STACK_NAMESPACE}, which is not LearnFlow's to label",
                shown(&labels)
            )),
            Err(why) => Err(format!("its `{namespaces}` asks for {why}")),
        }
    }
}

/// The labels of our monitors and rules that stay as they are.
fn our_labels() -> Labels {
    let labels = [
        ("app.kubernetes.io/name", "learnflow"),
        ("app.kubernetes.io/part-of", "learnflow"),
        ("app.kubernetes.io/managed-by", MANAGER),
    ];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// The labels that something must get for a selector to take it; what it has stays. `Err`: none do.
fn lacking(selector: &Value, have: &Labels) -> Result<Labels, String> {
    let mut given = Labels::new();
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let equal = equal.map(|(key, value)| (key.as_str(), "In", vec![value.as_str().unwrap_or_default()]));
    let others = selector["matchExpressions"].as_array().into_iter().flatten();
    let others = others.map(|one| {
        let text = |field: &str| one[field].as_str().unwrap_or_default();
        let values = one["values"].as_array().into_iter().flatten();
        (
            text("key"),
            text("operator"),
            values.filter_map(Value::as_str).collect(),
        )
    });
    let asked: Vec<(&str, &str, Vec<&str>)> = equal.chain(others).collect();
    let holds = |key: &str, operator: &str, values: &[&str], value: Option<&String>| match (operator, value) {
        ("In", Some(value)) => values.contains(&value.as_str()),
        ("NotIn", Some(value)) => !values.contains(&value.as_str()),
        ("NotIn", None) => true,
        ("Exists", value) => value.is_some(),
        ("DoesNotExist", value) => value.is_none(),
        // Something new: better no match than a wrong one.
        _ => key.is_empty(),
    };
    for (key, operator, values) in &asked {
        if have.contains_key(*key) || given.contains_key(*key) {
            continue;
        }
        let value = match (*operator, values.first()) {
            ("In", Some(value)) => value,
            ("Exists", _) => "true",
            _ => continue,
        };
        given.insert((*key).to_owned(), value.to_owned());
    }
    for (key, operator, values) in &asked {
        let value = have.get(*key).or_else(|| given.get(*key));
        if !holds(key, operator, values, value) {
            let values = match values.as_slice() {
                [] => String::new(),
                values => format!(" {}", values.join(", ")),
            };
            return Err(format!(
                "`{key}` {operator}{values}, which does not fit what LearnFlow has there"
            ));
        }
    }
    Ok(given)
}

fn shown(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(", ")
}

/// An object of the part `prometheus` as the chosen one wants it.
pub(crate) fn fitted(mut object: Object, operated: &Operated) -> Object {
    let spot = match object.kind() {
        "PodMonitor" => Some(&operated.monitors),
        "PrometheusRule" => operated.rules.as_ref(),
        "ClusterRoleBinding" => {
            let account = json!({ "kind": "ServiceAccount", "name": operated.service_account,
                "namespace": operated.namespace });
            object.edit()["subjects"] = json!([account]);
            None
        }
        _ => None,
    };
    let Some(spot) = spot else { return object };
    for (key, value) in &spot.labels {
        object.map("/metadata/labels").insert(key.clone(), value.clone().into());
    }
    object.in_namespace(&spot.namespace)
}

/// The rules of one file, for a Prometheus that is not ours. `anchored` takes a new Prometheus and a new Operator, and that a
/// series began with 0 takes a feature of Prometheus: the difference of two samples needs neither. Where a counter begins again
/// within the window, what it had before is missing.
pub(crate) fn rules(file: &str, groups: &Value) -> Object {
    let mut groups = groups.clone();
    let rules = groups["groups"].as_array_mut().into_iter().flatten();
    let rules = rules.filter_map(|group| group["rules"].as_array_mut()).flatten();
    for rule in rules {
        if let Some(expression) = rule["expr"].as_str() {
            rule["expr"] = without_anchors(expression).into();
        }
    }
    let name = file.trim_end_matches(".yaml");
    Object::known(json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": format!("learnflow-{name}"),
            "namespace": STACK_NAMESPACE,
            "labels": { "app.kubernetes.io/name": "learnflow" },
        },
        "spec": groups,
    }))
}

fn without_anchors(expression: &str) -> String {
    let mut text = String::new();
    let mut rest = expression;
    while let Some((before, after)) = rest.split_once("increase(") {
        text.push_str(before);
        let (inner, tail) = after.split_once(')').unwrap_or((after, ""));
        let anchored = inner.strip_suffix("] anchored").and_then(|inner| inner.split_once('['));
        match anchored {
            Some((counter, window)) => {
                let now = format!("last_over_time({counter}[{window}])");
                let then = format!("last_over_time({counter}[1h] offset {window})");
                text.push_str(&format!("(({now} - {then}) >= 0 or {now})"));
            }
            None => text.push_str(&format!("increase({inner})")),
        }
        rest = tail;
    }
    text + rest
}

/// The jobs to add to a Prometheus that nobody operates: ours, with addresses that are good from everywhere. Kubelets,
/// and pods whose annotations ask for it, it reads already.
pub(crate) fn scrape_jobs(config: &Value) -> Value {
    let jobs = config["scrape_configs"].as_array().cloned().unwrap_or_default();
    let own = |job: &Value| {
        ["prometheus", "kubelet", "apps"]
            .iter()
            .any(|name| job["job_name"] == *name)
    };
    let mut jobs: Vec<Value> = jobs.into_iter().filter(|job| !own(job)).collect();
    for job in &mut jobs {
        // The gateway's is short: its last events are read before it ends.
        if job["job_name"] != "learnflow" {
            job["scrape_interval"] = "15s".into();
        } else {
            job["scrape_interval"] = config["global"]["scrape_interval"].clone();
            job.as_object_mut().map(|job| job.remove("scrape_timeout"));
        }
        if let Some(namespaces) = job.pointer_mut("/kubernetes_sd_configs/0/namespaces") {
            *namespaces = json!({ "names": OUR_NAMESPACES });
        }
        if job["job_name"] == KUBE_STATE_METRICS {
            // Another one it reads already.
            job["kubernetes_sd_configs"][0]["namespaces"] = json!({ "names": [STACK_NAMESPACE] });
        }
    }
    json!({ "scrape_configs": jobs })
}

/// The names of those jobs that it must have.
pub(crate) const JOBS: [&str; 4] = ["learnflow", "collectors", "kafka", "dapr"];

#[cfg(test)]
#[path = "monitoring_tests.rs"]
mod tests;
