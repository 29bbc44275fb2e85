//! What changes the number of a service's pods by itself, and what that rests on.

use super::{Cluster, is_absent};
use crate::{
    capacity::{Needs, quantity},
    model::{Disruption, Limits, Machine, Nodes, Scaler, Scaling, Served, Service},
    objects::{MANAGED_BY, MANAGER, ObjectRef},
    problem::{Kind, Problem},
};
use futures::try_join;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::{Node, Pod},
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::ListParams,
    core::{Selector, SelectorExt as _},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

const METRICS: &str = "metrics.k8s.io/v1beta1";

impl Cluster {
    pub(crate) async fn scaling(&self, services: &[Service]) -> Result<Scaling, Problem> {
        let (resources, scalers, unshared, consumed, disruptions, limits) = try_join!(
            self.measures(),
            self.scalers(),
            self.unshared(services),
            self.consumed(services),
            self.disruptions(services),
            self.limits(),
        )?;
        Ok(Scaling {
            served: Served { resources },
            scalers,
            unshared,
            consumed,
            disruptions,
            limits,
            ..Scaling::default()
        })
    }

    /// The nodes, with what their pods leave free; none when we may not look.
    pub(crate) async fn nodes(&self) -> Result<Option<Nodes>, Problem> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let pods: Api<Pod> = Api::all(self.client.clone());
        // What has ended holds nothing any more.
        let running = ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed");
        let list = async {
            let nodes = nodes.list(&ListParams::default()).await;
            let nodes = nodes.map_err(self.list_of("Nodes", None))?;
            let pods = pods.list(&running).await.map_err(self.list_of("Pods", None))?;
            Ok::<_, Problem>((nodes, pods))
        };
        let (nodes, pods) = match list.await {
            Ok(both) => both,
            Err(problem) if problem.kind == Kind::Forbidden => return Ok(None),
            Err(problem) => return Err(problem),
        };
        let mut machines: Vec<Machine> = nodes.into_iter().map(machine).collect();
        let mut waiting: BTreeMap<String, i32> = BTreeMap::new();
        for pod in pods {
            let app = pod.labels().get("dapr.io/app-id").cloned();
            let ours = pod.namespace().is_some_and(|namespace| namespace == self.namespace);
            let spec = pod.spec.unwrap_or_default();
            let Some(node) = &spec.node_name else {
                if let Some(app) = app.filter(|_| ours) {
                    *waiting.entry(app).or_default() += 1;
                }
                continue;
            };
            let Some(machine) = machines.iter_mut().find(|machine| machine.name == *node) else {
                continue;
            };
            let needs = Needs::of_pods(&serde_json::to_value(&spec).unwrap_or_default(), 1, &[]);
            for (resource, free) in &mut machine.free {
                let key = if resource == "pods" {
                    resource.clone()
                } else {
                    format!("requests.{resource}")
                };
                *free -= needs.amounts.get(&key).copied().unwrap_or_default();
            }
        }
        Ok(Some(Nodes { machines, waiting }))
    }

    /// What the namespace may have; none when we may not look.
    async fn limits(&self) -> Result<Option<Limits>, Problem> {
        match try_join!(self.quotas(&self.namespace), self.bounds(&self.namespace)) {
            Ok((quotas, bounds)) => Ok(Some(Limits { quotas, bounds })),
            Err(problem) if problem.kind == Kind::Forbidden => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// The PodDisruptionBudgets of the namespace, each with the services that have pods under it.
    pub(crate) async fn disruptions(&self, services: &[Service]) -> Result<Vec<Disruption>, Problem> {
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(self.list_of("PodDisruptionBudgets", Some(self.namespace.as_str())))?;
        let disruption = |object: PodDisruptionBudget| {
            let name = object.name_any();
            let ours = object.labels().get(MANAGED_BY).is_some_and(|by| by == MANAGER);
            let spec = object.spec.unwrap_or_default();
            // Without a selector it is for no pod, with an empty one for all.
            let selector = spec
                .selector
                .clone()
                .map(|selector| Selector::try_from(selector).unwrap_or_default());
            let under = |service: &&Service| {
                let selector = selector.as_ref();
                selector.is_some_and(|selector| selector.matches(&labels(service)))
            };
            Disruption {
                covers: services
                    .iter()
                    .filter(under)
                    .map(|service| service.name.clone())
                    .collect(),
                spec: serde_json::to_value(spec).unwrap_or_default(),
                name,
                ours,
            }
        };
        Ok(list.into_iter().map(disruption).collect())
    }

    /// What each app is sent, as Subscriptions declare it; one without scopes is for every app.
    pub(super) async fn consumed(
        &self,
        services: &[Service],
    ) -> Result<BTreeMap<String, BTreeSet<(String, String)>>, Problem> {
        let mut consumed: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
        for (scopes, subscription) in self.declared().await? {
            let apps = services.iter().filter_map(|service| service.app_id.as_ref());
            for app in apps.filter(|app| scopes.is_empty() || scopes.contains(app)) {
                let topic = (subscription.component.clone(), subscription.topic.clone());
                consumed.entry(app.clone()).or_default().insert(topic);
            }
        }
        Ok(consumed)
    }

    /// Whether somebody serves what pods take. An APIService whose server is away answers with an error.
    async fn measures(&self) -> Result<bool, Problem> {
        match self.client.list_api_group_resources(METRICS).await {
            Ok(list) => Ok(list.resources.iter().any(|resource| resource.kind == "PodMetrics")),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404 | 503) => Ok(false),
            Err(e) => Err(self.explain(&format!("ask for {METRICS}"))(e)),
        }
    }

    /// Autoscalers of the namespace, and KEDA's ScaledObjects.
    pub(crate) async fn scalers(&self) -> Result<Vec<Scaler>, Problem> {
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(self.list_of("HorizontalPodAutoscalers", Some(self.namespace.as_str())))?;
        let mut scalers: Vec<Scaler> = list.into_iter().filter_map(scaler).collect();
        let keda = ObjectRef::scaled_object(&self.namespace, "");
        match self.dynamic(&keda).list(&ListParams::default()).await {
            Ok(list) => scalers.extend(list.into_iter().filter_map(|object| {
                let target = object.data.pointer("/spec/scaleTargetRef")?;
                let kind = target["kind"].as_str().unwrap_or("Deployment");
                (kind == "Deployment").then(|| Scaler {
                    kind: keda.kind.clone(),
                    target: target["name"].as_str().unwrap_or_default().to_owned(),
                    ours: object.labels().get(MANAGED_BY).is_some_and(|by| by == MANAGER),
                    name: object.name_any(),
                    min: figure(&object.data["spec"]["minReplicaCount"], 0),
                    max: figure(&object.data["spec"]["maxReplicaCount"], 100),
                    spec: object.data["spec"].clone(),
                    ..Scaler::default()
                })
            })),
            // Without KEDA, or out of sight: what it does shows in its HorizontalPodAutoscaler as well.
            Err(kube::Error::Api(status)) if is_absent(&status) || status.is_forbidden() => {}
            Err(e) => return Err(self.list_of("ScaledObjects", Some(self.namespace.as_str()))(e)),
        }
        Ok(scalers)
    }

    /// The same as they are written.
    pub(crate) async fn autoscalers_as_written(&self) -> Result<Vec<Value>, Problem> {
        self.written::<HorizontalPodAutoscaler>("HorizontalPodAutoscalers")
            .await
    }

    /// One Deployment as it is written.
    pub(crate) async fn deployment(&self, name: &str) -> Result<Option<Value>, Problem> {
        let mut all = self.written::<Deployment>("Deployments").await?.into_iter();
        Ok(all.find(|deployment| deployment["metadata"]["name"] == name))
    }

    /// All of a kind in the namespace, with what a list leaves out of each.
    async fn written<K>(&self, what: &str) -> Result<Vec<Value>, Problem>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(self.list_of(what, Some(self.namespace.as_str())))?;
        let written = list.into_iter().filter_map(|object| serde_json::to_value(object).ok());
        Ok(written.collect())
    }

    /// Claims of these services that only one node, or one pod, can mount.
    async fn unshared(&self, services: &[Service]) -> Result<BTreeMap<String, String>, Problem> {
        let mut unshared = BTreeMap::new();
        let claims: BTreeSet<&String> = services.iter().flat_map(|service| &service.claims).collect();
        for name in claims {
            let claim = ObjectRef {
                api_version: "v1".into(),
                kind: "PersistentVolumeClaim".into(),
                ..ObjectRef::autoscaler(&self.namespace, name)
            };
            let why = match self.existing(&claim).await {
                Ok(Some(found)) => {
                    let modes = found.value["spec"]["accessModes"]
                        .as_array()
                        .cloned()
                        .unwrap_or_default();
                    let shared = modes
                        .iter()
                        .any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany");
                    (!shared).then_some("which only one node can mount (ReadWriteOnce)")
                }
                Ok(None) => Some("which does not exist"),
                Err(problem) if problem.kind == Kind::Forbidden => Some("which we may not look at"),
                Err(problem) => return Err(problem),
            };
            unshared.extend(why.map(|why| (name.clone(), why.to_owned())));
        }
        Ok(unshared)
    }
}

