//! Install, 500 lessons, and every one of them seen again: rows, records, counters, spans. Then uninstall, and nothing is left.

use std::{
    collections::BTreeSet,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_core::{Direction, Outcome, Record};
use learnflow_tests::{
    Frontend, Progress, Prometheus, SERVICES_NAMESPACE, Span, Target, progress_of, read_spans, records,
};

use crate::{Test, boards, coverage, expect, flow, objects, page, stack_is_gone, trace};

const LESSONS: usize = 500;
const TOPIC: &str = "lesson.generated";
/// A second course-agent without the middleware, traced all the same.
const PLAIN_AGENT: &str = include_str!("../cases/plain-agent.yaml");

pub const TESTS: &[(&str, Test)] = &[
    (
        "line::status_before_an_installation_is_1",
        status_before_an_installation_is_1,
    ),
    ("line::install", install),
    ("line::install_again_changes_nothing", install_again_changes_nothing),
    ("line::status_is_healthy", status_is_healthy),
    ("line::every_lesson_becomes_a_row", every_lesson_becomes_a_row),
    ("line::every_event_leaves_two_records", every_event_leaves_two_records),
    ("line::flow_prints_each_event_once", flow_prints_each_event_once),
    ("line::prometheus_counts_exactly", prometheus_counts_exactly),
    (
        "line::the_publish_span_names_its_topic",
        the_publish_span_names_its_topic,
    ),
    ("line::one_trace_shows_the_whole_way", one_trace_shows_the_whole_way),
    ("line::trace_finds_each_of_twenty", trace::finds_each_of_twenty),
    (
        "line::without_the_middleware_the_topic_is_missing",
        without_the_middleware_the_topic_is_missing,
    ),
    (
        "line::coverage_names_a_grpc_publisher",
        coverage::a_grpc_publisher_is_named,
    ),
    (
        "line::each_query_of_a_board_has_an_answer",
        boards::each_query_has_an_answer,
    ),
    (
        "line::the_page_is_sent_each_event_once",
        page::the_page_is_sent_each_event_once,
    ),
    ("line::flow_goes_on_after_cuts", flow::goes_on_after_cuts),
    ("line::uninstall_leaves_nothing", uninstall_leaves_nothing),
];

/// What was there before the installation.
static BEFORE: OnceLock<Vec<String>> = OnceLock::new();

fn status_before_an_installation_is_1(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let (stdout, stderr) = expect(target, &["status"], 1)?;
    ensure!(
        format!("{stdout}{stderr}").contains("not installed"),
        "{stdout}{stderr}"
    );
    BEFORE.get_or_init(|| objects(target).unwrap_or_default());
    Ok(())
}

fn install(target: &Target) -> Result<()> {
    expect(target, &["install"], 0)?;
    let config = "--output=jsonpath={.items[*].spec.template.metadata.annotations.dapr\\.io/config}";
    let enrolled = target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "get", "deployments", config])?;
    let names: BTreeSet<&str> = enrolled.split(' ').collect();
    let one = names.len() == 1 && enrolled.starts_with("learnflow-") && enrolled.split(' ').count() == 3;
    ensure!(one, "enrolled: {enrolled}");
    Ok(())
}

fn install_again_changes_nothing(target: &Target) -> Result<()> {
    let generations = || {
        target.run_kubectl(&[
            "get",
            "deployments,daemonsets",
            "--all-namespaces",
            "--output=jsonpath={range .items[*]}{.metadata.name}={.metadata.generation} {end}",
        ])
    };
    let before = generations()?;
    expect(target, &["install"], 0)?;
    let after = generations()?;
    ensure!(before == after, "{before} became {after}");
    Ok(())
}

fn status_is_healthy(target: &Target) -> Result<()> {
    // The first scrape of a new sidecar takes its interval.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = target.run_plugin(&["status", "--output=json"])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            let _: serde_json::Value = serde_json::from_str(&text).context("status -o json is not JSON")?;
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("status is {}: {text}", output.status);
        }
        thread::sleep(Duration::from_secs(2));
    }
}

