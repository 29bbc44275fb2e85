//! What settings change in the manifests: few things, each named. The manifests themselves stay plain
//! YAML that works with `kubectl apply`.

use crate::{
    budget::{AGENT, Fit, GATEWAY, KUBE_STATE_METRICS, PROMETHEUS},
    concern::{Concern, Profile, Selection},
    config::{Share, Slow},
    grafana::Host,
    monitoring::Keeper,
    objects::{OUR_NAMESPACES, Object},
    remote_write::RemoteWrite,
};
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// How long Prometheus keeps metrics, and how much of them.
pub(crate) const RETENTION_TIME: &str = "--storage.tsdb.retention.time";
pub(crate) const RETENTION_SIZE: &str = "--storage.tsdb.retention.size";

/// What the objects depend on, apart from the services.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) concerns: Selection,
    pub(crate) profile: Profile,
    /// Images by what the manifests call them, and what is used instead.
    pub(crate) images: BTreeMap<String, String>,
    pub(crate) registry: Option<String>,
    pub(crate) pull_secret: Option<String>,
    /// The share of traces that are kept, of those that neither failed nor were slow.
    pub(crate) sampling: Share,
    /// From when on a trace is slow.
    pub(crate) slow: Slow,
    /// The share of traces that the sidecars begin.
    pub(crate) begun: Share,
    /// Who keeps the metrics.
    pub(crate) keeper: Keeper,
    /// Where there are services, as far as that is known: CPU, memory and objects are kept of these namespaces, and ours.
    pub(crate) namespaces: BTreeSet<String>,
    /// What of the stack was installed before, and stays.
    pub(crate) before: BTreeSet<Concern>,
    /// Where our own Prometheus also sends everything.
    pub(crate) remote_write: Option<RemoteWrite>,
    /// Who shows the boards.
    pub(crate) host: Host,
    /// The gateway is there, or comes: without it the sidecars send their spans nowhere.
    pub(crate) gateway: bool,
    /// The trace store is there, or comes: without it the gateway writes spans to its log.
    pub(crate) store: bool,
    /// What a budget of memory has become.
    pub(crate) fit: Option<Fit>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            concerns: Selection::all(),
            profile: Profile::default(),
            images: BTreeMap::new(),
            registry: None,
            pull_secret: None,
            sampling: Share::ALL,
            slow: Slow::default(),
            begun: Share::ALL,
            keeper: Keeper::Own,
            namespaces: BTreeSet::new(),
            before: BTreeSet::new(),
            remote_write: None,
            host: Host::Own,
            gateway: true,
            store: true,
            fit: None,
        }
    }
}

impl Shape {
    /// The same as a budget has it.
    pub(crate) fn fitted(self, fit: Option<Fit>) -> Self {
        let begun = fit.as_ref().map_or(Share::ALL, |fit| fit.begun);
        Self { begun, fit, ..self }
    }

    /// There is somewhere for traces to go.
    pub(crate) fn has_store(&self) -> bool {
        self.store || self.concerns.has(Concern::Tracing)
    }
}

/// One thing that a profile or a budget changes.
struct Patch {
    kind: &'static str,
    name: &'static str,
    change: Change,
}

