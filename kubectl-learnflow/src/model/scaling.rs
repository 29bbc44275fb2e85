//! What scaling knows of a cluster.

use super::{Bounds, Quota};
use crate::objects::ObjectRef;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What changes the number of a Deployment's pods by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scaler {
    /// `HorizontalPodAutoscaler`, or KEDA's `ScaledObject`.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The Deployment.
    pub(crate) target: String,
    /// Carries our label.
    pub(crate) ours: bool,
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) current: i32,
    pub(crate) desired: i32,
    /// What it measures, as a share of the request in percent: how much there is, and the target.
    pub(crate) load: Option<(i32, i32)>,
    /// In seconds since 1970.
    pub(crate) created: Option<i64>,
    /// Conditions as (type, holds, reason, message).
    pub(crate) conditions: Vec<(String, bool, String, String)>,
    /// Its `spec`, and the `currentMetrics` of its status.
    pub(crate) spec: Value,
    pub(crate) measured: Value,
}

impl Scaler {
    pub(crate) fn reference(&self, namespace: &str) -> ObjectRef {
        match self.kind.as_str() {
            "ScaledObject" => ObjectRef::scaled_object(namespace, &self.name),
            _ => ObjectRef::autoscaler(namespace, &self.name),
        }
    }
}

/// What must be known before a service is scaled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scaling {
    pub(crate) served: Served,
    pub(crate) scalers: Vec<Scaler>,
    /// Claims that two pods cannot share, or of which that is not known, each with why.
    pub(crate) unshared: BTreeMap<String, String>,
    /// What each app is sent, by app id, as (component, topic).
    pub(crate) consumed: BTreeMap<String, BTreeSet<(String, String)>>,
    pub(crate) disruptions: Vec<Disruption>,
    /// None: we may not look.
    pub(crate) limits: Option<Limits>,
    pub(crate) lag: crate::scaling::Lag,
}

/// The metrics that an autoscaler can be given, because somebody serves them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// What CPU and memory containers take: `metrics.k8s.io`.
    pub(crate) resources: bool,
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Disruption {
    pub(crate) name: String,
    /// Carries our label.
    pub(crate) ours: bool,
    /// The services that have pods under it.
    pub(crate) covers: BTreeSet<String>,
    pub(crate) spec: Value,
}

/// What a namespace may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) quotas: Vec<Quota>,
    pub(crate) bounds: Vec<Bounds>,
}

/// The nodes, and the pods that none of them has yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Nodes {
    pub(crate) machines: Vec<Machine>,
    /// Of the services' namespace, by app id.
    pub(crate) waiting: BTreeMap<String, i32>,
}

/// A node, with what its pods leave free: `cpu`, `memory`, `pods`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) free: BTreeMap<String, f64>,
    pub(crate) labels: BTreeMap<String, String>,
    /// As they stand in its spec.
    pub(crate) taints: Value,
}