fn every_lesson_becomes_a_row(target: &Target) -> Result<()> {
    Frontend::of(target)?.request_lessons(LESSONS)?;
    let progress = progress_of(target, LESSONS as u64, Duration::from_secs(60))?;
    let expected = Progress {
        lessons: LESSONS as u64,
        deliveries: LESSONS as u64,
    };
    ensure!(progress == expected, "{progress:?}");
    Ok(())
}

fn every_event_leaves_two_records(target: &Target) -> Result<()> {
    let published = records(target, "course-agent", Direction::Publish)?;
    let delivered = records(target, "user-progress", Direction::Deliver)?;
    ensure!(published.len() == LESSONS, "{} publish records", published.len());
    ensure!(delivered.len() == LESSONS, "{} delivery records", delivered.len());
    for record in published.iter().chain(&delivered) {
        ensure!(record.topic.as_str() == TOPIC, "{record:?}");
        ensure!(record.pubsub.as_str() == "kafka-pubsub", "{record:?}");
        ensure!(record.outcome == Outcome::Success, "{record:?}");
        ensure!(record.us.is_some_and(|us| us > 0), "no duration: {record:?}");
    }
    // Of a delivery the sidecar does not tell the size.
    let sized = |record: &Record| record.bytes.is_some_and(|bytes| bytes > 0);
    ensure!(published.iter().all(sized), "a publish without a size");
    let places: BTreeSet<_> = delivered
        .iter()
        .map(|record| (record.partition, record.offset))
        .collect();
    ensure!(
        places.len() == LESSONS,
        "{} different partitions and offsets",
        places.len()
    );
    ensure!(
        delivered
            .iter()
            .all(|record| record.offset.is_some() && record.age_ms.is_some()),
        "a delivery without an offset or an age"
    );
    let traces = |records: &[Record]| -> Result<BTreeSet<String>> {
        let trace = |record: &Record| record.trace.as_ref().map(|trace| trace.as_str().to_owned());
        records
            .iter()
            .map(|record| trace(record).context("a record without a trace id"))
            .collect()
    };
    ensure!(
        traces(&published)? == traces(&delivered)?,
        "a trace id differs between publish and delivery"
    );
    Ok(())
}

/// In the order of time, across pods, with nothing but the sidecars' logs.
fn flow_prints_each_event_once(target: &Target) -> Result<()> {
    let (printed, said) = expect(target, &["flow", "--since=1h", "--output=jsonl"], 0)?;
    let events = printed.lines().map(serde_json::from_str);
    let events: Vec<serde_json::Value> = events.collect::<Result<_, _>>().context(said)?;
    for (app, direction) in [
        ("course-agent", Direction::Publish),
        ("user-progress", Direction::Deliver),
    ] {
        let written = records(target, app, direction)?.len();
        let of = |event: &&serde_json::Value| event["app"] == app && event["dir"] == direction.as_str();
        let shown = events.iter().filter(of).count();
        ensure!(
            shown == written && shown >= LESSONS,
            "{app}: {shown} shown, {written} written"
        );
    }
    ensure!(
        events.is_sorted_by_key(|event| event["time"].as_str().map(str::to_owned)),
        "not in order"
    );
    let (table, _) = expect(target, &["top", "topics", "--window=1h"], 0)?;
    ensure!(table.contains(TOPIC) && table.contains("100.00%"), "{table}");
    let (graph, _) = expect(target, &["graph", "--window=1h", "--output=mermaid"], 0)?;
    ensure!(graph.contains(TOPIC) && graph.contains("user-progress"), "{graph}");
    Ok(())
}

