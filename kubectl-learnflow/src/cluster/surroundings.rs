//! What else is in the cluster that matters to us: limits we must fit into, things of others that do
//! what ours do.

use super::Cluster;
use crate::{
    model::{Bounds, Neighbour, Quota, StateMetrics},
    problem::Problem,
};
use k8s_openapi::{
    api::core::v1::{LimitRange, Pod, ResourceQuota, Service},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::APIGroup},
};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::Value;
use std::collections::BTreeMap;

/// Labels by which the charts and bundles in use call their Services.
const NEIGHBOURS: [&str; 2] = [
    "app.kubernetes.io/name in (prometheus,grafana)",
    "app in (prometheus,grafana,kube-prometheus-stack-prometheus)",
];

impl Cluster {
    /// Versions of an API group, the preferred one first; none when there is no such group.
    pub(crate) async fn api_versions(&self, group: &str) -> Result<Vec<String>, Problem> {
        let doing = format!("ask for the API group {group}");
        let request = http::Request::get(format!("/apis/{group}"))
            .body(Vec::new())
            .map_err(|e| Problem::new(format!("Cannot {doing}: {e}.")))?;
        match self.client.request::<APIGroup>(request).await {
            Ok(found) => {
                let mut versions: Vec<String> = found.versions.into_iter().map(|v| v.version).collect();
                if let Some(preferred) = found.preferred_version {
                    versions.sort_by_key(|version| *version != preferred.version);
                }
                Ok(versions)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(e) => Err(self.explain(&doing)(e)),
        }
    }

    /// Whether pods' use of CPU and memory can be asked for: the group may be there and its server away.
    pub(crate) async fn metrics_api(&self) -> Result<Result<(), String>, Problem> {
        if self.api_versions("metrics.k8s.io").await?.is_empty() {
            return Ok(Err("there is none".into()));
        }
        let request = http::Request::get("/apis/metrics.k8s.io/v1beta1")
            .body(Vec::new())
            .map_err(|e| Problem::new(format!("Cannot ask for the metrics API: {e}.")))?;
        match self.impatient.request_text(request).await {
            Ok(_) => Ok(Ok(())),
            Err(kube::Error::Api(status)) => Ok(Err(format!("it answers {}", status.message.trim()))),
            Err(e) => Err(self.explain("ask the metrics API")(e)),
        }
    }

    /// Kinds of a group and version.
    pub(crate) async fn kinds(&self, group_version: &str) -> Result<Vec<String>, Problem> {
        match self.client.list_api_group_resources(group_version).await {
            Ok(list) => Ok(list
                .resources
                .into_iter()
                .filter(|resource| !resource.name.contains('/'))
                .map(|resource| resource.kind)
                .collect()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(e) => Err(self.explain(&format!("ask for the kinds of {group_version}"))(e)),
        }
    }

    pub(crate) async fn quotas(&self, namespace: &str) -> Result<Vec<Quota>, Problem> {
        let api: Api<ResourceQuota> = Api::namespaced(self.client.clone(), namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(self.list_of("ResourceQuotas", Some(namespace)))?;
        // A scoped quota is for some pods only; which, only the server knows.
        let plain = |quota: &ResourceQuota| {
            let spec = quota.spec.as_ref();
            spec.is_some_and(|s| s.scopes.as_ref().is_none_or(Vec::is_empty) && s.scope_selector.is_none())
        };
        Ok(list
            .into_iter()
            .filter(plain)
            .map(|quota| {
                let name = quota.name_any();
                let status = quota.status.unwrap_or_default();
                Quota {
                    name,
                    hard: texts(status.hard.or_else(|| quota.spec.and_then(|spec| spec.hard))),
                    used: texts(status.used),
                }
            })
            .collect())
    }

    /// What LimitRanges say of each container and pod.
    pub(crate) async fn bounds(&self, namespace: &str) -> Result<Vec<Bounds>, Problem> {
        let api: Api<LimitRange> = Api::namespaced(self.client.clone(), namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(self.list_of("LimitRanges", Some(namespace)))?;
        let each = |range: LimitRange| {
            let name = range.name_any();
            let items = range.spec.map(|spec| spec.limits).unwrap_or_default();
            let items = items.into_iter().map(move |item| Bounds {
                name: name.clone(),
                of: item.type_,
                max: texts(item.max),
                min: texts(item.min),
                default_limit: texts(item.default),
                default_request: texts(item.default_request),
            });
            items.collect::<Vec<_>>()
        };
        Ok(list.into_iter().flat_map(each).collect())
    }

    /// The spec of one running pod of each app with a sidecar, by app id: with all that was injected.
    pub(crate) async fn sidecar_needs(&self) -> Result<Vec<(String, Value)>, Problem> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api
            .list(&ListParams::default().labels("dapr.io/sidecar-injected=true"))
            .await;
        let mut found = BTreeMap::new();
        for pod in list.map_err(self.list_of("Pods", Some(self.namespace.as_str())))? {
            let app_id = pod.labels().get("dapr.io/app-id").cloned().unwrap_or_default();
            let spec = serde_json::to_value(pod.spec).unwrap_or_default();
            found.entry(app_id).or_insert(spec);
        }
        Ok(found.into_iter().collect())
    }

    /// Each kube-state-metrics that is not ours, as our Prometheus would find it.
    pub(crate) async fn state_metrics(&self) -> Result<Vec<StateMetrics>, Problem> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let labels = "app.kubernetes.io/name=kube-state-metrics,app.kubernetes.io/part-of!=learnflow";
        let pods = api.list(&ListParams::default().labels(labels)).await;
        let found = pods.map_err(self.list_of("Pods", None))?.into_iter().map(|pod| {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            StateMetrics {
                namespace: pod.namespace().unwrap_or_default(),
                readable: ports.any(|port| matches!(port.name.as_deref(), Some("http" | "http-metrics"))),
            }
        });
        Ok(found.collect())
    }

    /// Services of a Prometheus or a Grafana that is not ours.
    pub(crate) async fn neighbours(&self) -> Result<Vec<Neighbour>, Problem> {
        let api: Api<Service> = Api::all(self.client.clone());
        let mut found = BTreeMap::new();
        for labels in NEIGHBOURS {
            let wanted = ListParams::default().labels(&format!("{labels},app.kubernetes.io/part-of!=learnflow"));
            for service in api.list(&wanted).await.map_err(self.list_of("Services", None))? {
                let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
                let neighbour = Neighbour {
                    what: match service.labels().values().any(|value| value == "grafana") {
                        true => "Grafana",
                        false => "Prometheus",
                    },
                    namespace: service.namespace().unwrap_or_default(),
                    name: service.name_any(),
                    ports: ports.map(|port| port.port).collect(),
                };
                found.insert((neighbour.namespace.clone(), neighbour.name.clone()), neighbour);
            }
        }
        Ok(found.into_values().collect())
    }
}

fn texts(quantities: Option<BTreeMap<String, Quantity>>) -> BTreeMap<String, String> {
    let quantities = quantities.unwrap_or_default();
    quantities
        .into_iter()
        .map(|(name, quantity)| (name, quantity.0))
        .collect()
}
