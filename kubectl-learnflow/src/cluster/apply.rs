//! Server-side apply, under our own name, and by force only where a person said so.

use super::{Cluster, is_absent};
use crate::{
    changes,
    model::{Applied, Existing},
    objects::{MANAGED_BY, Object, ObjectRef, VERSION_LABEL},
    problem::Problem,
};
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::Value;

/// The Pod Security level that a namespace enforces.
const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";

/// Whether an apply is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The server checks it as if it were, admission included, and keeps nothing.
    DryRun,
    Real,
    /// Fields of others are taken over.
    ForcedDryRun,
    Forced,
}

/// What an apply would make of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tried {
    pub(crate) before: Option<Value>,
    pub(crate) after: Value,
}

impl Mode {
    pub(crate) fn forced(self, force: bool) -> Self {
        match self {
            Self::DryRun if force => Self::ForcedDryRun,
            Self::Real if force => Self::Forced,
            mode => mode,
        }
    }

    pub(super) fn params(self) -> PatchParams {
        // Strict: a field that the server does not know is a mistake, not something to drop.
        let params = PatchParams::apply(crate::objects::MANAGER).validation_strict();
        match self {
            Self::Real => params,
            Self::DryRun => params.dry_run(),
            Self::Forced => params.force(),
            Self::ForcedDryRun => params.force().dry_run(),
        }
    }
}

impl Tried {
    /// Nothing would change.
    pub(crate) fn unchanged(before: &Existing) -> Self {
        Self {
            before: Some(before.value.clone()),
            after: before.value.clone(),
        }
    }

    pub(crate) fn applied(&self) -> Applied {
        match &self.before {
            None => Applied::Created,
            // Not by resource versions: after a dry run the server always gives the old one.
            Some(before) if changes::same(before, &self.after) => Applied::Unchanged,
            Some(_) => Applied::Changed,
        }
    }
}

impl Cluster {
    pub(crate) async fn apply(
        &self,
        object: &Object,
        before: Option<&Existing>,
        mode: Mode,
    ) -> Result<Applied, Problem> {
        let after = self.patch(&object.reference(), object.value(), before, mode).await?;
        Ok(applied(
            before.map(|b| b.resource_version.as_str()),
            after.resource_version().as_deref(),
        ))
    }

    /// What applying it would change.
    pub(crate) async fn rehearse(
        &self,
        object: &Object,
        before: Option<&Existing>,
        mode: Mode,
    ) -> Result<Tried, Problem> {
        let after = self.patch(&object.reference(), object.value(), before, mode).await?;
        Ok(Tried {
            before: before.map(|before| before.value.clone()),
            after: serde_json::to_value(after).unwrap_or_default(),
        })
    }

    async fn patch(
        &self,
        object: &ObjectRef,
        wanted: &Value,
        before: Option<&Existing>,
        mode: Mode,
    ) -> Result<DynamicObject, Problem> {
        let api = self.dynamic(object);
        let patched = api.patch(&object.name, &mode.params(), &Patch::Apply(wanted)).await;
        patched.map_err(|error| {
            let doing = format!("apply {object}");
            let theirs = before.map_or(&Value::Null, |before| &before.value);
            self.conflict(&error, &doing, theirs, wanted)
                .unwrap_or_else(|| self.explain(&doing)(error))
        })
    }

    /// The object as it is in the cluster, if it is.
    pub(crate) async fn existing(&self, object: &ObjectRef) -> Result<Option<Existing>, Problem> {
        match self.dynamic(object).get_opt(&object.name).await {
            Ok(found) => Ok(found.map(existing)),
            Err(kube::Error::Api(status)) if is_absent(&status) => Ok(None),
            Err(e) => Err(self.explain(&format!("read {object}"))(e)),
        }
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
        value: serde_json::to_value(&object).unwrap_or_default(),
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
    use serde_json::json;

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

    #[test]
    fn a_dry_run_is_judged_by_what_is_in_it() {
        let object = |spec: i32| json!({ "metadata": { "resourceVersion": "1" }, "spec": spec });
        let tried = |before: Option<Value>| Tried {
            before,
            after: object(1),
        };
        assert_eq!(tried(None).applied(), Applied::Created);
        assert_eq!(tried(Some(object(1))).applied(), Applied::Unchanged);
        assert_eq!(tried(Some(object(2))).applied(), Applied::Changed);
    }
}
