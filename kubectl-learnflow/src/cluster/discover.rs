//! What is there: Kubernetes, Dapr, Kafka, and the services.

use super::{Cluster, Workload, apply::existing, is_absent};
use crate::{
    kafka::Component,
    model::{Before, Configuration, ControlPlane, Existing, Facts, Gap, Resiliency, Rollout, Service, Setting},
    objects::{BEFORE, GUEST, MANAGED_BY, MANAGER, MIDDLEWARE, ObjectRef, RESTARTED, REVISION, VERSION_LABEL},
    permissions::DAPR_NAMESPACE,
    problem::Problem,
};
use futures::try_join;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec},
        core::v1::{Container, Namespace, Node},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::{
        apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, TypeMeta},
};
use std::collections::BTreeSet;

const DAPR: &str = "dapr.io/v1alpha1";

impl Cluster {
    pub(crate) async fn facts(&self) -> Result<Facts, Problem> {
        // First alone: if this one fails, all would, and each would say so.
        let kubernetes = self.kubernetes_version().await?;
        let (namespace_exists, dapr_kinds, planes, kafka, services, configurations, resiliencies) = try_join!(
            self.namespace_exists(),
            self.dapr_kinds(),
            self.control_planes(),
            self.kafka(),
            self.services(),
            self.configurations(),
            self.resiliencies(),
        )?;
        let plane = |app: &str| {
            planes
                .iter()
                .find(|(name, _)| name == app)
                .map(|(_, plane)| plane.clone())
        };
        Ok(Facts {
            context: self.context.clone(),
            server: self.server.clone(),
            kubernetes,
            namespace_exists,
            dapr_kinds,
            operator: plane("dapr-operator"),
            injector: plane("dapr-sidecar-injector"),
            kafka,
            services,
            configurations,
            resiliencies,
        })
    }

    pub(crate) async fn kubernetes_version(&self) -> Result<String, Problem> {
        let version = self
            .client
            .apiserver_version()
            .await
            .map_err(self.explain("ask for its version"))?;
        // A build from plain sources calls itself v0.0.0; what it is stands in the other two.
        if version.git_version.starts_with("v0.0.0") {
            return Ok(format!("v{}.{}", version.major, version.minor.trim_end_matches('+')));
        }
        Ok(version.git_version)
    }

    /// The version of the Dapr control plane, if there is one that says.
    pub(crate) async fn dapr_version(&self) -> Result<Option<String>, Problem> {
        let planes = self.control_planes().await?;
        Ok(planes
            .into_iter()
            .find(|(app, _)| app == "dapr-operator")
            .and_then(|(_, plane)| plane.version))
    }