enum Change {
    /// An argument `--name=value` of the first container gets another value.
    Argument(&'static str, Cow<'static, str>),
    /// A variable of the first container gets another value.
    Variable(&'static str, Cow<'static, str>),
    /// In a file of a ConfigMap, the first `key: value` after this line gets another value.
    Setting {
        file: &'static str,
        after: &'static str,
        key: &'static str,
        value: Cow<'static, str>,
    },
    /// The memory of the first container.
    Memory {
        request: Cow<'static, str>,
        limit: Cow<'static, str>,
    },
    /// A volume is a claim with the name of the object, not part of the pod.
    Claim(&'static str),
    /// What the first container is given for certain.
    Requests { cpu: &'static str, memory: &'static str },
}

/// The gateway stays one pod, which is enough for what docs/scale.md says.
const PRODUCTION: &[Patch] = &[
    prometheus(Change::Argument(RETENTION_TIME, Cow::Borrowed("15d"))),
    prometheus(Change::Argument(RETENTION_SIZE, Cow::Borrowed("8GB"))),
    prometheus(Change::Claim("data")),
    requests("Deployment", PROMETHEUS, "250m", "1Gi"),
    // A second between an event and the screen is for those who try it out.
    prometheus_job("scrape_interval", "5s"),
    prometheus_job("scrape_timeout", "4s"),
    traces(Change::Argument("--config", Cow::Borrowed("/etc/jaeger/badger.yaml"))),
    traces(Change::Claim("data")),
    traces(Change::Memory {
        request: Cow::Borrowed("1Gi"),
        limit: Cow::Borrowed("1Gi"),
    }),
    traces(Change::Variable("GOMEMLIMIT", Cow::Borrowed("768MiB"))),
    traces_file("limit_mib", "716"),
    traces_file("spike_limit_mib", "153"),
    // Spans have pods of their own.
    Patch {
        kind: "Deployment",
        name: GATEWAY,
        change: Change::Argument("--config", Cow::Borrowed("/etc/otelcol/balance.yaml")),
    },
    spans_file("num_traces", Cow::Borrowed("20000")),
    requests("Deployment", GATEWAY, "200m", "400Mi"),
    requests("Deployment", KUBE_STATE_METRICS, "10m", "96Mi"),
    requests("DaemonSet", AGENT, "50m", "200Mi"),
];

const fn requests(kind: &'static str, name: &'static str, cpu: &'static str, memory: &'static str) -> Patch {
    let change = Change::Requests { cpu, memory };
    Patch { kind, name, change }
}

const fn prometheus(change: Change) -> Patch {
    Patch {
        kind: "Deployment",
        name: PROMETHEUS,
        change,
    }
}

/// Of the job that has the events.
const fn prometheus_job(key: &'static str, value: &'static str) -> Patch {
    Patch {
        kind: "ConfigMap",
        name: PROMETHEUS,
        change: Change::Setting {
            file: "prometheus.yml",
            after: "- job_name: learnflow",
            key,
            value: Cow::Borrowed(value),
        },
    }
}

const fn traces(change: Change) -> Patch {
    Patch {
        kind: "Deployment",
        name: "traces",
        change,
    }
}

/// Badger keeps tables of 64 MiB in memory before it writes them.
const fn traces_file(key: &'static str, value: &'static str) -> Patch {
    Patch {
        kind: "ConfigMap",
        name: "traces",
        change: Change::Setting {
            file: CONFIG,
            after: "memory_limiter:",
            key,
            value: Cow::Borrowed(value),
        },
    }
}

const CONFIG: &str = "config.yaml";

/// What the gateway does with spans, or in `production` the pods for spans.
const fn spans_file(key: &'static str, value: Cow<'static, str>) -> Patch {
    Patch {
        kind: "ConfigMap",
        name: GATEWAY,
        change: Change::Setting {
            file: "spans.yaml",
            after: "tail_sampling:",
            key,
            value,
        },
    }
}

/// Seconds from the first span of a trace to the decision whether it is kept: a sidecar sends its spans each 5 s. Where all
/// are kept, there is nothing to wait for.
pub(crate) fn decision_wait(sampling: Share) -> u64 {
    if sampling == Share::ALL { 1 } else { 10 }
}

/// Which traces are kept.
fn of_sampling(shape: &Shape) -> [Patch; 3] {
    let wait = format!("{}s", decision_wait(shape.sampling));
    [
        spans_file("decision_wait", wait.into()),
        spans_file("threshold_ms", shape.slow.millis().to_string().into()),
        spans_file("sampling_percentage", shape.sampling.percent().into()),
    ]
}

/// What a budget changes.
fn of_budget(fit: &Fit) -> Vec<Patch> {
    let mut patches = Vec::new();
    for size in &fit.sizes {
        let Some(name) = size.chosen() else { continue };
        let kind = if size.each_node { "DaemonSet" } else { "Deployment" };
        let mut workload = |change| patches.push(Patch { kind, name, change });
        workload(Change::Memory {
            request: format!("{}Mi", size.request).into(),
            limit: format!("{}Mi", size.limit).into(),
        });
        workload(Change::Variable("GOMEMLIMIT", format!("{}MiB", size.go()).into()));
        if name == PROMETHEUS {
            let (hours, megabytes) = fit.retention;
            workload(Change::Argument(RETENTION_TIME, format!("{hours}h").into()));
            workload(Change::Argument(RETENTION_SIZE, format!("{megabytes}MB").into()));
        }
        let (limit, spike) = size.limiter();
        let mut settings = vec![
            ("memory_limiter:", "limit_mib", limit),
            ("memory_limiter:", "spike_limit_mib", spike),
        ];
        match name {
            AGENT => settings.push(("sending_queue:", "queue_size", size.queue())),
            GATEWAY => settings.push(("deltatocumulative/topics:", "max_streams", fit.streams)),
            _ => settings.clear(),
        }
        let of_file = |(after, key, value): (_, _, u64)| Patch {
            kind: "ConfigMap",
            name,
            change: Change::Setting {
                file: CONFIG,
                after,
                key,
                value: value.to_string().into(),
            },
        };
        patches.extend(settings.into_iter().map(of_file));
    }
    patches.extend(
        fit.traces
            .map(|traces| spans_file("num_traces", traces.to_string().into())),
    );
    patches
}

/// Where the gateway's spans go, and where they go without a trace store.
const STORED: &str = "exporters: [otlp_grpc, spanmetrics/kept]";
const LOGGED: &str = "exporters: [file, spanmetrics/kept]";

/// What of a cluster Prometheus keeps: as the manifest has it, of all namespaces.
const KEPT: &str = "- source_labels: [namespace]\n        regex: .+\n";

/// An object of the stack as the settings want it.
pub(crate) fn shaped(mut object: Object, shape: &Shape) -> Object {
    if !shape.namespaces.is_empty() {
        bounded(&mut object, &shape.namespaces);
    }
    if !shape.has_store()
        && object.kind() == "ConfigMap"
        && object.name() == GATEWAY
        && let Some(Value::String(text)) = object.edit().pointer_mut("/data/spans.yaml")
    {
        *text = text.replace(STORED, LOGGED);
    }
    if shape.profile == Profile::Production {
        for patch in PRODUCTION {
            if patch.is_for(&object) {
                patch.apply(&mut object);
            }
        }
    }
    let chosen = of_sampling(shape).into_iter();
    for patch in chosen.chain(shape.fit.iter().flat_map(of_budget)) {
        if patch.is_for(&object) {
            patch.apply(&mut object);
        }
    }
    if let Some(to) = &shape.remote_write {
        to.apply(&mut object);
    }
    for image in images_mut(&mut object) {
        if let Some(other) = shape.images.get(image) {
            image.clone_from(other);
        }
    }
    if let Some(registry) = &shape.registry {
        for image in images_mut(&mut object) {
            *image = moved(image, registry);
        }
    }
    if let (Some(secret), true) = (&shape.pull_secret, object.is_workload()) {
        object.edit()["spec"]["template"]["spec"]["imagePullSecrets"] = json!([{ "name": secret }]);
    }
    object
}

/// No more of a cluster than what the boards show.
fn bounded(object: &mut Object, namespaces: &BTreeSet<String>) {
    let all = namespaces.iter().map(String::as_str).chain(OUR_NAMESPACES);
    let all: Vec<&str> = all.collect::<BTreeSet<_>>().into_iter().collect();
    let counted = Patch {
        kind: "Deployment",
        name: KUBE_STATE_METRICS,
        change: Change::Argument("--namespaces", all.join(",").into()),
    };
    if counted.is_for(object) {
        counted.apply(object);
    }
    if object.kind() == "ConfigMap"
        && object.name() == PROMETHEUS
        && let Some(Value::String(text)) = object.edit().pointer_mut("/data/prometheus.yml")
    {
        *text = text.replace(KEPT, &KEPT.replace(".+", &all.join("|")));
    }
}

/// The Configuration as the settings want it.
pub(crate) fn traced(mut configuration: Object, shape: &Shape) -> Object {
    let tracing = &mut configuration.edit()["spec"]["tracing"];
    tracing["samplingRate"] = json!(shape.begun.to_string());
    if !shape.gateway && !shape.concerns.has(Concern::Collector) {
        // Dapr exports nothing then; the other fields its CRD asks for.
        tracing["otel"]["endpointAddress"] = json!("");
    }
    configuration
}

/// The images of a workload.
pub(crate) fn images(object: &Object) -> Vec<String> {
    let mut object = object.clone();
    images_mut(&mut object).into_iter().map(|image| image.clone()).collect()
}

fn images_mut(object: &mut Object) -> Vec<&mut String> {
    let Some(pod) = object.edit().pointer_mut("/spec/template/spec") else {
        return Vec::new();
    };
    let Some(pod) = pod.as_object_mut() else {
        return Vec::new();
    };
    pod.iter_mut()
        .filter(|(key, _)| matches!(key.as_str(), "containers" | "initContainers"))
        .filter_map(|(_, containers)| containers.as_array_mut())
        .flatten()
        .filter_map(|container| match container.get_mut("image") {
            Some(Value::String(image)) => Some(image),
            _ => None,
        })
        .collect()
}

/// The same image in another registry: whatever names the old one goes, the rest of the path stays.
fn moved(image: &str, registry: &str) -> String {
    // As container runtimes tell a registry from the first part of a path.
    let path = match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => image,
    };
    format!("{registry}/{path}")
}

