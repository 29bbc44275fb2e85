//! The filter as it is shipped, in a real Envoy with the example's configuration.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use anyhow::{Context, Result};
use learnflow_tests::envoy::{Counts, Envoy};
use learnflow_tests::exposition::series;
use learnflow_tests::http::{self, Answer, Client, Message};
use learnflow_tests::process::Folder;
use serde::Deserialize;

/// One call, and what is to come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    status: u16,
    #[serde(default)]
    answer: String,
    /// Operation, outcome, component and topic; nothing if it is not pub/sub.
    counts: Option<[String; 4]>,
    /// The headers that Dapr sees and the caller has not sent.
    #[serde(default)]
    adds: BTreeMap<String, String>,
}

/// Envoy's own additions to a request, and what holds for one connection alone.
const ENVOYS: [&str; 6] = [
    "host",
    "content-length",
    "transfer-encoding",
    "x-forwarded-proto",
    "x-request-id",
    "x-envoy-expected-rq-timeout-ms",
];

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/cases/envoy.json")).expect("cases")
}

/// Every byte there is, over and over.
fn body(len: usize) -> Vec<u8> {
    (0..=255).cycle().take(len).collect()
}

/// What stands behind Envoy: it answers as it is told, and keeps what it has seen.
struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
    next: Arc<Mutex<Next>>,
}

type Next = Box<dyn FnMut() -> Answer + Send>;

impl Upstream {
    fn start() -> Result<Self> {
        let seen: Arc<Mutex<Vec<Message>>> = Arc::default();
        let next: Arc<Mutex<Next>> = Arc::new(Mutex::new(Box::new(|| Answer::new(204, ""))));
        let (seen_by_server, next_of_server) = (Arc::clone(&seen), Arc::clone(&next));
        let address = http::serve(move |request| {
            seen_by_server.lock().expect("a lock").push(request);
            next_of_server.lock().expect("a lock")()
        })?;
        Ok(Self { address, seen, next })
    }

    /// From now on.
    fn answer(&self, next: impl FnMut() -> Answer + Send + 'static) {
        *self.next.lock().expect("a lock") = Box::new(next);
    }

    fn answers(&self, status: u16, body: &str) {
        let body = body.to_owned();
        self.answer(move || Answer::new(status, &*body));
    }

    /// What came since it was last asked.
    fn seen(&self) -> Vec<Message> {
        std::mem::take(&mut *self.seen.lock().expect("a lock"))
    }
}

fn check_headers(case: &Case, seen: &Message) {
    let mut headers: BTreeMap<_, _> = seen.headers.iter().cloned().collect();
    assert_eq!(headers.len(), seen.headers.len(), "{}: a header twice", case.name);
    for name in ENVOYS {
        headers.remove(name);
    }
    let expected: BTreeMap<_, _> = case
        .headers
        .iter()
        .chain(&case.adds)
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    assert_eq!(headers, expected, "{}", case.name);
}

#[test]
fn all_cases() -> Result<()> {
    let upstream = Upstream::start()?;
    let envoy = Envoy::start(upstream.address, &[])?;
    let mut client = Client::new(envoy.listener())?;
    let mut expected = Counts::new();
    let bodies = [(0, false), (400, false), (400, true), (1 << 20, false), (300_000, true)];
    for case in cases() {
        for (len, chunked) in bodies {
            upstream.answers(case.status, &case.answer);
            let headers: Vec<_> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            let answer = client.send(&case.method, &case.path, &headers, &body(len), chunked)?;
            assert_eq!(
                (answer.status(), &*answer.body),
                (case.status, case.answer.as_bytes()),
                "{}",
                case.name
            );

            let seen = upstream.seen();
            assert_eq!(seen.len(), 1, "{}", case.name);
            assert_eq!(seen[0].first, format!("{} {} HTTP/1.1", case.method, case.path));
            assert!(
                seen[0].body == body(len),
                "{}: {len} bytes arrived as others",
                case.name
            );
            check_headers(&case, &seen[0]);
            if let Some(counts) = &case.counts {
                *expected.entry(counts.clone()).or_default() += 1.0;
            }
        }
    }

    let counts = envoy.wait("counts", || {
        let counts = envoy.counts("learnflow_calls_total").ok()?;
        (counts.values().sum::<f64>() >= expected.values().sum()).then_some(counts)
    })?;
    assert_eq!(counts, expected);

    // The histogram has all outcomes of a topic together.
    let mut durations = Counts::new();
    for ([operation, _, pubsub, topic], count) in expected {
        *durations.entry([operation, String::new(), pubsub, topic]).or_default() += count;
    }
    envoy.wait("durations", || {
        let counts = envoy.counts("learnflow_call_duration_us_count").ok()?;
        (counts == durations).then_some(())
    })?;
    let page = envoy.metrics();
    for (labels, us) in series(&page, "learnflow_call_duration_us_sum")? {
        assert!((1.0..60e6).contains(&us), "{labels:?}: {us} µs");
    }
    assert_eq!(series(&page, "learnflow_overflow_total")?[0].1, 0.0);
    assert!(!envoy.log().contains("[wasm]"), "{}", envoy.log());
    Ok(())
}

