//! The command line: types and their help texts, nothing else.

mod autoscaling;
mod coverage;
mod demo;
mod dlq;
mod explain;
mod flow;
mod simulate;
mod support;
mod trace;
mod ui;
mod verify;

use crate::{
    commands::completion,
    concern::{Concern, Profile},
    config::{self, Boards, Entry, Expected, Memory, Share, Slow, Which},
    text::parse_duration,
};
pub(crate) use autoscaling::Autoscaling;
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
pub(crate) use coverage::{Coverage, CoverageFormat};
pub(crate) use demo::{Demo, DemoVerb, Rehearsal};
pub(crate) use dlq::{Dlq, DlqVerb, Letters, LettersFormat, Ls, Replay, Show, WhichKafka};
pub(crate) use explain::{Explain, ExplainFormat, Explained};
pub(crate) use flow::{Flow, FlowFormat, Graph, GraphFormat, Sort, Top, TopFormat, TopOf, WhichEvents};
pub(crate) use simulate::{ControllerFlags, Mode, Rate, Simulate, SimulateAutoscaling, SimulateFormat, What};
use std::{path::PathBuf, time::Duration};
pub(crate) use support::{Bundle, Check, CheckFormat, Completion, Dashboard, ManPages, Page, Rbac, RbacFormat, Shell};
pub(crate) use trace::{Trace, TraceFormat};
pub(crate) use ui::{EventPage, Ui};
pub(crate) use verify::{Consent, ReportFormat, Resilience, Subject, Verify};

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
    #[arg(short, long, global = true, value_name = "NAME", value_parser = config::label, add = ArgValueCompleter::new(completion::namespaces))]
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
    Diff(Diff),
    Render(Render),
    Status(Status),
    Explain(Explain),
    Simulate(Simulate),
    Flow(Flow),
    Top(Top),
    Graph(Graph),
    Trace(Trace),
    Coverage(Coverage),
    Ui(Ui),
    Demo(Demo),
    Dlq(Dlq),
    Dashboard(Dashboard),
    Enroll(Enroll),
    Unenroll(Unenroll),
    Uninstall(Uninstall),
    Verify(Verify),
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
/// applies the Collector and Prometheus to the namespaces learnflow-system and learnflow-agents, the middleware to the
/// namespace of the services, and enrols the services: every Deployment there that has the
/// annotation dapr.io/enabled gets the middleware, one after another, with a rolling update.
/// Nothing else of a Deployment is touched.
///
/// Run it again at any time: what is already right stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Check everything and list what would be applied, without changing anything: `server` lets the
    /// API server check each object as if it were applied, `client` only reads
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "server")]
    pub(crate) dry_run: Option<DryRun>,
    /// Print the settings in effect, with where each comes from, and do nothing else
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) print_config: bool,
    /// Take over fields that somebody else owns; without it they are named and left alone
    #[arg(long)]
    pub(crate) force_conflicts: bool,
    /// Wait until all of it works (this is the default)
    #[arg(long, overrides_with = "no_wait")]
    pub(crate) wait: bool,
    /// Apply everything and return: what does not come up is neither noticed nor undone
    #[arg(long, overrides_with = "wait")]
    pub(crate) no_wait: bool,
    /// How long to wait for the stack, and for each Deployment, to become ready
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

impl Install {
    /// The last of the two flags counts.
    pub(crate) fn waits(&self) -> bool {
        self.wait || !self.no_wait
    }
}

/// Where a dry run checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    Client,
    Server,
}

