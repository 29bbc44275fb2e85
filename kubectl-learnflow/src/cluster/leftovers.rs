//! What of ours lies in the services' namespace, and whether anything still refers to it.

use super::{Cluster, is_absent};
use crate::{
    objects::{GUEST, MANAGED_BY, MANAGER, ObjectRef, STACK_NAMESPACE},
    problem::Problem,
};
use futures::try_join;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, PodSpec},
};
use kube::{Api, Resource, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;
use std::{collections::BTreeSet, fmt::Debug};

type Annotations = std::collections::BTreeMap<String, String>;

impl Cluster {
    /// Guests and Configurations of ours.
    pub(crate) async fn guests_and_configurations(&self) -> Result<Vec<ObjectRef>, Problem> {
        let ours = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
        let (maps, configurations) = try_join!(self.listed::<ConfigMap>("ConfigMaps", &ours), self.configurations())?;
        let reference = |api_version: &str, kind: &str, name: String| ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some(self.namespace.clone()),
            name,
        };
        let maps = maps
            .into_iter()
            .map(|map| map.name_any())
            .filter(|name| name.starts_with(GUEST));
        let configurations = configurations.into_iter().filter(|configuration| configuration.ours);
        Ok(configurations
            .map(|configuration| reference("dapr.io/v1alpha1", "Configuration", configuration.name))
            .chain(maps.map(|name| reference("v1", "ConfigMap", name)))
            .collect())
    }

    /// Volumes of the stack, which hold data. None when we may not look.
    pub(crate) async fn volumes(&self) -> Result<Vec<ObjectRef>, Problem> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), STACK_NAMESPACE);
        let ours = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
        match api.list_metadata(&ours).await {
            Ok(list) => Ok(list
                .into_iter()
                .map(|claim| ObjectRef {
                    api_version: "v1".into(),
                    kind: "PersistentVolumeClaim".into(),
                    namespace: Some(STACK_NAMESPACE.into()),
                    name: claim.name_any(),
                })
                .collect()),
            Err(kube::Error::Api(status)) if status.is_forbidden() || is_absent(&status) => Ok(Vec::new()),
            Err(e) => Err(self.list_of("PersistentVolumeClaims", Some(STACK_NAMESPACE))(e)),
        }
    }

    /// Names of Configurations and ConfigMaps that a pod has, or would have: those of Deployments, and of
    /// their earlier revisions too, so that `kubectl rollout undo` finds what it goes back to.
    pub(crate) async fn referred_to(&self) -> Result<BTreeSet<String>, Problem> {
        let everything = ListParams::default();
        let (deployments, sets, mut names) = try_join!(
            self.listed::<Deployment>("Deployments", &everything),
            self.listed::<ReplicaSet>("ReplicaSets", &everything),
            self.carried_by_pods(),
        )?;
        let deployed = deployments
            .into_iter()
            .filter_map(|deployment| Some(deployment.spec?.template));
        let replicated = sets.into_iter().filter_map(|set| set.spec?.template);
        for template in deployed.chain(replicated) {
            let annotations = template.metadata.and_then(|metadata| metadata.annotations);
            refer(annotations, template.spec, &mut names);
        }
        Ok(names)
    }

    /// The same, of pods that there are.
    pub(crate) async fn carried_by_pods(&self) -> Result<BTreeSet<String>, Problem> {
        let pods = self.listed::<Pod>("Pods", &ListParams::default()).await?;
        let mut names = BTreeSet::new();
        for pod in pods {
            refer(pod.metadata.annotations, pod.spec, &mut names);
        }
        Ok(names)
    }

    async fn listed<K>(&self, what: &str, which: &ListParams) -> Result<Vec<K>, Problem>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api.list(which).await;
        Ok(list.map_err(self.list_of(what, Some(self.namespace.as_str())))?.items)
    }
}

fn refer(annotations: Option<Annotations>, pod: Option<PodSpec>, names: &mut BTreeSet<String>) {
    names.extend(annotations.and_then(|mut all| all.remove("dapr.io/config")));
    let volumes = pod.and_then(|pod| pod.volumes).unwrap_or_default();
    names.extend(volumes.into_iter().filter_map(|volume| Some(volume.config_map?.name)));
}
