//! The command line: types and their help texts, nothing else.

mod support;

use crate::{commands::completion, text::parse_duration};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use std::{path::PathBuf, time::Duration};
pub(crate) use support::{Bundle, Check, CheckFormat, Completion, Dashboard, ManPages, Page, Rbac, RbacFormat, Shell};

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
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCompleter::new(completion::contexts))]
    pub(crate) context: Option<String>,
    /// Namespace of the services [default: the namespace of the context]
    #[arg(short, long, global = true, value_name = "NAME", value_parser = parse_name, add = ArgValueCompleter::new(completion::namespaces))]
    pub(crate) namespace: Option<String>,
    /// User to act as, if you may impersonate others
    #[arg(long = "as", global = true, value_name = "USER")]
    pub(crate) as_user: Option<String>,
    /// Group to act as together with --as; may be given several times
    #[arg(long, global = true, value_name = "GROUP")]
    pub(crate) as_group: Vec<String>,
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
    Check(Check),
    Install(Install),
    Status(Status),
    Dashboard(Dashboard),
    Uninstall(Uninstall),
    Bundle(Bundle),
    Rbac(Rbac),
    Version(Version),
    Completion(Completion),
    #[command(hide = true)]
    ManPages(ManPages),
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
    #[arg(long, value_name = "DEPLOYMENT", add = ArgValueCompleter::new(completion::services))]
    pub(crate) exclude: Vec<String>,
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
    /// Look again every two seconds and show what has changed, until Ctrl-C
    #[arg(short, long, conflicts_with = "wait")]
    pub(crate) watch: bool,
    /// Wait until it is healthy, for at most this long
    #[arg(long, value_name = "DURATION", require_equals = true, num_args = 0..=1, default_missing_value = "5m",
          value_parser = parse_timeout)]
    pub(crate) wait: Option<Duration>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// Remove LearnFlow, and nothing else
///
/// Takes the middleware out of the services first (a rolling update of each enrolled Deployment),
/// then removes what `install` has created. Running it again is harmless.
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
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

/// The name of a namespace: anything else would lead to another place in the API.
fn parse_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = !text.starts_with('-') && !text.ends_with('-');
    if (1..=63).contains(&text.len()) && text.chars().all(fits) && ends {
        return Ok(text.to_owned());
    }
    Err("a namespace has 1 to 63 lower-case letters, digits and dashes, with no dash at an end".into())
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
        assert!(matches!(
            cli.verb,
            Verb::Status(Status {
                output: Format::Json,
                ..
            })
        ));
    }
}
