//! The shipped policies in real sidecars, while a real Kafka is away. `cargo xtask test resilience` runs all of it and shows the
//! table of docs/resilience.md; a run of all tests has the short ones among the rest.

#![cfg(target_os = "linux")]

mod callers;
mod inbound;
mod invoke;
mod measured;
mod outage;
mod outbox;
mod pods;
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

use inbound::Taken;
use measured::Measured;
use outage::{Fault, Outage, Promise};

/// Name, what is wrong with Kafka, for how many seconds, publishes a second, partitions of the topic, whether it is part of each
/// run, and what is to hold.
const OUTAGES: &[Outage] = &[
    row("refused_5s", Fault::Refuses, 5, 50, 3, true, Promise::Bridged),
    row("refused_30s", Fault::Refuses, 30, 50, 3, false, Promise::Bridged),
    row(
        "refused_30s_1_partition",
        Fault::Refuses,
        30,
        50,
        1,
        false,
        Promise::Bridged,
    ),
    row(
        "refused_30s_24_partitions",
        Fault::Refuses,
        30,
        50,
        24,
        false,
        Promise::Bridged,
    ),
    row("refused_90s", Fault::Refuses, 90, 50, 3, false, Promise::FailsFast),
    row(
        "refused_90s_24_partitions",
        Fault::Refuses,
        90,
        50,
        24,
        false,
        Promise::FailsFast,
    ),
    row("refused_90s_slow", Fault::Refuses, 90, 5, 3, false, Promise::Kept),
    row("hangs_5s", Fault::Hangs, 5, 50, 3, true, Promise::Bridged),
    row("hangs_30s", Fault::Hangs, 30, 50, 3, false, Promise::Bridged),
    row("hangs_90s", Fault::Hangs, 90, 50, 3, false, Promise::FailsFast),
    row("hangs_90s_slow", Fault::Hangs, 90, 5, 3, false, Promise::Kept),
    row("flaps_30s", Fault::Flaps, 30, 50, 3, false, Promise::Bridged),
];

const fn row(
    name: &'static str,
    fault: Fault,
    seconds: u64,
    rate: u32,
    partitions: u32,
    short: bool,
    promise: Promise,
) -> Outage {
    Outage {
        name,
        fault,
        seconds,
        rate,
        partitions,
        short,
        promise,
    }
}

type Report = fn(&mut Rig) -> Result<String>;

/// The rest: name, whether it is part of each run, and what gives a line of the report.
const OTHERS: &[(&str, bool, Report)] = &[
    ("start_while_kafka_refuses", true, pods::start_while_kafka_refuses),
    ("start_while_kafka_hangs", false, pods::start_while_kafka_hangs),
    ("invoke_profile", true, invoke::profile_named_elsewhere),
    ("outbox", false, outbox::outage_and_crash),
];

/// What all rows share.
struct Shared {
    rig: Rig,
    /// How long Kafka takes from its start until it is ready, at the least.
    ready: Duration,
    outages: Vec<Measured>,
    inbound: Vec<(&'static str, Taken)>,
    lines: Vec<(&'static str, String)>,
}

impl Shared {
    fn new() -> Result<Self> {
        let mut rig = Rig::start()?;
        // Twice: on a busy machine one start may take long.
        let mut ready = Duration::MAX;
        for _ in 0..2 {
            rig.kafka_mut().kill();
            let began = Instant::now();
            rig.kafka_mut().start_again()?;
            ready = ready.min(began.elapsed());
        }
        Ok(Self {
            rig,
            ready,
            outages: Vec::new(),
            inbound: Vec::new(),
            lines: Vec::new(),
        })
    }

    fn print(&self) {
        table::outages(&self.outages);
        table::inbound(&self.inbound);
        for (name, line) in &self.lines {
            println!("{name}: {line}");
        }
        table::figures(&self.outages);
    }
}

/// A row of the table: its name, whether it is part of each run, and what it does.
type Row = (&'static str, bool, Box<dyn Fn(&mut Shared) -> Result<()> + Send>);

fn rows() -> Vec<Row> {
    let outages = OUTAGES.iter().map(|outage| -> Row {
        let run = move |shared: &mut Shared| {
            let measured = match outage.fault {
                Fault::Flaps => outage.run(&mut Rig::start_gated()?, shared.ready)?,
                _ => outage.run(&mut shared.rig, shared.ready)?,
            };
            let verdict = measured.judge();
            shared.outages.push(measured);
            verdict
        };
        (outage.name, outage.short, Box::new(run))
    });
    let inbound = inbound::ROWS.iter().map(|(name, short, check)| -> Row {
        let run = move |shared: &mut Shared| {
            shared.inbound.push((name, check(&shared.rig)?));
            Ok(())
        };
        (name, *short, Box::new(run))
    });
    let others = OTHERS.iter().map(|(name, short, check)| -> Row {
        let run = move |shared: &mut Shared| {
            shared.lines.push((name, check(&mut shared.rig)?));
            Ok(())
        };
        (name, *short, Box::new(run))
    });
    outages.chain(inbound).chain(others).collect()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share Kafka, which ends with the thread that starts it.
    arguments.test_threads = Some(1);
    let name = |row: &Row| format!("resilience::{}", row.0);
    let chosen = |row: &Row| {
        let named = arguments
            .filter
            .as_ref()
            .is_none_or(|filter| name(row).contains(filter));
        named && (row.1 || arguments.include_ignored || arguments.ignored)
    };
    let rows = rows();
    let shared = match !arguments.list && rows.iter().any(chosen) {
        true => match Shared::new() {
            Ok(shared) => Some(Arc::new(Mutex::new(shared))),
            Err(error) => {
                eprintln!("no Kafka and daprd to test with: {error:#}");
                return ExitCode::from(2);
            }
        },
        false => None,
    };
    let trial = |row: Row| {
        let shared = shared.clone();
        let (name, short) = (name(&row), row.1);
        let run = move || {
            let shared = shared.ok_or("it was not expected to run")?;
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            row.2(&mut shared).map_err(|error| Failed::from(format!("{error:#}")))
        };
        Trial::test(name, run).with_ignored_flag(!short)
    };
    let conclusion = libtest_mimic::run(&arguments, rows.into_iter().map(trial).collect());
    if let Some(shared) = shared {
        shared.lock().unwrap_or_else(PoisonError::into_inner).print();
    }
    conclusion.exit_code()
}
