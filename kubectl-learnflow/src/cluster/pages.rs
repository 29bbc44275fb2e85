//! Lists that may be long: page by page, and of each object only what is looked at, so that memory does not grow with
//! the cluster.

use super::Cluster;
use crate::problem::Problem;
use k8s_openapi::{
    api::core::v1::{Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, Time},
};
use kube::{Resource, api::ListParams, core::Request};
use serde::{Deserialize, de::DeserializeOwned};
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
        mut wanted: ListParams,
        mut act: impl FnMut(T),
    ) -> kube::Result<()> {
        wanted.limit = Some(PAGE);
        loop {
            let request = Request::new(path).list(&wanted).map_err(kube::Error::BuildRequest)?;
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
