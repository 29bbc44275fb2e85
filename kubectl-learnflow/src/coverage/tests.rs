use super::*;
use crate::printer;
use learnflow_flow::{Names, Reader};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

const PUBSUB: &str = "kafka-pubsub";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    sidecars: Vec<Pod>,
    #[serde(default)]
    gone: BTreeSet<String>,
    #[serde(default)]
    grown: BTreeMap<String, u64>,
    #[serde(default)]
    subscribers: BTreeMap<String, String>,
    #[serde(default)]
    dead_letters: Vec<String>,
    spans: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    overflow: bool,
    rows: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pod {
    app: String,
    #[serde(default)]
    new: bool,
    #[serde(default = "yes")]
    enrolled: bool,
    #[serde(default)]
    failed: bool,
    scraped: Option<bool>,
    counted: Option<BTreeMap<String, u64>>,
    recorded: Option<BTreeMap<String, u64>>,
}

fn yes() -> bool {
    true
}

fn key(text: &str) -> Key {
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["publish", topic] => Key::new(What::Published, PUBSUB, topic),
        ["bulk", "publish", topic] => Key::new(What::PublishedInBulk, PUBSUB, topic),
        ["deliver", topic] => Key::new(What::Delivered, PUBSUB, topic),
        ["refused", topic] => Key::new(What::Refused, PUBSUB, topic),
        ["bulk", "deliver"] => Key::new(What::DeliveredInBulk, "", BULK),
        ["grpc", "publish"] => Key::new(What::GrpcPublish, "", ""),
        ["grpc", "delivery"] => Key::new(What::GrpcDelivery, "", ""),
        _ => panic!("{text}"),
    }
}

fn evidence(case: &Case) -> Evidence {
    let counts = |counts: &BTreeMap<String, u64>| counts.iter().map(|(text, count)| (key(text), *count)).collect();
    let sidecars = case.sidecars.iter().enumerate().map(|(number, pod)| Sidecar {
        pod: format!("{}-{number}", pod.app),
        app: pod.app.clone(),
        new: pod.new,
        enrolled: pod.enrolled,
        failed: pod.failed,
        scraped: pod.scraped,
        counted: pod.counted.as_ref().map(counts),
        recorded: pod.recorded.as_ref().map(counts),
    });
    let spans = case.spans.as_ref().map(|spans| Spans {
        counts: spans
            .iter()
            .map(|(text, count)| {
                let words: Vec<&str> = text.split(' ').collect();
                let dir = if words[1] == "publish" {
                    Direction::Publish
                } else {
                    Direction::Deliver
                };
                ((words[0].to_owned(), words[2].to_owned(), dir), *count)
            })
            .collect(),
        overflow: case.overflow,
    });
    Evidence {
        window: Duration::from_secs(60),
        asking: Duration::from_millis(600),
        looking: Duration::from_millis(600),
        components: [(
            PUBSUB.to_owned(),
            Component {
                kafka: "k".into(),
                prefix: "ns-".into(),
            },
        )]
        .into(),
        sidecars: sidecars.collect(),
        gone: case.gone.clone(),
        grown: case
            .grown
            .iter()
            .map(|(topic, grew)| (("k".into(), format!("ns-{topic}")), *grew))
            .collect(),
        subscribers: case
            .subscribers
            .iter()
            .map(|(app, topic)| Subscriber {
                app: app.clone(),
                pubsub: PUBSUB.into(),
                topic: topic.clone(),
            })
            .collect(),
        dead_letters: case
            .dead_letters
            .iter()
            .map(|topic| (PUBSUB.into(), topic.clone()))
            .collect(),
        spans,
    }
}

fn shown(row: &Row) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let codes: Vec<&str> = row.why.iter().map(Why::code).collect();
    let text = format!(
        "{} {} {}: {} {} {} {} {} {}",
        row.service,
        row.dir.as_str(),
        row.topic,
        number(row.broker),
        number(row.sidecar),
        number(row.records),
        number(row.spans),
        printer::success(row.covered).0,
        codes.join(",")
    );
    text.trim_end().to_owned()
}

