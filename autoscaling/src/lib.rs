//! The HorizontalPodAutoscaler: what an object says, what its controller decides, and what comes of that under a load.
//!
//! Pure: no cluster, no clock, no files. Source of every rule: kube-controller-manager 1.34
//! (`pkg/controller/podautoscaler`), its defaults and its validation (`pkg/apis/autoscaling`), and metrics-server 0.9
//! (`pkg/storage`).

mod behavior;
mod controller;
mod curve;
mod fit;
mod hpa;
mod quantity;
mod read;
mod replicas;
pub mod simulate;

pub use behavior::{Behavior, Policy, PolicyKind, Rules, Select};
pub use controller::{Controller, Decision, Flags, Limit, Seen};
pub use curve::{Curve, Shape, Unit};
pub use fit::{Fitted, fit};
pub use hpa::{Autoscaler, Metric, Resource, Source, Target};
pub use quantity::milli;
pub use read::Wrong;
pub use replicas::{Calculator, Phase, Pod, Reading, Sample, Tolerances, Unknown};

/// Milliseconds: time is a number here.
pub type Ms = i64;

pub const SECOND: Ms = 1000;
