//! What carries our labels: the members of our sets.

use super::{Cluster, apply::existing, is_absent, resource};
use crate::{applyset, model::Existing, objects::ObjectRef, problem::Problem};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, TypeMeta},
    discovery::{Scope, oneshot},
};
use std::collections::{BTreeMap, BTreeSet};

impl Cluster {
    /// The members of the set whose parent is in `home`, of these kinds, each kind with one request a namespace of
    /// `namespaces`. Kinds that are not among `known` are asked of the server.
    pub(crate) async fn members(
        &self,
        home: &str,
        namespaces: &[&str],
        kinds: &BTreeSet<String>,
        known: &BTreeMap<String, ObjectRef>,
    ) -> Result<Vec<(ObjectRef, Existing)>, Problem> {
        let found = stream::iter(kinds).map(async |kind| {
            let (kind, everywhere) = match known.get(kind) {
                Some(object) => (resource(object), object.namespace.is_none()),
                None => match self.kind(kind).await? {
                    Some(found) => found,
                    // The kind is gone, and its objects with it.
                    None => return Ok(Vec::new()),
                },
            };
            let mut members = Vec::new();
            match everywhere {
                true => members.extend(self.members_of_kind(home, &kind, None).await?),
                false => {
                    for namespace in namespaces {
                        members.extend(self.members_of_kind(home, &kind, Some(namespace)).await?);
                    }
                }
            }
            Ok(members)
        });
        let found: Vec<Vec<_>> = found.buffered(16).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn members_of_kind(
        &self,
        home: &str,
        kind: &ApiResource,
        namespace: Option<&str>,
    ) -> Result<Vec<(ObjectRef, Existing)>, Problem> {
        let api: Api<DynamicObject> = match namespace {
            None => Api::all_with(self.client.clone(), kind),
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
        };
        let wanted = ListParams::default().labels(&applyset::selector(home));
        let list = match api.list(&wanted).await {
            // The kind is gone, and its objects with it.
            Err(kube::Error::Api(status)) if is_absent(&status) => return Ok(Vec::new()),
            list => list,
        };
        let list = list.map_err(self.list_of(&kind.plural, namespace))?;
        let member = |mut object: DynamicObject| {
            let reference = ObjectRef {
                api_version: kind.api_version.clone(),
                kind: kind.kind.clone(),
                namespace: object.namespace(),
                name: object.name_any(),
            };
            // In a list these stand once, above.
            object.types = Some(TypeMeta {
                api_version: kind.api_version.clone(),
                kind: kind.kind.clone(),
            });
            (reference, existing(object))
        };
        Ok(list.into_iter().map(member).collect())
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