impl Patch {
    fn is_for(&self, object: &Object) -> bool {
        object.kind() == self.kind && object.name() == self.name
    }

    /// Whether there was something to change.
    fn apply(&self, object: &mut Object) -> bool {
        if let Change::Setting {
            file,
            after,
            key,
            value,
        } = &self.change
        {
            let text = object.edit().pointer_mut(&format!("/data/{file}"));
            let Some(Value::String(text)) = text else { return false };
            return set(text, after, key, value);
        }
        let claim = json!({ "claimName": object.name() });
        let Some(pod) = object.edit().pointer_mut("/spec/template/spec") else {
            return false;
        };
        match &self.change {
            Change::Argument(name, value) => {
                let arguments = pod.pointer_mut("/containers/0/args").and_then(Value::as_array_mut);
                let mut arguments = arguments.into_iter().flatten();
                let is_it = |text: &str| text.split_once('=').is_some_and(|(key, _)| key == *name);
                let found = arguments.find(|argument| argument.as_str().is_some_and(is_it));
                found
                    .map(|argument| *argument = json!(format!("{name}={value}")))
                    .is_some()
            }
            Change::Claim(volume) => {
                let volumes = pod.get_mut("volumes").and_then(Value::as_array_mut);
                let found = volumes.into_iter().flatten().find(|v| v["name"] == *volume);
                let claimed = json!({ "name": volume, "persistentVolumeClaim": claim });
                found.map(|volume| *volume = claimed).is_some()
            }
            Change::Variable(name, value) => {
                let variables = pod.pointer_mut("/containers/0/env").and_then(Value::as_array_mut);
                let found = variables
                    .into_iter()
                    .flatten()
                    .find(|variable| variable["name"] == *name);
                found.map(|variable| variable["value"] = json!(value)).is_some()
            }
            Change::Memory { request, limit } => {
                let resources = pod.pointer_mut("/containers/0/resources");
                let each = |resources: &mut Value| {
                    resources["requests"]["memory"] = json!(request);
                    resources["limits"]["memory"] = json!(limit);
                };
                resources.map(each).is_some()
            }
            Change::Setting { .. } => false,
            Change::Requests { cpu, memory } => {
                let requests = pod.pointer_mut("/containers/0/resources/requests");
                let wanted = json!({ "cpu": cpu, "memory": memory });
                requests.map(|requests| *requests = wanted).is_some()
            }
        }
    }
}

/// Sets the first `key: value` that comes after a line; all else of the text stays, comments too.
fn set(text: &mut String, after: &str, key: &str, value: &str) -> bool {
    let begins = |line: &str, with: &str| line.trim_start().starts_with(with);
    let mut at = 0;
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        inside |= begins(line, after);
        let key = format!("{key}: ");
        if inside && begins(line, &key) {
            let start = at + line.find(&key).unwrap_or_default() + key.len();
            let end = at + line.trim_end().len();
            text.replace_range(start..end, value);
            return true;
        }
        at += line.len();
    }
    false
}

#[cfg(test)]
#[path = "patches_tests.rs"]
mod tests;
