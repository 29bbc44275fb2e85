//! What the component's configuration makes of the guest.

use super::cases::{TRACE_PARENT, added, answer, bulk_delivery, delivery, publish};
use super::{Call, Guest};

/// An instance that is given `config` when it starts.
fn start(guest: &mut impl Guest, config: &str) -> Call {
    let mut call = Call::new("start", "", "", answer(200, ""));
    call.config = config.into();
    let started = guest.start(call);
    assert!(started.logged.is_empty(), "a log of records holds nothing else");
    started
}

pub fn all(guest: &mut impl Guest) {
    wrong(guest);
    records(guest);
    attributes(guest);
    topics(guest);
    fake_clock(guest);
    start(guest, "");
}

fn lesson() -> Call {
    publish(
        "lesson",
        "/v1.0/publish/kafka-pubsub/lesson.generated?metadata.partitionKey=s%2F7",
        204,
    )
}

fn wrong(guest: &mut impl Guest) {
    assert!(start(guest, "").warned.is_empty());
    assert!(start(guest, r#"{"records":true}"#).warned.is_empty());
    let long = " ".repeat(20_000);
    for (config, line) in [
        (
            r#"{"records":no}"#,
            "guestConfig counts for nothing, byte 11: not a value that the key takes",
        ),
        (
            r#"{"records":false,"maxTopics":100}"#,
            "guestConfig counts for nothing, byte 17: there is no such key",
        ),
        (&long, "guestConfig counts for nothing, byte 16384: no room for more"),
    ] {
        assert_eq!(start(guest, config).warned, [line]);
        let done = lesson().run(guest);
        assert_eq!(done.logged.len(), 1, "the defaults hold");
        assert!(done.warned.is_empty(), "said once by an instance, not by each call");
    }
}

fn records(guest: &mut impl Guest) {
    start(guest, r#"{"records":false}"#);
    let done = lesson().run(guest);
    assert!(done.logged.is_empty() && !done.asked.contains(&"enable_features"));
    assert_eq!(added(&done).len(), 1);
    let done = delivery("no records", answer(200, "")).run(guest);
    assert_eq!(done.asked, ["get_uri"], "nothing is left to do for a delivery");

    start(guest, r#"{"records":false,"attributes":false}"#);
    for call in [lesson(), delivery("nothing to do", answer(200, ""))] {
        assert!(call.run(guest).asked.is_empty());
    }
}

fn attributes(guest: &mut impl Guest) {
    start(guest, r#"{"attributes":false}"#);
    let done = lesson().run(guest);
    assert!(added(&done).is_empty());
    assert_eq!(done.logged.len(), 1);

    start(guest, r#"{"attributes":"all"}"#);
    let all = [
        "dapr-messaging.destination.name=lesson.generated",
        "dapr-messaging.system=kafka",
        "dapr-messaging.operation.type=send",
        "dapr-messaging.message.body.size=400",
        "dapr-messaging.kafka.message.key=s/7",
    ];
    assert_eq!(added(&lesson().run(guest)), all);
    assert_eq!(added(&lesson().with("Traceparent", TRACE_PARENT).run(guest)), all);
    let own = lesson()
        .with("dapr-messaging.kafka.message.key", "ours")
        .with("Dapr-Messaging.System", "ours")
        .run(guest);
    assert_eq!(own.header("dapr-messaging.kafka.message.key"), Some("ours"));
    assert_eq!(own.header("dapr-messaging.system"), Some("ours"));
    // Neither size nor key is known.
    let call = Call::new("chunked", "POST", "/v1.0/publish/p/t", answer(204, ""));
    assert_eq!(added(&call.run(guest)).len(), 3);
}

fn topics(guest: &mut impl Guest) {
    start(guest, r#"{"topics":{"allow":["lesson.*","noise"],"ignore":["noise"]}}"#);
    let done = lesson().run(guest);
    assert_eq!((done.logged.len(), added(&done).len()), (1, 1));
    assert_eq!(delivery("allowed", answer(200, "")).run(guest).logged.len(), 1);
    for topic in ["noise", "other", "lesson"] {
        let done = publish("ignored", &format!("/v1.0/publish/p/{topic}"), 204).run(guest);
        assert_eq!(done.asked, ["get_uri"], "{topic}");
        let mut call = delivery("ignored", answer(200, ""));
        call.headers.retain(|(name, _)| name != "__topic");
        let done = call.with("__topic", topic).run(guest);
        assert_eq!(
            done.asked,
            ["get_uri", "get_header_values", "get_header_values"],
            "{topic}"
        );
    }
    // Its topic is not known: none that is allowed, and none that is ignored.
    assert!(bulk_delivery(answer(200, "")).run(guest).logged.is_empty());
    start(guest, r#"{"topics":{"ignore":["lesson.*"]}}"#);
    assert_eq!(bulk_delivery(answer(200, "")).run(guest).logged.len(), 1);
}

fn fake_clock(guest: &mut impl Guest) {
    let mut call = Call::new("strictSandbox", "", "", answer(200, ""));
    call.clock_is_fake = true;
    guest.start(call);
    for (mut call, absent) in [
        (lesson(), "\"us\""),
        (delivery("strictSandbox", answer(200, "")), "\"us\""),
        (delivery("strictSandbox", answer(200, "")), "\"age_ms\""),
    ] {
        call.clock_is_fake = true;
        let done = call.run(guest);
        assert_eq!(done.logged.len(), 1);
        assert!(!done.logged[0].contains(absent), "{:?}", done.logged);
    }
    // A clock that fails at the start may work later.
    let mut call = Call::new("no clock", "", "", answer(200, ""));
    call.clock_works = false;
    guest.start(call);
    assert!(lesson().run(guest).logged[0].contains("\"us\":1234"));
}
