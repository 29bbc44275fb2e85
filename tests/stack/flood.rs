//! A caller that makes topics up: the real gateway and the real Prometheus, as they are shipped, under 100,000 random topics.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::{
    gateway::{self, Gateway},
    otlp::{Record, send},
    prometheus::{self, Prometheus},
    shipped::{self, replace},
};

const TOPICS: usize = 100_000;
/// What an agent sends at once, and how often.
const BATCH: usize = 500;
const PAUSE: Duration = Duration::from_millis(100);

/// What `manifests/collector/gateway.yaml` lets in, in series: docs/architecture.md does the sum.
const MOST_SERIES: f64 = 500.0 * 29.0 + 750.0 * 19.0 + 500.0 * 38.0;

const PUBLISHED: &str = "messaging_client_sent_messages_total";
const DELIVERED: &str = "messaging_client_consumed_messages_total";

/// What was sent, by metric, topic and outcome.
#[derive(Default)]
struct Sent {
    counts: BTreeMap<(&'static str, String, &'static str), u64>,
}

impl Sent {
    fn send(&mut self, gateway: &Gateway, records: Vec<Record>) {
        let (delivered, published): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.deliver);
        for (service, records) in [("course-agent", published), ("user-progress", delivered)] {
            for record in &records {
                let metric = if record.deliver { DELIVERED } else { PUBLISHED };
                let key = (metric, record.topic.clone(), record.outcome);
                *self.counts.entry(key).or_default() += 1;
            }
            send(gateway.otlp, service, &records);
        }
    }

    fn total(&self) -> f64 {
        self.counts.values().sum::<u64>() as f64
    }

    fn of(&self, metric: &'static str, topic: &str) -> f64 {
        let counts = self.counts.iter().filter(|((m, t, _), _)| *m == metric && t == topic);
        counts.map(|(_, count)| count).sum::<u64>() as f64
    }

    fn made_up(&self) -> f64 {
        let counts = self
            .counts
            .iter()
            .filter(|((_, topic, _), _)| topic.starts_with("random."));
        counts.map(|(_, count)| count).sum::<u64>() as f64
    }
}

/// What goes on all the time, flood or not.
fn everyday() -> Vec<Record> {
    vec![
        Record::published("lesson.generated"),
        Record::published("lesson.generated"),
        Record::failed("kafka-pubsub", "quiz.graded", 500),
        Record::delivered("lesson.generated"),
    ]
}

