//! Who serves metrics from outside of the cluster.

use super::Cluster;
use crate::{
    external::{GROUP_VERSION, METRIC, Server, registration},
    model::Service,
    problem::{Kind, Problem},
};

impl Cluster {
    pub(crate) async fn external_metrics(&self) -> Result<Server, Problem> {
        let found = match self.existing(&registration()).await {
            // Whoever may not see it does not take it either.
            Err(problem) if problem.kind == Kind::Forbidden => None,
            found => found?,
        };
        let Some(found) = found else {
            return Ok(Server::Nobody);
        };
        let keda = !self.api_versions("keda.sh").await?.is_empty();
        let serves = match self.impatient.list_api_group_resources(GROUP_VERSION).await {
            Ok(list) => list.resources.iter().any(|resource| resource.name == METRIC),
            // Its server may be away.
            Err(kube::Error::Api(_)) => false,
            Err(e) => return Err(self.explain(&format!("ask for {GROUP_VERSION}"))(e)),
        };
        Ok(Server::read(Some(&found.value), keda, serves))
    }

    /// How many partitions each topic of the namespace's Components has, as the Prometheus that keeps the metrics knows it: by
    /// Component and topic. What it does not know is absent.
    pub(crate) async fn partitions_measured(&self) -> Vec<((String, String), usize)> {
        let expression = format!(
            "sum by (learnflow_pubsub_name, topic) (kafka_topic_partitions{{job=\"kafka\",namespace=\"{}\"}})",
            self.namespace
        );
        let samples = self.query(&expression).await.unwrap_or_default();
        let each = samples.iter().map(|sample| {
            let of = |label: &str| sample.label(label).to_owned();
            ((of("learnflow_pubsub_name"), of("topic")), sample.value as usize)
        });
        each.collect()
    }

    /// Whether events are declared to come to any of these services.
    pub(crate) async fn has_consumers(&self, services: &[Service]) -> Result<bool, Problem> {
        let consumed = self.consumed(services).await?;
        Ok(consumed.values().any(|topics| !topics.is_empty()))
    }
}
