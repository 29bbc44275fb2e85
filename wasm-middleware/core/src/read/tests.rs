use proptest::prelude::*;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::Line;

const RECORDS: &str = include_str!("../../../../tests/cases/records.jsonl");
const REFUSED: &str = include_str!("../../../../tests/cases/records.refused.txt");

#[test]
fn golden_records_are_written_as_they_are_read() {
    for golden in RECORDS.lines() {
        let record = Record::read(golden).unwrap_or_else(|error| panic!("{golden}: {error}"));
        let mut line = Line::new();
        record.write(&mut line);
        assert_eq!(line.as_str(), golden);
    }
}

#[test]
fn golden_refusals() {
    for golden in REFUSED.lines() {
        let (why, line) = golden.split_once(' ').expect(golden);
        assert_eq!(std::format!("{:?}", Record::read(line).expect_err(line)), why, "{line}");
    }
}

#[test]
fn a_later_writer_may_add_fields() {
    let line = r#"{"lf":1,"dir":"publish","new":"\n\/\ud83d\ude00","pubsub":"p","more":7,"topic":"t","outcome":"drop","x":true,"y":false}"#;
    let expected = Record {
        outcome: Outcome::Drop,
        ..Record::new(Direction::Publish, "p".into(), "t".into())
    };
    assert_eq!(Record::read(line), Ok(expected));
}

/// Ours at most, and longer, so that cutting is seen too.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z.-]{1,20}",
        "\\PC{1,40}",
        proptest::collection::vec(any::<char>(), 1..120).prop_map(|chars| chars.into_iter().collect())
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let words = (
        prop_oneof![Just(Direction::Publish), Just(Direction::Deliver)],
        name(),
        name(),
        any::<bool>(),
        prop_oneof![
            Just(Outcome::Success),
            Just(Outcome::Retry),
            Just(Outcome::Drop),
            Just(Outcome::Error)
        ],
        any::<bool>(),
        proptest::option::of("[0-9a-f]{31}[1-9a-f]"),
    );
    let numbers = any::<(
        Option<u16>,
        Option<u64>,
        Option<u64>,
        Option<u32>,
        Option<u64>,
        Option<u64>,
    )>();
    (words, numbers).prop_map(
        |((direction, pubsub, place, known, outcome, bulk, trace), (status, us, bytes, partition, offset, age_ms))| {
            let place = Text::from(place.as_str());
            let (topic, route) = match known || !bulk || direction == Direction::Publish {
                true => (place, Text::EMPTY),
                false => (Text::EMPTY, place),
            };
            Record {
                direction,
                pubsub: pubsub.as_str().into(),
                topic,
                route,
                outcome,
                status,
                us,
                bytes,
                bulk,
                partition,
                offset,
                age_ms,
                trace: trace.and_then(|trace| TraceId::parse(trace.as_bytes())),
            }
        },
    )
}

proptest! {
    #[test]
    fn round_trip(record in record()) {
        let mut line = Line::new();
        record.write(&mut line);
        prop_assert!(line.as_str().starts_with(PREFIX));
        prop_assert!(line.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
        prop_assert_eq!(Record::read(line.as_str()), Ok(record));
    }

    #[test]
    fn any_bytes_are_a_name(name in proptest::collection::vec(any::<u8>(), 1..600)) {
        let record = Record::new(Direction::Deliver, Text::lossy(&name), Text::lossy(&name));
        let mut line = Line::new();
        record.write(&mut line);
        prop_assert_eq!(Record::read(line.as_str()), Ok(record));
    }

    #[test]
    fn a_broken_line_is_refused_or_still_a_record(record in record(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut line = Line::new();
        let mut bytes: Vec<u8> = record.write(&mut line).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) && let Ok(read) = Record::read(text) {
            // Whatever is accepted can be written again.
            read.write(&mut line);
            prop_assert_eq!(Record::read(line.as_str()), Ok(read));
        }
    }

    /// Whatever becomes of a record's bytes: in a log it is read as it is by itself.
    #[test]
    fn in_a_log_it_is_the_same(record in record(), at in any::<prop::sample::Index>(), byte in proptest::option::of(" -~")) {
        let mut line = Line::new();
        record.write(&mut line);
        let mut text = String::from(line.as_str());
        if let Some(byte) = byte {
            let at = at.index(text.len());
            text.replace_range(at..=at, &byte);
        }
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"") + "\" app_id=x";
        let quoted = PREFIX.replace('"', "\\\"");
        if let Some(rest) = escaped.strip_prefix(&quoted) {
            let read = Fields::in_log(rest).map(|(fields, _)| fields.record());
            prop_assert_eq!(read.ok(), Record::read(&text).ok());
        }
    }

    #[test]
    fn half_a_line_is_refused(record in record(), at in any::<prop::sample::Index>()) {
        let mut line = Line::new();
        record.write(&mut line);
        let text = line.as_str();
        prop_assert!(Record::read(&text[..at.index(text.len())]).is_err());
    }
}

/// A run is looked at eight bytes at a time, and must end where it would one at a time.
#[test]
fn a_run_ends_at_the_first_that_does_not_stand_for_itself() {
    for ends in (0..=u8::MAX).map(char::from) {
        for at in 0..20 {
            for behind in 0..12 {
                let text = format!(
                    "{}{ends}{}",
                    "~a ".repeat(7).get(..at).expect("ASCII"),
                    "\u{0}\"x".repeat(behind)
                );
                let naive = text
                    .bytes()
                    .position(|byte| !matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'));
                let run = Cursor::<false>(&text).run();
                assert_eq!(run.map(str::len), naive, "{text:?}");
            }
        }
    }
}
