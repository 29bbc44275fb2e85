use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const COMPONENT: &str = include_str!("../../../manifests/middleware/component.yaml");
const CONFIGURATION: &str = include_str!("../../../manifests/middleware/configuration.yaml");

/// The middleware as `manifests/middleware` has it, and how a sidecar's is different.
#[derive(Clone, Debug)]
pub struct Middleware {
    file: PathBuf,
    in_pipelines: bool,
    ignore_errors: bool,
    guest_config: Option<String>,
}

/// The guest, as it is shipped.
pub fn released() -> Result<PathBuf> {
    crate::released("LEARNFLOW_WASM", "learnflow.wasm")
}

impl Middleware {
    /// As it is shipped and installed.
    pub fn installed() -> Result<Self> {
        Ok(Self::of(released()?))
    }

    /// The same with another file, which need not be one.
    pub fn of(file: PathBuf) -> Self {
        Self {
            file,
            in_pipelines: true,
            ignore_errors: true,
            guest_config: None,
        }
    }

    /// The Component is there, but no call passes it.
    pub fn out_of_pipelines(self) -> Self {
        Self {
            in_pipelines: false,
            ..self
        }
    }

    pub fn without_ignore_errors(self) -> Self {
        Self {
            ignore_errors: false,
            ..self
        }
    }

    pub fn guest_config(self, config: &str) -> Self {
        Self {
            guest_config: Some(config.to_owned()),
            ..self
        }
    }

    pub(super) fn component(&self) -> Result<Value> {
        let mut component = read(COMPONENT)?;
        let spec = &mut component["spec"];
        ensure!(
            spec["ignoreErrors"] == true,
            "the manifest's Component can stop a sidecar"
        );
        if !self.ignore_errors {
            spec["ignoreErrors"] = false.into();
        }
        let metadata = spec["metadata"].as_array_mut().context("metadata of the Component")?;
        let url = metadata
            .iter_mut()
            .find(|entry| entry["name"] == "url")
            .context("url of the Component")?;
        url["value"] = format!("file://{}", self.file.display()).into();
        if let Some(config) = &self.guest_config {
            metadata.push(json!({"name": "guestConfig", "value": config}));
        }
        Ok(component)
    }

    /// With spans for the receiver at `otlp`, if there is one.
    pub(super) fn configuration(&self, otlp: Option<SocketAddr>) -> Result<Value> {
        let mut configuration = read(CONFIGURATION)?;
        let spec = &mut configuration["spec"];
        for pipeline in ["httpPipeline", "appHttpPipeline"] {
            ensure!(
                spec[pipeline]["handlers"][0]["name"] == "learnflow",
                "no middleware in {pipeline}"
            );
            if !self.in_pipelines {
                spec[pipeline] = json!({"handlers": []});
            }
        }
        let tracing = &mut spec["tracing"];
        match otlp {
            Some(address) => {
                tracing["otel"]["endpointAddress"] = address.to_string().into();
                tracing["otel"]["protocol"] = "http".into();
            }
            None => {
                tracing
                    .as_object_mut()
                    .context("tracing of the Configuration")?
                    .remove("otel");
            }
        }
        Ok(configuration)
    }
}

fn read(manifest: &str) -> Result<Value> {
    serde_saphyr::from_str(manifest).context("a manifest of the middleware")
}
