//! What scaling the services asks for: looking at what there is, and giving and taking autoscalers.

use super::*;

/// What scales the services, and what there is room for.
pub(crate) fn explain_scaling(namespace: &str) -> Permissions {
    scaled(namespace)
        .need(to("list", "apps", "deployments", Some(namespace)))
        .like(to("list", "", "nodes,pods", None))
}

/// What is looked at before somebody is scaled.
pub(super) fn scaled(namespace: &str) -> Permissions {
    let here = Some(namespace);
    Permissions::default()
        .need(to("list", "autoscaling", AUTOSCALERS, here))
        .need(to("list", "policy", BUDGETS, here))
        // Who consumes, and who is called.
        .need(to("list", "dapr.io", "components,subscriptions", here))
        // Without these a claim counts as one that only one pod can mount, and KEDA shows in its autoscaler.
        .like(to("get", "", "persistentvolumeclaims", here))
        .like(to("list", "keda.sh", "scaledobjects", here))
        // Whether as many pods fit.
        .like(to("list", "", "resourcequotas,limitranges", here))
}

/// Autoscalers, and what they scale.
pub(crate) fn simulate_scaling(namespace: &str) -> Permissions {
    Permissions::default()
        .need(to("list", "autoscaling", AUTOSCALERS, Some(namespace)))
        .need(to("list", "apps", "deployments", Some(namespace)))
}

/// Autoscalers come and go with the services that they are safe for; others' are found, and left alone.
pub(super) fn scaling(namespace: &str) -> Permissions {
    let here = Some(namespace);
    scaled(namespace)
        .need(to("get,create,patch,delete", "autoscaling", AUTOSCALERS, here))
        .need(to("get,create,patch,delete", "policy", BUDGETS, here))
        .need(to("list", "apps", "deployments", here))
        // How many partitions there are, while Prometheus does not know it: from Kafka, by way of its pods.
        .like(to("get", "", "services", here))
        .like(to("list", "", "pods", here))
        .like(to("get,create", "", "pods/portforward", here))
        // Where KEDA is, it scales consumers.
        .like(to("get,create,patch,delete", "keda.sh", "scaledobjects", here))
}

/// The collector that asks Kafka comes and goes with the Components that it can follow.
pub(super) fn measuring(namespace: &str) -> Permissions {
    let all = kafka::references(namespace);
    Permissions::default()
        .need(accesses(all.iter(), &["get", "create", "patch", "delete"]))
        .need(to("list", "", "pods", Some(namespace)))
        .like(to("list", "", "events", Some(namespace)))
}

/// KEDA's ScaledObjects of services that are let go.
pub(super) fn let_go(namespace: &str) -> Vec<Access> {
    to("list,delete", "keda.sh", "scaledobjects", Some(namespace))
}
