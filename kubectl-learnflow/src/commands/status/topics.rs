//! What went through each topic, from Prometheus.

use crate::{
    cluster::Cluster,
    model::Sample,
    printer::{Table, plain, success},
    problem::Problem,
    text::format_seconds,
};
use futures::try_join;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Rates and quantiles look back this far.
pub(super) const WINDOW: &str = "5m";
const WINDOW_SECONDS: u32 = 300;

/// The row of what no topic's name stands for: see `dashboards/rules/events.yaml`.
const OVERFLOW: &str = "(overflow)";

/// More rows are on no screen.
const SHOWN: usize = 40;

const TOPIC: &str = "messaging_destination_name";
const SERVICE: &str = "service_name";
const OUTCOME: &str = "learnflow_outcome";
const NAMESPACE: &str = "k8s_namespace_name";
const OPERATION: &str = "messaging_operation_type";

/// One direction of one topic. What is not known is absent, never a zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Topic {
    pub(super) topic: String,
    pub(super) direction: Direction,
    /// Services that publish to it, or that it is delivered to.
    pub(super) services: BTreeSet<String>,
    /// Calls since the gateway began to count.
    pub(super) count: u64,
    pub(super) success_ratio: Option<f64>,
    pub(super) per_second: Option<f64>,
    pub(super) p50_seconds: Option<f64>,
    pub(super) p95_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
    /// From Kafka's timestamp to the delivery.
    pub(super) age_p95_seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Publish,
    Deliver,
}

impl Direction {
    fn counter(self) -> &'static str {
        match self {
            Self::Publish => "messaging_client_sent_messages_total",
            Self::Deliver => "messaging_client_consumed_messages_total",
        }
    }

    fn duration(self) -> &'static str {
        match self {
            Self::Publish => "messaging_client_operation_duration_seconds_bucket",
            Self::Deliver => "messaging_process_duration_seconds_bucket",
        }
    }

    /// As OpenTelemetry calls it.
    fn operation(self) -> &'static str {
        match self {
            Self::Publish => "send",
            Self::Deliver => "process",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Deliver => "deliver",
        }
    }
}

/// What Prometheus says about one direction.
#[derive(Debug, Default)]
struct Answers {
    counts: Vec<Sample>,
    rates: Vec<Sample>,
    quantiles: [Vec<Sample>; 3],
    ages: Vec<Sample>,
}

pub(super) async fn of(cluster: &Cluster) -> Result<Vec<Topic>, Problem> {
    let (publish, deliver) = try_join!(ask(cluster, Direction::Publish), ask(cluster, Direction::Deliver))?;
    let mut topics = rows(Direction::Publish, &publish);
    topics.extend(rows(Direction::Deliver, &deliver));
    topics.sort_by(|a, b| place(a).cmp(&place(b)));
    Ok(topics)
}

async fn ask(cluster: &Cluster, direction: Direction) -> Result<Answers, Problem> {
    let only = format!("{{{NAMESPACE}=\"{}\"}}", cluster.namespace);
    let counts = format!("sum by ({TOPIC}, {SERVICE}, {OUTCOME}) ({}{only})", direction.counter());
    let rates = format!("sum by ({TOPIC}) (rate({}{only}[{WINDOW}]))", direction.counter());
    let quantile = |q: &str, histogram: &str| {
        format!("histogram_quantile({q}, sum by ({TOPIC}, le) (rate({histogram}{only}[{WINDOW}])))")
    };
    let (p50, p95, p99) = (
        quantile("0.5", direction.duration()),
        quantile("0.95", direction.duration()),
        quantile("0.99", direction.duration()),
    );
    // A publish has no age yet; asking for it would answer with the deliveries'.
    let ages = match direction {
        Direction::Deliver => quantile("0.95", "learnflow_event_age_seconds_bucket"),
        Direction::Publish => "vector(0) > 0".to_owned(),
    };
    // What went to topics beyond the gateway's limit, within an hour, and within the window.
    let rest = |window: &str, by: &str| {
        let of = format!(
            "{NAMESPACE}=\"{}\",{OPERATION}=\"{}\"",
            cluster.namespace,
            direction.operation()
        );
        let sum = format!("sum by ({by}) (learnflow:events_overflow:increase{window}{{{of}}}) > 0");
        format!("label_replace({sum}, \"{TOPIC}\", \"{OVERFLOW}\", \"\", \"\")")
    };
    let counts = format!("{counts} or {}", rest("1h", &format!("{SERVICE}, {OUTCOME}")));
    let rates = format!("{rates} or {} / {WINDOW_SECONDS}", rest(WINDOW, TOPIC));
    let (counts, rates, p50, p95, p99, ages) = try_join!(
        cluster.query(&counts),
        cluster.query(&rates),
        cluster.query(&p50),
        cluster.query(&p95),
        cluster.query(&p99),
        cluster.query(&ages),
    )?;
    Ok(Answers {
        counts,
        rates,
        quantiles: [p50, p95, p99],
        ages,
    })
}

