//! `verify`: the only verb that breaks something, or loads it, so it says what and for how long.

use super::{autoscaling::Autoscaling, parse_timeout};
use crate::{config, outage::Named, problem::Problem};
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

/// More would be a load test.
const MOST_PER_SECOND: f64 = 20.0;

/// Prove with a real outage, or with real load, that promises are kept
///
/// Neither does anything without your consent: --disrupt for an outage, --load for load.
///
/// Exits with 0 when every promise was kept, 1 when one was broken, 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(subcommand)]
    pub(crate) what: Subject,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Subject {
    Resilience(Box<Resilience>),
    Autoscaling(Box<Autoscaling>),
}

impl Verify {
    /// How long the API server may be away meanwhile.
    pub(crate) fn patience(&self) -> Duration {
        match &self.what {
            Subject::Resilience(args) => args.max_duration,
            Subject::Autoscaling(args) => args.max_duration,
        }
    }
}

/// Prove with a real outage that the policies keep their promises
///
/// Sends canary events through the real sidecar of a service to a topic of their own, takes Kafka away for a while, brings
/// it back, and says of each promise whether it was kept: no publish refused within the budget, no accepted event lost,
/// refusals beyond the budget are quick, and publishing works again soon after Kafka is back.
///
/// Everybody who uses this Kafka feels the outage, so it does nothing without --disrupt. It is always undone: at the end, on
/// Ctrl-C and on errors. If the plugin itself is killed, the next run says so, and --restore undoes it. With --no-disrupt
/// it only looks whether the policies are loaded and for components that exist.
///
/// Exits with 0 when every promise was kept, 1 when one was broken, 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct Resilience {
    /// Yes, take Kafka away
    #[arg(long, conflicts_with = "no_disrupt")]
    pub(crate) disrupt: bool,
    /// Take nothing away and send nothing: only look at what the sidecars have loaded
    #[arg(long)]
    pub(crate) no_disrupt: bool,
    /// Undo what a run has left that was killed. With --break: the command that brings Kafka back, and returns when it serves
    #[arg(long, value_name = "COMMAND", num_args = 0..=1)]
    pub(crate) restore: Option<Option<String>>,
    /// A command of yours that takes Kafka away, in place of scaling it; needs --restore COMMAND
    #[arg(long = "break", value_name = "COMMAND", conflicts_with = "workload")]
    pub(crate) break_with: Option<String>,
    /// What to scale to 0 and back, as NAMESPACE/KIND/NAME [default: what runs behind the brokers of the Component]
    #[arg(long, value_name = "WORKLOAD", value_parser = Named::parse)]
    pub(crate) workload: Option<Named>,
    /// Go on although Kafka's data goes with its pods, as on a Kafka for tests
    #[arg(long)]
    pub(crate) discard_data: bool,
    /// The Deployment through whose sidecar to publish
    #[arg(long, value_name = "DEPLOYMENT", default_value = "course-agent", value_parser = config::name)]
    pub(crate) service: String,
    /// The Dapr Component for Kafka [default: the only one]
    #[arg(long, value_name = "COMPONENT", value_parser = config::name)]
    pub(crate) pubsub: Option<String>,
    /// Where the canaries go; nobody should subscribe to it
    #[arg(long, value_name = "TOPIC", default_value = "learnflow-canary-of-verify", value_parser = parse_topic)]
    pub(crate) topic: String,
    /// How long Kafka is away, beside the time in which it stops and starts
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_timeout)]
    pub(crate) outage: Duration,
    /// The outage that the policies are meant to bridge
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_timeout)]
    pub(crate) budget: Duration,
    /// Canaries a second, at most 20/s
    #[arg(long, value_name = "RATE", default_value = "5/s", value_parser = parse_rate)]
    pub(crate) rate: f64,
    /// When to undo and give up, whatever is still missing
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_timeout)]
    pub(crate) max_duration: Duration,
    /// Do not read the canaries back from Kafka: that none is lost is not proven then
    #[arg(long)]
    pub(crate) skip_delivery: bool,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Table,
    Json,
}

