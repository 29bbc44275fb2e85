//! The rehearsal: `demo`, and the verbs that show events on it.

use super::{EventPage, Flow, Graph, Top};
use clap::{Args, Subcommand};

/// Show it without a cluster: a rehearsal, on this machine alone
///
/// Needs no cluster, no Kafka and nothing installed, and sends nothing anywhere. Tells in half a minute what LearnFlow sees of
/// three small services, before, during and after an outage of Kafka.
///
/// Real are: the middleware, byte for byte the file that `install` puts into sidecars; the records that it writes, and what
/// reads them; the policies that `install` brings, and the engine of `simulate` that says what they make of the outage.
/// A script are: the services, Dapr, Kafka, and how long things take.
///
/// The verbs below show the same events. Their clock stands at 2026-01-15T10:00:00Z when it begins, so that the same seed gives
/// the same output.
#[derive(Debug, Args)]
#[command(subcommand_help_heading = "Commands", disable_help_subcommand = true)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) rehearsal: Rehearsal,
    #[command(subcommand)]
    pub(crate) verb: Option<DemoVerb>,
}

impl Demo {
    /// Until Ctrl-C.
    pub(crate) fn is_endless(&self) -> bool {
        match &self.verb {
            Some(DemoVerb::Flow(flow)) => flow.follow,
            Some(DemoVerb::Ui(page)) => page.export.is_none(),
            _ => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DemoVerb {
    /// Show the rehearsal's events, as `flow` shows those of a cluster
    ///
    /// With -f they come at their own pace, from now on, again and again until Ctrl-C.
    Flow(Flow),
    /// Show how much goes through each topic or service of the rehearsal, and how well
    Top(Top),
    /// Show who publishes to which topic of the rehearsal, and who receives from it
    Graph(Graph),
    /// Watch the rehearsal in the browser, as `ui` shows a cluster
    Ui(EventPage),
    /// Print the lines of the rehearsal's sidecars, as `kubectl logs` would: for --file of any verb
    Log,
}

/// Which rehearsal, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Args)]
pub(crate) struct Rehearsal {
    /// Begins the random numbers: the same seed, the same events
    #[arg(long, global = true, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How fast the story is told and -f goes on, as a multiple of what it would really take
    #[arg(long, global = true, value_name = "FACTOR", default_value = "1", value_parser = speed)]
    pub(crate) speed: f64,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.1..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("a speed is from 0.1 to 1000; 2 is twice as fast as it would really be".into()),
    }
}
