//! The filter as it is shipped, in a real Envoy with the example's configuration.

mod support;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use serde::Deserialize;
use support::envoy::Envoy;
use support::http::{self, Client, Message};
use support::prometheus::series;
use support::upstream::{Answer, Upstream};

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

type Counts = BTreeMap<[String; 4], f64>;

fn counted(page: &str, metric: &str) -> Counts {
    let mut counts = Counts::new();
    for (labels, value) in series(page, metric) {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let key = [
            label("messaging_operation_type"),
            label("learnflow_outcome"),
            label("learnflow_pubsub_name"),
            label("messaging_destination_name"),
        ];
        let before = counts.insert(key, value);
        assert_eq!(before, None, "twice the same series: {labels:?}");
    }
    counts
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
fn all_cases() {
    let upstream = Upstream::start();
    let mut envoy = Envoy::start(upstream.address, &[]);
    let mut client = Client::new(envoy.listener);
    let mut expected = Counts::new();
    let bodies = [(0, false), (400, false), (400, true), (1 << 20, false), (300_000, true)];
    for case in cases() {
        for (len, chunked) in bodies {
            upstream.answer(Answer::Whole(case.status, case.answer.clone()));
            let headers: Vec<_> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            let answer = client.send(&case.method, &case.path, &headers, &body(len), chunked);
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

    let counts = envoy.wait("counts", |envoy| {
        let counts = counted(&envoy.metrics(), "learnflow_calls_total");
        (counts.values().sum::<f64>() >= expected.values().sum()).then_some(counts)
    });
    assert_eq!(counts, expected);

    // The histogram has all outcomes of a topic together.
    let mut durations = Counts::new();
    for ([operation, _, pubsub, topic], count) in expected {
        *durations.entry([operation, String::new(), pubsub, topic]).or_default() += count;
    }
    envoy.wait("durations", |envoy| {
        let page = envoy.metrics();
        (counted(&page, "learnflow_call_duration_us_count") == durations).then_some(())
    });
    let page = envoy.metrics();
    for (labels, us) in series(&page, "learnflow_call_duration_us_sum") {
        assert!((1.0..60e6).contains(&us), "{labels:?}: {us} µs");
    }
    assert_eq!(series(&page, "learnflow_overflow_total")[0].1, 0.0);
    assert!(!envoy.log().contains("[wasm]"), "{}", envoy.log());
}

#[test]
fn the_access_log_names_them() {
    let upstream = Upstream::start();
    let mut envoy = Envoy::start(upstream.address, &[]);
    let mut client = Client::new(envoy.listener);
    let cases = cases();
    for case in &cases {
        upstream.answer(Answer::Whole(case.status, case.answer.clone()));
        let headers: Vec<_> = case.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        client.send(&case.method, &case.path, &headers, b"{}", false);
    }
    let lines = envoy.wait("access log", |envoy| {
        Some(envoy.access_log()).filter(|lines| lines.len() >= cases.len())
    });
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
}

#[test]
fn topics_without_end_are_bounded() {
    const TOPICS: u32 = 2000;
    const MAX: usize = 50;
    let upstream = Upstream::start();
    let mut envoy = Envoy::start(upstream.address, &[(r#"{"maxTopics": 200}"#, r#"{"maxTopics": 50}"#)]);
    let mut client = Client::new(envoy.listener);
    for number in 0..TOPICS {
        let path = format!("/v1.0/publish/p{}/t.{number}", number % 7);
        assert_eq!(client.send("POST", &path, &[], b"{}", false).status(), 204);
    }
    // Those that were first keep their own.
    client.send("POST", "/v1.0/publish/p0/t.0", &[], b"{}", false);

    let overflow = f64::from(TOPICS) - MAX as f64;
    envoy.wait("overflow", |envoy| {
        (series(&envoy.metrics(), "learnflow_overflow_total")[0].1 == overflow).then_some(())
    });
    let counts = counted(&envoy.metrics(), "learnflow_calls_total");
    let key = |pubsub: &str, topic: &str| ["send", "success", pubsub, topic].map(str::to_owned);
    assert_eq!(counts.len(), MAX + 1);
    assert_eq!(counts[&key("(overflow)", "(overflow)")], overflow);
    assert_eq!(counts[&key("p0", "t.0")], 2.0);
    let durations = counted(&envoy.metrics(), "learnflow_call_duration_us_count");
    assert_eq!(durations.len(), MAX + 1);
}

#[test]
fn streams_stay_streams() {
    let upstream = Upstream::start();
    let mut envoy = Envoy::start(upstream.address, &[]);
    let delivery = [("pubsubname", "p"), ("__topic", "t")];
    for (path, headers) in [("/lessons", &delivery[..]), ("/v1.0/invoke/app/method/x", &[])] {
        let (pieces, receiver) = mpsc::channel();
        upstream.answer(Answer::Pieces(receiver));
        let mut client = Client::new(envoy.listener);
        client.begin("POST", path, headers, b"{}", false);
        let answer = Message::read(client.reader(), false).expect("an answer");
        assert_eq!(answer.status(), 200);
        // Each is read before the next is sent: were one held back, this would wait in vain.
        for piece in [r#"{"data":1,"#, r#""status":"#, r#""RETRY"}"#] {
            pieces.send(piece.into()).expect("the upstream waits");
            assert_eq!(http::chunk(client.reader()).as_deref(), Some(piece.as_bytes()));
        }
        drop(pieces);
        assert_eq!(http::chunk(client.reader()), None);
    }
    let key = ["process", "retry", "p", "t"].map(str::to_owned);
    envoy.wait("a retry", |envoy| {
        (counted(&envoy.metrics(), "learnflow_calls_total") == Counts::from([(key.clone(), 1.0)])).then_some(())
    });
}

#[test]
fn what_has_no_answer_is_counted() {
    let upstream = Upstream::start();
    let mut envoy = Envoy::start(upstream.address, &[]);
    upstream.answer(Answer::Never);
    for (path, headers) in [
        ("/v1.0/publish/p/t", &[][..]),
        ("/lessons", &[("pubsubname", "p"), ("__topic", "t")]),
    ] {
        let mut client = Client::new(envoy.listener);
        client.begin("POST", path, headers, b"{}", false);
        envoy.wait("request", |_| upstream.seen().pop());
        // The caller goes away.
    }
    let key = |operation: &str, outcome: &str| [operation, outcome, "p", "t"].map(str::to_owned);
    let expected = Counts::from([(key("send", "error"), 1.0), (key("process", "retry"), 1.0)]);
    envoy.wait("both", |envoy| {
        (counted(&envoy.metrics(), "learnflow_calls_total") == expected).then_some(())
    });
}

#[test]
fn a_sidecar_that_is_away_is_an_error() {
    // A port that was free a moment ago.
    let away = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let mut envoy = Envoy::start(away.expect("a free port"), &[]);
    let answer = Client::new(envoy.listener).send("POST", "/v1.0/publish/p/t", &[], b"{}", false);
    assert_eq!(answer.status(), 503);
    let expected = Counts::from([(["send", "error", "p", "t"].map(str::to_owned), 1.0)]);
    envoy.wait("error", |envoy| {
        (counted(&envoy.metrics(), "learnflow_calls_total") == expected).then_some(())
    });
}

#[test]
fn a_wrong_configuration_is_said_and_does_no_harm() {
    let upstream = Upstream::start();
    let mut envoy = Envoy::start(
        upstream.address,
        &[(r#"{"maxTopics": 200}"#, r#"{"maxTopics": "many"}"#)],
    );
    let answer = Client::new(envoy.listener).send("POST", "/v1.0/publish/p/t", &[], b"{}", false);
    assert_eq!(answer.status(), 204);
    envoy.wait("warning", |envoy| {
        envoy
            .log()
            .contains("the configuration is ignored, the defaults are used")
            .then_some(())
    });
    envoy.wait("count", |envoy| series(&envoy.metrics(), "learnflow_calls_total").pop());
}

#[test]
fn a_filter_that_does_not_load_lets_calls_pass() {
    let upstream = Upstream::start();
    let file = Temporary::new("damaged", b"\0asm\x01\0\0\0damaged");
    for filter in [&*file.0, Path::new("/there-is-none.wasm")] {
        let envoy = Envoy::start_with(upstream.address, filter, &[]);
        let answer = Client::new(envoy.listener).send("POST", "/v1.0/publish/p/t", &[], b"{}", false);
        assert_eq!(answer.status(), 204);
        // And it is not silent.
        let failed = "envoy_extension_config_discovery_http_filter_learnflow_config_fail";
        assert_eq!(series(&envoy.metrics(), failed)[0].1, 1.0);
        assert!(envoy.log().contains("config update rejected"), "{}", envoy.log());
    }
}

/// What `fail_open` is for, shown with a filter that does nothing but trap. (This one of ours has nothing to trap it.)
#[test]
fn a_filter_that_traps_lets_calls_pass() {
    let upstream = Upstream::start();
    let file = Temporary::new("traps", &traps());
    let mut envoy = Envoy::start_with(upstream.address, &file.0, &[]);
    let mut client = Client::new(envoy.listener);
    for _ in 0..3 {
        let answer = client.send("POST", "/v1.0/publish/p/t", &[], b"{}", false);
        assert_eq!(answer.status(), 204);
    }
    envoy.wait("trap", |envoy| {
        envoy.log().contains("proxy_on_request_headers failed").then_some(())
    });
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

/// A file that goes when the test does.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, content: &[u8]) -> Self {
        let name = format!("learnflow-{name}-{}.wasm", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, content).expect("a file");
        Self(file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