fn prometheus_counts_exactly(target: &Target) -> Result<()> {
    let prometheus = Prometheus::of(target)?;
    let topic = format!("messaging_destination_name=\"{TOPIC}\"");
    for (metric, service) in [
        ("messaging_client_sent_messages_total", "course-agent"),
        ("messaging_client_operation_duration_seconds_count", "course-agent"),
        ("messaging_client_consumed_messages_total", "user-progress"),
        ("messaging_process_duration_seconds_count", "user-progress"),
        ("learnflow_event_age_seconds_count", "user-progress"),
    ] {
        let query = format!("sum({metric}{{{topic},service_name=\"{service}\"}})");
        prometheus.wait_for(&query, LESSONS as f64, Duration::from_secs(60))?;
        let all = format!("sum({metric}{{{topic}}})");
        prometheus.wait_for(&all, LESSONS as f64, Duration::from_secs(10))?;
    }
    // And what the service says itself, as its annotations ask.
    let own = "sum(user_progress_lessons{job=\"apps\",service=\"user-progress\",namespace=\"learnflow\"})";
    prometheus.wait_for(own, LESSONS as f64, Duration::from_secs(60))?;
    Ok(())
}

fn the_publish_span_names_its_topic(target: &Target) -> Result<()> {
    // Dapr exports its spans every five seconds.
    let deadline = Instant::now() + Duration::from_secs(30);
    let spans = loop {
        let spans = read_spans(target)?;
        let both = spans
            .iter()
            .filter(|span| is_publish_of(span, "course-agent") || is_delivery(span));
        if both.count() >= 2 * LESSONS || Instant::now() > deadline {
            break spans;
        }
        thread::sleep(Duration::from_secs(1));
    };
    let published: Vec<&Span> = spans
        .iter()
        .filter(|span| is_publish_of(span, "course-agent"))
        .collect();
    ensure!(published.len() == LESSONS, "{} publish spans", published.len());
    for span in &published {
        let attribute = |name: &str| span.attributes.get(name).map(String::as_str);
        ensure!(attribute("messaging.destination.name") == Some(TOPIC), "{span:?}");
        ensure!(attribute("messaging.system") == Some("kafka"), "{span:?}");
        ensure!(
            !span.attributes.keys().any(|key| key.starts_with("dapr-messaging")),
            "not renamed: {span:?}"
        );
    }
    let publish = published.last().context("a publish span")?;
    let delivery = spans
        .iter()
        .find(|span| span.trace == publish.trace && is_delivery(span));
    let delivery = delivery.with_context(|| format!("trace {} has no delivery", publish.trace))?;
    ensure!(
        delivery.parent == publish.id,
        "{delivery:?} is not a child of {publish:?}"
    );
    Ok(())
}

fn one_trace_shows_the_whole_way(target: &Target) -> Result<()> {
    whole_trace(target).map(|_| ())
}

/// One trace, from the page to the row in the database: each span is in the one before, by however many others.
pub fn whole_trace(target: &Target) -> Result<String> {
    let started = Instant::now();
    loop {
        let spans = read_spans(target)?;
        let published = spans.iter().filter(|span| is_publish_of(span, "course-agent"));
        let Some(publish) = published.max_by_key(|span| span.start_ns) else {
            ensure!(started.elapsed() < Duration::from_secs(40), "no publish span");
            thread::sleep(Duration::from_secs(1));
            continue;
        };
        let of_trace = || spans.iter().filter(|span| span.trace == publish.trace);
        let within = |span: &Span, outer: &Span| -> bool {
            let mut at = Some(span);
            while let Some(now) = at {
                if now.id == outer.id {
                    return true;
                }
                at = of_trace().find(|span| span.id == now.parent);
            }
            false
        };
        let whole = of_trace()
            .find(|span| span.service == "user-progress" && span.name == "INSERT lessons")
            .filter(|write| {
                let delivery = of_trace().find(|span| is_delivery(span));
                let asked = of_trace().any(|span| span.service == "frontend");
                asked && delivery.is_some_and(|delivery| within(write, delivery) && within(delivery, publish))
            });
        if let Some(write) = whole {
            ensure!(
                write
                    .attributes
                    .get("db.system.name")
                    .is_some_and(|system| system == "sqlite"),
                "{write:?}"
            );
            let taken = of_trace()
                .find(|span| span.id == write.parent)
                .context("what took the event")?;
            for known in ["messaging.destination.partition.id", "messaging.kafka.offset"] {
                ensure!(taken.attributes.contains_key(known), "no {known}: {taken:?}");
            }
            return Ok(publish.trace.clone());
        }
        let all: Vec<&Span> = of_trace().collect();
        ensure!(
            started.elapsed() < Duration::from_secs(40),
            "trace {}: {all:#?}",
            publish.trace
        );
        thread::sleep(Duration::from_secs(1));
    }
}

