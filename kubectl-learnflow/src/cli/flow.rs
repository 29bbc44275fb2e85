//! The verbs that show events: `flow`, `top`, `graph`.

use super::{Rehearsal, parse_timeout};
use clap::{Args, ValueEnum};
use learnflow_flow::Filter;
use std::{path::PathBuf, time::Duration};

/// Which events. The same flags for each of these verbs.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Which events")]
pub(crate) struct WhichEvents {
    /// Read this log instead of the cluster: what `kubectl logs` printed, a file of the node, a packed one (gzip), or an
    /// archive of `bundle` (.tar.gz); may be given several times, `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "file")]
    pub(crate) all_namespaces: bool,
    /// Only of this topic, `*` for any part of its name; may be given several times
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
    /// Only of this service (its app id), `*` for any part of it; may be given several times
    #[arg(long, value_name = "APP-ID")]
    pub(crate) service: Vec<String>,
    /// Only with this outcome; may be given several times
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) outcome: Vec<EventOutcome>,
    /// Only of this trace
    #[arg(long, value_name = "TRACE-ID", value_parser = trace)]
    pub(crate) trace: Option<String>,
    /// Not a cluster's and no file's.
    #[arg(skip)]
    pub(crate) rehearsal: Option<Rehearsal>,
}

impl WhichEvents {
    /// They have been written down before, and may be of any day.
    pub(crate) fn are_saved(&self) -> bool {
        !self.file.is_empty() || self.rehearsal.is_some()
    }

    pub(crate) fn filter(&self) -> Filter {
        Filter {
            topics: self.topic.clone(),
            services: self.service.clone(),
            outcomes: self.outcome.iter().map(|outcome| outcome.meant()).collect(),
            trace: self.trace.clone(),
        }
    }
}

fn trace(given: &str) -> Result<String, String> {
    let lower = given.to_ascii_lowercase();
    match learnflow_core::TraceId::parse(lower.as_bytes()) {
        Some(_) => Ok(lower),
        None => Err("a trace id has 32 hexadecimal digits".into()),
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventOutcome {
    /// Taken by the broker, or done by the app
    Success,
    /// Not taken by the app this time
    Retry,
    /// Given up by the app
    Drop,
    /// Not taken by the broker
    Error,
}

impl EventOutcome {
    fn meant(self) -> learnflow_core::Outcome {
        use learnflow_core::Outcome;
        match self {
            Self::Success => Outcome::Success,
            Self::Retry => Outcome::Retry,
            Self::Drop => Outcome::Drop,
            Self::Error => Outcome::Error,
        }
    }
}

/// Show events as they happen
///
/// Reads the logs of the sidecars that have the middleware, of all pods, in the order of time. Nothing has to be installed
/// beside the middleware: no Collector, no Prometheus.
///
///   TIME          publish:  SERVICE → TOPIC                        OUTCOME  HOW LONG
///   TIME          delivery: TOPIC[PARTITION]@OFFSET → SERVICE      OUTCOME  HOW LONG  AGE
///
/// Without -f it shows the last 20 and ends; -f shows what happens from now on, until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Flow {
    /// Go on with what happens; with --file, with what is written to it, also when it is rotated
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only what happened in this time before now; -f goes on from there
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) since: Option<Duration>,
    /// Only the last so many [default: 20; all with --since and --file]
    #[arg(long, value_name = "NUMBER", conflicts_with = "follow", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) last: Option<u32>,
    #[command(flatten)]
    pub(crate) which: WhichEvents,
    /// How to print it: `jsonl` is one JSON object a line
    #[arg(short, long, value_name = "FORMAT", default_value = "compact")]
    pub(crate) output: FlowFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlowFormat {
    Compact,
    Table,
    Json,
    Jsonl,
}

/// Show how much goes through each topic or service, and how well
///
/// Adds up what the sidecars wrote down in --window: events a second, how many were taken, how long calls took, how old events
/// were when they were delivered, attempts that failed, and how evenly partitions are used. How many events wait in Kafka (lag) is
/// asked of Prometheus, where there is one.
///
/// On a terminal the table moves, until `q`; `?` shows the keys. Printed once where stdout is no terminal, with --once and with
/// -o json.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// What a row is
    #[arg(value_name = "WHAT", default_value = "topics")]
    pub(crate) what: TopOf,
    /// How far back it looks [default: 1m; everything with --file]
    #[arg(long, value_name = "DURATION", value_parser = parse_window)]
    pub(crate) window: Option<Duration>,
    /// What comes first
    #[arg(long, value_name = "COLUMN", default_value = "rate")]
    pub(crate) sort: Sort,
    /// Print it once and end, on a terminal too
    #[arg(long)]
    pub(crate) once: bool,
    /// With --file: go on with what is written to it
    #[arg(short, long, requires = "file", conflicts_with = "once")]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) which: WhichEvents,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: TopFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopOf {
    Topics,
    Services,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    Name,
    /// The least success first
    Success,
    /// The most events a second first
    Rate,
    /// The slowest first
    P50,
    P95,
    P99,
    /// The oldest events first
    Age,
    /// The furthest behind first
    Lag,
    /// The most first
    Retries,
    /// The least even first
    Skew,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopFormat {
    Table,
    Json,
}

pub(super) fn parse_window(text: &str) -> Result<Duration, String> {
    let window = parse_timeout(text)?;
    match window.as_secs() {
        1..=86_400 => Ok(window),
        _ => Err("the window is from 1s to 24h".into()),
    }
}

/// Show who publishes to which topic, and who receives from it
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// How far back it looks [default: 10m; everything with --file]
    #[arg(long, value_name = "DURATION", value_parser = parse_window)]
    pub(crate) window: Option<Duration>,
    #[command(flatten)]
    pub(crate) which: WhichEvents,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: GraphFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    Svg,
    Json,
}
