//! Values as people read them, and their colours.

use learnflow_boards::Threshold;

use crate::prometheus::Series;

/// One line after the other.
pub const PALETTE: [&str; 8] = [
    "#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#5794f2",
];

/// A value with its unit, Grafana's name of which stands in the board.
pub fn shown(value: f64, unit: &str) -> String {
    let scaled = |steps: &[(f64, &str)]| {
        let step = steps.iter().find(|(from, _)| value.abs() >= *from).or(steps.last());
        let (by, name) = step.copied().unwrap_or((1.0, ""));
        format!("{} {name}", number(value / by))
    };
    match unit {
        _ if value == 0.0 && unit != "percentunit" => "0".to_owned(),
        "percentunit" => format!("{} %", number(value * 100.0)),
        "s" => scaled(&[(60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")]),
        "ms" => scaled(&[(1e3, "s"), (1.0, "ms"), (1e-3, "µs")]),
        "bytes" | "decbytes" => scaled(&[
            (1024f64.powi(3), "GiB"),
            (1024f64.powi(2), "MiB"),
            (1024.0, "KiB"),
            (1.0, "B"),
        ]),
        "eps" | "reqps" | "ops" | "cps" | "recps" | "wps" | "rps" | "mps" => format!("{} /s", number(value)),
        "short" if value.abs() >= 1e4 => scaled(&[(1e6, "M"), (1e3, "k")]),
        _ => number(value),
    }
}

/// Three digits that say something.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The colour that thresholds give a value.
pub fn of_value(thresholds: &[Threshold], value: f64) -> &str {
    let reached = |threshold: &&Threshold| threshold.from.is_none_or(|from| value >= from);
    let last = thresholds.iter().rfind(reached);
    last.map_or("", |threshold| &threshold.color)
}

/// Grafana's colours by name.
pub fn color(name: &str) -> &'static str {
    match name {
        "green" => "#73bf69",
        "orange" => "#ff9830",
        "red" => "#f2495c",
        "yellow" => "#fade2a",
        "blue" => "#5794f2",
        "purple" => "#b877d9",
        _ => "#ccccdc",
    }
}

/// What a series is called.
pub fn name(series: &Series, legend: &str) -> String {
    let mut text = legend.to_owned();
    for (label, value) in &series.labels {
        text = text.replace(&format!("{{{{{label}}}}}"), value);
    }
    // Labels that it does not have.
    while let Some((before, rest)) = text.split_once("{{") {
        let after = rest.split_once("}}").map_or("", |(_, after)| after);
        text = format!("{before}{after}");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_at_a_glance() {
        for (value, unit, text) in [
            (0.0, "eps", "0"),
            (2.4834, "eps", "2.48 /s"),
            (1.0, "percentunit", "100 %"),
            (0.9987, "percentunit", "99.9 %"),
            (0.0, "percentunit", "0 %"),
            (0.02098, "s", "21 ms"),
            (0.0000004, "s", "0.4 µs"),
            (75.0, "s", "1.25 min"),
            (20.8, "ms", "20.8 ms"),
            (156_479_488.0, "bytes", "149 MiB"),
            (6704.0, "short", "6704"),
            (46_810.0, "short", "46.8 k"),
            (3.0, "none", "3"),
        ] {
            assert_eq!(shown(value, unit), text);
        }
    }
}