    async fn namespace_exists(&self) -> Result<bool, Problem> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        match api.get_metadata_opt(&self.namespace).await {
            Ok(found) => Ok(found.is_some()),
            // Who may not ask finds out when the namespace's own contents are listed.
            Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(true),
            Err(e) => Err(self.explain(&format!("read Namespace {}", self.namespace))(e)),
        }
    }

    pub(crate) async fn namespaces(&self) -> Result<Vec<String>, Problem> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let list = api.list_metadata(&ListParams::default()).await;
        let list = list.map_err(self.list_of("Namespaces", None))?;
        Ok(list.into_iter().map(|namespace| namespace.name_any()).collect())
    }

    async fn dapr_kinds(&self) -> Result<Vec<String>, Problem> {
        match self.client.list_api_group_resources(DAPR).await {
            Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.kind).collect()),
            Err(kube::Error::Api(status)) if is_absent(&status) => Ok(Vec::new()),
            Err(e) => Err(self.explain("ask for Dapr's kinds")(e)),
        }
    }

    async fn control_planes(&self) -> Result<Vec<(String, ControlPlane)>, Problem> {
        let wanted = ListParams::default().labels("app in (dapr-operator,dapr-sidecar-injector)");
        let api: Api<Deployment> = Api::all(self.client.clone());
        let found = match api.list(&wanted).await {
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                let api: Api<Deployment> = Api::namespaced(self.client.clone(), DAPR_NAMESPACE);
                api.list(&wanted)
                    .await
                    .map_err(self.list_of("Deployments", Some(DAPR_NAMESPACE)))?
            }
            other => other.map_err(self.list_of("Deployments", None))?,
        };
        let plane = |deployment: Deployment| {
            let app = deployment.labels().get("app").cloned().unwrap_or_default();
            let version = deployment.labels().get(VERSION_LABEL).cloned();
            let plane = ControlPlane {
                namespace: deployment.namespace().unwrap_or_default(),
                version: version.or_else(|| image_tag(&deployment)),
                ready: rollout(&deployment).ready > 0,
            };
            (app, plane)
        };
        Ok(found.into_iter().map(plane).collect())
    }

    /// The `pubsub.kafka` Components of the services' namespace.
    pub(super) async fn kafka(&self) -> Result<Vec<Component>, Problem> {
        let api = self.dynamic(&self.of_dapr("Component"));
        match api.list(&ListParams::default()).await {
            Ok(list) => Ok(list
                .into_iter()
                .filter(|c| c.data.pointer("/spec/type").and_then(|t| t.as_str()) == Some("pubsub.kafka"))
                .map(|component| Component::read(&component.name_any(), &component.data))
                .collect()),
            Err(kube::Error::Api(status)) if is_absent(&status) => Ok(Vec::new()),
            Err(e) => Err(self.list_of("Dapr Components", Some(self.namespace.as_str()))(e)),
        }
    }

    /// All Components of the services' namespace, whatever their type.
    pub(crate) async fn component_names(&self) -> Result<BTreeSet<String>, Problem> {
        let list = self
            .dynamic(&self.of_dapr("Component"))
            .list(&ListParams::default())
            .await;
        let list = list.map_err(self.list_of("Dapr Components", Some(self.namespace.as_str())))?;
        Ok(list.into_iter().map(|component| component.name_any()).collect())
    }

    /// Deployments with a Dapr sidecar, by name.
    pub(crate) async fn services(&self) -> Result<Vec<Service>, Problem> {
        let services = self.services_at_work().await?;
        Ok(services.into_iter().map(|(service, _)| service).collect())
    }

    /// The same, and how far each is with its pods.
    pub(crate) async fn services_at_work(&self) -> Result<Vec<(Service, Workload)>, Problem> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(self.list_of("Deployments", Some(self.namespace.as_str())))?;
        let at_work = |deployment: Deployment| {
            let workload = self.known_workload(&deployment);
            Some((service(deployment)?, workload))
        };
        Ok(list.into_iter().filter_map(at_work).collect())
    }

    /// Namespaces that hold a Component of ours, with it; none when we may not look everywhere.
    pub(crate) async fn middlewares(&self) -> Result<Vec<(String, Existing)>, Problem> {
        let mut anywhere = self.of_dapr("Component");
        anywhere.namespace = None;
        let wanted = ListParams::default().fields(&format!("metadata.name={MIDDLEWARE}"));
        match self.dynamic(&anywhere).list(&wanted).await {
            Ok(list) => Ok(list
                .into_iter()
                .map(|component| (component.namespace().unwrap_or_default(), existing(component)))
                .filter(|(_, found)| found.managed_by.as_deref() == Some(MANAGER))
                .collect()),
            Err(kube::Error::Api(status)) if is_absent(&status) || status.is_forbidden() => Ok(Vec::new()),
            Err(e) => Err(self.list_of("Dapr Components", None)(e)),
        }
    }

    /// Whether claims without a class get a volume; `None` where we may not look.
    pub(crate) async fn default_storage_class(&self) -> Result<Option<bool>, Problem> {
        let api: Api<StorageClass> = Api::all(self.client.clone());
        match api.list_metadata(&ListParams::default()).await {
            Ok(list) => Ok(Some(list.into_iter().any(|class| {
                let default = class.annotations().get("storageclass.kubernetes.io/is-default-class");
                default.is_some_and(|value| value == "true")
            }))),
            Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
            Err(e) => Err(self.list_of("StorageClasses", None)(e)),
        }
    }

    /// Nodes, each of which runs a Collector's agent.
    pub(crate) async fn count_nodes(&self) -> Result<usize, Problem> {
        let api: Api<Node> = Api::all(self.client.clone());
        let nodes = api.list_metadata(&ListParams::default()).await;
        Ok(nodes.map_err(self.list_of("Nodes", None))?.items.len())
    }

    /// The Dapr Configurations of the services' namespace.
    pub(crate) async fn configurations(&self) -> Result<Vec<Configuration>, Problem> {
        let configuration = |mut object: DynamicObject| Configuration {
            name: object.name_any(),
            ours: object.labels().get(MANAGED_BY).is_some_and(|by| by == MANAGER),
            spec: object.data["spec"].take(),
        };
        match self
            .dynamic(&self.of_dapr("Configuration"))
            .list(&ListParams::default())
            .await
        {
            Ok(list) => Ok(list.into_iter().map(configuration).collect()),
            Err(kube::Error::Api(status)) if is_absent(&status) => Ok(Vec::new()),
            Err(e) => Err(self.list_of("Dapr Configurations", Some(self.namespace.as_str()))(e)),
        }
    }

    /// The Dapr Resiliencies of the services' namespace.
    pub(crate) async fn resiliencies(&self) -> Result<Vec<Resiliency>, Problem> {
        let resiliency = |object: DynamicObject| {
            let ours = object.labels().get(MANAGED_BY).is_some_and(|by| by == MANAGER);
            let name = object.name_any();
            let mut found = existing(object);
            Resiliency {
                name,
                ours,
                scopes: found.scopes,
                spec: found.value["spec"].take(),
            }
        };
        match self
            .dynamic(&self.of_dapr("Resiliency"))
            .list(&ListParams::default())
            .await
        {
            Ok(list) => Ok(list.into_iter().map(resiliency).collect()),
            Err(kube::Error::Api(status)) if is_absent(&status) => Ok(Vec::new()),
            Err(e) => Err(self.list_of("Dapr Resiliencies", Some(self.namespace.as_str()))(e)),
        }
    }

    /// The Components, Resiliencies and Subscriptions of the services' namespace, as they are.
    pub(crate) async fn dapr_objects(&self) -> Result<Vec<serde_json::Value>, Problem> {
        let mut all = Vec::new();
        // A Subscription is stored as v2alpha1; for another version the API server asks Dapr's operator.
        let kinds = [
            ("Component", "v1alpha1"),
            ("Resiliency", "v1alpha1"),
            ("Subscription", "v2alpha1"),
        ];
        for (kind, version) in kinds {
            let object = ObjectRef {
                api_version: format!("dapr.io/{version}"),
                ..self.of_dapr(kind)
            };
            match self.dynamic(&object).list(&ListParams::default()).await {
                Ok(list) => {
                    for mut found in list {
                        // The items of a list do not say what they are.
                        found.types.get_or_insert_with(|| TypeMeta {
                            api_version: object.api_version.clone(),
                            kind: kind.into(),
                        });
                        let value = serde_json::to_value(&found);
                        all.push(value.map_err(|e| Problem::new(format!("Cannot read {kind}: {e}.")))?);
                    }
                }
                Err(kube::Error::Api(status)) if is_absent(&status) => {}
                Err(e) => return Err(self.list_of(&format!("Dapr {kind}s"), Some(self.namespace.as_str()))(e)),
            }
        }
        Ok(all)
    }

    pub(super) fn of_dapr(&self, kind: &str) -> ObjectRef {
        ObjectRef {
            api_version: DAPR.into(),
            kind: kind.into(),
            namespace: Some(self.namespace.clone()),
            name: MIDDLEWARE.into(),
        }
    }
}

