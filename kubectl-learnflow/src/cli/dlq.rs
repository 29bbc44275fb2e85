//! `dlq`: what is left of events that no app took.

use crate::{broker, dlq};
use clap::{Args, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// List, show and replay dead letters
///
/// Dapr publishes an event that a service did not take to the dead-letter topic of its subscription, and tells nobody. These
/// verbs read such topics in Kafka itself: by port-forwards to the brokers that the Dapr Component names, with its login, or
/// directly with --bootstrap.
///
/// Nothing is sent but by `replay --yes`, and nothing is ever removed.
#[derive(Debug, Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    pub(crate) verb: DlqVerb,
}

impl Dlq {
    pub(crate) fn sends(&self) -> bool {
        matches!(&self.verb, DlqVerb::Replay(replay) if replay.yes)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqVerb {
    Ls(Ls),
    Show(Show),
    Replay(Replay),
}

/// Which Kafka. The same flags for each verb that reads from it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which Kafka")]
pub(crate) struct WhichKafka {
    /// The Dapr Component of type pubsub.kafka [default: the only one of the namespace]
    #[arg(long, value_name = "NAME", value_parser = crate::config::name)]
    pub(crate) component: Option<String>,
    /// Connect to this broker instead, without a port-forward; may be several with commas between. Without --component no
    /// Component says how to log in, and nothing is encrypted
    #[arg(long, value_name = "HOST:PORT", value_parser = brokers)]
    pub(crate) bootstrap: Option<Brokers>,
}

/// The same flags for each of these verbs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Letters {
    #[command(flatten)]
    pub(crate) kafka: WhichKafka,
    /// How to print it
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        help_heading = "Options"
    )]
    pub(crate) output: LettersFormat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brokers(pub(crate) Vec<String>);

fn brokers(given: &str) -> Result<Brokers, String> {
    broker::brokers(given).map(Brokers)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LettersFormat {
    Table,
    Json,
}

/// List dead-letter topics and how many dead letters are in them
///
/// The topics are those that the Subscriptions of the namespace and the apps that run there name, and those of --topic. What
/// was replayed stays there, and is counted too, until Kafka's retention removes it.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// A dead-letter topic to look at too; may be given several times
    #[arg(long, value_name = "TOPIC", value_parser = dlq::topic)]
    pub(crate) topic: Vec<String>,
    #[command(flatten)]
    pub(crate) letters: Letters,
}

/// Show dead letters: where they come from and what is in them
///
/// With an offset all of one dead letter is shown, its body too. What could do harm to a terminal is shown as an escape.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Which ones
    #[arg(value_name = "TOPIC[/PARTITION[/OFFSET]]", value_parser = dlq::Spot::parse)]
    pub(crate) spot: dlq::Spot,
    /// At most so many: the newest of each partition
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Write the body of one dead letter to this file, byte by byte; `-` is standard output. Needs an offset
    #[arg(long, value_name = "FILE")]
    pub(crate) raw: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) letters: Letters,
}

/// Send dead letters to the topic that they come from, once
///
/// Only shows what it would do, unless --yes is given. An event is sent as it was, to the partition that it was in, and only to
/// a topic whose subscription has this dead-letter topic. What was sent carries a header, by which a later replay, or one that
/// goes on after an interruption, knows that it was.
///
/// Exits with 0 when all of them are sent or would be, 1 when some are not, 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Which ones
    #[arg(value_name = "TOPIC[/PARTITION[/OFFSET]]", value_parser = dlq::Spot::parse)]
    pub(crate) spot: dlq::Spot,
    /// Send them
    #[arg(long)]
    pub(crate) yes: bool,
    /// How many in a second
    #[arg(long, value_name = "NUMBER[/s]", default_value = "50/s", value_parser = Rate::parse)]
    pub(crate) rate: Rate,
    /// A topic, as Kafka knows it, whose dead letters these are, beside those of the subscriptions that the cluster tells of;
    /// may be given several times
    #[arg(long, value_name = "TOPIC", value_parser = dlq::topic)]
    pub(crate) from: Vec<String>,
    /// Send also those of which Kafka no longer has what would show whether they were sent before
    #[arg(long)]
    pub(crate) unproven: bool,
    #[command(flatten)]
    pub(crate) letters: Letters,
}

/// So many in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(u32);

impl Rate {
    pub(crate) fn parse(given: &str) -> Result<Self, String> {
        let number = given.strip_suffix("/s").unwrap_or(given);
        match number.parse::<u32>() {
            Ok(rate) if (1..=10_000).contains(&rate) && !number.starts_with('+') => Ok(Self(rate)),
            _ => Err(format!(
                "`{}` is no rate; write 1/s to 10000/s",
                crate::text::harmless(given)
            )),
        }
    }

    pub(crate) fn pause(self) -> Duration {
        Duration::from_secs(1) / self.0
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/s", self.0)
    }
}