fn without_the_middleware_the_topic_is_missing(target: &Target) -> Result<()> {
    target.apply(Some(SERVICES_NAMESPACE), PLAIN_AGENT)?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/plain-agent")?;
    let forward = target.port_forward(SERVICES_NAMESPACE, "deployment/plain-agent", 8080)?;
    ureq::post(forward.url("/lessons")).send_json(serde_json::json!({"course": "rust", "title": "plain"}))?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let span = loop {
        let spans = read_spans(target)?;
        if let Some(span) = spans.into_iter().find(|span| is_publish_of(span, "plain-agent")) {
            break span;
        }
        if Instant::now() > deadline {
            bail!("the plain agent's publish left no span");
        }
        thread::sleep(Duration::from_secs(1));
    };
    let named = span.attributes.contains_key("messaging.destination.name");
    ensure!(
        !named && !span.attributes.values().any(|value| value == "plain.topic"),
        "the topic is there: {span:?}"
    );
    let namespace = ["--namespace", SERVICES_NAMESPACE];
    let plain = [
        "delete",
        "deployment/plain-agent",
        "configuration/tracing-only",
        "component/plain-pubsub",
        "--wait",
    ];
    target.run_kubectl(&[&namespace[..], &plain].concat())?;
    let gone = ["wait", "--for=delete", "service/plain-agent-dapr", "--timeout=60s"];
    target.run_kubectl(&[&namespace[..], &gone].concat())?;
    Ok(())
}

fn is_publish_of(span: &Span, service: &str) -> bool {
    span.service == service && span.name.contains("/v1.0/publish/")
}

fn is_delivery(span: &Span) -> bool {
    span.service == "user-progress" && span.name == format!("pubsub/{TOPIC}")
}

fn uninstall_leaves_nothing(target: &Target) -> Result<()> {
    let (_, refused) = expect(target, &["uninstall"], 2)?;
    ensure!(
        refused.contains("course-agent") && refused.contains("--unenroll"),
        "{refused}"
    );
    expect(target, &["uninstall", "--unenroll"], 0)?;
    let before = BEFORE.get().context("the test before the installation did not run")?;
    let after = objects(target)?;
    let left: Vec<_> = after.iter().filter(|object| !before.contains(object)).collect();
    let lost: Vec<_> = before.iter().filter(|object| !after.contains(object)).collect();
    ensure!(left.is_empty() && lost.is_empty(), "left: {left:?}; lost: {lost:?}");
    let deployments = target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "get",
        "deployments",
        "--output=json",
        "--show-managed-fields",
    ])?;
    for trace in [
        "kubectl-learnflow",
        "learnflow-wasm",
        "dapr.io/config",
        "dapr.io/volume-mounts",
    ] {
        ensure!(!deployments.contains(trace), "the Deployments still mention {trace}");
    }
    // The services work on without it.
    let before = progress_of(target, 0, Duration::ZERO)?.lessons;
    Frontend::of(target)?.request_lessons(10)?;
    let rows = progress_of(target, before + 10, Duration::from_secs(60))?.lessons;
    ensure!(rows == before + 10, "{rows} rows");
    expect(target, &["uninstall"], 0)?;
    stack_is_gone(target)
}
