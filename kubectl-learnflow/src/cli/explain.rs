//! `explain`.

use super::{Rate, parse_timeout};
use crate::{commands::completion, config};
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use std::{path::PathBuf, time::Duration};

/// Explain what Dapr's policies, or the autoscalers, come to
///
/// `explain policies` reads the Components, Resiliencies and Subscriptions of the namespace, or of files, by the rules of
/// Dapr's sidecar 1.18, and says for each app and target, and each direction, which policy is really in
/// force, where it is written, which attempts it makes when, and how long it may hold a caller. Then it
/// says what is wrong with it, each finding with a code that stays the same from version to version:
/// docs/explain.md has them all. Nothing is changed, and files need no cluster.
///
/// `explain autoscaling [SERVICE]` says for each service what scales it, by what, when and how fast, what a pod takes with
/// its sidecar, and whether as many as the maximum fit into the quotas, the limits and the nodes: docs/autoscaling.md.
///
/// Exits with 0 when there is no error, warnings aside, 1 when there is one, 2 when something cannot be read.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// What to explain
    #[arg(value_name = "WHAT", default_value = "policies")]
    pub(crate) what: Explained,
    /// A Deployment; without it all of the namespace. Only for autoscaling
    #[arg(value_name = "SERVICE", value_parser = config::name, conflicts_with = "files", add = ArgValueCompleter::new(completion::services))]
    pub(crate) service: Option<String>,
    /// Files to read instead of the cluster: YAML or JSON, of one or more objects; of a folder all that end
    /// in .yaml, .yml or .json; `-` is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    /// Publishes of one sidecar, as 5/s or 90/m, or `live` for the highest of each service in the last day: that a publish
    /// is refused in the outage at that rate is then an error, else a warning
    #[arg(long, value_name = "RATE", value_parser = Rate::parse)]
    pub(crate) rate: Option<Rate>,
    /// Partitions that are published to, of all topics together
    #[arg(long, value_name = "NUMBER", default_value = "3", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) partitions: u16,
    /// The outage of Kafka that publishes are to survive [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) outage: Option<Duration>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ExplainFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Explained {
    /// Which policies are in force
    Policies,
    /// What scales the services, and whether as many pods fit
    Autoscaling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    /// The policies, and what is wrong
    Table,
    /// The same in whole sentences, with where each part is written
    Wide,
    Json,
    /// One test case for each object, for CI
    Junit,
    /// For code scanning
    Sarif,
}

/// Reads `5/s`, `300/m`, `0.5/s`.
pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a rate; write for example 5/s or 300/m");
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().map_err(|_| wrong())?;
    match number / seconds {
        rate if plain && rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err(wrong()),
    }
}
