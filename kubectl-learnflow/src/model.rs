//! What the commands know about a cluster: small plain types, no Kubernetes in them.

mod scaling;

use crate::{kafka::Component, objects::MANAGER};
pub(crate) use scaling::{Disruption, Limits, Machine, Nodes, Scaler, Scaling, Served};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A Deployment with a Dapr sidecar, in the namespace of the services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// Annotation `dapr.io/app-id`.
    pub(crate) app_id: Option<String>,
    /// The app's own container: the one that the settings name, or the first that is not the sidecar.
    pub(crate) container: Option<String>,
    /// All containers that are not the sidecar.
    pub(crate) containers: Vec<String>,
    /// Annotation `dapr.io/config`.
    pub(crate) config: Option<Setting>,
    /// Annotation `dapr.io/volume-mounts`.
    pub(crate) mounts: Option<Setting>,
    /// A volume has the name of ours and is something else.
    pub(crate) foreign_volume: bool,
    /// The ConfigMap that our volume brings.
    pub(crate) guest: Option<String>,
    /// The revision it is enrolled with, when it is.
    pub(crate) revision: Option<String>,
    /// What enrolling it has replaced.
    pub(crate) before: Before,
    /// Annotation [`crate::objects::RESTARTED`].
    pub(crate) restarted: Option<String>,
    /// Fields of it belong to us.
    pub(crate) enrolled: bool,
    pub(crate) paused: bool,
    /// Why some calls may fail while its pods are replaced.
    pub(crate) gap: Option<Gap>,
    /// What its containers request, as (container, resource).
    pub(crate) requesting: BTreeSet<(String, String)>,
    /// Claims that all its pods would share.
    pub(crate) claims: Vec<String>,
    /// The pod template, and the selector of its pods, as they stand in the Deployment.
    pub(crate) template: Value,
    pub(crate) selector: Value,
    /// Who sets `spec.replicas` each time that it applies the Deployment.
    pub(crate) sets_replicas: Vec<String>,
    /// Why the last pod was refused, while one is.
    pub(crate) refused: Option<String>,
    pub(crate) rollout: Rollout,
}

impl Service {
    /// Whether the app's own container ends as soon as it is told to.
    pub(crate) fn ends_at_once(&self) -> bool {
        let containers = self.template["spec"]["containers"].as_array().into_iter().flatten();
        let mut own = containers.filter(|container| container["name"].as_str() == self.container.as_deref());
        own.any(|container| container["lifecycle"]["preStop"].is_null())
    }

    /// Whether the app's own container requests a resource.
    pub(crate) fn requests(&self, resource: &str) -> bool {
        let mut requesting = self.requesting.iter();
        requesting.any(|(container, requested)| Some(container) == self.container.as_ref() && requested == resource)
    }
}

/// A value on a Deployment, and who set it last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    /// Field managers, as the API server knows them.
    pub(crate) owners: Vec<String>,
}

/// The values that an enrolment has replaced, so that they can be put back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mounts: Option<String>,
    /// Who had set them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
}

/// Why a rolling update of a Deployment is not seamless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// All old pods go before the first new one comes.
    Recreate,
    /// Every pod may be unavailable at once.
    AllAtOnce,
    /// A pod gets calls before its app is known to listen.
    NoReadinessProbe,
    /// A sidecar ends with its pod, while other sidecars still know its address.
    EndsAtOnce,
}

impl Setting {
    pub(crate) fn is_ours(&self) -> bool {
        self.owners.iter().any(|owner| owner == MANAGER)
    }
}

impl Before {
    pub(crate) fn is_nothing(&self) -> bool {
        self.config.is_none() && self.mounts.is_none()
    }
}

/// A Dapr Configuration in the services' namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Configuration {
    pub(crate) name: String,
    /// Carries our label.
    pub(crate) ours: bool,
    pub(crate) spec: serde_json::Value,
}

/// A Dapr Resiliency in the services' namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Resiliency {
    pub(crate) name: String,
    /// Carries our label.
    pub(crate) ours: bool,
    /// The app ids that it is for; none at all means every sidecar.
    pub(crate) scopes: Vec<String>,
    pub(crate) spec: serde_json::Value,
}

