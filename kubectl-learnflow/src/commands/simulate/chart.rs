//! One run as a picture of a few lines.

use super::super::chart::{Columns, bars, most, named};
use learnflow_resilience::simulate::{Report, Scenario, Slice, State};

pub(super) fn lines(scenario: &Scenario, report: &Report) -> Vec<String> {
    let begin = report.slices.first().map_or(0.0, |slice| slice.at);
    let end = report.slices.last().map_or(0.0, |slice| slice.at) + 1.0;
    let columns = Columns::new(begin, end);
    let moments = || report.slices.iter().map(|slice| slice.at);
    let sum = |of: fn(&Slice) -> u32| {
        columns.each(moments(), |cell, number| {
            *cell += f64::from(of(&report.slices[number])) / columns.step;
        })
    };
    let waiting = columns.each(moments(), |cell, number| {
        *cell = cell.max(report.slices[number].waiting.into());
    });
    let mut lines = vec![columns.axis(|seconds| format!("{seconds}s")), kafka(scenario, columns)];
    let rows = [
        ("published", sum(|slice| slice.made), "/s"),
        ("accepted", sum(|slice| slice.accepted), "/s"),
        ("refused", sum(|slice| slice.refused), "/s"),
        ("waiting", waiting, ""),
    ];
    for (name, values, unit) in rows {
        let most = most(&values);
        lines.push(bars(name, &values, most, &format!("≤ {most:.0}{unit}")));
    }
    if scenario.policy.breaker.is_some() {
        lines.push(breaker(report, columns));
    }
    lines
}

fn kafka(scenario: &Scenario, columns: Columns) -> String {
    let start = scenario.outage.start().as_secs_f64();
    let cells = columns.spans().map(|(from, to)| {
        let away = scenario.outage.windows.iter().any(|window| {
            let middle = f64::midpoint(from, to) + start;
            (window.from.as_secs_f64()..window.to.as_secs_f64()).contains(&middle)
        });
        if away { '·' } else { '━' }
    });
    named("kafka", cells.collect())
}

/// Closed, open, half-open: the worst that a column has.
fn breaker(report: &Report, columns: Columns) -> String {
    let cells = columns.spans().map(|(from, to)| {
        let before = report.breaker.iter().rev().find(|change| change.at < from);
        let within = report.breaker.iter().filter(|change| (from..to).contains(&change.at));
        let states = before.into_iter().chain(within).map(|change| change.state);
        states.fold('━', |worst, state| match (worst, state) {
            (_, State::Open) | ('o', _) => 'o',
            (_, State::HalfOpen) => '?',
            (worst, State::Closed) => worst,
        })
    });
    let line = named("breaker", cells.collect());
    match report.breaker.is_empty() {
        true => line,
        false => line + "  o open",
    }
}
