//! The command line: types and their help texts, nothing else.

use crate::text::parse_duration;
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// Shows every event that Dapr services send through Kafka.
///
/// Services that use Dapr publish to Kafka through a sidecar, and Dapr's own traces and metrics do
/// not say to which topic. LearnFlow adds a small WebAssembly middleware to the sidecars that does,
/// and a Collector and a Prometheus that turn what it writes into traces and metrics by topic.
///
/// Start with `kubectl learnflow install -n NAMESPACE`, where NAMESPACE is where your services run,
/// then look with `kubectl learnflow status -n NAMESPACE`.
///
/// Exit codes: 0 healthy or done, 1 unhealthy or only partly done, 2 could not do it (usage,
/// connection, refused).
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-learnflow",
    bin_name = "kubectl learnflow",
    version,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Kubeconfig file to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use instead of its current one
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace of the services [default: the namespace of the context]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// How long to wait for one answer of the cluster; 0 waits for ever
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) request_timeout: Duration,
    /// When to use colours; $NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// Show every request to the cluster; twice for all that happens underneath
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Install(Install),
    Status(Status),
    Enroll(Enroll),
    Unenroll(Unenroll),
    Uninstall(Uninstall),
    Version(Version),
}

/// Install LearnFlow, upgrade it, or repair it
///
/// Checks the cluster first, and changes nothing unless everything it needs is there. Then it
/// applies the Collector and Prometheus to the namespace learnflow-system, the middleware to the
/// namespace of the services, and enrols the services: every Deployment there that has the
/// annotation dapr.io/enabled gets the middleware, one after another, with a rolling update.
/// Nothing else of a Deployment is touched.
///
/// Run it again at any time: what is already right stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Check everything and list what would be applied, without changing anything
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// A Deployment to leave alone; may be given several times
    #[arg(long, value_name = "DEPLOYMENT")]
    pub(crate) exclude: Vec<String>,
    /// Take over fields that belong to another tool
    #[arg(long)]
    pub(crate) force_conflicts: bool,
    /// How long to wait for the stack, and for each Deployment, to become ready
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub(crate) timeout: Duration,
}

/// Show what is installed and whether it works
///
/// Shows the parts of the stack, the services with how many of their sidecars run the middleware
/// and give metrics, and what went through each topic. Exits with 0 when all of it is healthy, 1
/// when something is not, 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// Give services the middleware
///
/// Adds to each Deployment exactly what its sidecar needs (a Dapr Configuration, the middleware's file,
/// metrics), one after another with a rolling update, and owns nothing else of it. A service that has a
/// Dapr Configuration of its own gets a copy with LearnFlow's part in it. A Deployment that does not
/// come up is undone.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// Deployments, by name or as deployment/NAME
    #[arg(required = true, value_name = "WORKLOAD")]
    pub(crate) workloads: Vec<String>,
    /// Check everything and list what would be done, without changing anything
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take over fields that belong to another tool
    #[arg(long)]
    pub(crate) force_conflicts: bool,
    /// How long to wait for each Deployment to roll
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub(crate) timeout: Duration,
}

/// Take the middleware out of services again
///
/// Each Deployment gets back exactly what it had before, with a rolling update, one after another.
#[derive(Debug, Args)]
pub(crate) struct Unenroll {
    /// Deployments, by name or as deployment/NAME
    #[arg(required = true, value_name = "WORKLOAD")]
    pub(crate) workloads: Vec<String>,
    /// List what would be done, without changing anything
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long to wait for each Deployment to roll
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub(crate) timeout: Duration,
}

/// Remove LearnFlow, and nothing else
///
/// Removes what `install` has created. Refuses while services are enrolled, unless it may let them go
/// first. Running it again is harmless.
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// Let enrolled services go first: a rolling update of each
    #[arg(long)]
    pub(crate) unenroll: bool,
    /// Remove volumes too, with all that was measured
    #[arg(long)]
    pub(crate) delete_data: bool,
    /// List what would be removed, without changing anything
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long to wait for each Deployment to roll, and for objects to be gone
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub(crate) timeout: Duration,
}

/// Show the versions of this plugin, of what is installed, of Kubernetes and of Dapr
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Only the plugin's own version; needs no cluster
    #[arg(long)]
    pub(crate) client: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// What a person wants to know
    Table,
    /// The same with more columns
    Wide,
    Json,
    Yaml,
    /// One kind/name a line
    Name,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("a wait needs an end; write for example 5m".into()),
        timeout => Ok(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_follow_the_verb() {
        let cli = Cli::try_parse_from(["x", "status", "-n", "shop", "-o", "json", "--context", "c"])
            .expect("flags after the verb");
        assert_eq!(cli.global.namespace.as_deref(), Some("shop"));
        assert!(matches!(cli.verb, Verb::Status(Status { output: Format::Json })));
    }
}
