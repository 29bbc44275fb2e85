//! What settings change in the manifests: few things, each named. The manifests themselves stay plain
//! YAML that works with `kubectl apply`.

use crate::{
    concern::{Concern, Profile, Selection},
    config::Share,
    monitoring::Keeper,
    objects::Object,
};
use serde_json::{Value, json};

/// What the objects depend on, apart from the services.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) concerns: Selection,
    pub(crate) profile: Profile,
    pub(crate) registry: Option<String>,
    pub(crate) pull_secret: Option<String>,
    pub(crate) sampling: Share,
    /// Who keeps the metrics.
    pub(crate) keeper: Keeper,
    /// The gateway is there, or comes: without it the sidecars send their spans nowhere.
    pub(crate) gateway: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            concerns: Selection::all(),
            profile: Profile::default(),
            registry: None,
            pull_secret: None,
            sampling: Share::ALL,
            keeper: Keeper::Own,
            gateway: true,
        }
    }
}

/// One thing that a profile changes.
struct Patch {
    kind: &'static str,
    name: &'static str,
    change: Change,
}

enum Change {
    /// An argument `--name=value` of the first container gets another value.
    Argument(&'static str, &'static str),
    /// A volume is a claim with the name of the object, not part of the pod.
    Claim(&'static str),
    /// What the first container is given for certain.
    Requests { cpu: &'static str, memory: &'static str },
}

/// The gateway stays one pod: it counts, and two of them would each count a part of a series.
const PRODUCTION: &[Patch] = &[
    prometheus(Change::Argument("--storage.tsdb.retention.time", "15d")),
    prometheus(Change::Argument("--storage.tsdb.retention.size", "8GB")),
    prometheus(Change::Claim("data")),
    prometheus(Change::Requests {
        cpu: "250m",
        memory: "1Gi",
    }),
    Patch {
        kind: "Deployment",
        name: "collector-gateway",
        change: Change::Requests {
            cpu: "200m",
            memory: "400Mi",
        },
    },
    Patch {
        kind: "DaemonSet",
        name: "collector-agent",
        change: Change::Requests {
            cpu: "50m",
            memory: "200Mi",
        },
    },
];

const fn prometheus(change: Change) -> Patch {
    Patch {
        kind: "Deployment",
        name: "prometheus",
        change,
    }
}

/// An object of the stack as the settings want it.
pub(crate) fn shaped(mut object: Object, shape: &Shape) -> Object {
    if shape.profile == Profile::Production {
        for patch in PRODUCTION {
            if patch.is_for(&object) {
                patch.apply(&mut object);
            }
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

/// The Configuration as the settings want it.
pub(crate) fn traced(mut configuration: Object, shape: &Shape) -> Object {
    let tracing = &mut configuration.edit()["spec"]["tracing"];
    tracing["samplingRate"] = json!(shape.sampling.to_string());
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
            Change::Requests { cpu, memory } => {
                let requests = pod.pointer_mut("/containers/0/resources/requests");
                let wanted = json!({ "cpu": cpu, "memory": memory });
                requests.map(|requests| *requests = wanted).is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> Vec<Object> {
        let objects = Concern::ALL.map(|concern| concern.objects(Profile::Production).expect("manifests"));
        objects.concat()
    }

    #[test]
    fn every_patch_of_a_profile_finds_what_it_changes() {
        let mut stack = stack();
        for patch in PRODUCTION {
            let object = stack.iter_mut().find(|object| patch.is_for(object));
            let object = object.unwrap_or_else(|| panic!("no {} {}", patch.kind, patch.name));
            let before = object.clone();
            assert!(patch.apply(object), "{object} has nothing to change");
            assert_ne!(*object, before, "{object} stays as it was");
        }
        let claim = stack.iter().find(|object| object.kind() == "PersistentVolumeClaim");
        assert_eq!(claim.map(Object::name), Some("prometheus"), "what the volume claims");
    }

    #[test]
    fn no_request_is_above_its_limit() {
        let shape = Shape {
            profile: Profile::Production,
            ..Shape::default()
        };
        let workloads = stack().into_iter().filter(Object::is_workload);
        for object in workloads.map(|object| shaped(object, &shape)) {
            let resources = &object.value()["spec"]["template"]["spec"]["containers"][0]["resources"];
            let memory = |which: &str| crate::config::bytes(resources[which]["memory"].as_str().unwrap_or_default());
            assert!(memory("requests") <= memory("limits"), "{object}: {resources}");
        }
    }

    #[test]
    fn images_move_to_another_registry() {
        for (image, there) in [
            ("otel/collector:1", "r.io/m/otel/collector:1"),
            ("quay.io/prometheus/prometheus:v3", "r.io/m/prometheus/prometheus:v3"),
            ("localhost/x:1", "r.io/m/x:1"),
            ("localhost:5000/x@sha256:0", "r.io/m/x@sha256:0"),
            ("busybox", "r.io/m/busybox"),
        ] {
            assert_eq!(moved(image, "r.io/m"), there);
        }
        let shape = Shape {
            registry: Some("r.io".into()),
            pull_secret: Some("pull".into()),
            ..Shape::default()
        };
        let workloads: Vec<Object> = stack().into_iter().filter(Object::is_workload).collect();
        assert_eq!(workloads.len(), 3);
        for object in workloads.into_iter().map(|object| shaped(object, &shape)) {
            assert!(
                images(&object).iter().all(|image| image.starts_with("r.io/")),
                "{object}"
            );
            let pod = &object.value()["spec"]["template"]["spec"];
            assert_eq!(pod["imagePullSecrets"], json!([{ "name": "pull" }]), "{object}");
        }
    }

    #[test]
    fn spans_go_nowhere_without_a_gateway() {
        let configuration = || {
            let objects = Concern::Middleware.objects(Profile::Dev).expect("manifests");
            let found = objects.into_iter().find(|object| object.kind() == "Configuration");
            found.expect("a Configuration")
        };
        let alone = Shape {
            concerns: Selection::new(&[Concern::Middleware], &[]).expect("a selection"),
            gateway: false,
            sampling: Share::parse("0.25").expect("a share"),
            ..Shape::default()
        };
        let endpoint = |shape: &Shape| {
            let tracing = traced(configuration(), shape).value()["spec"]["tracing"].clone();
            assert_eq!(tracing["samplingRate"], "0.25");
            tracing["otel"]["endpointAddress"].clone()
        };
        assert_eq!(endpoint(&alone), "");
        let beside = Shape { gateway: true, ..alone };
        assert_eq!(endpoint(&beside), "collector-gateway.learnflow-system:4317");
        assert_eq!(
            traced(configuration(), &Shape::default()),
            configuration(),
            "the manifest is the default"
        );
    }
}
