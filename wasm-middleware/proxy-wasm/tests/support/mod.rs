//! A real Envoy, what stands behind it, and how it is called.

pub mod envoy;
pub mod http;
pub mod install;
pub mod prometheus;
pub mod upstream;
