//! What becomes of spans: counted all, and kept as the sampling says, with the real Collector, trace store and Prometheus.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use crate::{
    gateway::{self, Gateway},
    jaeger::Jaeger,
    otlp::{Span, send_spans, trace, trace_id},
    port,
    prometheus::Prometheus,
    shipped::replace,
};

const TOPIC: &str = "lesson.generated";
const TRACES: usize = 2_000;
/// Of the rest one in so many is kept, as in `production`.
const ONE_IN: usize = 20;
/// `production` waits 10 s.
const WAIT: Duration = Duration::from_secs(3);

const ALL: &str = "traces_span_metrics_duration_seconds_count";
const KEPT: &str = "traces_kept_duration_seconds_count";

/// The file about spans as `production` has it, but for the time.
fn sampled(store: u16) -> String {
    replace(
        &gateway::spans(store),
        &[
            ("decision_wait: 1s", format!("decision_wait: {}s", WAIT.as_secs())),
            (
                "sampling_percentage: 100",
                format!("sampling_percentage: {}", 100 / ONE_IN),
            ),
        ],
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Failed,
    Slow,
    Usual,
}

/// One in twenty fails, another one is slow: in its publish or in its delivery.
fn fate(n: usize) -> Fate {
    match n % 20 {
        3 => Fate::Failed,
        7 => Fate::Slow,
        _ => Fate::Usual,
    }
}

fn pair(n: usize) -> (Span, Span) {
    let (publish, delivery) = (Span::published(trace(n), TOPIC), Span::delivered(trace(n), TOPIC));
    let second = n % 40 < 20;
    match (fate(n), second) {
        (Fate::Failed, true) => (publish, delivery.failed()),
        (Fate::Failed, false) => (publish.failed(), delivery),
        (Fate::Slow, true) => (publish, delivery.lasting(Duration::from_millis(1_200))),
        (Fate::Slow, false) => (publish.lasting(Duration::from_millis(1_200)), delivery),
        (Fate::Usual, _) => (publish, delivery),
    }
}

/// Publishes and deliveries come from two sidecars, the ones after the others.
fn send_all(ports: [u16; 2]) {
    for start in (0..TRACES).step_by(250) {
        let (published, delivered): (Vec<_>, Vec<_>) = (start..start + 250).map(pair).unzip();
        send_spans(ports[0], &published);
        send_spans(ports[1], &delivered);
    }
}

/// What of `TRACES` is kept: each whole, all that failed or were slow, and the share of the rest.
fn check_kept(traces: &BTreeMap<String, usize>) {
    let broken: Vec<_> = traces.iter().filter(|(_, spans)| **spans != 2).collect();
    assert!(broken.is_empty(), "{} traces are not whole: {broken:?}", broken.len());
    let kept = |fate_wanted: Fate| {
        let all = (0..TRACES).filter(|n| fate(*n) == fate_wanted);
        let ids: Vec<_> = all.map(|n| trace_id(trace(n))).collect();
        (ids.iter().filter(|id| traces.contains_key(*id)).count(), ids.len())
    };
    for fate in [Fate::Failed, Fate::Slow] {
        let (kept, all) = kept(fate);
        assert_eq!(kept, all, "{fate:?}");
    }
    let (rest, all) = kept(Fate::Usual);
    // Four standard deviations of a binomial distribution.
    let (mean, share) = (all as f64 / ONE_IN as f64, 1.0 / ONE_IN as f64);
    let far = 4.0 * (mean * (1.0 - share)).sqrt();
    println!("kept: every one of 200 that failed or were slow, and {rest} of {all}");
    assert!((rest as f64 - mean).abs() <= far, "{rest} of {all}, not {mean} ± {far}");
}

fn by_trace(spans: &[learnflow_tests::Span]) -> BTreeMap<String, usize> {
    let mut traces = BTreeMap::new();
    for span in spans {
        *traces.entry(span.trace.clone()).or_default() += 1;
    }
    traces
}

#[test]
fn errors_and_slow_ones_are_kept_and_points_open_traces_that_are_there() {
    let store = port();
    let jaeger = Jaeger::start(store);
    let gateway = Gateway::with(|config| config, &sampled(store));
    let prometheus = Prometheus::start(&gateway);
    send_all([gateway.otlp; 2]);
    let spans = jaeger.settled(WAIT * 2);
    check_kept(&by_trace(&spans));

    // All are counted, whatever is kept.
    prometheus.expect(&format!("sum({ALL})"), (2 * TRACES) as f64);
    prometheus.expect("sum(traces_span_metrics_calls_total)", (2 * TRACES) as f64);
    for (operation, kind) in [("send", "PRODUCER"), ("process", "CONSUMER")] {
        let row = format!(
            "sum({ALL}{{messaging_operation_type=\"{operation}\",span_kind=\"SPAN_KIND_{kind}\",messaging_destination_name=\"{TOPIC}\"}})"
        );
        prometheus.expect(&row, TRACES as f64);
    }
    let failed = format!("sum({ALL}{{status_code=\"STATUS_CODE_ERROR\"}})");
    prometheus.expect(&failed, (TRACES / 20) as f64);
    prometheus.expect(&format!("sum({KEPT})"), spans.len() as f64);
    let others = "count({__name__=~\"traces_.*\",job!=\"learnflow\"})";
    assert_eq!(prometheus.number(others), 0.0, "no service is the job");
    // Its first value counts as well.
    prometheus.expect(&format!("sum(increase({ALL}[10m] anchored))"), (2 * TRACES) as f64);

    let known: BTreeSet<_> = spans.iter().map(|span| span.trace.as_str()).collect();
    let points = prometheus.exemplars("traces_kept_duration_seconds_bucket");
    assert!(points.len() > 3, "{points:?}");
    let board = format!(
        "traces_kept_duration_seconds_bucket{{service_name=~\".+\",messaging_destination_name=~\"{TOPIC}\",messaging_operation_type=\"send\"}} < 0"
    );
    assert!(prometheus.exemplars(&board).len() > 1, "as the board asks");
    let unknown: Vec<_> = points.iter().filter(|id| !known.contains(id.as_str())).collect();
    assert!(
        unknown.is_empty(),
        "{unknown:?} of {} are not in the store",
        points.len()
    );
}

#[test]
fn two_collectors_keep_or_drop_a_trace_whole() {
    let store = port();
    let jaeger = Jaeger::start(store);
    let collectors = [(); 2].map(|()| Gateway::for_spans(&sampled(store)));
    let balance = gateway::balance(&collectors.each_ref().map(|collector| collector.grpc));
    // Two gateways, so that the two spans of a trace take two ways.
    let gateways = [(); 2].map(|()| Gateway::with(|config| config, &balance));
    send_all(gateways.each_ref().map(|gateway| gateway.otlp));
    let spans = jaeger.settled(WAIT * 2);
    check_kept(&by_trace(&spans));
    let counted = collectors.each_ref().map(|collector| {
        let prometheus = Prometheus::start(collector);
        let started = Instant::now();
        while prometheus.number(&format!("sum({ALL})")) == 0.0 && started.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_secs(1));
        }
        prometheus.number(&format!("sum({ALL})"))
    });
    println!("the two collectors had {counted:?} spans");
    assert_eq!(counted.iter().sum::<f64>(), (2 * TRACES) as f64);
    assert!(counted.iter().all(|count| *count > TRACES as f64 / 2.0), "{counted:?}");
}

