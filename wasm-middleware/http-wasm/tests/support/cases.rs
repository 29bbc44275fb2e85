//! Calls, and what is to come of them. The guest in Rust and the guest as shipped are held to the same.

use learnflow_core::{Record, Text};

use super::{Answer, Call, Guest, configured};

pub const TRACE_PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

pub fn answer(status: u16, body: &str) -> Answer {
    Answer::Real(status, 2, body.into())
}

pub fn publish(name: &'static str, uri: &str, status: u16) -> Call {
    Call::new(name, "POST", uri, answer(status, "")).with("Content-Length", "400")
}

pub fn delivery(name: &'static str, answer: Answer) -> Call {
    Call::new(name, "POST", "/lessons", answer)
        .with("pubsubname", "kafka-pubsub")
        .with("__topic", "lesson.generated")
        .with("__partition", "3")
        .with("__offset", "42")
        .with("__timestamp", "1700000000000")
        .with("traceparent", TRACE_PARENT)
}

/// What a delivery's record holds, up to its outcome and after its status.
const DELIVERED: &str = r#"{"lf":1,"dir":"deliver","pubsub":"kafka-pubsub","topic":"lesson.generated","outcome":"#;
const FROM_KAFKA: &str =
    r#""us":1234,"partition":3,"offset":42,"age_ms":31,"trace":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;

/// What the guest adds, as daprd names the span's attributes (`userDefinedHTTPHeaders` in
/// `pkg/diagnostics/http_tracing.go`).
pub fn added(call: &Call) -> Vec<String> {
    let headers = call.headers.iter().map(|(name, value)| (name.to_lowercase(), value));
    let added = headers.filter(|(name, _)| name.starts_with("dapr-"));
    added.map(|(name, value)| format!("{name}={value}")).collect()
}

fn recorded(guest: &mut impl Guest, call: Call, expected: &str) -> Call {
    let done = call.run(guest);
    assert_eq!(done.logged, [expected], "{}", done.name);
    Record::read(expected).unwrap_or_else(|error| panic!("{}: {error}", done.name));
    done
}

pub fn all(guest: &mut impl Guest) {
    what_is_not_pub_sub_passes_at_once(guest);
    publishes(guest);
    attributes(guest);
    deliveries(guest);
    bulk_deliveries(guest);
    answers_of_an_app(guest);
    hostile(guest);
    configured::all(guest);
}

fn what_is_not_pub_sub_passes_at_once(guest: &mut impl Guest) {
    for uri in [
        "/v1.0/state/store/key",
        "/v1.0/invoke/app/method/x",
        "/v1.0/healthz",
        "/v1.0/metadata",
    ] {
        let done = Call::new("other API", "GET", uri, answer(200, "{}"))
            .with("pubsubname", "x")
            .run(guest);
        assert_eq!(done.asked, ["get_uri"], "{uri}");
    }
    for uri in ["/", "/lessons", "/dapr/config", "/v1.0/lessons", "/job/x"] {
        let done = Call::new("to the app", "POST", uri, answer(200, "{}")).run(guest);
        assert_eq!(done.asked, ["get_uri", "get_header_values"], "{uri}");
    }
    let done = Call::new("no publish", "GET", "/v1.0/publish/p/t", answer(405, "")).run(guest);
    assert_eq!(done.asked, ["get_uri", "get_method"]);
    // Of another broker than Kafka: the topic is in the body alone.
    let done = Call::new("not from Kafka", "POST", "/lessons", answer(200, ""))
        .with("Content-Type", "application/cloudevents+json")
        .with("Pubsubname", "redis-pubsub")
        .run(guest);
    assert_eq!(
        done.asked,
        ["get_uri", "get_header_values", "get_header_values", "get_header_values"]
    );
}

