//! The policies as they are shipped.

use anyhow::{Context, Result};
use serde_json::Value;

const RESILIENCY: &str = include_str!("../../manifests/resilience/resiliency.yaml");

/// For every sidecar: the plugin fills the services in.
pub fn shipped() -> Result<Value> {
    // To try others.
    let text = match std::env::var_os("LEARNFLOW_RESILIENCY") {
        Some(file) => std::fs::read_to_string(file)?,
        None => RESILIENCY.to_owned(),
    };
    serde_saphyr::from_str(&text).context("the shipped Resiliency")
}
