//! Lists that may be long: page by page, and of each object only what is looked at, so that memory does not grow with
//! the cluster.

use super::Cluster;
use crate::problem::Problem;
use k8s_openapi::{
    api::core::v1::{Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, Time},
};
use kube::{
    Resource,
    api::ListParams,
    core::{Request, request},
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use std::collections::BTreeMap;

/// As many as kubectl asks for at a time.
const PAGE: u32 = 500;

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<T>,
}

/// A Pod without what is in it and who owns its fields: most of its bytes.
#[derive(Deserialize)]
struct Outline {
    metadata: Meta,
    #[serde(default)]
    status: Option<PodStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    deletion_timestamp: Option<Time>,
}

impl From<Outline> for Pod {
    fn from(outline: Outline) -> Self {
        let meta = outline.metadata;
        Self {
            metadata: ObjectMeta {
                name: Some(meta.name),
                labels: Some(meta.labels),
                annotations: Some(meta.annotations),
                deletion_timestamp: meta.deletion_timestamp,
                ..ObjectMeta::default()
            },
            status: outline.status,
            spec: None,
        }
    }
}

impl Cluster {
    /// Each object of a list, which is never in memory as a whole.
    pub(super) async fn each<T: DeserializeOwned>(
        &self,
        path: &str,
        wanted: ListParams,
        act: impl FnMut(T),
    ) -> kube::Result<()> {
        self.paged(wanted, |wanted| Request::new(path).list(wanted), act).await
    }

    /// How many there are, of which nothing but their metadata is sent.
    pub(super) async fn count(&self, path: &str, wanted: ListParams) -> kube::Result<u64> {
        let mut count = 0;
        let list = |wanted: &ListParams| Request::new(path).list_metadata(wanted);
        self.paged(wanted, list, |_: IgnoredAny| count += 1).await?;
        Ok(count)
    }

    async fn paged<T: DeserializeOwned>(
        &self,
        mut wanted: ListParams,
        list: impl Fn(&ListParams) -> Result<http::Request<Vec<u8>>, request::Error>,
        mut act: impl FnMut(T),
    ) -> kube::Result<()> {
        wanted.limit = Some(PAGE);
        loop {
            let request = list(&wanted).map_err(kube::Error::BuildRequest)?;
            let page: Page<T> = self.client.request(request).await?;
            page.items.into_iter().for_each(&mut act);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => wanted.continue_token = Some(token),
                None => return Ok(()),
            }
        }
    }

    /// The pods of a namespace without their `spec`, one after the other.
    pub(super) async fn each_pod(
        &self,
        namespace: &str,
        wanted: ListParams,
        mut act: impl FnMut(Pod),
    ) -> Result<(), Problem> {
        let path = Pod::url_path(&(), Some(namespace));
        let outlines = self.each::<Outline>(&path, wanted, |outline| act(outline.into()));
        outlines.await.map_err(self.list_of("Pods", Some(namespace)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::{Client, ResourceExt, client::Body};
    use serde_json::{Value, json};
    use std::convert::Infallible;

    /// Three pods on two pages, each with all that a real one has.
    fn cluster() -> Cluster {
        let pod = |name: &str| {
            json!({
                "metadata": { "name": name, "labels": { "app": "a" }, "annotations": { "b": "c" }, "managedFields": [{}],
                    "deletionTimestamp": "2026-01-01T00:00:00Z" },
                "spec": { "containers": "left alone, whatever it is" },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            })
        };
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            assert!(
                query.contains("limit=500") && query.contains("labelSelector=x"),
                "{query}"
            );
            let page: Value = match query.contains("continue=more") {
                false => json!({ "metadata": { "continue": "more" }, "items": [pod("1"), pod("2")] }),
                true => json!({ "metadata": { "continue": "" }, "items": [pod("3")] }),
            };
            Ok::<_, Infallible>(Response::new(Body::from(page.to_string().into_bytes())))
        });
        let client = Client::new(service, "default");
        Cluster {
            impatient: client.clone(),
            client,
            endurance: Default::default(),
            metrics: Default::default(),
            ports: Default::default(),
            context: "fake".into(),
            server: "http://fake".into(),
            namespace: "shop".into(),
        }
    }

    #[test]
    fn all_pages_are_read_and_of_a_pod_what_is_looked_at() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut found = Vec::new();
        let read = async {
            let wanted = ListParams::default().labels("x");
            cluster().each_pod("shop", wanted, |pod| found.push(pod)).await
        };
        assert_eq!(runtime.expect("a runtime").block_on(read), Ok(()));
        let names: Vec<String> = found.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["1", "2", "3"]);
        let pod = &found[2];
        assert_eq!(
            (pod.labels()["app"].as_str(), pod.annotations()["b"].as_str()),
            ("a", "c")
        );
        let leaving = pod.metadata.deletion_timestamp.is_some();
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        assert!(leaving && conditions.is_some_and(|conditions| conditions[0].type_ == "Ready"));
    }
}
