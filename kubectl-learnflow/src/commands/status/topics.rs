//! What went through each topic, from Prometheus.

use crate::{
    cluster::Cluster,
    model::Sample,
    printer::{Table, Tone, plain},
    problem::Problem,
    text::format_seconds,
};
use futures::try_join;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Rates and quantiles look back this far.
pub(super) const WINDOW: &str = "5m";

const TOPIC: &str = "messaging_destination_name";
const SERVICE: &str = "service_name";
const OUTCOME: &str = "learnflow_outcome";
const NAMESPACE: &str = "k8s_namespace_name";

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
    topics.sort_by(|a, b| (&a.topic, a.direction).cmp(&(&b.topic, b.direction)));
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
    let of = |samples: &[Sample], topic: &str| {
        samples
            .iter()
            .find(|sample| sample.label(TOPIC) == topic)
            .map(|sample| sample.value)
    };
    let [p50, p95, p99] = &answers.quantiles;
    topics
        .into_iter()
        .map(|(topic, (count, good, services))| Topic {
            topic: topic.to_owned(),
            direction,
            services,
            count: count as u64,
            success_ratio: (count > 0.0).then(|| good / count),
            per_second: of(&answers.rates, topic),
            p50_seconds: of(p50, topic),
            p95_seconds: of(p95, topic),
            p99_seconds: of(p99, topic),
            age_p95_seconds: of(&answers.ages, topic),
        })
        .collect()
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

/// Rounded down: 100 % is said only when nothing failed.
fn success(ratio: Option<f64>) -> (String, Tone) {
    match ratio {
        None => plain("-"),
        Some(ratio) => {
            let percent = (ratio * 10_000.0).floor() / 100.0;
            let tone = if percent >= 100.0 { Tone::Good } else { Tone::Warn };
            (format!("{percent:.2}%"), tone)
        }
    }
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
    fn almost_all_is_not_all() {
        assert_eq!(success(Some(0.999_999)).0, "99.99%");
        assert_eq!(success(Some(1.0)).0, "100.00%");
        assert_eq!(success(None).0, "-");
    }
}