fn publishes(guest: &mut impl Guest) {
    let call = publish("publish", "/v1.0/publish/kafka-pubsub/lesson.generated", 204).with("traceparent", TRACE_PARENT);
    let done = recorded(
        guest,
        call,
        r#"{"lf":1,"dir":"publish","pubsub":"kafka-pubsub","topic":"lesson.generated","outcome":"success","status":204,"us":1234,"bytes":400,"trace":"4bf92f3577b34da6a3ce929d0e0e4736"}"#,
    );
    assert!(!done.asked.contains(&"read_body"));

    let mut call = publish(
        "publish with PUT, no trace",
        "/v1.0/publish/kafka-pubsub/a%2Fb/c?metadata.ttlInSeconds=9",
        204,
    );
    call.method = "PUT";
    recorded(
        guest,
        call,
        r#"{"lf":1,"dir":"publish","pubsub":"kafka-pubsub","topic":"a/b/c","outcome":"success","status":204,"us":1234,"bytes":400}"#,
    );
    recorded(
        guest,
        publish(
            "bulk publish",
            "/v1.0-alpha1/publish/bulk/kafka-pubsub/lesson.generated",
            204,
        ),
        r#"{"lf":1,"dir":"publish","pubsub":"kafka-pubsub","topic":"lesson.generated","outcome":"success","status":204,"us":1234,"bytes":400,"bulk":true}"#,
    );
    recorded(
        guest,
        publish("broker away", "/v1.0/publish/p/t", 500),
        r#"{"lf":1,"dir":"publish","pubsub":"p","topic":"t","outcome":"error","status":500,"us":1234,"bytes":400}"#,
    );
    recorded(
        guest,
        Call::new("chunked", "POST", "/v1.0/publish/p/t", answer(403, "{}")),
        r#"{"lf":1,"dir":"publish","pubsub":"p","topic":"t","outcome":"error","status":403,"us":1234}"#,
    );
    let done = recorded(
        guest,
        Call::new("the handler panics", "POST", "/v1.0/publish/p/t", Answer::Panic),
        r#"{"lf":1,"dir":"publish","pubsub":"p","topic":"t","outcome":"error","us":1234}"#,
    );
    assert_eq!(done.status_set, Some(500), "an empty 200 would be a lost event");
    let mut call = Call::new("no clock", "POST", "/v1.0/publish/p/t", answer(204, ""));
    call.clock_works = false;
    recorded(
        guest,
        call,
        r#"{"lf":1,"dir":"publish","pubsub":"p","topic":"t","outcome":"success","status":204}"#,
    );
}

fn attributes(guest: &mut impl Guest) {
    const ALL: [&str; 1] = ["dapr-messaging.destination.name=lesson.generated"];
    let call = publish("attributes", "/v1.0/publish/kafka-pubsub/lesson.generated", 204);
    assert_eq!(added(&call.clone().run(guest)), ALL);
    assert_eq!(added(&call.clone().with("traceparent", TRACE_PARENT).run(guest)), ALL);
    assert_eq!(added(&call.clone().with("traceparent", "nonsense").run(guest)), ALL);
    assert!(added(&call.clone().with("traceparent", NOT_SAMPLED).run(guest)).is_empty());

    let own = call.with("dapr-messaging.destination.name", "").run(guest);
    assert_eq!(own.header("dapr-messaging.destination.name"), Some(""));

    assert!(added(&delivery("delivery", answer(200, "")).run(guest)).is_empty());
}

