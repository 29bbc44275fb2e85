//! `version`: of this plugin, of what is installed, of Kubernetes and of Dapr.

use crate::{
    cli::{Format, Global, Version},
    cluster::Cluster,
    model::Outcome,
    objects::{ObjectRef, STACK_NAMESPACE},
    printer::{Printer, Tone},
    problem::Problem,
};
use serde::Serialize;

pub(crate) const PLUGIN: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Versions {
    pub(crate) plugin: String,
    /// What `install` has put into the cluster.
    pub(crate) installed: Option<String>,
    pub(crate) kubernetes: Option<String>,
    pub(crate) dapr: Option<String>,
}

pub(super) async fn run(args: &Version, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let versions = if args.client {
        Versions {
            plugin: PLUGIN.into(),
            installed: None,
            kubernetes: None,
            dapr: None,
        }
    } else {
        of(&Cluster::connect(global).await?).await?
    };
    match args.output {
        Format::Json | Format::Yaml => printer.document(args.output, &versions)?,
        Format::Name => printer.data_line(Tone::Plain, &format!("plugin/{PLUGIN}")),
        Format::Table | Format::Wide => {
            printer.data_line(Tone::Plain, &format!("Plugin:      {PLUGIN}"));
            if !args.client {
                let or = |version: &Option<String>, otherwise: &str| {
                    version
                        .as_deref()
                        .unwrap_or(otherwise)
                        .trim_start_matches('v')
                        .to_owned()
                };
                printer.data_line(
                    Tone::Plain,
                    &format!("Installed:   {}", or(&versions.installed, "nothing")),
                );
                printer.data_line(
                    Tone::Plain,
                    &format!("Kubernetes:  {}", or(&versions.kubernetes, "unknown")),
                );
                printer.data_line(Tone::Plain, &format!("Dapr:        {}", or(&versions.dapr, "unknown")));
            }
        }
    }
    Ok(Outcome::Good)
}

pub(super) async fn of(cluster: &Cluster) -> Result<Versions, Problem> {
    let kubernetes = cluster.kubernetes_version().await?;
    let gateway = ObjectRef::deployment(STACK_NAMESPACE, "collector-gateway");
    let (dapr, gateway) = futures::try_join!(cluster.dapr_version(), cluster.existing(&gateway))?;
    Ok(Versions {
        plugin: PLUGIN.into(),
        installed: gateway.and_then(|gateway| gateway.version),
        kubernetes: Some(kubernetes),
        dapr,
    })
}