/// A topic that nobody has heard of. Of ten, six are published, two are refused by Kafka, one has a component that Dapr does
/// not know, and one is delivered (a publisher can have that with `metadata.__topic`).
pub fn made_up(n: usize) -> Record {
    let topic = format!("random.{:016x}", (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    match n % 10 {
        0..=5 => Record::published(&topic),
        6 | 7 => Record::failed("kafka-pubsub", &topic, 500),
        8 => Record::failed(&format!("pubsub-{n}"), &topic, 404),
        _ => Record::delivered(&topic),
    }
}

fn named(metric: &str, topic: &str) -> String {
    format!("sum({metric}{{messaging_destination_name=\"{topic}\"}})")
}

/// What a published topic has come to, by name, its restarts included.
fn increase(topic: &str) -> String {
    format!("sum(increase({PUBLISHED}{{messaging_destination_name=\"{topic}\"}}[1h] anchored))")
}

/// Half a second after a scrape. A series that comes back while its old value is still there begins anew for Prometheus only when its
/// beginning, 50 ms before, is later than the last scrape.
fn between_scrapes(prometheus: &Prometheus) {
    let scraped = || prometheus.number("max(timestamp(up{job=\"learnflow\"}))");
    let (begun, last) = (Instant::now(), scraped());
    while scraped() <= last {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is not scraped");
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(400));
}

fn check_everyday(prometheus: &Prometheus, sent: &Sent) {
    let duration = "messaging_client_operation_duration_seconds_count";
    for (metric, counted, topic) in [
        (PUBLISHED, PUBLISHED, "lesson.generated"),
        (PUBLISHED, PUBLISHED, "quiz.graded"),
        (PUBLISHED, duration, "lesson.generated"),
        (PUBLISHED, duration, "quiz.graded"),
        (DELIVERED, DELIVERED, "lesson.generated"),
        (DELIVERED, "learnflow_event_age_seconds_count", "lesson.generated"),
    ] {
        prometheus.expect(&named(counted, topic), sent.of(metric, topic));
    }
}

#[test]
fn a_hundred_thousand_random_topics() {
    // An hour in two and a half minutes, so that it passes here.
    let gateway = Gateway::start(|config| {
        let times = [
            ("max_stale: 1h", "max_stale: 150s"),
            ("metric_expiration: 65m", "metric_expiration: 270s"),
        ];
        replace(&config, &times.map(|(from, to)| (from, to.to_owned())))
    });
    let prometheus = Prometheus::start(&gateway);
    let mut sent = Sent::default();

    sent.send(&gateway, everyday());
    sent.send(&gateway, vec![Record::failed("kafka-pubsub", "(overflow)", 500)]);
    prometheus.expect("sum(learnflow_events_total)", sent.total());
    prometheus.expect(&named(PUBLISHED, "%28overflow)"), 1.0);
    assert_eq!(
        prometheus.number(&named(PUBLISHED, "(overflow)")),
        0.0,
        "a caller cannot name a row of ours"
    );
    assert_eq!(
        prometheus.number("count({__name__=~\"learnflow:events_overflow:.*\"})"),
        0.0
    );

    let begun = Instant::now();
    for n in 0..TOPICS / BATCH {
        let mut records: Vec<_> = (n * BATCH..(n + 1) * BATCH).map(made_up).collect();
        records.extend(everyday());
        sent.send(&gateway, records);
        thread::sleep(PAUSE.saturating_mul(n as u32 + 1).saturating_sub(begun.elapsed()));
    }
    let flood = begun.elapsed();

    // Everything is counted, what has a name is exact, and what has none is the rest, to the event.
    prometheus.expect("sum(learnflow_events_total)", sent.total());
    check_everyday(&prometheus, &sent);
    let with_name = |metric| prometheus.number(&format!("sum({metric}{{messaging_destination_name=~\"random.*\"}})"));
    let with_name = with_name(PUBLISHED) + with_name(DELIVERED);
    let unknown = named(PUBLISHED, "(no such component)");
    let without_component = (TOPICS / 10) as f64;
    prometheus.expect(&unknown, without_component);
    let rest = sent.made_up() - without_component - with_name;
    assert!(
        with_name > 0.0 && rest > TOPICS as f64 / 2.0,
        "{with_name} with a name, {rest} without"
    );
    prometheus.expect("sum(learnflow:events_overflow:increase1h)", rest);
    prometheus.expect("sum(learnflow:events:increase1h)", sent.total());
    let overflow_in_table = "sum(learnflow:topic_events:rate5m{messaging_destination_name=\"(overflow)\"}) > bool 0";
    prometheus.expect(overflow_in_table, 1.0);

    // Bounded, within the memory that the manifests give, and nothing was dropped but new series.
    let series = prometheus.number("count({job=\"learnflow\", __name__!~\"up|scrape_.*\"})");
    let totals = prometheus.number("count(learnflow_events_total)");
    assert!(series - totals <= MOST_SERIES, "{series} series");
    assert!(totals <= 10.0, "{totals} totals");
    assert_eq!(
        prometheus.number("sum(otelcol_deltatocumulative_datapoints{error!~\"|limit\"})"),
        0.0
    );
    for (process, manifest, name) in [
        (&gateway.process, gateway::MANIFEST, "gateway"),
        (&prometheus.process, prometheus::MANIFEST, "Prometheus"),
    ] {
        let (peak, limit) = (
            process.peak_memory().expect("its memory"),
            shipped::memory_limit(&shipped::container(manifest)),
        );
        println!("{name}: at most {} MiB of {} MiB", peak >> 20, limit >> 20);
        assert!(peak < limit, "{name} took {peak} of {limit} bytes");
    }
    println!("{TOPICS} topics in {flood:.0?}: {series} series, {with_name} events with a name, {rest} without");

    // A topic that is new after the flood has a name as soon as the made-up ones have been idle for long enough.
    let mut alerted = false;
    let started = Instant::now();
    while prometheus.number(&named(PUBLISHED, "late.topic")) == 0.0 {
        assert!(
            started.elapsed() < Duration::from_secs(300),
            "late.topic is still shut out"
        );
        let mut records = everyday();
        records.push(Record::published("late.topic"));
        sent.send(&gateway, records);
        alerted |=
            prometheus.number("count(ALERTS{alertname=\"LearnFlowTopicsOverflow\", alertstate=\"firing\"})") > 0.0;
        thread::sleep(Duration::from_secs(2));
    }
    println!("a new topic has a name {:.0?} after the flood", started.elapsed());
    assert!(alerted, "the alert fired meanwhile");
    // One of the made-up topics comes back: it begins anew, and what it had before is not counted again.
    let returning = made_up(0);
    let both_times = increase(&returning.topic);
    assert_eq!(
        prometheus.number(&both_times),
        1.0,
        "it was among the first, and had a name"
    );
    between_scrapes(&prometheus);
    sent.send(&gateway, vec![returning]);
    prometheus.expect(&both_times, 2.0);
    check_everyday(&prometheus, &sent);
    prometheus.expect("sum(learnflow_events_total)", sent.total());
    prometheus.expect("sum(learnflow:events:increase1h)", sent.total());
    // Each of its events is counted by name or in the overflow, and none twice.
    let both = format!("sum(learnflow:events_overflow:increase1h) + {}", increase("late.topic"));
    prometheus.expect(&both, rest + sent.of(PUBLISHED, "late.topic"));
}
