//! The verb that asks what policies do in an outage.

mod autoscaling;

use super::{explain::parse_rate, parse_timeout};
use crate::config;
pub(crate) use autoscaling::{ControllerFlags, SimulateAutoscaling};
use clap::{Args, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// Say what happens to publishes while Kafka is away, before it is
///
/// Simulates an outage under the policies that are in force: Dapr's timeouts, retries and circuit breaker, and the Kafka
/// client below them, which has queues, pauses and breakers of its own. Shows how many publishes are refused, how long the
/// others wait, what that costs the sidecar, and when all is well again. No event is sent, and nothing is changed.
///
/// Without files it takes the policies that are in force in the cluster, for each service that has published in the last
/// day, and the highest rate at which one of its sidecars did.
///
/// Exits with 0 when the budget holds: no publish is refused in an outage of that length; in a longer one the breaker
/// refuses at once, and is closed within 10s. Exits with 1 when it does not hold, 2 when that cannot be told.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Simulate {
    #[command(subcommand)]
    pub(crate) what: Option<What>,
    /// How long Kafka is away
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_timeout)]
    pub(crate) outage: Duration,
    /// How Kafka is away
    #[arg(long, value_name = "MODE", default_value = "refuse")]
    pub(crate) mode: Mode,
    /// Publishes of one sidecar, as 5/s or 90/m, or `live` for the highest of the last day
    /// [default: live, and 50/s with -f or --shipped]
    #[arg(long, value_name = "RATE", value_parser = Rate::parse)]
    pub(crate) rate: Option<Rate>,
    /// Calls come by chance, with this rate in the middle, instead of evenly
    #[arg(long)]
    pub(crate) random: bool,
    /// Partitions that are published to, of all topics together
    #[arg(long, value_name = "NUMBER", default_value = "3", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) partitions: u16,
    /// With --mode slow: how late each answer of the broker is
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_timeout)]
    pub(crate) late: Duration,
    /// With --mode flap: how long Kafka is away, and then back, by turns
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_timeout)]
    pub(crate) period: Duration,
    /// The outage that must not be noticed [default: as long as --outage]
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) budget: Option<Duration>,
    /// Propose a policy that holds the budget, as YAML
    #[arg(long)]
    pub(crate) fit: bool,
    /// Files to read instead of the cluster, as for `explain`
    #[arg(short = 'f', long = "filename", value_name = "FILE", num_args = 1.., conflicts_with = "shipped")]
    pub(crate) files: Vec<PathBuf>,
    /// Take the policies that LearnFlow installs
    #[arg(long)]
    pub(crate) shipped: bool,
    /// Only for this app id [default: all that have a sidecar, or that the files name]
    #[arg(long, value_name = "APP-ID", value_parser = config::label)]
    pub(crate) app: Option<String>,
    /// Only for this pub/sub component [default: all for Kafka]
    #[arg(long, value_name = "NAME", value_parser = config::name)]
    pub(crate) component: Option<String>,
    /// What a sidecar needs for each publish that waits, in KiB; a body of 400 bytes was measured with about 100
    #[arg(long, value_name = "KIB", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) call_kib: u32,
    /// Where chance begins: the same number gives the same result
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(crate) seed: u64,
    /// How often it is simulated, each time with another chance
    #[arg(long, value_name = "NUMBER", default_value = "25", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) runs: u16,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: SimulateFormat,
}

/// Something else than an outage.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    Autoscaling(Box<SimulateAutoscaling>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Connections are refused: no broker is there
    Refuse,
    /// Connections are accepted, and nothing is answered
    Hang,
    /// Each answer is late
    Slow,
    /// Refused and served, by turns
    Flap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SimulateFormat {
    Table,
    Json,
    /// With --fit: only what it proposes
    Yaml,
}

/// Publishes a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    Live,
    PerSecond(f64),
}

impl Rate {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "live" => Ok(Self::Live),
            _ => match parse_rate(text)? {
                rate if rate > 100_000.0 => Err("no sidecar publishes that often; write at most 100000/s".into()),
                rate => Ok(Self::PerSecond(rate)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, rate) in [("5/s", 5.0), ("90/m", 1.5), ("0.5/s", 0.5), ("36/h", 0.01)] {
            assert_eq!(Rate::parse(text), Ok(Rate::PerSecond(rate)), "{text}");
        }
        assert_eq!(Rate::parse("live"), Ok(Rate::Live));
        for wrong in [
            "", "five", "5/d", "-5/s", "+5/s", "0/s", "inf", "nan", "1e9/s", "5//s", "/s",
        ] {
            assert!(Rate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
