//! The simulation against reality: real outages of a real Kafka under a real sidecar, on the loopback device.
//!
//! `cargo test -p learnflow-tests --test simulation -- --ignored --nocapture outages` makes each outage of
//! `cases/outages.yaml` once more, which takes a quarter of an hour, and adds what was seen to `cases/outages-seen.jsonl`
//! (`ROWS=textbook,hang` makes only rows with one of these in their names).
//! `cargo test -p learnflow-tests --test simulation -- --nocapture` prints all that was ever seen beside the simulation,
//! and fails where they differ by more than a tenth.

#![cfg(target_os = "linux")]

mod autoscaling;
mod case;
mod outage;
mod table;

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write as _,
};

use case::{Case, Cases, Mode};
use learnflow_tests::sidecar::Rig;
use outage::Seen;

const SEEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/outages-seen.jsonl");

fn wanted(case: &Case) -> bool {
    let rows = env::var("ROWS").unwrap_or_default();
    rows.split(',').any(|part| case.name().contains(part))
}

#[test]
#[ignore = "a quarter of an hour of real outages"]
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
            let line = serde_json::to_string(&seen).expect("JSON");
            println!("{line}");
            let file = OpenOptions::new().append(true).create(true).open(SEEN);
            writeln!(file.expect("a file"), "{line}").expect("a line");
        }
    }
}

/// What was seen, beside what the simulation says of outages at the same times.
#[test]
fn the_simulation_says_what_was_seen() {
    let cases = Cases::read();
    let lines = fs::read_to_string(SEEN).expect("what was seen");
    let read = |line| serde_json::from_str::<Seen>(line).expect("a line");
    let seen: Vec<Seen> = lines.lines().map(read).collect();
    let rows = cases.outages.iter().map(|case| {
        let seen: Vec<&Seen> = seen.iter().filter(|seen| seen.row == case.name()).collect();
        assert!(!seen.is_empty(), "{} was never made", case.name());
        table::Row::of(case, &cases.policies[&case.policy], &seen)
    });
    let rows: Vec<_> = rows.collect();
    let differ = rows.iter().filter(|row| !row.misses().is_empty()).count();
    println!("{}\n{differ} of {} differ", table::table(&rows), rows.len());
    assert_eq!(differ, 0, "docs/simulate.md says that all agree");
}
