//! A real one-node Kubernetes with the Dapr control plane and Kafka, made from package registries only: no Docker, no image
//! pulled. See `docs/lab.md`.
//!
//! `parts` says what it is made of, `recipes` how, `builder` builds and keeps it. `keeper` and `node` run it, `daemons` has
//! the flags, `lab` is the handle that everyone else uses.

mod image;
pub mod kubectl;
mod life;
mod paths;
pub mod progress;

#[cfg(target_os = "linux")]
mod builder;
#[cfg(target_os = "linux")]
mod cgroups;
#[cfg(target_os = "linux")]
mod daemons;
#[cfg(target_os = "linux")]
mod keeper;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod node;
#[cfg(target_os = "linux")]
mod parts;
#[cfg(target_os = "linux")]
mod pki;
#[cfg(target_os = "linux")]
mod recipes;

#[cfg(not(target_os = "linux"))]
mod elsewhere;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Lab, Parts, build, install_packages, on_path, parts, run_keeper, run_node};
pub use image::write as write_image;
#[cfg(target_os = "linux")]
pub use lab::{Lab, build, parts};
pub use life::{Life, tie};
pub use paths::{Scope, Timings, cache};
#[cfg(target_os = "linux")]
pub use recipes::{install as install_packages, on_path};
#[cfg(target_os = "linux")]
pub use {builder::Parts, keeper::run as run_keeper, node::run as run_node};

/// What to do where the lab cannot be.
const INSTEAD: &str = "Instead, name any cluster that has Dapr and Kafka: --kubeconfig FILE --context NAME";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
