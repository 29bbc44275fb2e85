//! Deleting what is ours, and knowing what is not.

use super::{Cluster, is_absent};
use crate::{
    objects::ObjectRef,
    problem::{Kind, Problem},
};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams},
    discovery::{Discovery, Scope, verbs},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(500);

impl Cluster {
    /// Whether it was there.
    pub(crate) async fn delete(&self, object: &ObjectRef) -> Result<bool, Problem> {
        // Foreground: a workload is gone only when its pods are. Nothing else: it begins with an update
        // of the object, and at an update of a Configuration Dapr restarts every sidecar around it.
        let params = match object.kind.as_str() {
            "Deployment" | "DaemonSet" => DeleteParams::foreground(),
            _ => DeleteParams::background(),
        };
        let deleted = self.dynamic(object).delete(&object.name, &params).await;
        match deleted {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if is_absent(&status) => Ok(false),
            Err(e) => Err(self.explain(&format!("delete {object}"))(e)),
        }
    }

    /// Waits until none is left; those that still are when time is up come back.
    pub(crate) async fn wait_gone(
        &self,
        objects: &[ObjectRef],
        timeout: Duration,
        mut tell: impl FnMut(&[ObjectRef]),
    ) -> Result<Vec<ObjectRef>, Problem> {
        let began = Instant::now();
        let mut left = objects.to_vec();
        loop {
            let over = began.elapsed() >= timeout;
            let mut still = Vec::new();
            for object in &left {
                match self.existing(object).await {
                    Ok(None) => {}
                    Ok(Some(_)) => still.push(object.clone()),
                    Err(problem) if problem.kind == Kind::Unreachable && !over => still.push(object.clone()),
                    Err(problem) => return Err(problem),
                }
            }
            left = still;
            tell(&left);
            if left.is_empty() || over {
                return Ok(left);
            }
            sleep(POLL).await;
        }
    }

    /// What a namespace holds that nobody but a person can have put there: not what the cluster
    /// makes by itself in every namespace, and not what belongs to another object.
    pub(crate) async fn contents(&self, namespace: &str) -> Result<Vec<String>, Problem> {
        let doing = format!("look into Namespace {namespace}");
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await;
        let discovery = discovery.map_err(self.explain(&doing))?;
        let kinds: Vec<ApiResource> = discovery
            .groups()
            .filter(|group| !matches!(group.name(), "metrics.k8s.io" | "events.k8s.io" | "discovery.k8s.io"))
            .flat_map(|group| group.recommended_resources())
            .filter(|(_, can)| can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST))
            .map(|(kind, _)| kind)
            .filter(|kind| !matches!(kind.kind.as_str(), "Event" | "Endpoints"))
            .collect();
        let found = stream::iter(kinds)
            .map(|kind| self.contents_of_kind(namespace, kind))
            .buffered(8);
        let found: Vec<Vec<String>> = found.try_collect().await?;
        Ok(found.concat())
    }

    async fn contents_of_kind(&self, namespace: &str, kind: ApiResource) -> Result<Vec<String>, Problem> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.impatient.clone(), namespace, &kind);
        let list = match api.list_metadata(&ListParams::default()).await {
            Ok(list) => list,
            // What cannot be seen might be somebody's.
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                return Ok(vec![format!("{} (may not be listed)", kind.plural)]);
            }
            // A kind may go away, or never have worked, while we look.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405 | 503) => return Ok(Vec::new()),
            Err(e) => return Err(self.list_of(&kind.plural, Some(namespace))(e)),
        };
        let made_by_the_cluster = |name: &str| {
            matches!(
                (kind.kind.as_str(), name),
                ("ConfigMap", "kube-root-ca.crt") | ("ServiceAccount", "default")
            )
        };
        Ok(list
            .into_iter()
            .filter(|object| object.owner_references().is_empty() && !made_by_the_cluster(&object.name_any()))
            .map(|object| format!("{} {}", kind.kind, object.name_any()))
            .collect())
    }
}