/// How far a workload is with what it was last told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rollout {
    /// The controller has seen the newest spec.
    pub(crate) observed: bool,
    pub(crate) desired: i32,
    /// Pods of the newest spec.
    pub(crate) updated: i32,
    /// Pods in all.
    pub(crate) total: i32,
    /// Pods that serve.
    pub(crate) ready: i32,
}

impl Rollout {
    /// Every pod is of the newest spec, serves, and no older one is left.
    pub(crate) fn is_settled(&self) -> bool {
        self.observed && self.updated == self.desired && self.ready == self.desired && self.total == self.desired
    }
}

/// How far it is, in the terms of whatever is still missing.
impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            desired,
            updated,
            total,
            ready,
            ..
        } = *self;
        if !self.observed {
            f.write_str("not begun")
        } else if updated < desired {
            write!(f, "{updated}/{desired} updated")
        } else if ready >= desired && total > desired {
            write!(f, "{desired}/{desired} ready, {} old to go", total - desired)
        } else {
            write!(f, "{}/{desired} ready", ready.min(desired))
        }
    }
}

/// A pod, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) ready: bool,
    /// On its way out.
    pub(crate) leaving: bool,
    /// Annotation [`crate::objects::REVISION`].
    pub(crate) revision: Option<String>,
    pub(crate) sidecar: Option<Sidecar>,
    /// Why it is not ready: a container's waiting reason, or why no node takes it.
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sidecar {
    /// When the running process began, in seconds since 1970.
    pub(crate) started: Option<i64>,
}

/// A part of the Dapr control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlPlane {
    pub(crate) namespace: String,
    /// As its label or image says; not every build tells.
    pub(crate) version: Option<String>,
    pub(crate) ready: bool,
}

/// What `install` must know before it touches anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) context: String,
    pub(crate) server: String,
    pub(crate) kubernetes: String,
    pub(crate) namespace_exists: bool,
    /// Kinds that Dapr's CRDs serve.
    pub(crate) dapr_kinds: Vec<String>,
    pub(crate) operator: Option<ControlPlane>,
    pub(crate) injector: Option<ControlPlane>,
    /// The `pubsub.kafka` Components.
    pub(crate) kafka: Vec<Component>,
    pub(crate) services: Vec<Service>,
    pub(crate) configurations: Vec<Configuration>,
    pub(crate) resiliencies: Vec<Resiliency>,
}

impl Facts {
    /// What the Components for Kafka are called.
    pub(crate) fn pubsubs(&self) -> Vec<String> {
        self.kafka.iter().map(|component| component.name.clone()).collect()
    }

    /// The version of the Dapr control plane, when it says.
    pub(crate) fn dapr(&self) -> Option<&str> {
        self.operator.as_ref()?.version.as_deref()
    }
}

/// An object that is in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Existing {
    /// Label `app.kubernetes.io/managed-by`.
    pub(crate) managed_by: Option<String>,
    /// Label `app.kubernetes.io/version`.
    pub(crate) version: Option<String>,
    /// Pod Security level of a namespace.
    pub(crate) pod_security: Option<String>,
    pub(crate) resource_version: String,
    /// All of it, as the cluster has it.
    pub(crate) value: serde_json::Value,
    pub(crate) uid: String,
    /// Being deleted.
    pub(crate) leaving: bool,
    /// What its deletion waits for: finalizers, and for a namespace what is left in it.
    pub(crate) held_by: Vec<String>,
    /// In seconds since 1970.
    pub(crate) created: Option<i64>,
    /// App ids a Component is for.
    pub(crate) scopes: Vec<String>,
}

/// What an apply did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    Created,
    Changed,
    Unchanged,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        })
    }
}

/// Something a command wants to do: a verb on a kind of thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Access {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With its subresource, if any: `pods/log`.
    pub(crate) resource: String,
    /// None: the whole cluster.
    pub(crate) namespace: Option<String>,
    /// None: all of them.
    pub(crate) name: Option<String>,
}

impl Access {
    /// What it is wanted on: `deployments.apps in namespace shop`.
    pub(crate) fn place(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        let place = self
            .namespace
            .as_ref()
            .map_or_else(|| "the whole cluster".into(), |ns| format!("namespace {ns}"));
        format!("{}{dot}{} in {place}", self.resource, self.group)
    }
}

