//! Pods of a service on several nodes. The pod template is its owner's, and what is set there by somebody else is fought over
//! by whoever applies it: so it is said, with the patch, and not done.

use crate::model::Service;
use serde_json::{Value, json};

/// Whether something keeps the pods apart.
pub(super) fn is_spread(service: &Service) -> bool {
    let spec = &service.template["spec"];
    let apart = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    let affinity = &spec["affinity"]["podAntiAffinity"];
    apart(&spec["topologySpreadConstraints"])
        || apart(&affinity["requiredDuringSchedulingIgnoredDuringExecution"])
        || apart(&affinity["preferredDuringSchedulingIgnoredDuringExecution"])
}

/// The command that spreads them. Evenly where it can be: a node that is full is no reason to run fewer pods.
pub(super) fn patch(namespace: &str, service: &Service) -> String {
    let constraint = json!({
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": service.selector,
        // Old and new pods of a rollout are spread apart from each other.
        "matchLabelKeys": ["pod-template-hash"],
    });
    let patch = json!({ "spec": { "template": { "spec": { "topologySpreadConstraints": [constraint] } } } });
    format!("kubectl -n {namespace} patch deployment {} -p '{patch}'", service.name)
}
