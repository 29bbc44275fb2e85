//! A Deployment with a Dapr sidecar, as what is to be known of it.

use crate::{
    model::{Before, Gap, Rollout, Service, Setting},
    objects::{BEFORE, GUEST, MANAGER, RESTARTED, REVISION},
};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStatus},
        core::v1::Container,
    },
    apimachinery::pkg::{
        apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use serde_json::Value;

/// What `kubectl apply` has applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A Deployment as a service, when its pods get a sidecar.
pub(super) fn service(deployment: Deployment) -> Option<Service> {
    let rollout = rollout(&deployment);
    let metadata = deployment.metadata;
    let enrolled = metadata.managed_fields.iter().flatten().any(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().is_none_or(str::is_empty)
    });
    let spec = deployment.spec?;
    let gap = gap(&spec);
    let whole = serde_json::to_value(&spec.template).unwrap_or_default();
    let selector = serde_json::to_value(&spec.selector).unwrap_or_default();
    let sets_replicas = sets_replicas(&metadata);
    let refused = deployment.status.as_ref().and_then(refused);
    let template = spec.template.metadata.unwrap_or_default();
    let annotation = |name: &str| template.annotations.as_ref()?.get(name).cloned();
    let setting = |name: &str| {
        Some(Setting {
            value: annotation(name)?,
            owners: owners(&metadata, name),
        })
    };
    // The spellings that Dapr's injector takes for true.
    let enabled = annotation("dapr.io/enabled")?.to_ascii_lowercase();
    if !["true", "t", "yes", "y", "on", "1"].contains(&enabled.trim()) {
        return None;
    }
    let pod = spec.template.spec.unwrap_or_default();
    let own = pod.containers.iter().filter(|container| container.name != "daprd");
    let containers: Vec<String> = own.map(|container| container.name.clone()).collect();
    let requested = |container: &Container| {
        let requests = container.resources.as_ref().and_then(|r| r.requests.clone());
        let name = container.name.clone();
        let each = requests.into_iter().flatten();
        each.map(move |(resource, _)| (name.clone(), resource))
            .collect::<Vec<_>>()
    };
    let requesting = pod.containers.iter().flat_map(requested).collect();
    let volumes = pod.volumes.unwrap_or_default();
    let claims = volumes.iter().filter_map(|v| v.persistent_volume_claim.as_ref());
    let claims = claims.map(|claim| claim.claim_name.clone()).collect();
    let volume = volumes.into_iter().find(|volume| volume.name == GUEST);
    let foreign_volume = volume
        .as_ref()
        .is_some_and(|volume| !is_guest(volume.config_map.as_ref().map(|map| &*map.name)));
    let before = annotation(BEFORE).and_then(|json| serde_json::from_str::<Before>(&json).ok());
    Some(Service {
        app_id: annotation("dapr.io/app-id"),
        container: containers.first().cloned(),
        containers,
        config: setting("dapr.io/config"),
        mounts: setting("dapr.io/volume-mounts"),
        revision: annotation(REVISION),
        restarted: annotation(RESTARTED),
        before: before.unwrap_or_default(),
        foreign_volume,
        guest: volume.and_then(|volume| Some(volume.config_map?.name)),
        enrolled,
        paused: spec.paused.unwrap_or(false),
        gap,
        requesting,
        claims,
        template: whole,
        selector,
        sets_replicas,
        refused,
        rollout,
        name: metadata.name.unwrap_or_default(),
    })
}

/// Whether a ConfigMap of that name brings a guest, of this plugin or of an earlier one.
fn is_guest(config_map: Option<&str>) -> bool {
    config_map.is_some_and(|name| name == GUEST || name.strip_prefix(GUEST).is_some_and(|rest| rest.starts_with('-')))
}

/// Who has set an annotation of the pod template.
fn owners(metadata: &ObjectMeta, annotation: &str) -> Vec<String> {
    let field = format!("f:{annotation}");
    let path = ["f:spec", "f:template", "f:metadata", "f:annotations", field.as_str()];
    let entries = metadata.managed_fields.iter().flatten();
    let owners = entries.filter(|entry| has(entry, &path));
    owners.filter_map(|entry| entry.manager.clone()).collect()
}

/// Who sets `spec.replicas` with each apply. `kubectl scale` and an autoscaler do so once, by way of a subresource.
fn sets_replicas(metadata: &ObjectMeta) -> Vec<String> {
    // Once something else has changed the number it is no longer theirs, but the next `kubectl apply` says it again.
    let last = metadata.annotations.as_ref().and_then(|all| all.get(LAST_APPLIED));
    let last = last.and_then(|json| serde_json::from_str::<Value>(json).ok());
    let again = last.is_some_and(|last| !last["spec"]["replicas"].is_null());
    let applies = |entry: &&ManagedFieldsEntry| {
        entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().is_none_or(str::is_empty)
            && has(entry, &["f:spec", "f:replicas"])
    };
    let appliers = metadata.managed_fields.iter().flatten().filter(applies);
    let appliers = appliers.filter_map(|entry| entry.manager.clone());
    appliers.chain(again.then(|| "kubectl apply".to_owned())).collect()
}

