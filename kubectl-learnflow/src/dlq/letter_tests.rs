use super::*;

fn message(headers: &[(&str, &str)], body: &str) -> Message {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Message {
        partition: 1,
        offset: 7,
        timestamp: 1_795_543_930_783,
        key: Some(b"k1".to_vec()),
        headers: headers.collect(),
        value: Some(body.as_bytes().to_vec()),
    }
}

/// As daprd 1.18.1 wrote it.
const DAPRS: [(&str, &str); 7] = [
    ("__topic", "a"),
    ("__partition", "2"),
    ("__offset", "1"),
    ("__timestamp", "1795543929546"),
    ("__key", "k1"),
    ("pubsubName", "kafka-pubsub"),
    ("ttlInSeconds", "1"),
];

#[test]
fn a_dead_letter_tells_where_it_was() {
    let body =
        r#"{"data":{"n":1},"expiration":"2026-11-24T18:12:10Z","id":"e67632dc","specversion":"1.0","topic":"a"}"#;
    let letter = Letter::of(&message(&DAPRS, body));
    assert_eq!(
        letter.origin.as_ref().map(Origin::to_string).as_deref(),
        Some("a/2/1@1795543929546")
    );
    assert_eq!(
        letter.event.as_ref().and_then(|event| event.id.as_deref()),
        Some("e67632dc")
    );
    assert_eq!(letter.reason(), "expired before it was delivered");
    assert_eq!(time(letter.timestamp), "2026-11-24T18:12:10Z");
}

#[test]
fn whatever_is_in_it_it_is_a_dead_letter() {
    for headers in [
        &[][..],
        &[
            ("__topic", "a"),
            ("__partition", "2"),
            ("__offset", "-1"),
            ("__timestamp", "5"),
        ],
        &[
            ("__topic", "a"),
            ("__partition", "99999999999"),
            ("__offset", "1"),
            ("__timestamp", "5"),
        ],
        &[("__topic", "a"), ("__partition", "1"), ("__offset", "1")],
        &[
            ("__topic", "\u{1b}[2J"),
            ("__partition", "2"),
            ("__offset", "1"),
            ("__timestamp", "5"),
        ],
    ] {
        assert_eq!(Letter::of(&message(headers, "[1]")).origin, None, "{headers:?}");
    }
    for body in ["", "null", "[1]", "{}", r#"{"id":"x"}"#, "\u{1b}[2J"] {
        assert_eq!(Letter::of(&message(&DAPRS, body)).event, None, "{body}");
    }
    let odd = r#"{"specversion":1,"id":5,"expiration":"soon"}"#;
    let letter = Letter::of(&message(&DAPRS, odd));
    assert_eq!(
        letter.event,
        Some(Event::default()).map(|event| Event {
            expiration: Some("soon".into()),
            ..event
        })
    );
    assert_eq!(letter.reason(), "the app did not take it, or no route matched");
    let binary = message(&[("ce_specversion", "1.0"), ("ce_id", "x")], "bytes");
    assert_eq!(
        Letter::of(&binary).event.and_then(|event| event.id).as_deref(),
        Some("x")
    );
    let nothing = Message {
        key: None,
        value: None,
        ..binary
    };
    assert_eq!(Letter::of(&nothing).size, 0);
}

#[test]
fn it_is_sent_as_it_was_before_dapr_touched_it() {
    let mut headers = DAPRS.to_vec();
    headers.push((REPLAY_OF, "a/2/0@1"));
    let dead = message(&headers, "body");
    let origin = Letter::of(&dead).origin.expect("its origin");
    let sent = revived(dead.clone(), &origin, 0);
    let names: Vec<&str> = sent.headers.keys().map(String::as_str).collect();
    assert_eq!(names, [REPLAY_OF, "ttlInSeconds"]);
    assert_eq!(sent.header(REPLAY_OF), Some("a/2/1@1795543929546"));
    assert_eq!((&sent.key, &sent.value), (&dead.key, &dead.value));
    assert_eq!(
        sent.timestamp, dead.timestamp,
        "no earlier than it died, whatever the clock says"
    );
    assert_eq!(revived(dead, &origin, i64::MAX).timestamp, i64::MAX);
}

#[test]
fn places_are_read() {
    let spot = |given: &str| Spot::parse(given).map(|spot| spot.to_string());
    for given in ["a", "lesson.dead/0", "a_b-C.9/12/9223372036854775807"] {
        assert_eq!(spot(given).as_deref(), Ok(given));
    }
    for given in [
        "",
        "a/",
        "a//1",
        "a/-1",
        "a/x",
        "a/1/",
        "a/1/2/3",
        "a/1/+2",
        "a b",
        "a/2147483648",
        "..",
        "ä",
        "a/ 1",
    ] {
        assert!(spot(given).is_err(), "{given}");
    }
    assert!(topic(&"x".repeat(249)).is_ok() && topic(&"x".repeat(250)).is_err());
    let hostile = topic("\u{1b}[31m").expect_err("no topic");
    assert!(!hostile.contains('\u{1b}'), "{hostile}");
}
