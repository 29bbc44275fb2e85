//! Autoscalers: what was seen of them under a real controller, on `cluster/autoscaling.rs`, beside what the model says.

use std::fs;

use learnflow_tests::autoscaling::{Row, Seen, cases, table};

const SEEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/autoscaling-seen.jsonl");

#[test]
fn the_model_does_what_a_real_autoscaler_did() {
    let lines = fs::read_to_string(SEEN).expect("what was seen");
    let read = |line| serde_json::from_str::<Seen>(line).expect("a line");
    let seen: Vec<Seen> = lines.lines().map(read).collect();
    let mut rows = Vec::new();
    for case in cases() {
        let of_it: Vec<&Seen> = seen.iter().filter(|seen| seen.curve == case.name).collect();
        assert!(!of_it.is_empty(), "{} was never made", case.name);
        rows.extend(of_it.into_iter().map(|seen| Row::of(&case, seen)));
    }
    let apart: Vec<&Row> = rows.iter().filter(|row| row.apart > 0.0).collect();
    println!("{}\n{} of {} differ", table(&rows), apart.len(), rows.len());
    // As docs/simulate-autoscaling.md says, with the reason.
    assert!(apart.len() <= 2, "{} of {} differ", apart.len(), rows.len());
    assert!(
        apart.iter().all(|row| row.apart <= row.sync()),
        "one differs by more than a sync period"
    );
}
