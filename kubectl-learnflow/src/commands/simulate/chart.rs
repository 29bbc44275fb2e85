//! One run as a picture of a few lines: time goes to the right.

use crate::commands::chart::{Columns, bars, named};
use learnflow_resilience::simulate::{Report, Scenario, State};

pub(super) fn lines(scenario: &Scenario, report: &Report) -> Vec<String> {
    let begin = report.slices.first().map_or(0.0, |slice| slice.at);
    let end = report.slices.last().map_or(0.0, |slice| slice.at) + 1.0;
    let columns = Columns::over(begin, end);
    let each = |of: &dyn Fn(&mut f64, usize)| {
        let mut all = vec![0.0; columns.count];
        for (number, slice) in report.slices.iter().enumerate() {
            of(&mut all[columns.of(slice.at)], number);
        }
        all
    };
    let sum = |of: fn(&learnflow_resilience::simulate::Slice) -> u32| {
        each(&|cell, number| *cell += f64::from(of(&report.slices[number])) / columns.step)
    };
    let waiting = each(&|cell, number| *cell = cell.max(report.slices[number].waiting.into()));
    let mut lines = vec![columns.axis(), kafka(scenario, columns)];
    let rows = [
        ("published", sum(|slice| slice.made), "/s"),
        ("accepted", sum(|slice| slice.accepted), "/s"),
        ("refused", sum(|slice| slice.refused), "/s"),
        ("waiting", waiting, ""),
    ];
    for (name, values, unit) in rows {
        lines.push(bars(name, &values, unit));
    }
    if scenario.policy.breaker.is_some() {
        lines.push(breaker(report, columns));
    }
    lines
}

fn kafka(scenario: &Scenario, columns: Columns) -> String {
    let start = scenario.outage.start().as_secs_f64();
    let cells = (0..columns.count).map(|column| {
        let (from, to) = columns.bounds(column);
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
    let cells = (0..columns.count).map(|column| {
        let (from, to) = columns.bounds(column);
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
