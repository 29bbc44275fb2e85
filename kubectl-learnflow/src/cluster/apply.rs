//! Server-side apply, under our own name, never by force.

use super::Cluster;
use crate::{
    model::{Applied, Existing},
    objects::{MANAGED_BY, Object, ObjectRef, VERSION_LABEL},
    problem::Problem,
};
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};

/// The Pod Security level that a namespace enforces.
const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";

/// Whether an apply is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The server checks it as if it were, admission included, and keeps nothing.
    DryRun,
    Real,
}

impl Mode {
    pub(super) fn params(self) -> PatchParams {
        // Strict: a field that the server does not know is a mistake, not something to drop.
        let params = PatchParams::apply(crate::objects::MANAGER).validation_strict();
        if self == Self::DryRun { params.dry_run() } else { params }
    }
}

impl Cluster {
    pub(crate) async fn apply(
        &self,
        object: &Object,
        before: Option<&Existing>,
        mode: Mode,
    ) -> Result<Applied, Problem> {
        let api = self.dynamic(&object.reference());
        let patch = Patch::Apply(object.value());
        let after = api
            .patch(object.name(), &mode.params(), &patch)
            .await
            .map_err(self.explain(&format!("apply {object}")))?;
        Ok(applied(
            before.map(|b| b.resource_version.as_str()),
            after.resource_version().as_deref(),
        ))
    }

    /// The object as it is in the cluster, if it is.
    pub(crate) async fn existing(&self, object: &ObjectRef) -> Result<Option<Existing>, Problem> {
        let found = self.dynamic(object).get_opt(&object.name).await;
        Ok(found.map_err(self.explain(&format!("read {object}")))?.map(existing))
    }
}

pub(super) fn applied(before: Option<&str>, after: Option<&str>) -> Applied {
    match before {
        None => Applied::Created,
        Some(before) if Some(before) == after => Applied::Unchanged,
        Some(_) => Applied::Changed,
    }
}

pub(super) fn existing(object: DynamicObject) -> Existing {
    let label = |name: &str| object.labels().get(name).cloned();
    let scopes = object.data.get("scopes").and_then(|scopes| scopes.as_array());
    Existing {
        managed_by: label(MANAGED_BY),
        version: label(VERSION_LABEL),
        pod_security: label(POD_SECURITY),
        resource_version: object.resource_version().unwrap_or_default(),
        uid: object.uid().unwrap_or_default(),
        leaving: object.metadata.deletion_timestamp.is_some(),
        held_by: held_by(&object),
        created: object.creation_timestamp().map(|time| time.0.as_second()),
        scopes: scopes
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect(),
    }
}

/// What keeps an object from going. A namespace says it in its conditions.
fn held_by(object: &DynamicObject) -> Vec<String> {
    let finalizers = object.finalizers().iter().map(|name| format!("finalizer {name}"));
    let conditions = object.data.pointer("/status/conditions").and_then(|all| all.as_array());
    let told = conditions.into_iter().flatten().filter(|condition| {
        let about = condition["type"].as_str().unwrap_or_default();
        condition["status"] == "True" && about.starts_with("Namespace")
    });
    finalizers
        .chain(told.filter_map(|condition| Some(condition["message"].as_str()?.trim().to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_says_what_holds_it() {
        let object = |json| existing(serde_json::from_value::<DynamicObject>(json).expect("an object"));
        let namespace = object(serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "learnflow-system", "deletionTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "finalizers": ["kubernetes"] },
            "status": { "phase": "Terminating", "conditions": [
                { "type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All well" },
                { "type": "NamespaceContentRemaining", "status": "True",
                  "message": "Some resources are remaining: configmaps. has 1 resource instances" },
                { "type": "NamespaceFinalizersRemaining", "status": "True",
                  "message": "Some content in the namespace has finalizers remaining: example.com/x in 1 resource instances" },
            ]},
        }));
        assert!(namespace.leaving);
        assert_eq!(namespace.held_by.len(), 2, "{:?}", namespace.held_by);
        assert!(namespace.held_by[1].contains("example.com/x"));
        let map = object(serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x", "finalizers": ["example.com/x"] },
        }));
        assert_eq!(map.held_by, ["finalizer example.com/x"]);
    }

    #[test]
    fn an_apply_that_changed_nothing_is_told_from_one_that_did() {
        assert_eq!(applied(None, Some("1")), Applied::Created);
        assert_eq!(applied(Some("1"), Some("1")), Applied::Unchanged);
        assert_eq!(applied(Some("1"), Some("2")), Applied::Changed);
    }
}
