//! Objects and logs as they are, for a support archive.

use super::{Cluster, is_absent, resource};
use crate::{objects::ObjectRef, problem::Problem};
use futures::AsyncReadExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, LogParams},
};
use serde_json::Value;
use std::time::Duration;

/// No list is longer than this; what is more is of no help to anybody.
pub(crate) const MOST: u32 = 2_000;
/// Of one container, from its end.
const LINES: i64 = 5_000;

/// A container whose log is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogOf {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    /// Of the run before the last restart.
    pub(crate) previous: bool,
}

impl Cluster {
    /// An object with everything in it. Of a Secret only what it is called: the rest is never read.
    pub(crate) async fn raw(&self, object: &ObjectRef) -> Result<Option<Value>, Problem> {
        let api = self.dynamic(object);
        let doing = format!("read {object}");
        let found = if object.kind == "Secret" {
            let found = api.get_metadata_opt(&object.name).await.map_err(self.explain(&doing))?;
            found.map(|found| serde_json::to_value(found.metadata))
        } else {
            let found = api.get_opt(&object.name).await.map_err(self.explain(&doing))?;
            found.map(serde_json::to_value)
        };
        found
            .transpose()
            .map_err(|e| Problem::new(format!("Cannot {doing}: {e}.")))
    }

    /// All objects of the kind of `any`, in its namespace; the second value is whether there are more.
    pub(crate) async fn raw_list(&self, any: &ObjectRef, labels: &str) -> Result<(Vec<Value>, bool), Problem> {
        let kind = resource(any);
        let namespace = any.namespace.as_deref().unwrap_or(&self.namespace);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let list = api.list(&ListParams::default().labels(labels).limit(MOST)).await;
        let list = match list {
            // A kind that this cluster does not have.
            Err(kube::Error::Api(status)) if is_absent(&status) => return Ok((Vec::new(), false)),
            other => other.map_err(self.list_of(&kind.plural, Some(namespace)))?,
        };
        let more = list.metadata.continue_.as_ref().is_some_and(|token| !token.is_empty());
        let each = |object: DynamicObject| {
            let mut value = serde_json::to_value(object).unwrap_or_default();
            // In a list these stand once, above.
            value["apiVersion"] = any.api_version.as_str().into();
            value["kind"] = any.kind.as_str().into();
            value
        };
        Ok((list.items.into_iter().map(each).collect(), more))
    }

    /// The logs there are of pods with these labels: of every container, or of one.
    pub(crate) async fn logs_of(
        &self,
        namespace: &str,
        labels: &str,
        only: Option<&str>,
    ) -> Result<Vec<LogOf>, Problem> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let list = api.list(&ListParams::default().labels(labels).limit(MOST)).await;
        let mut logs = Vec::new();
        for pod in list.map_err(self.list_of("Pods", Some(namespace)))? {
            let status = pod.status.clone().unwrap_or_default();
            let main = status.container_statuses.into_iter().flatten();
            let native = status.init_container_statuses.into_iter().flatten();
            for container in main.chain(native).filter(|c| only.is_none_or(|only| c.name == only)) {
                let log = LogOf {
                    namespace: namespace.to_owned(),
                    pod: pod.name_any(),
                    container: container.name,
                    previous: false,
                };
                if container.restart_count > 0 {
                    logs.push(LogOf {
                        previous: true,
                        ..log.clone()
                    });
                }
                logs.push(log);
            }
        }
        Ok(logs)
    }

    /// The end of a container's log.
    pub(crate) async fn log(&self, of: &LogOf, since: Duration, most: u64) -> Result<String, Problem> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &of.namespace);
        let params = LogParams {
            container: Some(of.container.clone()),
            previous: of.previous,
            since_seconds: i64::try_from(since.as_secs().max(1)).ok(),
            tail_lines: Some(LINES),
            limit_bytes: i64::try_from(most).ok(),
            timestamps: true,
            ..Default::default()
        };
        let doing = format!("read the log of Pod {}/{}", of.namespace, of.pod);
        let stream = api.log_stream(&of.pod, &params).await.map_err(self.explain(&doing))?;
        let mut bytes = Vec::new();
        let read = stream.take(most).read_to_end(&mut bytes).await;
        read.map_err(|e| Problem::new(format!("Cannot {doing}: {e}.")))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
