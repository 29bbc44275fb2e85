//! One run as a picture of a few lines: time goes to the right.

use learnflow_resilience::simulate::{Report, Scenario, State};

/// Columns for the time, and what is written before them.
const WIDTH: usize = 60;
const NAMES: usize = 11;
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn lines(scenario: &Scenario, report: &Report) -> Vec<String> {
    let begin = report.slices.first().map_or(0.0, |slice| slice.at);
    let end = report.slices.last().map_or(0.0, |slice| slice.at) + 1.0;
    // Whole seconds in a column.
    let step = ((end - begin) / WIDTH as f64).ceil().max(1.0);
    let columns = ((end - begin) / step).ceil() as usize;
    let column = |at: f64| ((at - begin) / step) as usize;
    let each = |of: &dyn Fn(&mut f64, usize)| {
        let mut all = vec![0.0; columns];
        for (number, slice) in report.slices.iter().enumerate() {
            of(&mut all[column(slice.at).min(columns - 1)], number);
        }
        all
    };
    let sum = |of: fn(&learnflow_resilience::simulate::Slice) -> u32| {
        each(&|cell, number| *cell += f64::from(of(&report.slices[number])) / step)
    };
    let waiting = each(&|cell, number| *cell = cell.max(report.slices[number].waiting.into()));
    let mut lines = vec![axis(begin, step, columns), kafka(scenario, begin, step, columns)];
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
        lines.push(breaker(report, begin, step, columns));
    }
    lines
}

/// A mark each ten columns, in seconds since the outage began.
fn axis(begin: f64, step: f64, columns: usize) -> String {
    let mut line = " ".repeat(NAMES);
    let first = (-begin / step).round() as usize;
    for at in (first..columns).step_by(10) {
        let mark = format!("{}s", ((at - first) as f64 * step).round());
        let width = NAMES + at;
        line = format!("{line:<width$}{mark}");
    }
    line
}

fn kafka(scenario: &Scenario, begin: f64, step: f64, columns: usize) -> String {
    let start = scenario.outage.start().as_secs_f64();
    let cells = (0..columns).map(|column| {
        let (from, to) = (begin + column as f64 * step, begin + (column + 1) as f64 * step);
        let away = scenario.outage.windows.iter().any(|window| {
            let middle = f64::midpoint(from, to) + start;
            (window.from.as_secs_f64()..window.to.as_secs_f64()).contains(&middle)
        });
        if away { '·' } else { '━' }
    });
    named("kafka", cells.collect())
}

fn bars(name: &str, values: &[f64], unit: &str) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| match (value / most * 8.0).ceil() {
        height if height.is_finite() => BARS[(height as usize).min(8)],
        _ => ' ',
    };
    let line = named(name, values.iter().map(bar).collect());
    match most {
        0.0 => line.trim_end().to_owned(),
        most => format!("{line}  ≤ {most:.0}{unit}"),
    }
}

/// Closed, open, half-open: the worst that a column has.
fn breaker(report: &Report, begin: f64, step: f64, columns: usize) -> String {
    let cells = (0..columns).map(|column| {
        let (from, to) = (begin + column as f64 * step, begin + (column + 1) as f64 * step);
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

fn named(name: &str, cells: String) -> String {
    format!("{name:<NAMES$}{cells}")
}
