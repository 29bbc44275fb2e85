//! What is there: Kubernetes, Dapr, Kafka, and the services.

use super::{
    Cluster, Workload,
    apply::existing,
    is_absent,
    service::{rollout, service},
};
use crate::{
    kafka::Component,
    model::{Configuration, ControlPlane, Existing, Facts, Resiliency, Service},
    objects::{MANAGED_BY, MANAGER, MIDDLEWARE, ObjectRef, VERSION_LABEL},
    permissions::DAPR_NAMESPACE,
    problem::Problem,
};
use futures::try_join;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Node},
    storage::v1::StorageClass,
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
    pub(crate) async fn kafka(&self) -> Result<Vec<Component>, Problem> {
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
    fn a_version_is_read_from_an_image() {
        let containers = json!([{ "name": "a", "image": "registry:5000/x/operator:1.18.1-mariner@sha256:0" }]);
        let spec = json!({ "selector": {}, "template": { "spec": { "containers": containers } } });
        let deployment = serde_json::from_value(json!({ "spec": spec })).expect("a Deployment");
        assert_eq!(image_tag(&deployment).as_deref(), Some("1.18.1-mariner"));
    }
}