#[test]
fn what_is_invisible_has_a_reason() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../../tests/cases/coverage.yaml")).expect("cases");
    let mut wrong = Vec::new();
    for case in &cases {
        let rows: Vec<String> = evidence(case).rows().iter().map(shown).collect();
        if rows != case.rows {
            wrong.push(format!(
                "{}:\n  {}\nnot\n  {}",
                case.name,
                rows.join("\n  "),
                case.rows.join("\n  ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// As a daprd 1.18.1 writes it.
const PAGE: &str = r#"# HELP dapr_component_pubsub_egress_count x
dapr_component_pubsub_egress_count{app_id="a",component="kafka-pubsub",namespace="shop",success="true",topic="t"} 5
dapr_component_pubsub_egress_count{app_id="a",component="kafka-pubsub",namespace="shop",success="false",topic="t"} 7
dapr_component_pubsub_egress_bulk_count{app_id="a",component="kafka-pubsub",namespace="shop",success="true",topic="b"} 1
dapr_component_pubsub_egress_latencies_count{app_id="a",component="kafka-pubsub",namespace="shop",success="true",topic="t"} 5
dapr_component_pubsub_ingress_count{app_id="a",component="kafka-pubsub",namespace="shop",process_status="drop",status="drop",topic="t"} 1
dapr_component_pubsub_ingress_count{app_id="a",component="kafka-pubsub",namespace="shop",process_status="retry",status="retry",topic="t"} 2
dapr_component_pubsub_ingress_count{app_id="a",component="kafka-pubsub",namespace="shop",process_status="success",status="success",topic="t"} 3
dapr_component_pubsub_ingress_bulk_count{app_id="a",component="pubsubName",namespace="shop",process_status="",topic="b"} 4
dapr_grpc_io_server_completed_rpcs{app_id="a",grpc_server_method="/dapr.proto.runtime.v1.Dapr/PublishEvent",grpc_server_status="OK"} 3
dapr_grpc_io_server_completed_rpcs{app_id="a",grpc_server_method="/dapr.proto.runtime.v1.Dapr/PublishEvent",grpc_server_status="InvalidArgument"} 1
dapr_grpc_io_server_completed_rpcs{app_id="a",grpc_server_method="/dapr.proto.runtime.v1.Dapr/GetState",grpc_server_status="OK"} 9
dapr_runtime_component_init_fail_total{app_id="a",component="middleware.http.wasm",componentName="other",reason="x"} 1
process_start_time_seconds 1.7e+09
"#;

fn counted(counts: &Counts) -> Vec<(&Key, u64)> {
    counts.iter().map(|(key, count)| (key, *count)).collect()
}

#[test]
fn a_sidecars_page_is_read() {
    let counters = Counters::read(PAGE, "learnflow");
    let counts = counters.since(None);
    let expected = [
        ("publish t", 5),
        ("bulk publish b", 1),
        ("deliver t", 3),
        ("refused t", 2),
        ("bulk deliver", 4),
        ("grpc publish", 3),
    ];
    let expected: Counts = expected.into_iter().map(|(text, count)| (key(text), count)).collect();
    assert_eq!(counted(&counts), counted(&expected));
    assert!(!counters.failed);
    assert!(Counters::read(PAGE, "other").failed);
    let topics: BTreeSet<_> = counters.topics().collect();
    assert_eq!(topics, BTreeSet::from([(PUBSUB, "t"), (PUBSUB, "b")]));
}

#[test]
fn what_a_restarted_sidecar_counts_is_all_new() {
    let page = |start: u32, sent: u32| {
        let labels = r#"component="k",success="true",topic="t""#;
        let page =
            format!("process_start_time_seconds {start}\ndapr_component_pubsub_egress_count{{{labels}}} {sent}\n");
        Counters::read(&page, "learnflow")
    };
    let sent = |before: Option<&Counters>, now: Counters| now.since(before).values().sum::<u64>();
    assert_eq!(sent(Some(&page(1, 5)), page(1, 8)), 3);
    assert_eq!(sent(Some(&page(1, 5)), page(1, 5)), 0);
    assert_eq!(sent(Some(&page(1, 5)), page(2, 8)), 8, "another process");
    assert_eq!(
        sent(Some(&page(1, 5)), page(1, 3)),
        3,
        "it began anew without saying so"
    );
    assert_eq!(sent(None, page(1, 8)), 8);
}

#[test]
fn records_count_under_the_names_that_the_app_knows() {
    let line = |record: &str| {
        format!("{{\"app_id\":\"a\",\"instance\":\"a-1\",\"msg\":{record:?},\"time\":\"2026-01-15T10:00:00Z\"}}\n")
    };
    let log = [
        r#"{"lf":1,"dir":"publish","pubsub":"k","topic":"t","outcome":"success","status":204}"#,
        r#"{"lf":1,"dir":"publish","pubsub":"k","topic":"t","outcome":"error","status":500}"#,
        r#"{"lf":1,"dir":"publish","pubsub":"k","topic":"t","outcome":"success","status":204,"bulk":true}"#,
        r#"{"lf":1,"dir":"deliver","pubsub":"k","topic":"ns-t","outcome":"success","status":200}"#,
        r#"{"lf":1,"dir":"deliver","pubsub":"k","topic":"ns-t","outcome":"retry","status":500}"#,
        r#"{"lf":1,"dir":"deliver","pubsub":"k","route":"/r","outcome":"retry","status":200,"bulk":true}"#,
    ];
    let (mut reader, mut names, mut keys) = (Reader::default(), Names::default(), Vec::new());
    let mut events = Vec::new();
    reader.read(log.map(line).concat().as_bytes(), &mut names, |event| {
        events.push(event)
    });
    events.extend(reader.end(&mut names));
    keys.extend(events.iter().map(|event| Key::of(event, &names, "ns-")));
    let expected = [
        Some(Key::new(What::Published, "k", "t")),
        None,
        Some(Key::new(What::PublishedInBulk, "k", "t")),
        Some(Key::new(What::Delivered, "k", "t")),
        None,
        Some(Key::new(What::DeliveredInBulk, "", BULK)),
    ];
    assert_eq!(keys, expected);
}