/// A Deployment as a service, when its pods get a sidecar.
fn service(deployment: Deployment) -> Option<Service> {
    let rollout = rollout(&deployment);
    let metadata = deployment.metadata;
    let enrolled = metadata.managed_fields.iter().flatten().any(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().is_none_or(str::is_empty)
    });
    let spec = deployment.spec?;
    let gap = gap(&spec);
    let template = spec.template.metadata.unwrap_or_default();
    let annotation = |name: &str| template.annotations.as_ref()?.get(name).cloned();
    let setting = |name: &str| {
        Some(Setting {
            value: annotation(name)?,
            owners: owners(&metadata, name),
        })
    };
    // The spellings that Dapr's injector takes for true.
    let enabled = annotation("dapr.io/enabled")?.to_ascii_lowercase();
    if !["true", "t", "yes", "y", "on", "1"].contains(&enabled.trim()) {
        return None;
    }
    let pod = spec.template.spec.unwrap_or_default();
    let own = pod.containers.iter().filter(|container| container.name != "daprd");
    let containers: Vec<String> = own.map(|container| container.name.clone()).collect();
    let requested = |container: &Container| {
        let requests = container.resources.as_ref().and_then(|r| r.requests.clone());
        let name = container.name.clone();
        let each = requests.into_iter().flatten();
        each.map(move |(resource, _)| (name.clone(), resource))
            .collect::<Vec<_>>()
    };
    let requesting = pod.containers.iter().flat_map(requested).collect();
    let volumes = pod.volumes.unwrap_or_default();
    let claims = volumes.iter().filter_map(|v| v.persistent_volume_claim.as_ref());
    let claims = claims.map(|claim| claim.claim_name.clone()).collect();
    let volume = volumes.into_iter().find(|volume| volume.name == GUEST);
    let foreign_volume = volume
        .as_ref()
        .is_some_and(|volume| !is_guest(volume.config_map.as_ref().map(|map| &*map.name)));
    let before = annotation(BEFORE).and_then(|json| serde_json::from_str::<Before>(&json).ok());
    Some(Service {
        app_id: annotation("dapr.io/app-id"),
        container: containers.first().cloned(),
        containers,
        config: setting("dapr.io/config"),
        mounts: setting("dapr.io/volume-mounts"),
        revision: annotation(REVISION),
        restarted: annotation(RESTARTED),
        before: before.unwrap_or_default(),
        foreign_volume,
        guest: volume.and_then(|volume| Some(volume.config_map?.name)),
        enrolled,
        paused: spec.paused.unwrap_or(false),
        gap,
        requesting,
        claims,
        rollout,
        name: metadata.name.unwrap_or_default(),
    })
}