/// What is to be installed. The same flags for every verb that has to do with it.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "What to install")]
pub(crate) struct Choice {
    /// Settings for all that follows here, as learnflow.yaml; flags win. `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// How large and how careful
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<Profile>,
    /// Only these parts, and what they need
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub(crate) only: Vec<Concern>,
    /// Not these parts; what of them is there stays as it is
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub(crate) skip: Vec<Concern>,
    /// A Deployment to enrol, with its app id if that is not its name; may be given several times
    /// [default: all with dapr.io/enabled]
    #[arg(long, value_name = "DEPLOYMENT[=APP-ID]", value_parser = parse_service)]
    pub(crate) service: Vec<Entry>,
    /// A Deployment to leave alone; may be given several times
    #[arg(long, value_name = "DEPLOYMENT", value_parser = config::name, add = ArgValueCompleter::new(completion::services))]
    pub(crate) exclude: Vec<String>,
    /// Whose Prometheus keeps the metrics: own, NAMESPACE/NAME of one that the Prometheus Operator runs,
    /// or NAMESPACE/SERVICE:PORT of another one [default: the one chosen before, or the only one that the
    /// Operator runs, or our own]
    #[arg(long, value_name = "WHICH", value_parser = Which::parse)]
    pub(crate) prometheus: Option<Which>,
    /// Which Grafana shows the boards: own, none, or NAMESPACE/NAME of one whose sidecar reads boards from
    /// ConfigMaps [default: the one chosen before, or the only such one that is there, or our own]
    #[arg(long, value_name = "WHICH", value_parser = Boards::parse)]
    pub(crate) grafana: Option<Boards>,
    /// The memory that all we install may take: sizes, retention, limits and sampling are chosen to fit
    #[arg(long, value_name = "MEMORY", value_parser = Memory::parse)]
    pub(crate) budget: Option<Memory>,
    /// What the budget is for, as nodes=3,pods=20,topics=100 [default: what is counted in the cluster]
    #[arg(long, value_name = "FIGURES", value_parser = Expected::parse)]
    pub(crate) expect: Option<Expected>,
    /// A registry that has the images, in place of the public ones
    #[arg(long, value_name = "REGISTRY", value_parser = config::registry)]
    pub(crate) registry: Option<String>,
    /// The Secret in namespaces learnflow-system and learnflow-agents to pull the images with
    #[arg(long, value_name = "SECRET", value_parser = config::name)]
    pub(crate) image_pull_secret: Option<String>,
    /// The share of traces that are kept, from 0 to 1, beside those that failed or were slow, which all are; metrics are
    /// exact at any share [default: 1, and 0.05 with --profile production]
    #[arg(long, value_name = "SHARE", value_parser = Share::parse)]
    pub(crate) sampling: Option<Share>,
    /// From when on a trace is slow [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = Slow::parse)]
    pub(crate) slow: Option<Slow>,
}

/// Show what `install` would change, field by field
///
/// The API server says what each object would become, without changing it. Exits with 0 when nothing
/// differs, 1 when something does, 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

/// Write what `install` applies as files, for GitOps or a cluster without internet
///
/// The files are named in the order in which they must be applied, and the same settings always give
/// the same bytes. What the services' Deployments need is in the folder `enrolment`.
///
/// No cluster is asked when the services are named, with --service or in the file: then an app id that
/// is not the name of its Deployment must be said. Otherwise the services are looked for in the cluster.
#[derive(Debug, Args)]
pub(crate) struct Render {
    /// Write one file an object into this folder instead of all to standard output. Files there that
    /// were rendered before and are no longer needed are removed; others stay
    #[arg(long, value_name = "FOLDER")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Only list the images; no cluster and no services are needed
    #[arg(long, conflicts_with = "output_dir")]
    pub(crate) images: bool,
    #[command(flatten)]
    pub(crate) choice: Choice,
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
    /// The same learnflow.yaml as for `install`. `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
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
    #[arg(required = true, value_name = "WORKLOAD", add = ArgValueCompleter::new(completion::services))]
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
    /// The same learnflow.yaml as for `install`. `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Take the middleware out of services again
///
/// Each Deployment gets back exactly what it had before, with a rolling update, one after another.
#[derive(Debug, Args)]
pub(crate) struct Unenroll {
    /// Deployments, by name or as deployment/NAME
    #[arg(required = true, value_name = "WORKLOAD", add = ArgValueCompleter::new(completion::services))]
    pub(crate) workloads: Vec<String>,
    /// List what would be done, without changing anything
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long to wait for each Deployment to roll
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub(crate) timeout: Duration,
    /// The same learnflow.yaml as for `install`. `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
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
    /// The same learnflow.yaml as for `install`. `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
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

fn parse_service(text: &str) -> Result<Entry, String> {
    let (name, app_id) = match text.split_once('=') {
        Some((name, app_id)) => (name, Some(config::label(app_id)?)),
        None => (text, None),
    };
    Ok(Entry {
        name: config::name(name)?,
        namespace: None,
        app_id,
        container: None,
        scaling: config::Scale::default(),
    })
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