fn machine(node: Node) -> Machine {
    let allocatable = node
        .status
        .iter()
        .flat_map(|status| status.allocatable.iter().flatten());
    let ours = allocatable.filter(|(resource, _)| matches!(resource.as_str(), "cpu" | "memory" | "pods"));
    let free = ours.filter_map(|(resource, amount)| Some((resource.clone(), quantity(&amount.0)?)));
    Machine {
        free: free.collect(),
        labels: node.labels().clone(),
        // A cordoned node has a taint as well.
        taints: node.spec.as_ref().map_or(json!([]), |spec| json!(spec.taints)),
        name: node.name_any(),
    }
}

/// The labels that its pods have, those of Dapr's injector among them.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let own = service.template["metadata"]["labels"].as_object().into_iter().flatten();
    let own = own.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    let mut labels: BTreeMap<String, String> = own.collect();
    labels.insert("dapr.io/sidecar-injected".into(), "true".into());
    labels.extend(service.app_id.clone().map(|app| ("dapr.io/app-id".into(), app)));
    labels
}

fn figure(value: &serde_json::Value, default: i32) -> i32 {
    value
        .as_i64()
        .and_then(|figure| i32::try_from(figure).ok())
        .unwrap_or(default)
}

fn scaler(object: HorizontalPodAutoscaler) -> Option<Scaler> {
    let name = object.name_any();
    let ours = object.labels().get(MANAGED_BY).is_some_and(|by| by == MANAGER);
    let created = object.creation_timestamp().map(|time| time.0.as_second());
    let spec = object.spec?;
    let whole = serde_json::to_value(&spec).unwrap_or_default();
    let target = match spec.scale_target_ref.kind.as_str() {
        "Deployment" => spec.scale_target_ref.name,
        // No Deployment has such a name.
        other => format!("{other} {}", spec.scale_target_ref.name),
    };
    let status = object.status.unwrap_or_default();
    let current = serde_json::to_value(&status.current_metrics).unwrap_or_default();
    Some(Scaler {
        kind: "HorizontalPodAutoscaler".into(),
        name,
        target,
        ours,
        min: spec.min_replicas.unwrap_or(1),
        max: spec.max_replicas,
        current: status.current_replicas.unwrap_or(0),
        desired: status.desired_replicas,
        load: cpu(&current).zip(cpu(&whole)),
        created,
        conditions: status
            .conditions
            .into_iter()
            .flatten()
            .map(|condition| {
                let holds = condition.status == "True";
                (
                    condition.type_,
                    holds,
                    condition.reason.unwrap_or_default(),
                    condition.message.unwrap_or_default(),
                )
            })
            .collect(),
        spec: whole,
        measured: current,
    })
}

/// Of a list of metrics, or of a spec with one: the share of the CPU request, in percent.
fn cpu(metrics: &serde_json::Value) -> Option<i32> {
    let list = metrics.as_array().or_else(|| metrics["metrics"].as_array())?;
    let mut found = list.iter().map(|metric| &metric["containerResource"]);
    let cpu = found.find(|metric| metric["name"] == "cpu")?;
    let of = [&cpu["current"], &cpu["target"]];
    let share = of.into_iter().find_map(|of| of["averageUtilization"].as_i64())?;
    i32::try_from(share).ok()
}

#[cfg(test)]
mod tests {
    use crate::cluster::fake::Fake;
    use serde_json::json;

    /// Of a group that it does not have at all, a real API server says so in plain text.
    #[test]
    fn a_cluster_without_keda_has_none_of_its_objects() {
        let fake = Fake::sound();
        let path = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects";
        fake.answer(path, 404, json!("404 page not found"));
        let scalers = fake.run(async |cluster| cluster.scalers().await);
        assert_eq!(scalers, Ok(Vec::new()));
    }
}
