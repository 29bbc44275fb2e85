//! May the caller do what a command is about to do?

use super::{Cluster, resource};
use crate::{
    model::Access,
    objects::{MANAGER, ObjectRef},
    problem::Problem,
};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use std::collections::BTreeSet;

/// What it takes to do `verbs` to exactly these `objects`, each once. Only a thing that is yet to be
/// created has no name to be known by.
pub(crate) fn accesses<'a>(objects: impl Iterator<Item = &'a ObjectRef>, verbs: &[&'static str]) -> BTreeSet<Access> {
    objects
        .flat_map(|object| {
            let resource = resource(object);
            verbs.iter().map(move |verb| Access {
                verb: (*verb).into(),
                group: resource.group.clone(),
                resource: resource.plural.clone(),
                namespace: object.namespace.clone(),
                name: (*verb != "create").then(|| object.name.clone()),
            })
        })
        .collect()
}

impl Cluster {
    /// Those of `wanted` that the cluster refuses.
    pub(crate) async fn refused(&self, wanted: BTreeSet<Access>) -> Result<Vec<Access>, Problem> {
        // Most who install are administrators: one question instead of fifty.
        let all = Access {
            verb: "*".into(),
            group: "*".into(),
            resource: "*".into(),
            namespace: None,
            name: None,
        };
        if self.may(&all).await? {
            return Ok(Vec::new());
        }
        let answers = stream::iter(wanted).map(|access| async move {
            let allowed = self.may(&access).await?;
            Ok::<_, Problem>((!allowed).then_some(access))
        });
        // In order, so that the same cluster gives the same list.
        let answers: Vec<_> = answers.buffered(16).try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Who we are to the cluster.
    pub(crate) async fn caller(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let answer = api
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await
            .ok()?;
        answer.status?.user_info?.username
    }

    async fn may(&self, access: &Access) -> Result<bool, Problem> {
        let (resource, subresource) = match access.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (access.resource.as_str(), None),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(access.verb.clone()),
                    group: Some(access.group.clone()),
                    resource: Some(resource.to_owned()),
                    subresource,
                    namespace: access.namespace.clone(),
                    name: access.name.clone(),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..Default::default()
        };
        let answer = api
            .create(&params, &review)
            .await
            .map_err(self.explain("ask for our permissions"))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_is_asked_for_once_and_by_name() {
        let deployments = ["a", "a"].map(|name| ObjectRef::deployment("shop", name));
        let wanted = accesses(deployments.iter(), &["get", "create"]);
        let wanted: Vec<_> = wanted.iter().map(|a| (a.verb.as_str(), a.name.as_deref())).collect();
        assert_eq!(wanted, [("create", None), ("get", Some("a"))]);
    }
}
