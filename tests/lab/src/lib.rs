//! A real one-node Kubernetes with the Dapr control plane and Kafka, made from package registries only: no Docker, no image
//! pulled. See `docs/lab.md`.
//!
//! `parts` says what it is made of, `recipes` how, `builder` builds and keeps it. `keeper` and `node` run it, `daemons` has
//! the flags, `lab` is the handle that everyone else uses.

mod builder;
mod cgroups;
mod daemons;
mod image;
mod keeper;
mod lab;
mod node;
mod parts;
mod paths;
mod pki;
pub mod progress;
mod recipes;

pub use builder::{Parts, ensure as build};
pub use image::write as write_image;
pub use keeper::run as run_keeper;
pub use lab::{Lab, Life};
pub use node::run as run_node;
pub use paths::{Scope, cache};
pub use recipes::{install as install_debian_packages, on_path};