/// An outage makes a publish last longer than a decision waits. What came before is gone by then; the slow span is not.
#[test]
fn what_comes_late_is_judged_for_itself() {
    let store = port();
    let jaeger = Jaeger::start(store);
    let nothing_else = "sampling_percentage: 0.000001".to_owned();
    let spans = replace(
        &sampled(store),
        &[(&format!("sampling_percentage: {}", 100 / ONE_IN), nothing_else)],
    );
    let gateway = Gateway::with(|config| config, &spans);
    let [dropped, outage, failed] = [0, 1, 2].map(trace);
    // The first spans of three traces: two are as any other, one has failed.
    let early = |trace| Span::published(trace, TOPIC);
    send_spans(gateway.otlp, &[early(dropped), early(outage), early(failed).failed()]);
    let before = by_trace(&jaeger.settled(WAIT * 2));
    assert_eq!(before, BTreeMap::from([(trace_id(failed), 1)]));
    // The last trace that was dropped is remembered, until the next one is.
    send_spans(gateway.otlp, &[early(trace(3))]);
    thread::sleep(WAIT * 2);
    // And what comes long after the decisions.
    let late = |trace| Span::delivered(trace, TOPIC);
    send_spans(
        gateway.otlp,
        &[
            late(dropped),
            late(outage).lasting(Duration::from_secs(39)),
            late(failed),
        ],
    );
    let after = by_trace(&jaeger.settled(WAIT * 2));
    assert_eq!(after, BTreeMap::from([(trace_id(outage), 1), (trace_id(failed), 2)]));
}

#[test]
fn made_up_topics_do_not_make_series_without_end() {
    const MADE_UP: usize = 3_000;
    let gateway = Gateway::start(|config| config);
    let prometheus = Prometheus::start(&gateway);
    let usual = || Span::published(trace(0), TOPIC);
    send_spans(gateway.otlp, &[usual()]);
    prometheus.expect(&format!("sum({ALL})"), 1.0);
    for start in (0..MADE_UP).step_by(500) {
        let mut spans: Vec<_> = (start..start + 500)
            .map(|n| Span::published(trace(n), &format!("random.{n}")).failed())
            .collect();
        spans.push(usual());
        send_spans(gateway.otlp, &spans);
    }
    let sent = MADE_UP + 1 + MADE_UP / 500;
    prometheus.expect(&format!("sum({ALL})"), sent as f64);
    let known = format!("sum({ALL}{{messaging_destination_name=\"{TOPIC}\"}})");
    prometheus.expect(&known, (1 + MADE_UP / 500) as f64);
    let overflow = prometheus.number(&format!("sum({ALL}{{otel_metric_overflow=\"true\"}})"));
    assert_eq!(overflow, (MADE_UP - 199) as f64, "what has no row of its own");
    let series = prometheus.number("count({__name__=~\"traces_.*\"})");
    println!("{MADE_UP} topics: {series} series");
    assert!(series <= 201.0 * (15.0 + 9.0), "{series} series");
}

#[test]
fn spans_wait_while_the_trace_store_is_away() {
    let store = port();
    let gateway = Gateway::with(|config| config, &gateway::spans(store));
    let send = |from: usize| {
        let spans: Vec<_> = (from..from + 500).map(|n| Span::published(trace(n), TOPIC)).collect();
        send_spans(gateway.otlp, &spans);
    };
    send(0);
    thread::sleep(Duration::from_secs(4));
    let jaeger = Jaeger::start(store);
    let first = jaeger.settled(Duration::from_secs(8)).len();
    assert_eq!(first, 500);
    send(500);
    assert_eq!(jaeger.settled(Duration::from_secs(4)).len(), 1_000);
    // Gone, with what it had in memory, and back.
    drop(jaeger);
    send(1_000);
    thread::sleep(Duration::from_secs(4));
    let jaeger = Jaeger::start(store);
    let spans = jaeger.settled(Duration::from_secs(8));
    assert_eq!(spans.len(), 500);
}