fn rows(direction: Direction, answers: &Answers) -> Vec<Topic> {
    let mut topics: BTreeMap<&str, (f64, f64, BTreeSet<String>)> = BTreeMap::new();
    for sample in &answers.counts {
        let (count, good, services) = topics.entry(sample.label(TOPIC)).or_default();
        *count += sample.value;
        if sample.label(OUTCOME) == "success" {
            *good += sample.value;
        }
        services.insert(sample.label(SERVICE).to_owned());
    }
    let rates = by_topic(&answers.rates);
    let ages = by_topic(&answers.ages);
    let [p50, p95, p99] = answers.quantiles.each_ref().map(|samples| by_topic(samples));
    topics
        .into_iter()
        .map(|(topic, (count, good, services))| Topic {
            topic: topic.to_owned(),
            direction,
            services,
            count: count as u64,
            success_ratio: (count > 0.0).then(|| good / count),
            per_second: rates.get(topic).copied(),
            p50_seconds: p50.get(topic).copied(),
            p95_seconds: p95.get(topic).copied(),
            p99_seconds: p99.get(topic).copied(),
            age_p95_seconds: ages.get(topic).copied(),
        })
        .collect()
}

fn by_topic(samples: &[Sample]) -> BTreeMap<&str, f64> {
    samples
        .iter()
        .map(|sample| (sample.label(TOPIC), sample.value))
        .collect()
}

/// What there is to say when callers use more topics than have a name here.
pub(super) fn overflow(topics: &[Topic]) -> Option<String> {
    let rows = || topics.iter().filter(|topic| topic.topic == OVERFLOW);
    let services: BTreeSet<&str> = rows().flat_map(|row| &row.services).map(String::as_str).collect();
    let services: Vec<&str> = services.into_iter().collect();
    let count: u64 = rows().map(|row| row.count).sum();
    (count > 0).then(|| {
        format!(
            "{count} events of {} in the last hour went to more topics than are shown by name: they are counted under \
             {OVERFLOW}. See LearnFlowTopicsOverflow in docs/runbooks.md.",
            services.join(", ")
        )
    })
}

/// The rows that fit on a screen, in their order: of many topics the overflow and the busiest.
pub(super) fn busiest(topics: &[Topic]) -> Vec<Topic> {
    let mut rows: Vec<&Topic> = topics.iter().collect();
    rows.sort_by_key(|topic| (topic.topic != OVERFLOW, Reverse(topic.count)));
    rows.truncate(SHOWN);
    rows.sort_by_key(|topic| place(topic));
    rows.into_iter().cloned().collect()
}

fn place(topic: &Topic) -> (bool, &str, Direction) {
    (topic.topic == OVERFLOW, &topic.topic, topic.direction)
}