#[test]
fn the_access_log_names_them() -> Result<()> {
    let upstream = Upstream::start()?;
    let envoy = Envoy::start(upstream.address, &[])?;
    let mut client = Client::new(envoy.listener())?;
    let cases = cases();
    for case in &cases {
        upstream.answers(case.status, &case.answer);
        let headers: Vec<_> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        client.send(&case.method, &case.path, &headers, b"{}", false)?;
    }
    let lines = envoy.wait("access log", || {
        Some(envoy.access_log()).filter(|lines| lines.len() >= cases.len())
    })?;
    for (case, line) in cases.iter().zip(&lines) {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        let shown = ["operation", "outcome", "pubsub", "topic"].map(|name| line[name].as_str().map(str::to_owned));
        let expected = match case.counts.clone() {
            // A dot at the end is a trouble of labels alone.
            Some(counts) => counts.map(|value| Some(value.replace("%2E", "."))),
            None => [const { None }; 4],
        };
        assert_eq!(shown, expected, "{}", case.name);
    }
    Ok(())
}

#[test]
fn topics_without_end_are_bounded() -> Result<()> {
    const TOPICS: u32 = 2000;
    const MAX: usize = 50;
    let upstream = Upstream::start()?;
    let envoy = Envoy::start(upstream.address, &[(r#"{"maxTopics": 200}"#, r#"{"maxTopics": 50}"#)])?;
    let mut client = Client::new(envoy.listener())?;
    for number in 0..TOPICS {
        let path = format!("/v1.0/publish/p{}/t.{number}", number % 7);
        assert_eq!(client.send("POST", &path, &[], b"{}", false)?.status(), 204);
    }
    // Those that were first keep their own.
    client.send("POST", "/v1.0/publish/p0/t.0", &[], b"{}", false)?;

    let overflow = f64::from(TOPICS) - MAX as f64;
    envoy.wait("overflow", || {
        let overflowed = series(&envoy.metrics(), "learnflow_overflow_total").ok()?.pop()?;
        (overflowed.1 == overflow).then_some(())
    })?;
    let counts = envoy.counts("learnflow_calls_total")?;
    let key = |pubsub: &str, topic: &str| ["send", "success", pubsub, topic].map(str::to_owned);
    assert_eq!(counts.len(), MAX + 1);
    assert_eq!(counts[&key("(overflow)", "(overflow)")], overflow);
    assert_eq!(counts[&key("p0", "t.0")], 2.0);
    let durations = envoy.counts("learnflow_call_duration_us_count")?;
    assert_eq!(durations.len(), MAX + 1);
    Ok(())
}

#[test]
fn streams_stay_streams() -> Result<()> {
    let upstream = Upstream::start()?;
    let envoy = Envoy::start(upstream.address, &[])?;
    let delivery = [("pubsubname", "p"), ("__topic", "t")];
    for (path, headers) in [("/lessons", &delivery[..]), ("/v1.0/invoke/app/method/x", &[])] {
        let (pieces, receiver) = mpsc::channel();
        let mut receiver = Some(receiver);
        upstream.answer(move || receiver.take().map_or(Answer::Never, Answer::Pieces));
        let mut client = Client::new(envoy.listener())?;
        client.begin("POST", path, headers, b"{}", false)?;
        let answer = Message::read_head(client.reader())?.context("an answer")?;
        assert_eq!(answer.status(), 200);
        // Each is read before the next is sent: were one held back, this would wait in vain.
        for piece in [r#"{"data":1,"#, r#""status":"#, r#""RETRY"}"#] {
            pieces.send(piece.into())?;
            assert_eq!(http::chunk(client.reader())?.as_deref(), Some(piece.as_bytes()));
        }
        drop(pieces);
        assert_eq!(http::chunk(client.reader())?, None);
    }
    let key = ["process", "retry", "p", "t"].map(str::to_owned);
    envoy.wait("a retry", || {
        (envoy.counts("learnflow_calls_total").ok()? == Counts::from([(key.clone(), 1.0)])).then_some(())
    })?;
    Ok(())
}

#[test]
fn what_has_no_answer_is_counted() -> Result<()> {
    let upstream = Upstream::start()?;
    let envoy = Envoy::start(upstream.address, &[])?;
    upstream.answer(|| Answer::Never);
    for (path, headers) in [
        ("/v1.0/publish/p/t", &[][..]),
        ("/lessons", &[("pubsubname", "p"), ("__topic", "t")]),
    ] {
        let mut client = Client::new(envoy.listener())?;
        client.begin("POST", path, headers, b"{}", false)?;
        envoy.wait("request", || upstream.seen().pop())?;
        // The caller goes away.
    }
    let key = |operation: &str, outcome: &str| [operation, outcome, "p", "t"].map(str::to_owned);
    let expected = Counts::from([(key("send", "error"), 1.0), (key("process", "retry"), 1.0)]);
    envoy.wait("both", || {
        (envoy.counts("learnflow_calls_total").ok()? == expected).then_some(())
    })?;
    Ok(())
}

#[test]
fn a_sidecar_that_is_away_is_an_error() -> Result<()> {
    // A port that was free a moment ago.
    let away = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let envoy = Envoy::start(away?, &[])?;
    let answer = Client::new(envoy.listener())?.send("POST", "/v1.0/publish/p/t", &[], b"{}", false)?;
    assert_eq!(answer.status(), 503);
    let expected = Counts::from([(["send", "error", "p", "t"].map(str::to_owned), 1.0)]);
    envoy.wait("error", || {
        (envoy.counts("learnflow_calls_total").ok()? == expected).then_some(())
    })?;
    Ok(())
}

#[test]
fn a_wrong_configuration_is_said_and_does_no_harm() -> Result<()> {
    let upstream = Upstream::start()?;
    let envoy = Envoy::start(
        upstream.address,
        &[(r#"{"maxTopics": 200}"#, r#"{"maxTopics": "many"}"#)],
    )?;
    let answer = Client::new(envoy.listener())?.send("POST", "/v1.0/publish/p/t", &[], b"{}", false)?;
    assert_eq!(answer.status(), 204);
    envoy.wait("warning", || {
        envoy
            .log()
            .contains("the configuration is ignored, the defaults are used")
            .then_some(())
    })?;
    envoy.wait("count", || {
        series(&envoy.metrics(), "learnflow_calls_total").ok()?.pop()
    })?;
    Ok(())
}

#[test]
fn a_filter_that_does_not_load_lets_calls_pass() -> Result<()> {
    let upstream = Upstream::start()?;
    let folder = Folder::new()?;
    let damaged = folder.path().join("damaged.wasm");
    fs::write(&damaged, b"\0asm\x01\0\0\0damaged")?;
    for filter in [&*damaged, Path::new("/there-is-none.wasm")] {
        let envoy = Envoy::start_with(upstream.address, filter, &[])?;
        let answer = Client::new(envoy.listener())?.send("POST", "/v1.0/publish/p/t", &[], b"{}", false)?;
        assert_eq!(answer.status(), 204);
        // And it is not silent.
        let failed = "envoy_extension_config_discovery_http_filter_learnflow_config_fail";
        assert_eq!(series(&envoy.metrics(), failed)?[0].1, 1.0);
        assert!(envoy.log().contains("config update rejected"), "{}", envoy.log());
    }
    Ok(())
}

/// What `fail_open` is for, shown with a filter that does nothing but trap. (This one of ours has nothing to trap it.)
#[test]
fn a_filter_that_traps_lets_calls_pass() -> Result<()> {
    let upstream = Upstream::start()?;
    let folder = Folder::new()?;
    let filter = folder.path().join("traps.wasm");
    fs::write(&filter, traps())?;
    let envoy = Envoy::start_with(upstream.address, &filter, &[])?;
    let mut client = Client::new(envoy.listener())?;
    for _ in 0..3 {
        let answer = client.send("POST", "/v1.0/publish/p/t", &[], b"{}", false)?;
        assert_eq!(answer.status(), 204);
    }
    envoy.wait("trap", || {
        envoy.log().contains("proxy_on_request_headers failed").then_some(())
    })?;
    Ok(())
}

/// The least that Envoy takes for a filter, with `unreachable` where it is shown a request.
fn traps() -> Vec<u8> {
    const I32: u8 = 0x7f;
    fn section(id: u8, items: &[&[u8]]) -> Vec<u8> {
        let content = items.concat();
        let len = |len: usize| u8::try_from(len).expect("a short one");
        assert!(content.len() < 127);
        [&[id, len(content.len() + 1), len(items.len())], &*content].concat()
    }
    fn export(name: &str, kind: u8, number: u8) -> Vec<u8> {
        let len = u8::try_from(name.len()).expect("a short one");
        [&[len], name.as_bytes(), &[kind, number]].concat()
    }
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(
            1,
            &[
                &[0x60, 0, 0],
                &[0x60, 1, I32, 1, I32],
                &[0x60, 2, I32, I32, 0],
                &[0x60, 3, I32, I32, I32, 1, I32],
            ],
        ),
        section(3, &[&[0], &[1], &[2], &[3]]),
        section(5, &[&[0, 1]]),
        section(
            7,
            &[
                &export("memory", 2, 0),
                &export("proxy_abi_version_0_2_1", 0, 0),
                &export("malloc", 0, 1),
                &export("proxy_on_context_create", 0, 2),
                &export("proxy_on_request_headers", 0, 3),
            ],
        ),
        section(
            10,
            &[&[2, 0, 0x0b], &[4, 0, 0x41, 16, 0x0b], &[2, 0, 0x0b], &[3, 0, 0, 0x0b]],
        ),
    ]
    .concat()
}
