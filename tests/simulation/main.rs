//! The simulation against reality: real outages of a real Kafka under a real sidecar, on the loopback device.
//!
//! `cargo test -p learnflow-tests --test simulation -- --ignored --nocapture outages` takes about 20 minutes. It writes
//! what it saw beside the other builds, in `outages/`.

#![cfg(target_os = "linux")]

mod case;
mod outage;
mod table;

use std::{env, fs, path::PathBuf};

use case::{Case, Cases, Mode};
use learnflow_tests::sidecar::Rig;

/// Where each row's calls are kept.
fn folder() -> PathBuf {
    let folder = env::var_os("LEARNFLOW_OUTAGES").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("outages"));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// `ROWS=refuse,hang` makes only the rows whose names have one of these in them.
fn wanted(case: &Case) -> bool {
    let rows = env::var("ROWS").unwrap_or_default();
    rows.split(',').any(|part| case.name().contains(part))
}

#[test]
#[ignore = "minutes of real outages"]
fn outages() {
    let cases = Cases::read();
    for gated in [true, false] {
        let ours = |case: &&Case| wanted(case) && gated != matches!(case.mode, Mode::Kill | Mode::Hang);
        let mut rows = cases.outages.iter().filter(ours).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let rig = if gated { Rig::start_gated() } else { Rig::start() };
        let mut rig = rig.expect("Kafka");
        for case in rows {
            let seen = outage::run(&mut rig, case, &cases.policies[&case.policy]).expect("an outage");
            println!("{}: {}", case.name(), seen.summary());
            let file = folder().join(case.name() + ".json");
            fs::write(file, serde_json::to_vec(&seen).expect("JSON")).expect("a file");
        }
    }
}

/// What was seen, beside what the simulation says of the same outage at the same times.
#[test]
#[ignore = "needs what `outages` has seen"]
fn table() {
    let cases = Cases::read();
    let rows = cases.outages.iter().filter(|case| wanted(case)).filter_map(|case| {
        let seen = fs::read(folder().join(case.name() + ".json")).ok()?;
        let seen = serde_json::from_slice(&seen).expect("JSON");
        Some(table::Row::of(case, &cases.policies[&case.policy], &seen))
    });
    println!("{}", table::table(&rows.collect::<Vec<_>>()));
}
