//! What there is to look after, as far as we may see it.

use super::Cluster;
use crate::{
    config::Expected,
    problem::{Kind, Problem},
};
use futures::try_join;
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, api::ListParams};

const SIDECARS: &str = "dapr.io/sidecar-injected=true";
/// Rows of the limit that has most: each topic of each service is one.
const TOPICS: &str = "max(count by (__name__) (count by (__name__, k8s_namespace_name, service_name, \
                      messaging_destination_name) \
                      ({__name__=~\"messaging_client_sent_messages_total|messaging_client_consumed_messages_total\"})))";

impl Cluster {
    /// What cannot be seen is absent.
    pub(crate) async fn load(&self) -> Result<Expected, Problem> {
        let nodes = async { seen(self.count_nodes().await.map(|nodes| nodes as u64)) };
        let topics = async { Ok(self.topics().await) };
        let (nodes, pods, topics) = try_join!(nodes, self.pods_with_sidecar(), topics)?;
        Ok(Expected { nodes, pods, topics })
    }

    /// Prometheus finds sidecars in every namespace.
    async fn pods_with_sidecar(&self) -> Result<Option<u64>, Problem> {
        let count = async |namespace: Option<&str>| {
            let wanted = ListParams::default().labels(SIDECARS);
            let count = self.count(&Pod::url_path(&(), namespace), wanted).await;
            seen(count.map_err(self.list_of("Pods", namespace)))
        };
        match count(None).await? {
            Some(pods) => Ok(Some(pods)),
            None => count(Some(&self.namespace)).await,
        }
    }

    /// As whoever keeps the metrics knows them. One that does not answer is no reason not to install.
    async fn topics(&self) -> Option<u64> {
        let found = self.query(TOPICS).await.unwrap_or_default();
        found.first().map(|sample| sample.value as u64)
    }
}

fn seen<T>(found: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match found {
        Err(problem) if problem.kind == Kind::Forbidden => Ok(None),
        found => found.map(Some),
    }
}
