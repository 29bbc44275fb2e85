//! What `verify` may have to do: the only verb that reaches for a workload that is not one of the services.

use super::{AUTOSCALERS, Permissions, access, facts, named, to};
use crate::{
    objects::ObjectRef,
    outage::{Fault, NOTE},
};

/// Where Kafka is, for whoever only asks for a Role.
const KAFKA: &str = "kafka";

/// What it does for a Kafka in a namespace `kafka`.
pub(super) fn all(namespace: &str) -> Permissions {
    let kinds = "statefulsets,deployments";
    let permissions = looks(namespace).and(noted(namespace)).and(around(KAFKA));
    permissions
        .and(autoscaling(namespace))
        .like(to("get,create", "", "services/proxy", Some(namespace)))
        // What is behind the brokers' Service.
        .need(to("get", "", "services", Some(KAFKA)))
        .need(to("get,list,patch", "apps", kinds, Some(KAFKA)))
        // Whether the canaries are in Kafka, by the login of the Component.
        .like(to("get,create", "", "pods/portforward", Some(KAFKA)))
        .like(to("get", "", "secrets", Some(namespace)))
}

/// To find out what takes part.
pub(crate) fn looks(namespace: &str) -> Permissions {
    facts(namespace)
        .need(to("list", "", "pods", Some(namespace)))
        .need([named(access("get", "", "configmaps", Some(namespace)), NOTE)])
        .need([access("get", "", "pods/portforward", Some(namespace))])
        // From Kubernetes 1.35 on a port-forward needs this too.
        .like([access("create", "", "pods/portforward", Some(namespace))])
        // Whose dead letters to count.
        .like(to("list", "dapr.io", "subscriptions", Some(namespace)))
}

/// To watch an autoscaler; nothing is sent.
pub(crate) fn autoscaling(namespace: &str) -> Permissions {
    let here = Some(namespace);
    Permissions::default()
        .need(to("get,list", "autoscaling", AUTOSCALERS, here))
        .need(to("get", "apps", "deployments", here))
        .need(to("list", "", "pods,services", here))
}

/// To send requests to a Service: `http:cart:80` is how its proxy calls it.
pub(crate) fn requests(namespace: &str, proxied: &str, verb: &str) -> Permissions {
    let proxy = access(verb, "", "services/proxy", Some(namespace));
    Permissions::default().need([named(proxy, proxied)])
}

/// To break it, and to put it back: without any of these nothing is broken.
pub(crate) fn breaks(namespace: &str, fault: &Fault) -> Permissions {
    let permissions = noted(namespace);
    match fault {
        Fault::Scale { object, .. } => permissions.and(scales(object)),
        Fault::Commands { .. } => permissions,
    }
}

/// To put back what an earlier run has left. What it is, its note says.
pub(crate) fn restores(namespace: &str) -> Permissions {
    let note = named(access("get", "", "configmaps", Some(namespace)), NOTE);
    Permissions::default().need([note, named(access("delete", "", "configmaps", Some(namespace)), NOTE)])
}

fn noted(namespace: &str) -> Permissions {
    restores(namespace).need(to("create", "", "configmaps", Some(namespace)))
}

fn scales(object: &ObjectRef) -> Permissions {
    let place = object.namespace.as_deref().unwrap_or_default();
    let kind = format!("{}s", object.kind.to_lowercase());
    let each = ["get", "patch"].map(|verb| named(access(verb, "apps", &kind, Some(place)), &object.name));
    around(place).need(each)
}

fn around(place: &str) -> Permissions {
    Permissions::default()
        .need(to("list", "", "pods", Some(place)))
        .need(to("list", "autoscaling", "horizontalpodautoscalers", Some(place)))
        .need(to("list", "policy", "poddisruptionbudgets", Some(place)))
}
