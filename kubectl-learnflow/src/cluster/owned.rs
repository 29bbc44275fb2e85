//! What carries our labels: the members of our sets.

use super::{Cluster, is_absent, resource};
use crate::{applyset, objects::ObjectRef, problem::Problem};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    discovery::{Scope, oneshot},
};
use std::collections::{BTreeMap, BTreeSet};

impl Cluster {
    /// The members of the set whose parent is in `namespace`, of these kinds. Kinds that are not among
    /// `known` are asked of the server.
    pub(crate) async fn members(
        &self,
        namespace: &str,
        kinds: &BTreeSet<String>,
        known: &BTreeMap<String, ObjectRef>,
    ) -> Result<Vec<ObjectRef>, Problem> {
        self.members_in(namespace, namespace, kinds, known).await
    }

    /// Those of them that are in another namespace.
    pub(crate) async fn members_in(
        &self,
        namespace: &str,
        set: &str,
        kinds: &BTreeSet<String>,
        known: &BTreeMap<String, ObjectRef>,
    ) -> Result<Vec<ObjectRef>, Problem> {
        let found = stream::iter(kinds).map(async |kind| {
            let (kind, everywhere) = match known.get(kind) {
                Some(object) => (resource(object), object.namespace.is_none()),
                None => match self.kind(kind).await? {
                    Some(found) => found,
                    // The kind is gone, and its objects with it.
                    None => return Ok(Vec::new()),
                },
            };
            self.members_of_kind(namespace, set, &kind, everywhere).await
        });
        let found: Vec<Vec<ObjectRef>> = found.buffered(16).try_collect().await?;
        Ok(found.concat())
    }

    async fn members_of_kind(
        &self,
        namespace: &str,
        set: &str,
        kind: &ApiResource,
        everywhere: bool,
    ) -> Result<Vec<ObjectRef>, Problem> {
        let api: Api<DynamicObject> = match everywhere {
            true => Api::all_with(self.client.clone(), kind),
            false => Api::namespaced_with(self.client.clone(), namespace, kind),
        };
        let wanted = ListParams::default().labels(&applyset::selector(set));
        let list = match api.list_metadata(&wanted).await {
            // The kind is gone, and its objects with it.
            Err(kube::Error::Api(status)) if is_absent(&status) => return Ok(Vec::new()),
            list => list,
        };
        let place = (!everywhere).then_some(namespace);
        let list = list.map_err(self.list_of(&kind.plural, place))?;
        // What belongs to another object goes with that, and what is on its way out needs nobody.
        let ours = list
            .into_iter()
            .filter(|object| object.owner_references().is_empty() && object.metadata.deletion_timestamp.is_none());
        Ok(ours
            .map(|object| ObjectRef {
                api_version: kind.api_version.clone(),
                kind: kind.kind.clone(),
                namespace: object.namespace(),
                name: object.name_any(),
            })
            .collect())
    }

    /// `Deployment.apps`, as the server knows it, and whether it lives outside of namespaces.
    async fn kind(&self, kind: &str) -> Result<Option<(ApiResource, bool)>, Problem> {
        let (name, group) = kind.split_once('.').unwrap_or((kind, ""));
        let group = match oneshot::group(&self.client, group).await {
            Ok(group) => group,
            Err(kube::Error::Discovery(_)) => return Ok(None),
            Err(kube::Error::Api(status)) if is_absent(&status) => return Ok(None),
            Err(e) => return Err(self.explain(&format!("ask for the kind {kind}"))(e)),
        };
        let found = group.recommended_kind(name);
        Ok(found.map(|(kind, can)| (kind, can.scope == Scope::Cluster)))
    }
}
