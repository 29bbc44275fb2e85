//! What an autoscaler does under a load: a model of its controller, of what measures pods, and of pods that take time to
//! start.
//!
//! Time is a number here, and chance comes from a seed: the same scenario gives the same report.

mod chance;
mod engine;
mod measure;
mod report;
mod scenario;

pub use engine::simulate;
pub use report::{Change, Report, Slice};
pub use scenario::{Container, Events, Figures, Load, Phases, Scenario, Service};

#[cfg(test)]
#[path = "simulate/tests.rs"]
mod tests;