fn deliveries(guest: &mut impl Guest) {
    recorded(
        guest,
        delivery("delivery", answer(200, "")),
        &format!("{DELIVERED}\"success\",\"status\":200,{FROM_KAFKA}"),
    );
    recorded(
        guest,
        Call::new("as little as can be known", "POST", "/v1.0/lessons", answer(200, ""))
            .with("pubsubname", "p")
            .with("__topic", "t"),
        r#"{"lf":1,"dir":"deliver","pubsub":"p","topic":"t","outcome":"success","status":200,"us":1234}"#,
    );
    // Dapr sends nothing that tells one attempt from the next: each has a record of its own, which is the same.
    for _ in 0..2 {
        recorded(
            guest,
            delivery("one more attempt", answer(503, "")),
            &format!("{DELIVERED}\"retry\",\"status\":503,{FROM_KAFKA}"),
        );
    }
    // Of a dead letter, Dapr sends the topic and offset of the event that failed: all that differs is the route.
    let mut dead = delivery("dead letter", answer(200, ""));
    dead.uri = "/dead-letters".into();
    recorded(
        guest,
        dead,
        &format!("{DELIVERED}\"success\",\"status\":200,{FROM_KAFKA}"),
    );
    // A raw payload comes wrapped, with the same headers, and without a trace unless its Kafka headers have one.
    let mut raw = delivery("raw payload", answer(200, ""));
    raw.headers.retain(|(name, _)| name != "traceparent");
    let untraced = FROM_KAFKA.split_once(",\"trace\"").expect("a trace").0;
    recorded(
        guest,
        raw,
        &format!("{DELIVERED}\"success\",\"status\":200,{untraced}}}"),
    );
    let mut future = delivery("from the future", answer(200, ""));
    future.headers.retain(|(name, _)| name != "__timestamp");
    let future = future.with("__timestamp", "1900000000000");
    let expected = format!(
        "{DELIVERED}\"success\",\"status\":200,{}",
        FROM_KAFKA.replace(":31,", ":0,")
    );
    recorded(guest, future, &expected);
    let done = recorded(
        guest,
        delivery("the handler panics", Answer::Panic),
        &format!("{DELIVERED}\"error\",{FROM_KAFKA}"),
    );
    assert_eq!(done.status_set, Some(500), "Dapr must try again");
    let done = Call::new("not ours", "POST", "/v1.0/invoke/app/method/x", Answer::Panic).run(guest);
    assert_eq!(done.status_set, None);
}

/// What Dapr sends: of the metadata, only what all its events share.
pub fn bulk_delivery(answer: Answer) -> Call {
    Call::new("bulk delivery", "POST", "/lessons/bulk?x=%C3%A9", answer)
        .with("Content-Type", "application/json")
        .with("Pubsubname", "kafka-pubsub")
        .with("Traceparent", TRACE_PARENT)
}

