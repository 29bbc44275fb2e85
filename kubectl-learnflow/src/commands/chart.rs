//! Rows of a picture of a few lines: time goes to the right.

/// Columns for the time, and what is written before them.
const WIDTH: usize = 60;
const NAMES: usize = 11;
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Seconds, as columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) begin: f64,
    /// Whole seconds in a column.
    pub(super) step: f64,
    pub(super) count: usize,
}

impl Columns {
    pub(super) fn over(begin: f64, end: f64) -> Self {
        let step = ((end - begin) / WIDTH as f64).ceil().max(1.0);
        Self {
            begin,
            step,
            count: ((end - begin) / step).ceil().max(1.0) as usize,
        }
    }

    pub(super) fn of(self, at: f64) -> usize {
        (((at - self.begin) / self.step) as usize).min(self.count - 1)
    }

    /// From when to when a column is.
    pub(super) fn bounds(self, column: usize) -> (f64, f64) {
        let from = self.begin + column as f64 * self.step;
        (from, from + self.step)
    }

    /// A mark each ten columns, in seconds from zero on.
    pub(super) fn axis(self) -> String {
        let mut line = " ".repeat(NAMES);
        let first = (-self.begin / self.step).round().max(0.0) as usize;
        for at in (first..self.count).step_by(10) {
            let mark = format!("{}s", ((at - first) as f64 * self.step).round());
            let width = NAMES + at;
            line = format!("{line:<width$}{mark}");
        }
        line
    }
}

pub(super) fn bars(name: &str, values: &[f64], unit: &str) -> String {
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

pub(super) fn named(name: &str, cells: String) -> String {
    format!("{name:<NAMES$}{cells}")
}
