//! What holds a budget in the cluster: a ResourceQuota and a LimitRange in each namespace of ours.

use crate::{
    budget::Fit,
    objects::{OUR_NAMESPACES, Object, ObjectRef},
};
use serde_json::{Value, json};

const NAME: &str = "learnflow";
/// On a quota: the budget that it is a part of, as it was said.
pub(crate) const BUDGET: &str = "learnflow.dev/budget";
/// What a quota bounds. Requests are never above limits, so this bounds them as well.
const LIMITS: &str = "limits.memory";

/// For the namespaces that something goes into. Others' quotas there hold as well, beside ours.
pub(crate) fn objects(fit: &Fit, namespaces: &[Object]) -> Vec<Object> {
    let each = |namespace: &str| {
        let metadata = json!({ "name": NAME, "namespace": namespace });
        let mut quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata,
            "spec": { "hard": { LIMITS: format!("{}Mi", fit.quota(namespace)) } },
        });
        quota["metadata"]["annotations"] = json!({ BUDGET: fit.budget.to_string() });
        // With the quota a pod that names no limit would be refused. All of ours do; this is for
        // somebody who starts one beside them.
        let limit_range = json!({
            "apiVersion": "v1", "kind": "LimitRange", "metadata": metadata,
            "spec": { "limits": [{
                "type": "Container",
                "default": { "memory": "64Mi" },
                "defaultRequest": { "memory": "32Mi" },
            }] },
        });
        [quota, limit_range].map(Object::known)
    };
    namespaces.iter().flat_map(|namespace| each(namespace.name())).collect()
}

/// All that there may be.
pub(crate) fn references() -> Vec<ObjectRef> {
    let each = |namespace: &str| ["ResourceQuota", "LimitRange"].map(|kind| reference(kind, namespace));
    OUR_NAMESPACES.into_iter().flat_map(each).collect()
}

pub(crate) fn of(namespace: &str) -> ObjectRef {
    reference("ResourceQuota", namespace)
}

fn reference(kind: &str, namespace: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: Some(namespace.into()),
        name: NAME.into(),
    }
}

/// The same quota with room for so many bytes more.
pub(crate) fn with_room(quota: &Object, bytes: f64) -> Object {
    let mut quota = quota.clone();
    let hard = &mut quota.edit()["spec"]["hard"][LIMITS];
    let now = hard.as_str().and_then(crate::capacity::quantity).unwrap_or_default();
    *hard = json!(format!("{}Mi", ((now + bytes) / 1024f64.powi(2)).ceil()));
    quota
}

/// The budget that a quota in the cluster is a part of, and what it allows in bytes.
pub(crate) fn read(quota: &Value) -> Option<(String, f64)> {
    let budget = quota["metadata"]["annotations"][BUDGET].as_str()?;
    let hard = quota["spec"]["hard"][LIMITS]
        .as_str()
        .and_then(crate::capacity::quantity)?;
    Some((budget.to_owned(), hard))
}
