//! Rows of characters over time, which goes to the right.

/// Columns for the time, and what is written before them.
const WIDTH: usize = 60;
const NAMES: usize = 11;
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Which column a moment is in. Whole seconds are in one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) begin: f64,
    pub(super) step: f64,
    pub(super) count: usize,
}

impl Columns {
    pub(super) fn new(begin: f64, end: f64) -> Self {
        let step = ((end - begin) / WIDTH as f64).ceil().max(1.0);
        Self {
            begin,
            step,
            count: ((end - begin) / step).ceil() as usize,
        }
    }

    pub(super) fn of(self, at: f64) -> usize {
        (((at - self.begin) / self.step) as usize).min(self.count - 1)
    }

    /// From when until when a column is.
    pub(super) fn spans(self) -> impl Iterator<Item = (f64, f64)> {
        let at = move |column: usize| self.begin + column as f64 * self.step;
        (0..self.count).map(move |column| (at(column), at(column + 1)))
    }

    /// What `put` makes of each column out of the moments in it.
    pub(super) fn each(self, moments: impl Iterator<Item = f64>, put: impl Fn(&mut f64, usize)) -> Vec<f64> {
        let mut all = vec![0.0; self.count];
        for (number, at) in moments.enumerate() {
            put(&mut all[self.of(at)], number);
        }
        all
    }

    /// A mark each ten columns, in seconds since 0.
    pub(super) fn axis(self, mark: impl Fn(f64) -> String) -> String {
        let mut line = " ".repeat(NAMES);
        let first = (-self.begin / self.step).round() as usize;
        for at in (first..self.count).step_by(10) {
            let mark = mark(((at - first) as f64 * self.step).round());
            let width = NAMES + at;
            line = format!("{line:<width$}{mark}");
        }
        line
    }
}

/// As high as they are, up to `most`; with a remark behind.
pub(super) fn bars(name: &str, values: &[f64], most: f64, remark: &str) -> String {
    let bar = |value: &f64| match (value / most * 8.0).ceil() {
        height if height.is_finite() => BARS[(height as usize).min(8)],
        _ => ' ',
    };
    let line = named(name, values.iter().map(bar).collect());
    match most {
        0.0 => line.trim_end().to_owned(),
        _ => format!("{line}  {remark}"),
    }
}

pub(super) fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

pub(super) fn named(name: &str, cells: String) -> String {
    format!("{name:<NAMES$}{cells}")
}