fn bulk_deliveries(guest: &mut impl Guest) {
    let mixed = r#"{"statuses":[{"entryId":"0","status":"SUCCESS"},{"entryId":"1","status":"DROP"}]}"#;
    for (given, outcome) in [
        (answer(200, mixed), r#""drop","status":200"#),
        (
            answer(200, &mixed.replace("DROP", "SUCCESS")),
            r#""success","status":200"#,
        ),
        (answer(201, &mixed.replace("DROP", "RETRY")), r#""retry","status":201"#),
        // What is a success to a single delivery is none to this one.
        (answer(200, ""), r#""retry","status":200"#),
        (answer(200, "OK"), r#""retry","status":200"#),
        (answer(200, r#"{"status":"SUCCESS"}"#), r#""retry","status":200"#),
        (answer(404, mixed), r#""drop","status":404"#),
        (answer(500, mixed), r#""retry","status":500"#),
        (Answer::Nothing, r#""retry""#),
        (Answer::Panic, r#""error""#),
    ] {
        recorded(
            guest,
            bulk_delivery(given),
            &format!(
                r#"{{"lf":1,"dir":"deliver","pubsub":"kafka-pubsub","route":"/lessons/bulk?x=%C3%A9","outcome":{outcome},"us":1234,"bulk":true,"trace":"4bf92f3577b34da6a3ce929d0e0e4736"}}"#
            ),
        );
    }
}

fn answers_of_an_app(guest: &mut impl Guest) {
    for (status, body, outcome) in [
        (200, r#"{"status":"SUCCESS"}"#, "success"),
        (204, "", "success"),
        (200, r#"{"status":"RETRY"}"#, "retry"),
        (202, r#"{"status":"DROP"}"#, "drop"),
        (200, "OK", "success"),
        (404, r#"{"status":"SUCCESS"}"#, "drop"),
        (500, "", "retry"),
        (400, r#"{"status":"DROP"}"#, "retry"),
    ] {
        let done = recorded(
            guest,
            delivery("answer", answer(status, body)),
            &format!("{DELIVERED}\"{outcome}\",\"status\":{status},{FROM_KAFKA}"),
        );
        let reads = done.asked.iter().filter(|name| **name == "read_body").count();
        assert_eq!(reads, usize::from(status < 300), "{status}");
    }

    let large = format!(r#"{{"data":"{}","status":"RETRY"}}"#, "x".repeat(100_000));
    recorded(
        guest,
        delivery("large answer", answer(200, &large)),
        &format!("{DELIVERED}\"retry\",\"status\":200,{FROM_KAFKA}"),
    );
    // Exactly as large as the guest's buffer, so that the end comes alone.
    let exact = format!("{:16384}", r#"{"status":"DROP""#);
    recorded(
        guest,
        delivery("cut", answer(200, &exact)),
        &format!("{DELIVERED}\"success\",\"status\":200,{FROM_KAFKA}"),
    );
    let enough = format!("{:60000}", r#"{"status":"DROP"}"#);
    let done = delivery("enough", answer(200, &enough)).run(guest);
    assert_eq!(
        done.asked.iter().filter(|name| **name == "read_body").count(),
        1,
        "what follows the value is not read"
    );

    recorded(
        guest,
        delivery("unreachable", Answer::Nothing),
        &format!("{DELIVERED}\"retry\",{FROM_KAFKA}"),
    );
    recorded(
        guest,
        delivery("no headers, but a body", Answer::Real(200, 0, b"OK".to_vec())),
        &format!("{DELIVERED}\"success\",\"status\":200,{FROM_KAFKA}"),
    );
    recorded(
        guest,
        delivery("no headers, but a status", Answer::Real(204, 0, Vec::new())),
        &format!("{DELIVERED}\"success\",\"status\":204,{FROM_KAFKA}"),
    );
}

fn hostile(guest: &mut impl Guest) {
    let mut call = publish("cannot buffer", "/v1.0/publish/p/t", 204);
    call.can_buffer = false;
    assert!(call.run(guest).logged.is_empty());

    let long = format!("/v1.0/publish/p/{}", "x".repeat(20_000));
    assert!(publish("too long to look at", &long, 204).run(guest).logged.is_empty());

    let done = publish("cut", &format!("/v1.0/publish/p/{}", "%E2%98%83".repeat(1000)), 204).run(guest);
    let record = Record::read(&done.logged[0]).expect("a record");
    assert_eq!(record.topic.as_str(), "☃".repeat(Text::MAX / 3));
    assert_eq!(
        done.header("dapr-messaging.destination.name"),
        Some(record.topic.as_str())
    );

    let done = publish("escapes", "/v1.0/publish/%22%7B/%00%0a%1b%5b31m%ff%22,%22lf%22:2", 204).run(guest);
    let record = Record::read(&done.logged[0]).expect("a record");
    assert_eq!(record.pubsub.as_str(), "\"{");
    assert_eq!(record.topic.as_str(), "\0\n\u{1b}[31m\u{fffd}\",\"lf\":2");

    let huge = "9".repeat(30_000);
    let call = Call::new("huge headers", "POST", "/x", answer(200, ""))
        .with("pubsubname", "p")
        .with("__topic", "t")
        .with("__offset", &huge)
        .with("__partition", "99999999999999999999999")
        .with("traceparent", &huge);
    recorded(
        guest,
        call,
        r#"{"lf":1,"dir":"deliver","pubsub":"p","topic":"t","outcome":"success","status":200,"us":1234}"#,
    );

    // Nothing of one call is left for the next.
    recorded(
        guest,
        Call::new("afterwards", "POST", "/v1.0/publish/p/t", answer(204, "")),
        r#"{"lf":1,"dir":"publish","pubsub":"p","topic":"t","outcome":"success","status":204,"us":1234}"#,
    );
}
