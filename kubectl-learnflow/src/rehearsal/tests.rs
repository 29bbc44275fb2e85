use super::*;
use learnflow_core::{Direction, Outcome, Record};
use std::collections::{BTreeMap, BTreeSet};

fn rehearsal(seed: u64) -> Rehearsal {
    Rehearsal::new(&cli::Rehearsal { seed, speed: 1.0 }).expect("the guest runs")
}

fn round(seed: u64) -> Round {
    rehearsal(seed).round(BEGINNING).expect("a round")
}

/// The record in a line, as daprd's text format quotes it.
fn record(line: &Line) -> Record {
    let quoted = line
        .text
        .split_once(" msg=\"")
        .and_then(|(_, rest)| rest.split_once("\" app_id="));
    let (record, _) = quoted.expect("a message");
    let record = record.replace("\\\"", "\"").replace(r"\\", r"\");
    Record::read(&record).expect("a record")
}

fn text(round: &Round) -> String {
    round.lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn the_same_seed_is_the_same_rehearsal() {
    assert_eq!(text(&round(7)), text(&round(7)));
    assert_ne!(text(&round(7)), text(&round(8)));
}

#[test]
fn the_outage_is_waited_for_and_nothing_is_refused() {
    for seed in 0..20 {
        let round = round(seed);
        let (gone, back) = round.outage();
        assert!(round.publishes.iter().all(|publish| publish.accepted), "seed {seed}");
        let meanwhile = round
            .publishes
            .iter()
            .filter(|publish| (gone..back).contains(&publish.made));
        let waited: Vec<_> = meanwhile.map(|publish| publish.answered >= back).collect();
        assert!(
            waited.len() >= 5 && waited.iter().all(|waited| *waited),
            "seed {seed}: {waited:?}"
        );
        assert!(round.end() < later(BEGINNING, Duration::from_secs(40)), "seed {seed}");
    }
}

#[test]
fn each_event_that_is_published_is_received_and_done_with() {
    for seed in 0..10 {
        let round = round(seed);
        let mut published = BTreeMap::new();
        let mut outcomes: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
        for line in &round.lines {
            let record = record(line);
            let trace = record.trace.expect("a trace").as_str().to_owned();
            match record.direction {
                Direction::Publish => assert!(published.insert(trace, line.at).is_none(), "published twice"),
                Direction::Deliver => outcomes.entry(trace).or_default().push(record.outcome),
            }
        }
        assert!(published.keys().eq(outcomes.keys()), "seed {seed}");
        // Done in the end: at once, when it came again, or as a dead letter.
        assert!(outcomes.values().all(|of_it| of_it.ends_with(&[Outcome::Success])));
        let seen: BTreeSet<_> = outcomes.values().flatten().map(|outcome| outcome.as_str()).collect();
        assert!(seen.contains("retry") && seen.contains("drop"), "seed {seed}: {seen:?}");
    }
}

#[test]
fn offsets_have_no_gap_from_round_to_round() {
    let mut rehearsal = rehearsal(3);
    let mut offsets: BTreeMap<(String, u32), BTreeSet<u64>> = BTreeMap::new();
    let mut start = BEGINNING;
    for _ in 0..3 {
        let round = rehearsal.round(start).expect("a round");
        assert!(round.lines.iter().all(|line| line.at > start));
        start = round.end();
        for record in round
            .lines
            .iter()
            .map(record)
            .filter(|record| record.partition.is_some())
        {
            let place = (record.topic.as_str().to_owned(), record.partition.expect("a partition"));
            offsets
                .entry(place)
                .or_default()
                .insert(record.offset.expect("an offset"));
            assert!(record.age_ms.is_some_and(|age| age < 60_000), "the clocks are one");
        }
    }
    assert_eq!(offsets.len(), 6, "two topics of three partitions");
    for (place, offsets) in offsets {
        let count = offsets.len() as u64;
        assert!(offsets.into_iter().eq(0..count), "{place:?}");
    }
}

#[test]
fn what_is_not_pub_sub_passes_without_a_record() {
    let round = round(1);
    assert!(round.calls > round.lines.len());
    assert!(!text(&round).contains("/v1.0/invoke"));
}
