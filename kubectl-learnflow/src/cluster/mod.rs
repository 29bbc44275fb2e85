//! All Kubernetes I/O. Kubernetes' types end here: what comes out are the small types of
//! [`crate::model`], what goes wrong is a [`Problem`] that a person can act on.

mod access;
mod again;
mod apply;
mod autoscaled;
mod brokers;
mod canary;
mod collect;
mod connect;
mod discover;
mod enrol;
mod explain;
mod external;
#[cfg(test)]
pub(crate) mod fake;
mod forward;
mod grafana;
mod http2;
mod lease;
mod leftovers;
mod load;
mod memory;
mod monitoring;
mod outage;
mod owned;
mod pages;
mod patience;
mod prometheus;
mod remove;
mod rollout;
mod scaling;
mod service;
mod sidecar_logs;
mod surroundings;
mod traces;

use crate::{monitoring::Address, objects::ObjectRef, problem::Problem};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    core::Status,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

use again::Endurance;

pub(crate) use access::accesses;
pub(crate) use apply::{Mode, Tried};
pub(crate) use autoscaled::{Ask, Sight};
pub(crate) use canary::Line;
pub(crate) use collect::{LogOf, MOST};
pub(crate) use connect::contexts;
pub(crate) use lease::Held;
pub(crate) use outage::Standing;
pub(crate) use patience::Patience;
pub(crate) use rollout::{Progress, Workload};
pub(crate) use sidecar_logs::SidecarLogs;

/// A cluster that can be asked, and the namespace of the services in it.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// Does not ask again when something behind the server is "unavailable".
    impatient: Client,
    endurance: Arc<Endurance>,
    pub(crate) context: String,
    pub(crate) server: String,
    pub(crate) namespace: String,
    /// Where the metrics are, once somebody asked.
    metrics: Arc<OnceCell<Address>>,
    ports: Arc<connect::Ports>,
}

impl Cluster {
    /// From now on an API server that is busy or away, after it has once answered, is waited for that long,
    /// and `tell` hears of it.
    pub(crate) fn endure(&self, patience: Duration, tell: impl Fn(&Problem) + Send + Sync + 'static) {
        self.endurance.of_changes(patience, Box::new(tell));
    }

    /// Objects of a kind that is known by its name only. All kinds that we apply have plurals that
    /// follow the rule, which saves asking the server for them.
    fn dynamic(&self, object: &ObjectRef) -> Api<DynamicObject> {
        let (client, resource) = (self.client.clone(), resource(object));
        match &object.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        }
    }

    fn list_of(&self, what: &str, namespace: Option<&str>) -> impl Fn(kube::Error) -> Problem + use<> {
        let place = namespace.unwrap_or("all namespaces");
        self.explain(&format!("list {what} in {place}"))
    }
}

/// Not there, or its whole kind is not. Of a group that it does not have, an API server says so in plain
/// text without a reason, which [`Status::is_not_found`] does not take for an answer (kube 5.0).
fn is_absent(status: &Status) -> bool {
    status.code == 404
}

fn resource(object: &ObjectRef) -> ApiResource {
    let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &object.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Plan;
    use std::collections::BTreeSet;

    #[test]
    fn the_plurals_of_what_we_apply_follow_the_rule() {
        let plan = Plan::new("shop", &BTreeSet::new()).expect("the plugin's own manifests");
        let known = [
            "namespaces",
            "serviceaccounts",
            "configmaps",
            "services",
            "secrets",
            "deployments",
            "daemonsets",
            "roles",
            "rolebindings",
            "clusterroles",
            "clusterrolebindings",
            "networkpolicies",
            "resourcequotas",
            "limitranges",
            "poddisruptionbudgets",
            "persistentvolumeclaims",
            "components",
            "configurations",
            "resiliencies",
            "horizontalpodautoscalers",
            "podmonitors",
            "prometheusrules",
            "apiservices",
        ];
        for object in plan.all() {
            let plural = resource(&object.reference()).plural;
            assert!(known.contains(&plural.as_str()), "{object}: is {plural} right?");
        }
    }
}
