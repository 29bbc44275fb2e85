//! `kubectl learnflow`: shows every event that Dapr services send through Kafka.
//!
//! Exit codes: 0 healthy or done, 1 unhealthy or not all of it worked, 2 could not do it
//! (usage, connection, refused), 130 interrupted. A closed pipe is a quiet success.

mod applyset;
mod assets;
mod autoscaled;
mod broker;
mod budget;
mod capacity;
mod changes;
mod cli;
mod cluster;
mod commands;
mod concern;
mod config;
mod coverage;
mod dlq;
mod enrolment;
mod events;
mod exposition;
mod external;
mod grafana;
mod kafka;
mod model;
mod monitoring;
mod objects;
mod outage;
mod patches;
mod permissions;
mod preflight;
mod printer;
mod problem;
mod quota;
mod redact;
mod rehearsal;
mod remote_write;
mod replicas;
mod resilience;
mod scaling;
mod stack;
#[cfg(test)]
mod testing;
mod text;
mod trace;
mod unchanged;
mod yaml;

use clap::Parser;
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    if let Some(code) = commands::completion::complete() {
        return code;
    }
    let cli = cli::Cli::parse();
    let printer = Arc::new(printer::Printer::new(cli.global.color, cli.global.verbose));
    commands::run(cli, &printer)
}
