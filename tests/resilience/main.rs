//! The shipped policies in real sidecars, while a real Kafka is away. `cargo xtask test resilience` runs all of it and shows the
//! table of docs/resilience.md; a run of all tests has the short ones among the rest.

#![cfg(target_os = "linux")]

mod callers;
mod measured;
mod outage;
mod policies;
mod subscriber;
mod table;
mod watch;

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use learnflow_tests::sidecar::Rig;
use libtest_mimic::{Arguments, Failed, Trial};

use measured::Measured;
use outage::{Fault, Outage, Promise};

const OUTAGES: &[Outage] = &[
    Outage {
        name: "refused_5s",
        fault: Fault::Refuses,
        seconds: 8,
        rate: 50,
        short: true,
        promise: Promise::Bridged,
    },
    Outage {
        name: "refused_30s",
        fault: Fault::Refuses,
        seconds: 30,
        rate: 50,
        short: false,
        promise: Promise::Bridged,
    },
    Outage {
        name: "refused_90s",
        fault: Fault::Refuses,
        seconds: 90,
        rate: 50,
        short: false,
        promise: Promise::FailsFast,
    },
    Outage {
        name: "refused_90s_slow",
        fault: Fault::Refuses,
        seconds: 90,
        rate: 5,
        short: false,
        promise: Promise::Kept,
    },
    Outage {
        name: "hangs_5s",
        fault: Fault::Hangs,
        seconds: 5,
        rate: 50,
        short: true,
        promise: Promise::Bridged,
    },
    Outage {
        name: "hangs_30s",
        fault: Fault::Hangs,
        seconds: 30,
        rate: 50,
        short: false,
        promise: Promise::Bridged,
    },
    Outage {
        name: "hangs_90s",
        fault: Fault::Hangs,
        seconds: 90,
        rate: 50,
        short: false,
        promise: Promise::Kept,
    },
    Outage {
        name: "flaps_30s",
        fault: Fault::Flaps,
        seconds: 30,
        rate: 50,
        short: false,
        promise: Promise::Bridged,
    },
];

/// What all rows share.
struct Shared {
    rig: Rig,
    /// How long Kafka takes from its start to its first connection.
    ready: Duration,
    measured: Vec<Measured>,
}

fn shared() -> Result<Shared> {
    let mut rig = Rig::start()?;
    rig.kafka().kill();
    let began = Instant::now();
    rig.kafka().start_again()?;
    Ok(Shared {
        rig,
        ready: began.elapsed(),
        measured: Vec::new(),
    })
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share Kafka, which ends with the thread that starts it.
    arguments.test_threads = Some(1);
    let wanted = |outage: &&Outage| {
        arguments
            .filter
            .as_ref()
            .is_none_or(|filter| name(outage).contains(filter))
    };
    let shared = match !arguments.list && OUTAGES.iter().any(|outage| wanted(&outage)) {
        true => match shared() {
            Ok(shared) => Some(Arc::new(Mutex::new(shared))),
            Err(error) => {
                eprintln!("no Kafka and daprd to test with: {error:#}");
                return ExitCode::from(2);
            }
        },
        false => None,
    };
    let trial = |outage: &Outage| {
        let (outage, shared) = (*outage, shared.clone());
        let run = move || {
            let shared = shared.ok_or("it was not expected to run")?;
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            row(&mut shared, &outage).map_err(|error| Failed::from(format!("{error:#}")))
        };
        Trial::test(name(&outage), run).with_ignored_flag(!outage.short)
    };
    let conclusion = libtest_mimic::run(&arguments, OUTAGES.iter().map(trial).collect());
    if let Some(shared) = shared {
        table::print(&shared.lock().unwrap_or_else(PoisonError::into_inner).measured);
    }
    conclusion.exit_code()
}

fn name(outage: &Outage) -> String {
    format!("resilience::{}", outage.name)
}

fn row(shared: &mut Shared, outage: &Outage) -> Result<()> {
    let measured = outage.run(&mut shared.rig, shared.ready)?;
    let verdict = measured.judge();
    shared.measured.push(measured);
    verdict
}
