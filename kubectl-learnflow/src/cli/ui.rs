//! `ui`: the page.

use super::{WhichEvents, flow::parse_window, parse_timeout};
use clap::Args;
use std::{path::PathBuf, time::Duration};

/// Watch events in the browser
///
/// Serves a page to this machine alone and prints its address: who publishes to and receives from which topic, moving
/// with the events, figures by topic, each event and its way. Like `flow` it reads the logs of the sidecars, and nothing
/// has to be installed beside the middleware. The browser adds up what it is sent.
///
/// The address holds a word that works once; whoever does not have it gets nothing. Ends with Ctrl-C, not with the page.
#[derive(Debug, Args)]
pub(crate) struct Ui {
    #[command(flatten)]
    pub(crate) page: EventPage,
    /// Begin with what happened in this time before now
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_timeout, conflicts_with = "file")]
    pub(crate) since: Duration,
    /// Replay --file at its own pace times this, instead of all at once
    #[arg(long, value_name = "TIMES", requires = "file", conflicts_with = "export", value_parser = speed)]
    pub(crate) speed: Option<f64>,
}

/// The page, whatever it shows.
#[derive(Debug, Args)]
pub(crate) struct EventPage {
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "0")]
    pub(crate) port: u16,
    /// Open the page in the browser, too
    #[arg(long)]
    pub(crate) open: bool,
    /// How far back figures look [default: 10m; everything with --file]
    #[arg(long, value_name = "DURATION", value_parser = parse_window)]
    pub(crate) window: Option<Duration>,
    /// Write the page with the events of --window, or of --file, into one file that needs no server, and end
    #[arg(long, value_name = "FILE", conflicts_with_all = ["port", "open"])]
    pub(crate) export: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: WhichEvents,
}

impl EventPage {
    /// As a rehearsal has it: from its beginning.
    pub(crate) fn begun_now(self) -> Ui {
        Ui {
            page: self,
            since: Duration::ZERO,
            speed: None,
        }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.001..=1e6).contains(&speed) => Ok(speed),
        _ => Err("write for example 1, or 10 for ten times as fast".into()),
    }
}
