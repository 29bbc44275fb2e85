//! What one pod of a service takes, with the sidecar that Dapr's injector adds.

use crate::{
    capacity::Needs,
    model::{Bounds, Service},
};
use serde_json::{Value, json};

const SIDECAR: &str = "daprd";

/// The spec of its pods as they come to be.
pub(super) fn injected(service: &Service) -> Value {
    let mut spec = service.template["spec"].clone();
    let has = |list: &str| {
        let mut containers = service.template["spec"][list].as_array().into_iter().flatten();
        containers.any(|container| container["name"] == SIDECAR)
    };
    if has("containers") || has("initContainers") {
        return spec;
    }
    let annotations = &service.template["metadata"]["annotations"];
    let mut sidecar = json!({ "name": SIDECAR, "resources": {} });
    for (kind, word) in [("requests", "request"), ("limits", "limit")] {
        for resource in ["cpu", "memory"] {
            let amount = &annotations[format!("dapr.io/sidecar-{resource}-{word}")];
            if amount.is_string() {
                sidecar["resources"][kind][resource] = amount.clone();
            }
        }
    }
    if let Some(containers) = spec["containers"].as_array_mut() {
        containers.push(sidecar);
    }
    spec
}

/// What a pod of it takes, in a namespace with these defaults.
pub(super) fn needs(service: &Service, bounds: &[Bounds]) -> Needs {
    Needs::of_pods(&injected(service), 1, bounds)
}
