//! How many spans came, and which sidecars are scraped: what Prometheus knows.

use crate::{
    cluster::Cluster,
    commands::enrolled_sidecars::EnrolledSidecars,
    coverage::{Evidence, Spans},
    model::Sample,
    problem::Problem,
};
use futures::try_join;
use learnflow_core::Direction;
use learnflow_flow::Time;
use std::{collections::BTreeMap, time::Duration};

/// How far Prometheus is behind: sidecars send their spans each 5 s, the gateway counts each 5 s, and is scraped each 5 s.
pub(super) const LATE: Duration = Duration::from_secs(20);

const SPANS: &str = "traces_span_metrics_calls_total";
const APP: &str = "service_name";
const TOPIC: &str = "messaging_destination_name";
const OPERATION: &str = "messaging_operation_type";

pub(super) struct Told {
    sidecars: EnrolledSidecars,
    spans: Option<Spans>,
}

/// What came between two moments.
pub(super) async fn between(cluster: &Cluster, first: Time, second: Time) -> Result<Told, Problem> {
    let at = |time: Time| {
        // An app may have spans of its own, of another kind.
        let events = format!("{SPANS}{{{OPERATION}=~\"send|process\",span_kind=~\"SPAN_KIND_(PRODUCER|CONSUMER)\"}}");
        let seconds = time.seconds() + i64::try_from(LATE.as_secs()).unwrap_or(0);
        format!("sum by ({APP}, {TOPIC}, {OPERATION}) ({events} @ {seconds})")
    };
    let (any, overflow) = (
        format!("count({SPANS})"),
        format!("count({SPANS}{{otel_metric_overflow=\"true\"}})"),
    );
    let (before, after) = (at(first), at(second));
    let (sidecars, any, overflow, before, after) = try_join!(
        EnrolledSidecars::of(cluster),
        cluster.query(&any),
        cluster.query(&overflow),
        cluster.query(&before),
        cluster.query(&after),
    )?;
    let counts = grown(&before, &after);
    let overflow = !overflow.is_empty();
    // Without any span there may be no tracing at all.
    let spans = (!any.is_empty()).then_some(Spans { counts, overflow });
    Ok(Told { sidecars, spans })
}

fn grown(before: &[Sample], after: &[Sample]) -> BTreeMap<(String, String, Direction), u64> {
    let place = |sample: &Sample| {
        let dir = match sample.label(OPERATION) {
            "send" => Direction::Publish,
            _ => Direction::Deliver,
        };
        (sample.label(APP).to_owned(), sample.label(TOPIC).to_owned(), dir)
    };
    let at_first: BTreeMap<_, _> = before.iter().map(|sample| (place(sample), sample.value)).collect();
    let grown = |sample: &Sample| {
        let place = place(sample);
        let start = at_first.get(&place).copied().unwrap_or(0.0);
        // A row that has begun anew counts from nothing.
        let count = if sample.value < start {
            sample.value
        } else {
            sample.value - start
        };
        (place, count as u64)
    };
    after.iter().map(grown).collect()
}

impl Told {
    pub(super) fn complete(self, evidence: &mut Evidence) {
        for sidecar in &mut evidence.sidecars {
            sidecar.scraped = Some(self.sidecars.is_up(&sidecar.pod));
        }
        evidence.spans = self.spans;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_from_one_moment_to_another() {
        let sample = |topic: &str, operation: &str, value: f64| Sample {
            labels: [(APP, "cart"), (TOPIC, topic), (OPERATION, operation)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            value,
        };
        let before = [sample("a", "send", 5.0), sample("a", "process", 9.0)];
        let after = [
            sample("a", "send", 8.0),
            sample("a", "process", 2.0),
            sample("b", "send", 4.0),
        ];
        let place = |topic: &str, dir| ("cart".to_owned(), topic.to_owned(), dir);
        let expected = [
            (place("a", Direction::Publish), 3),
            (place("a", Direction::Deliver), 2),
            (place("b", Direction::Publish), 4),
        ];
        assert_eq!(grown(&before, &after), expected.into());
    }
}