pub(super) fn table(topics: &[Topic], wide: bool) -> Table {
    let mut header = vec!["TOPIC", "DIR", "SUCCESS", "COUNT", "RPS", "P50", "P95", "AGE_P95"];
    if wide {
        header.splice(7..7, ["P99"]);
        header.push("SERVICES");
    }
    let mut table = Table::new(&header);
    for topic in topics {
        let seconds = |value: Option<f64>| plain(value.map_or_else(|| "-".into(), format_seconds));
        let mut row = vec![
            plain(&topic.topic),
            plain(topic.direction.as_str()),
            success(topic.success_ratio),
            plain(topic.count.to_string()),
            plain(topic.per_second.map_or_else(|| "-".into(), |rate| format!("{rate:.1}"))),
            seconds(topic.p50_seconds),
            seconds(topic.p95_seconds),
            seconds(topic.age_p95_seconds),
        ];
        if wide {
            row.splice(7..7, [seconds(topic.p99_seconds)]);
            row.push(plain(topic.services.iter().cloned().collect::<Vec<_>>().join(",")));
        }
        table.rows.push(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(labels: &[(&str, &str)], value: f64) -> Sample {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Sample { labels, value }
    }

    #[test]
    fn counts_become_a_row_a_topic() {
        let answers = Answers {
            counts: vec![
                sample(&[(TOPIC, "a"), (SERVICE, "x"), (OUTCOME, "success")], 199_999.0),
                sample(&[(TOPIC, "a"), (SERVICE, "y"), (OUTCOME, "error")], 1.0),
                sample(&[(TOPIC, "b"), (SERVICE, "x"), (OUTCOME, "success")], 5.0),
            ],
            rates: vec![sample(&[(TOPIC, "a")], 2.5)],
            quantiles: [vec![sample(&[(TOPIC, "a")], 0.0012)], vec![], vec![]],
            ages: vec![],
        };
        let rows = rows(Direction::Publish, &answers);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].services.iter().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(
            table(&rows, false).render(false),
            "TOPIC   DIR       SUCCESS   COUNT    RPS   P50     P95   AGE_P95\n\
             a       publish   99.99%    200000   2.5   1.2ms   -     -\n\
             b       publish   100.00%   5        -     -       -     -\n"
        );
        assert!(
            table(&rows, true)
                .render(false)
                .lines()
                .next()
                .is_some_and(|h| h.ends_with("SERVICES"))
        );
    }

    #[test]
    fn an_overflow_is_said() {
        assert_eq!(overflow(&[]), None);
        let answers = |service, count| Answers {
            counts: vec![sample(
                &[(TOPIC, OVERFLOW), (SERVICE, service), (OUTCOME, "error")],
                count,
            )],
            ..Answers::default()
        };
        let mut topics = rows(Direction::Publish, &answers("x", 40.0));
        topics.extend(rows(Direction::Deliver, &answers("y", 2.0)));
        let said = overflow(&topics).expect("a note");
        assert!(said.starts_with("42 events of x, y in the last hour"), "{said}");
        topics.retain(|topic| topic.topic != OVERFLOW);
        assert_eq!(overflow(&topics), None);
    }

    #[test]
    fn of_many_topics_the_busiest_are_shown_and_the_overflow() {
        let names: Vec<String> = (0..SHOWN).map(|n| format!("a{n:02}")).collect();
        let mut counts: Vec<Sample> = names.iter().map(|name| sample(&[(TOPIC, name)], 2.0)).collect();
        counts.push(sample(&[(TOPIC, "z")], 9.0));
        counts.push(sample(&[(TOPIC, OVERFLOW)], 1.0));
        let mut all = rows(
            Direction::Publish,
            &Answers {
                counts,
                ..Answers::default()
            },
        );
        all.sort_by(|a, b| place(a).cmp(&place(b)));
        let shown = busiest(&all);
        let names: Vec<&str> = shown.iter().map(|topic| topic.topic.as_str()).collect();
        assert_eq!((names.len(), names[0]), (SHOWN, "a00"));
        assert_eq!(names[SHOWN - 2..], ["z", OVERFLOW]);
        assert_eq!(busiest(&all[..3]), all[..3]);
    }

    #[test]
    fn almost_all_is_not_all() {
        assert_eq!(success(Some(0.999_999)).0, "99.99%");
        assert_eq!(success(Some(1.0)).0, "100.00%");
        assert_eq!(success(None).0, "-");
    }
}
