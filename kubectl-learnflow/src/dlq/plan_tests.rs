use super::*;

fn letter(offset: i64, origin: Option<(&str, i32, i64)>) -> Letter {
    let origin = origin.map(|(topic, partition, offset)| Origin {
        topic: topic.into(),
        partition,
        offset,
        timestamp: 1000 + offset,
    });
    Letter {
        partition: 0,
        offset,
        timestamp: 5000,
        digest: origin.as_ref().map_or(0, |origin| origin.offset.unsigned_abs()),
        origin,
        event: None,
        replay_of: None,
        size: 1,
    }
}

fn targets() -> Targets {
    let topics = [("a", Some(vec![0, 1, 2])), ("b", Some(vec![0])), ("gone", None)];
    Targets {
        topics: topics.map(|(topic, partitions)| (topic.to_owned(), partitions)).into(),
        now: 9000,
        ..Targets::default()
    }
}

/// In the order of the plan: the offset of each dead letter, with where it goes or why not.
fn fates(letters: Vec<Letter>, targets: &Targets) -> Vec<(i64, Result<i32, Skip>)> {
    let decided = plan(letters, targets).decided.into_iter();
    decided.map(|one| (one.letter.offset, one.fate)).collect()
}

#[test]
fn each_goes_where_it_was_in_the_order_it_had_there() {
    let letters = vec![
        letter(0, Some(("a", 1, 9))),
        letter(1, Some(("a", 0, 4))),
        letter(2, Some(("a", 1, 3))),
        letter(3, Some(("b", 0, 1))),
        letter(4, Some(("a", 0, 20))),
        letter(5, Some(("a", 1, 5))),
    ];
    let order = fates(letters, &targets());
    assert_eq!(
        order,
        [(3, Ok(0)), (2, Ok(1)), (1, Ok(0)), (5, Ok(1)), (0, Ok(1)), (4, Ok(0))]
    );
}

#[test]
fn within_a_partition_the_offset_decides_whatever_the_clocks_said() {
    let mut early = letter(0, Some(("a", 0, 1)));
    if let Some(origin) = &mut early.origin {
        origin.timestamp = 99_999;
    }
    let order = fates(vec![letter(1, Some(("a", 0, 2))), early], &targets());
    assert_eq!(order, [(0, Ok(0)), (1, Ok(0))]);
}

#[test]
fn what_is_not_sent_has_a_reason() {
    let mut expired = letter(5, Some(("a", 0, 5)));
    expired.event = Some(crate::dlq::Event {
        expiration: Some("1970-01-01T00:00:08Z".into()),
        ..Default::default()
    });
    let mut other = letter(7, Some(("a", 0, 6)));
    other.digest = 77;
    let letters = vec![
        letter(0, None),
        letter(1, Some(("payments", 0, 1))),
        letter(2, Some(("gone", 0, 1))),
        letter(3, Some(("a", 0, 1))),
        letter(4, Some(("a", 0, 1))),
        expired,
        letter(6, Some(("a", 0, 6))),
        other,
        letter(8, Some(("a", 2, 8))),
    ];
    let mut targets = targets();
    targets.sent.insert("a/2/8@1008".into());
    let fates = fates(letters, &targets);
    let expected = [
        (0, Err(Skip::NoOrigin)),
        (1, Err(Skip::Foreign("payments".into()))),
        (2, Err(Skip::Gone("gone".into()))),
        (4, Err(Skip::Twice)),
        (5, Err(Skip::Expired)),
        (6, Err(Skip::Contradiction)),
        (7, Err(Skip::Contradiction)),
        (8, Err(Skip::SentBefore)),
        (3, Ok(0)),
    ];
    assert_eq!(fates, expected);
}

#[test]
fn what_kafka_has_forgotten_is_not_sent_on_a_guess() {
    // First message still there: its offset and time. The letter died at 5000 and was at offset 10.
    for (kept, unproven, sent) in [
        ((0, 100), false, true),
        ((11, 9000), false, true),
        ((12, 5000), false, true),
        ((12, 5001), false, false),
        ((12, i64::MAX), false, false),
        ((12, 5001), true, true),
    ] {
        let mut targets = targets();
        targets.kept.insert(("a".into(), 0), kept);
        targets.unproven = unproven;
        let expected = if sent { Ok(0) } else { Err(Skip::Unproven) };
        assert_eq!(
            fates(vec![letter(0, Some(("a", 0, 10)))], &targets),
            [(0, expected)],
            "{kept:?}"
        );
    }
}

#[test]
fn a_topic_made_anew_with_fewer_partitions_keeps_those_of_a_partition_together() {
    let letters = vec![letter(0, Some(("b", 4, 1))), letter(1, Some(("b", 4, 2)))];
    assert_eq!(fates(letters, &targets()), [(0, Ok(0)), (1, Ok(0))]);
    let mut none = targets();
    none.topics.insert("b".into(), Some(Vec::new()));
    assert_eq!(
        fates(vec![letter(0, Some(("b", 0, 1)))], &none),
        [(0, Err(Skip::Gone("b".into())))]
    );
}