/// Whether a ConfigMap of that name brings a guest, of this plugin or of an earlier one.
fn is_guest(config_map: Option<&str>) -> bool {
    config_map.is_some_and(|name| name == GUEST || name.strip_prefix(GUEST).is_some_and(|rest| rest.starts_with('-')))
}

/// Who has set an annotation of the pod template.
fn owners(metadata: &ObjectMeta, annotation: &str) -> Vec<String> {
    let field = format!("f:{annotation}");
    let path = ["f:spec", "f:template", "f:metadata", "f:annotations", field.as_str()];
    let owns = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        path.iter().fold(fields, |fields, key| fields?.get(key)).is_some()
    };
    let entries = metadata.managed_fields.iter().flatten();
    entries.filter(owns).filter_map(|entry| entry.manager.clone()).collect()
}

/// What makes a rolling update of a Deployment lose calls.
fn gap(spec: &DeploymentSpec) -> Option<Gap> {
    let strategy = spec.strategy.clone().unwrap_or_default();
    if strategy.type_.as_deref() == Some("Recreate") {
        return Some(Gap::Recreate);
    }
    let replicas = spec.replicas.unwrap_or(1);
    let unavailable = match strategy.rolling_update.and_then(|update| update.max_unavailable) {
        Some(IntOrString::Int(number)) => number,
        Some(IntOrString::String(percent)) => {
            percent.trim_end_matches('%').parse::<i32>().unwrap_or(25) * replicas / 100
        }
        None => replicas / 4,
    };
    if replicas > 0 && unavailable >= replicas {
        return Some(Gap::AllAtOnce);
    }
    let containers = spec.template.spec.iter().flat_map(|pod| &pod.containers);
    let mut unprobed = containers.filter(|container| container.readiness_probe.is_none());
    if unprobed.next().is_some() {
        return Some(Gap::NoReadinessProbe);
    }
    let annotations = spec
        .template
        .metadata
        .as_ref()
        .and_then(|template| template.annotations.as_ref());
    let waits = annotations.is_some_and(|all| all.contains_key("dapr.io/block-shutdown-duration"));
    (!waits).then_some(Gap::EndsAtOnce)
}

