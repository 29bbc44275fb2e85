//! What there is to look after, as far as we may see it.

use super::Cluster;
use crate::{
    config::Expected,
    objects::{ObjectRef, STACK_NAMESPACE},
    problem::{Kind, Problem},
};
use futures::try_join;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};

const SIDECARS: &str = "dapr.io/sidecar-injected=true";
/// Pods of one answer.
const PAGE: u32 = 500;
/// Rows of the limit that has most: each topic of each service is one.
const TOPICS: &str = "max(count by (__name__) (count by (__name__, k8s_namespace_name, service_name, \
                      messaging_destination_name) \
                      ({__name__=~\"messaging_client_sent_messages_total|messaging_client_consumed_messages_total\"})))";

impl Cluster {
    /// What cannot be seen is absent.
    pub(crate) async fn load(&self) -> Result<Expected, Problem> {
        let nodes = async { seen(self.count_nodes().await.map(|nodes| nodes as u64)) };
        let (nodes, pods, topics) = try_join!(nodes, self.pods_with_sidecar(), self.topics())?;
        Ok(Expected { nodes, pods, topics })
    }

    /// Prometheus finds sidecars in every namespace.
    async fn pods_with_sidecar(&self) -> Result<Option<u64>, Problem> {
        let everywhere: Api<Pod> = Api::all(self.client.clone());
        let here: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        match seen(self.count(&everywhere).await)? {
            Some(pods) => Ok(Some(pods)),
            None => seen(self.count(&here).await),
        }
    }

    async fn count(&self, api: &Api<Pod>) -> Result<u64, Problem> {
        let mut wanted = ListParams::default().labels(SIDECARS).limit(PAGE);
        let mut count = 0;
        loop {
            let page = api.list_metadata(&wanted).await.map_err(self.list_of("Pods", None))?;
            count += page.items.len() as u64;
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => wanted = wanted.continue_token(&token),
                None => return Ok(count),
            }
        }
    }

    /// Only our own Prometheus knows them.
    async fn topics(&self) -> Result<Option<u64>, Problem> {
        let prometheus = ObjectRef::deployment(STACK_NAMESPACE, "prometheus");
        if seen(self.existing(&prometheus).await)?.flatten().is_none() {
            return Ok(None);
        }
        // One that does not answer is no reason not to install.
        let found = self.query(TOPICS).await.unwrap_or_default();
        Ok(found.first().map(|sample| sample.value as u64))
    }
}

fn seen<T>(found: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match found {
        Err(problem) if problem.kind == Kind::Forbidden => Ok(None),
        found => found.map(Some),
    }
}
