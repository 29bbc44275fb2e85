//! `trace`: the way of one event.

use super::{WhichKafka, parse_timeout};
use crate::{dlq, trace::Asked};
use clap::{Args, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// Show the way of one event, from the request to the database
///
/// Puts together what the sidecars wrote down, the spans in the trace store, and what Kafka itself has: the request, the publish,
/// the message, each attempt to deliver it with its outcome, and the database. What is missing is named, with the reason. A source
/// that cannot be asked is named too, and the rest is shown.
///
/// Neither a record nor a span has an event's id: for it, and for a trace of which no delivery is known, Kafka is searched, the
/// newest messages first, 100,000 at most.
///
/// Exits with 0 when something is found, 1 when nothing is, 2 when that cannot be told.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// Which event: TOPIC/PARTITION/OFFSET, or TOPIC[PARTITION]@OFFSET as `flow` prints it; a trace id; or the id of its
    /// CloudEvent (event:ID, if it looks like one of the others)
    #[arg(value_name = "EVENT", value_parser = Asked::parse)]
    pub(crate) event: Asked,
    /// Read this log instead of the cluster: what `kubectl logs` printed, a file of the node, a packed one (gzip), or an archive of
    /// `bundle` (.tar.gz); may be given several times, `-` is standard input. The trace store is not asked then, and Kafka only with --component or
    /// --bootstrap
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,
    /// Read the logs of all namespaces
    #[arg(short = 'A', long, conflicts_with = "file")]
    pub(crate) all_namespaces: bool,
    /// How far back Kafka is searched, and logs are read [default: 1h in Kafka, logs from their beginning]
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) since: Option<Duration>,
    /// Search Kafka only in this topic; may be given several times [default: all]
    #[arg(long, value_name = "TOPIC", value_parser = dlq::topic)]
    pub(crate) topic: Vec<String>,
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
    pub(crate) output: TraceFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceFormat {
    Table,
    Json,
}
