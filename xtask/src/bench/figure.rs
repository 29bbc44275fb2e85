//! One number, what it is held against, and how both are shown.

use serde_json::{Value, json};

#[derive(Debug)]
pub struct Figure {
    pub key: &'static str,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
    /// The least and the most of the rounds whose median it is.
    spread: Option<(f64, f64)>,
}

#[derive(Debug, Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// The unit of a ratio.
pub const TIMES: &str = "×";

impl Figure {
    pub fn new(key: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            key,
            value,
            unit,
            goal: None,
            spread: None,
        }
    }

    /// The median of what several rounds gave, of which there is at least one.
    pub fn median(key: &'static str, mut rounds: Vec<f64>, unit: &'static str) -> Self {
        rounds.sort_by(f64::total_cmp);
        let last = rounds.len() - 1;
        let value = f64::midpoint(rounds[last / 2], rounds[last.div_ceil(2)]);
        Self {
            spread: Some((rounds[0], rounds[last])),
            ..Self::new(key, value, unit)
        }
    }

    pub fn at_most(self, goal: f64) -> Self {
        let goal = Some(Goal::AtMost(goal));
        Self { goal, ..self }
    }

    pub fn at_least(self, goal: f64) -> Self {
        let goal = Some(Goal::AtLeast(goal));
        Self { goal, ..self }
    }

    fn met(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::AtMost(most) => self.value <= most,
            Goal::AtLeast(least) => self.value >= least,
        })
    }

    pub fn json(&self) -> Value {
        let goal = self.goal.map(|goal| match goal {
            Goal::AtMost(goal) | Goal::AtLeast(goal) => goal,
        });
        json!({
            "key": self.key, "value": self.value, "unit": self.unit, "goal": goal, "met": self.met(),
            "spread": self.spread.map(|(least, most)| [least, most]),
            "command": format!("cargo xtask bench {}", self.key),
        })
    }

    pub(super) fn row(&self) -> String {
        let show = |value| number(value, self.unit);
        let spread = self
            .spread
            .map(|(least, most)| format!("{} – {}", show(least), show(most)));
        let goal = self.goal.map(|goal| match goal {
            Goal::AtMost(goal) => format!("≤ {}", show(goal)),
            Goal::AtLeast(goal) => format!("≥ {}", show(goal)),
        });
        let verdict = match self.met() {
            None => "",
            Some(true) => "met",
            Some(false) => "missed",
        };
        let row = format!(
            "{:<36} {:>12} {:<4} {:>16} {:>14}  {verdict}",
            self.key,
            show(self.value),
            self.unit,
            spread.unwrap_or_default(),
            goal.unwrap_or_default(),
        );
        row.trim_end().to_owned()
    }
}

pub fn table(figures: &[Figure]) -> String {
    let head = format!(
        "{:<36} {:>12} {:<4} {:>16} {:>14}",
        "FIGURE", "VALUE", "UNIT", "SPREAD", "GOAL"
    );
    let rows = figures.iter().map(Figure::row);
    std::iter::once(head).chain(rows).map(|row| row + "\n").collect()
}

/// Ratios and seconds with two decimals, megabytes and milliseconds with one; of all else only whole numbers mean anything.
fn number(value: f64, unit: &str) -> String {
    match unit {
        TIMES | "s" => return format!("{value:.2}"),
        "MB" | "ms" => return format!("{value:.1}"),
        _ => {}
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_spread_of_rounds() {
        let odd = Figure::median("k", vec![3.0, 1.0, 2.5], TIMES);
        assert_eq!((odd.value, odd.spread), (2.5, Some((1.0, 3.0))));
        let even = Figure::median("k", vec![4.0, 1.0, 2.0, 3.0], TIMES);
        assert_eq!((even.value, even.spread), (2.5, Some((1.0, 4.0))));
        assert_eq!(Figure::median("k", vec![7.0], TIMES).value, 7.0);
    }

    #[test]
    fn a_goal_is_met_up_to_its_value() {
        let figure = |value| Figure::new("k", value, TIMES).at_most(2.0);
        assert_eq!(figure(2.0).met(), Some(true));
        assert_eq!(figure(2.001).met(), Some(false));
        assert_eq!(Figure::new("k", 9.0, TIMES).met(), None);
        let figure = |value| Figure::new("k", value, "/s").at_least(2.0);
        assert_eq!((figure(2.0).met(), figure(1.9).met()), (Some(true), Some(false)));
    }

    #[test]
    fn a_row_for_eyes_and_one_for_programs() {
        let figure = Figure::median("guest.x", vec![2.0, 2.25, 3.0], TIMES).at_most(2.0);
        assert_eq!(
            figure.row(),
            "guest.x                                      2.25 ×         2.00 – 3.00         ≤ 2.00  missed"
        );
        assert_eq!(
            figure.json(),
            json!({
                "key": "guest.x", "value": 2.25, "unit": "×", "goal": 2.0, "met": false, "spread": [2.0, 3.0],
                "command": "cargo xtask bench guest.x",
            })
        );
        let plain = Figure::new("k", 5.0, "By");
        assert_eq!(plain.row(), "k                                               5 By");
        assert_eq!(plain.json()["met"], Value::Null);
    }

    #[test]
    fn numbers() {
        for (value, unit, shown) in [
            (1.005_1, TIMES, "1.01"),
            (0.0, "By", "0"),
            (999.4, "ns", "999"),
            (9.96, "ms", "10.0"),
            (11297.0, "By", "11,297"),
            (20_971_520.0, "By", "20,971,520"),
        ] {
            assert_eq!(number(value, unit), shown);
        }
    }
}
