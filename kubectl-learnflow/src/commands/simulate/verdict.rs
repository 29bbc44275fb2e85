//! Does the budget hold?

use super::show::within;
use crate::text::{count, format_seconds};
use learnflow_resilience::{
    simulate::{Report, State},
    verdict::{CLOSE, FAIL_FAST},
};

pub(super) struct Verdict {
    pub(super) holds: bool,
    /// Each promise, and whether it is kept.
    pub(super) promises: Vec<(bool, String)>,
}

impl Verdict {
    /// By all runs of the budget's outage, and of a longer one.
    pub(super) fn of(budget: &[Report], beyond: Option<&[Report]>) -> Self {
        let mut promises = vec![refusals(budget)];
        if let Some(beyond) = beyond {
            promises.push(fails_fast(beyond));
            promises.push(closes(beyond));
        }
        Self {
            holds: promises.iter().all(|(kept, _)| *kept),
            promises,
        }
    }
}

fn refusals(reports: &[Report]) -> (bool, String) {
    let refusing = reports.iter().filter(|report| report.refused > 0).count();
    let most = reports.iter().map(|report| report.refused).max().unwrap_or(0);
    let runs = count(reports.len(), "run");
    match refusing {
        0 => (true, format!("within the budget no publish is refused ({runs})")),
        _ => (
            false,
            format!("within the budget up to {most} publishes are refused (in {refusing} of {runs})"),
        ),
    }
}

/// By the rule of `verify`: [`learnflow_resilience::verdict::fast_from`].
fn fails_fast(reports: &[Report]) -> (bool, String) {
    let waiting = reports.iter().filter(|report| report.beyond.count == 0).count();
    if waiting > 0 {
        let longest = reports.iter().map(|report| report.answers.longest).fold(0.0, f64::max);
        return (
            false,
            format!(
                "beyond it nothing fails fast: in {waiting} of {} no publish is refused by an open breaker while Kafka is away, \
                 and callers wait for up to {}",
                count(reports.len(), "run"),
                format_seconds(longest)
            ),
        );
    }
    let slowest = reports.iter().map(|report| report.beyond.p99).fold(0.0, f64::max);
    let text = format!("beyond it a refusal comes {} (p99)", within(slowest));
    (slowest <= FAIL_FAST.as_secs_f64(), text)
}

fn closes(reports: &[Report]) -> (bool, String) {
    let opened = reports.iter().filter(|report| opens(report));
    let closed = opened.map(|report| report.closed_after);
    match closed.collect::<Option<Vec<f64>>>() {
        None => (false, "after it the breaker does not close".into()),
        Some(closed) if closed.is_empty() => (true, "after it no breaker is open".into()),
        Some(closed) => {
            let last = closed.into_iter().fold(0.0, f64::max);
            let text = format!("after it the breaker is closed within {}", format_seconds(last));
            (last <= CLOSE.as_secs_f64(), text)
        }
    }
}

pub(super) fn opens(report: &Report) -> bool {
    report.breaker.iter().any(|change| change.state == State::Open)
}