pub(super) fn rollout(deployment: &Deployment) -> Rollout {
    let status = deployment.status.as_ref();
    let figure = |value: Option<i32>| value.unwrap_or(0);
    Rollout {
        observed: status.and_then(|s| s.observed_generation) >= deployment.metadata.generation,
        desired: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        updated: figure(status.and_then(|s| s.updated_replicas)),
        total: figure(status.and_then(|s| s.replicas)),
        ready: figure(status.and_then(|s| s.available_replicas)),
    }
}

/// The tag of the first container's image: `ghcr.io/dapr/operator:1.18.1@sha256:…` is 1.18.1.
fn image_tag(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let image = pod.containers.first()?.image.as_deref()?;
    let name = image.split('@').next()?.rsplit('/').next()?;
    name.split_once(':').map(|(_, tag)| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_that_is_not_seamless_is_known() {
        let of = |change: serde_json::Value| {
            let mut spec = json!({
                "selector": {},
                "template": {
                    "metadata": { "annotations": { "dapr.io/block-shutdown-duration": "30s" } },
                    "spec": { "containers": [{ "name": "app", "readinessProbe": {} }] },
                },
            });
            let all = spec.as_object_mut().expect("an object");
            all.extend(change.as_object().expect("an object").clone());
            gap(&serde_json::from_value(spec).expect("a spec"))
        };
        let template = |annotations: serde_json::Value, containers: serde_json::Value| json!({ "template": { "metadata": { "annotations": annotations }, "spec": { "containers": containers } } });
        let probed = json!([{ "name": "app", "readinessProbe": {} }]);
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({ "strategy": { "type": "Recreate" } })), Some(Gap::Recreate));
        let all = json!({ "strategy": { "rollingUpdate": { "maxUnavailable": "100%" } } });
        assert_eq!(of(all), Some(Gap::AllAtOnce));
        assert_eq!(
            of(template(json!({}), json!([{ "name": "app" }]))),
            Some(Gap::NoReadinessProbe)
        );
        assert_eq!(of(template(json!({}), probed)), Some(Gap::EndsAtOnce));
    }

    fn deployment(annotations: serde_json::Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "name": "cart", "generation": 4, "managedFields": [
                { "manager": MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {} },
            ]},
            "spec": {
                "selector": {},
                "template": {
                    "metadata": { "annotations": annotations },
                    "spec": { "containers": [{ "name": "a", "image": "registry:5000/x/operator:1.18.1-mariner@sha256:0" }] },
                },
            },
            "status": { "observedGeneration": 4, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 },
        }))
        .expect("a Deployment")
    }

    #[test]
    fn a_deployment_with_a_sidecar_is_a_service() {
        let found = service(deployment(
            json!({ "dapr.io/enabled": "true", "dapr.io/app-id": "cart-app" }),
        ));
        let found = found.expect("a service");
        assert_eq!(
            (found.name.as_str(), found.app_id.as_deref()),
            ("cart", Some("cart-app"))
        );
        assert!(found.enrolled && found.rollout.is_settled());
        assert_eq!(service(deployment(json!({ "dapr.io/enabled": "false" }))), None);
        assert_eq!(service(deployment(json!({}))), None);
    }

    #[test]
    fn a_version_is_read_from_an_image() {
        assert_eq!(image_tag(&deployment(json!({}))).as_deref(), Some("1.18.1-mariner"));
    }
}