/// A running pod with a Dapr sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SidecarPod {
    pub(crate) name: String,
    pub(crate) app_id: String,
    /// The port of its metrics, unless they are off.
    pub(crate) metrics: Option<u16>,
    /// It was made with the middleware: annotation [`crate::objects::REVISION`].
    pub(crate) enrolled: bool,
}

/// What a sidecar says of itself; errors are its own, as a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) outbound: Result<(), String>,
    /// Names of the components it has loaded.
    pub(crate) components: Result<Vec<String>, String>,
    /// None when it does not say.
    pub(crate) subscriptions: Vec<Subscribed>,
    /// The status that `/metrics` answers with.
    pub(crate) metrics: Option<Result<u16, String>>,
}

/// A subscription as a sidecar has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscribed {
    pub(crate) pubsub: String,
    pub(crate) topic: String,
    /// The topic of what is never taken.
    pub(crate) dead_letters: Option<String>,
}

/// A ResourceQuota; figures as Kubernetes writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) name: String,
    pub(crate) hard: BTreeMap<String, String>,
    pub(crate) used: BTreeMap<String, String>,
}

/// The memory of the stack, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Somebody measures what pods take.
    pub(crate) measured: bool,
    /// By workload.
    pub(crate) of: Vec<MemoryOf>,
    pub(crate) budget: Option<u64>,
}

/// All pods of one workload together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemoryOf {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) used: u64,
    pub(crate) requested: u64,
    pub(crate) limit: u64,
}

/// One item of a LimitRange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) name: String,
    /// `Container` or `Pod`.
    pub(crate) of: String,
    pub(crate) max: BTreeMap<String, String>,
    pub(crate) min: BTreeMap<String, String>,
    pub(crate) default_limit: BTreeMap<String, String>,
    pub(crate) default_request: BTreeMap<String, String>,
}

/// A Service of somebody else that does what a part of ours does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) what: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) ports: Vec<i32>,
}

/// A kube-state-metrics of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateMetrics {
    pub(crate) namespace: String,
    /// At a port that our Prometheus would take for its metrics.
    pub(crate) readable: bool,
}

/// One value Prometheus answered with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// How a command ended when nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Healthy, or done.
    Good,
    /// Unhealthy, or only partly done.
    Bad,
    /// Somebody asked it to stop, and it has tidied up.
    Interrupted,
}

/// That an app is sent the events of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) component: String,
    pub(crate) topic: String,
    pub(crate) dead_letters: Option<String>,
    /// `Subscription NAME`, or `app APP-ID` when the app itself says so.
    pub(crate) from: String,
}

impl Subscription {
    /// Of the spec of an object, or of what a sidecar says: both have the same names.
    pub(crate) fn read(spec: &serde_json::Value, from: &str) -> Option<Self> {
        let text = |name: &str| spec[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Self {
            component: text("pubsubname")?,
            topic: text("topic")?,
            dead_letters: text("deadLetterTopic"),
            from: from.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_over_when_only_new_and_ready_pods_are_left() {
        let done = Rollout {
            observed: true,
            desired: 2,
            updated: 2,
            total: 2,
            ready: 2,
        };
        assert!(done.is_settled());
        assert!(
            !Rollout {
                observed: false,
                ..done
            }
            .is_settled(),
            "the controller lags"
        );
        assert!(!Rollout { updated: 1, ..done }.is_settled());
        assert!(!Rollout { total: 3, ..done }.is_settled(), "an old pod is left");
        assert!(!Rollout { ready: 1, ..done }.is_settled());
        let none = Rollout {
            observed: true,
            ..Rollout::default()
        };
        assert!(none.is_settled(), "scaled to zero");
        assert_eq!(Rollout::default().to_string(), "not begun");
        assert_eq!(done.to_string(), "2/2 ready");
        assert_eq!(Rollout { ready: 1, ..done }.to_string(), "1/2 ready");
        assert_eq!(Rollout { updated: 1, ..done }.to_string(), "1/2 updated");
        assert_eq!(
            Rollout {
                total: 3,
                ready: 3,
                ..done
            }
            .to_string(),
            "2/2 ready, 1 old to go"
        );
    }
}
