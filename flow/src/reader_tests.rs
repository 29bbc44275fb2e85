use super::*;
use crate::Time;
use learnflow_core::Direction;
use proptest::prelude::*;

#[path = "../fuzz/checks.rs"]
mod checks;
use checks::{events, is_read_the_same_however_it_comes};

const TEXT: &str = include_str!("../../tests/cases/records.text.log");
const JSON: &str = include_str!("../../tests/cases/records.json.log");

#[test]
fn the_golden_logs_in_both_formats() {
    let records = include_str!("../../tests/cases/records.jsonl").lines().count();
    let (text, names, counts) = events(TEXT.as_bytes());
    assert_eq!((text.len(), counts.broken), (records, 0));
    let first = text[0];
    assert_eq!(names.text(first.app), "course-agent");
    assert_eq!(names.text(first.pod), "course-agent-6d5f8c7b9-x2kqp");
    assert_eq!(names.text(first.topic), "lesson.generated");
    assert_eq!(Some(first.at), Time::parse("2026-01-15T10:00:01.123456789Z"));
    assert_eq!((first.direction, first.us), (Direction::Publish, Some(1234)));
    let (json, ..) = events(JSON.as_bytes());
    assert_eq!(text.len(), json.len());
    for (text, json) in text.iter().zip(&json) {
        assert_eq!((text.at, text.us, text.offset), (json.at, json.us, json.offset));
    }
}

/// As it lies on the node: a prefix, and long lines in parts.
fn on_disk(log: &str, part: usize) -> String {
    let mut disk = String::new();
    for line in log.lines() {
        let mut rest = line;
        while rest.len() > part {
            let (begin, end) = rest.split_at(part);
            disk.push_str(&format!("2026-01-15T10:00:01.5Z stdout P {begin}\n"));
            rest = end;
        }
        disk.push_str(&format!("2026-01-15T10:00:01.5Z stdout F {rest}\n"));
    }
    disk
}

#[test]
fn lines_in_parts_are_joined() {
    let (plain, ..) = events(TEXT.as_bytes());
    for part in [17, 64, 333, 100_000] {
        let (parts, _, counts) = events(on_disk(TEXT, part).as_bytes());
        assert_eq!(parts, plain, "{part}");
        assert_eq!(counts.broken, 0);
    }
}

#[test]
fn what_is_cut_is_counted() {
    let line = TEXT.lines().nth(1).expect("a record");
    let (none, _, counts) = events(&line.as_bytes()[..200]);
    assert_eq!((none.len(), counts.broken, counts.lines), (0, 1, 1));
    let long = line.replace("lesson.generated", &"x".repeat(100_000));
    let (_, _, counts) = events(format!("{long}\n{line}\n").as_bytes());
    assert_eq!((counts.events, counts.broken), (1, 1));
    let (_, _, counts) = events(&[b"\xff ", line.as_bytes(), b"\n"].concat());
    assert_eq!(counts.broken, 1);
}

#[test]
fn what_was_read_before_is_left_out() {
    let log = |from: usize| -> String {
        let lines = TEXT.lines().enumerate().skip(from);
        lines
            .map(|(at, line)| format!("2026-01-15T10:00:01.{at:09}Z {line}\n"))
            .collect()
    };
    let (mut reader, mut names, mut count) = (Reader::default(), Names::default(), 0);
    let all = log(0);
    let cut = all.len() / 2;
    reader.read(&all.as_bytes()[..cut], &mut names, |_| count += 1);
    reader.resume();
    // Once more, from a while before.
    reader.read(log(2).as_bytes(), &mut names, |_| count += 1);
    let records = include_str!("../../tests/cases/records.jsonl").lines().count();
    assert_eq!((count, reader.counts().broken), (records, 0));
}

/// Some lines of a log.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let line = |log: &'static str| {
        let lines: Vec<String> = log.lines().map(|line| format!("{line}\n")).collect();
        proptest::sample::select(lines)
    };
    prop_oneof![
        line(TEXT).prop_map(String::into_bytes),
        line(JSON).prop_map(String::into_bytes),
        (line(TEXT), 20_usize..300).prop_map(|(line, part)| on_disk(&line, part).into_bytes()),
        Just(BEGIN.as_bytes().to_vec()),
        Just(b"2026-01-15T10:00:01.5Z stdout P ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..100),
    ]
}

/// Where, how much is lost, and what comes in its place.
fn harm() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let put = prop_oneof![
        Just(vec![]),
        Just(b"\n".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"\"".to_vec()),
        Just(BEGIN.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<prop::sample::Index>(), 0_usize..120, put)
}

proptest! {
    #[test]
    fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        events(&bytes);
    }

    /// However a log is cut into reads, the same events are in it.
    #[test]
    fn cuts_do_not_matter(cuts in proptest::collection::vec(1_usize..900, 1..40)) {
        is_read_the_same_however_it_comes(TEXT.as_bytes(), &cuts);
    }

    /// Whatever a log is made of and whatever has become of it: it is read the same however it comes, and each line is counted.
    #[test]
    fn a_mangled_log_is_read_the_same_however_it_comes(
        pieces in proptest::collection::vec(piece(), 0..12),
        harm in proptest::collection::vec(harm(), 0..6),
        cuts in proptest::collection::vec(0_usize..200, 1..60),
    ) {
        let mut log = pieces.concat();
        for (at, length, put) in harm {
            let from = at.index(log.len() + 1);
            let to = (from + length).min(log.len());
            log.splice(from..to, put);
        }
        is_read_the_same_however_it_comes(&log, &cuts);
    }

    /// A damaged byte spoils its line and no other.
    #[test]
    fn damage_stays_in_its_line(at in 0_usize..TEXT.len(), byte in any::<u8>()) {
        let mut log = TEXT.as_bytes().to_vec();
        prop_assume!(log[at] != b'\n' && byte != b'\n');
        log[at] = byte;
        let (_, _, counts) = events(&log);
        let records = include_str!("../../tests/cases/records.jsonl").lines().count() as u64;
        prop_assert!(counts.events >= records - 1);
    }
}