/// What the flags come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Consent<'a> {
    /// Nobody has agreed to anything: say what would be done.
    Ask,
    Disrupt,
    Look,
    /// With a command, where a command has broken it.
    Restore(Option<&'a str>),
}

impl Resilience {
    pub(crate) fn mode(&self) -> Result<Consent<'_>, Problem> {
        let command = self.restore.as_ref().map(Option::as_deref);
        match (&self.break_with, command) {
            (Some(_), None | Some(None)) => Err(Problem::new("--break alone would leave Kafka broken.")
                .next("Say with --restore COMMAND what brings it back.")),
            (None, Some(_)) if self.disrupt || self.no_disrupt => Err(Problem::new(
                "--restore undoes an earlier run, and is no part of a new one.",
            )
            .next("Leave out --disrupt and --no-disrupt, or say with --break COMMAND what it restores.")),
            (None, Some(command)) => Ok(Consent::Restore(command)),
            _ if self.no_disrupt => Ok(Consent::Look),
            _ if self.disrupt => Ok(Consent::Disrupt),
            _ => Ok(Consent::Ask),
        }
    }
}

/// Reads `5/s`, `0.5/s` or `5`.
fn parse_rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(rate) if rate > MOST_PER_SECOND => Err(format!("more than {MOST_PER_SECOND}/s would be a load test")),
        Ok(rate) if rate >= 0.1 => Ok(rate),
        Ok(_) => Err("less than 0.1/s would see nothing of the outage".into()),
        Err(_) => Err(format!("`{text}` is not a rate; write for example 5/s")),
    }
}

/// What Kafka takes for a topic, and a path without escapes.
pub(super) fn parse_topic(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.chars().all(fits) && (1..=249).contains(&text.len()) && !matches!(text, "." | "..") {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is no topic of Kafka: up to 249 letters, digits, `.`, `_` and `-`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    fn verify(flags: &[&str]) -> Result<Resilience, String> {
        let line = [&["x", "verify", "resilience"], flags].concat();
        match Cli::try_parse_from(line).map_err(|e| e.to_string())?.verb {
            Verb::Verify(Verify {
                what: Subject::Resilience(args),
            }) => Ok(*args),
            _ => panic!("another verb"),
        }
    }

    #[test]
    fn nothing_is_broken_by_a_flag_that_is_missing() {
        let mode = |flags: &[&str]| {
            let args = verify(flags).expect("good flags");
            args.mode()
                .map(|mode| format!("{mode:?}"))
                .map_err(|problem| problem.what)
        };
        assert_eq!(mode(&[]), Ok("Ask".into()));
        assert_eq!(mode(&["--disrupt"]), Ok("Disrupt".into()));
        assert_eq!(mode(&["--no-disrupt"]), Ok("Look".into()));
        assert_eq!(mode(&["--restore"]), Ok("Restore(None)".into()));
        assert_eq!(mode(&["--restore", "up"]), Ok("Restore(Some(\"up\"))".into()));
        assert_eq!(mode(&["--break=down", "--restore=up"]), Ok("Ask".into()));
        assert_eq!(
            mode(&["--break=down", "--restore=up", "--disrupt"]),
            Ok("Disrupt".into())
        );
        assert!(mode(&["--break=down", "--disrupt"]).is_err());
        assert!(mode(&["--break=down", "--disrupt", "--restore"]).is_err());
        assert!(mode(&["--disrupt", "--restore"]).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            &["--disrupt", "--no-disrupt"][..],
            &["--rate=21/s"],
            &["--rate=0"],
            &["--rate=many"],
            &["--rate=nan"],
            &["--topic="],
            &["--topic=a/b"],
            &["--topic=.."],
            &["--outage=0"],
            &["--outage=soon"],
            &["--workload=kafka"],
            &["--break=x", "--restore=y", "--workload=kafka/statefulset/kafka"],
        ] {
            assert!(verify(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(verify(&["--rate=2.5/s"]).map(|args| args.rate), Ok(2.5));
    }
}