fn has(entry: &ManagedFieldsEntry, path: &[&str]) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    path.iter().fold(fields, |fields, key| fields?.get(key)).is_some()
}

/// What the server said to the last pod that it did not take.
fn refused(status: &DeploymentStatus) -> Option<String> {
    let mut conditions = status.conditions.iter().flatten();
    let failed = conditions.find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    failed.and_then(|condition| condition.message.clone())
}

/// What makes a rolling update of a Deployment lose calls.
fn gap(spec: &DeploymentSpec) -> Option<Gap> {
    let strategy = spec.strategy.clone().unwrap_or_default();
    if strategy.type_.as_deref() == Some("Recreate") {
        return Some(Gap::Recreate);
    }
    let replicas = spec.replicas.unwrap_or(1);
    let unavailable = match strategy.rolling_update.and_then(|update| update.max_unavailable) {
        Some(IntOrString::Int(number)) => number,
        Some(IntOrString::String(percent)) => {
            percent.trim_end_matches('%').parse::<i32>().unwrap_or(25) * replicas / 100
        }
        None => replicas / 4,
    };
    if replicas > 0 && unavailable >= replicas {
        return Some(Gap::AllAtOnce);
    }
    let containers = spec.template.spec.iter().flat_map(|pod| &pod.containers);
    let mut unprobed = containers.filter(|container| container.readiness_probe.is_none());
    if unprobed.next().is_some() {
        return Some(Gap::NoReadinessProbe);
    }
    let annotations = spec
        .template
        .metadata
        .as_ref()
        .and_then(|template| template.annotations.as_ref());
    let waits = annotations.is_some_and(|all| all.contains_key("dapr.io/block-shutdown-duration"));
    (!waits).then_some(Gap::EndsAtOnce)
}

pub(super) fn rollout(deployment: &Deployment) -> Rollout {
    let status = deployment.status.as_ref();
    let figure = |value: Option<i32>| value.unwrap_or(0);
    Rollout {
        observed: status.and_then(|s| s.observed_generation) >= deployment.metadata.generation,
        desired: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        updated: figure(status.and_then(|s| s.updated_replicas)),
        total: figure(status.and_then(|s| s.replicas)),
        ready: figure(status.and_then(|s| s.available_replicas)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_that_is_not_seamless_is_known() {
        let of = |change: serde_json::Value| {
            let mut spec = json!({
                "selector": {},
                "template": {
                    "metadata": { "annotations": { "dapr.io/block-shutdown-duration": "30s" } },
                    "spec": { "containers": [{ "name": "app", "readinessProbe": {} }] },
                },
            });
            let all = spec.as_object_mut().expect("an object");
            all.extend(change.as_object().expect("an object").clone());
            gap(&serde_json::from_value(spec).expect("a spec"))
        };
        let template = |annotations: serde_json::Value, containers: serde_json::Value| json!({ "template": { "metadata": { "annotations": annotations }, "spec": { "containers": containers } } });
        let probed = json!([{ "name": "app", "readinessProbe": {} }]);
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({ "strategy": { "type": "Recreate" } })), Some(Gap::Recreate));
        let all = json!({ "strategy": { "rollingUpdate": { "maxUnavailable": "100%" } } });
        assert_eq!(of(all), Some(Gap::AllAtOnce));
        assert_eq!(
            of(template(json!({}), json!([{ "name": "app" }]))),
            Some(Gap::NoReadinessProbe)
        );
        assert_eq!(of(template(json!({}), probed)), Some(Gap::EndsAtOnce));
    }

    fn deployment(annotations: serde_json::Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "name": "cart", "generation": 4, "managedFields": [
                { "manager": MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {} },
            ]},
            "spec": {
                "selector": {},
                "template": {
                    "metadata": { "annotations": annotations },
                    "spec": { "containers": [{ "name": "a", "image": "registry:5000/x/operator:1.18.1-mariner@sha256:0" }] },
                },
            },
            "status": { "observedGeneration": 4, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 },
        }))
        .expect("a Deployment")
    }

    #[test]
    fn a_deployment_with_a_sidecar_is_a_service() {
        let found = service(deployment(
            json!({ "dapr.io/enabled": "true", "dapr.io/app-id": "cart-app" }),
        ));
        let found = found.expect("a service");
        assert_eq!(
            (found.name.as_str(), found.app_id.as_deref()),
            ("cart", Some("cart-app"))
        );
        assert!(found.enrolled && found.rollout.is_settled());
        assert_eq!(service(deployment(json!({ "dapr.io/enabled": "false" }))), None);
        assert_eq!(service(deployment(json!({}))), None);
    }
}
