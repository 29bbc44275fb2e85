//! A load over time: given by a few points, or recorded.

use crate::{Ms, milli};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// In order; there is at least one.
    points: Vec<(Ms, f64)>,
    shape: Shape,
}

/// What is between two points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A line.
    Linear,
    /// The value stays until the next point.
    Steps,
}

/// What its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `1.5` cores or `1500m`; kept in thousandths of a core.
    Cpu,
    /// `50`, `50/s` or `3000/m`; kept in events a second.
    Rate,
}

/// Ten days: longer is a time in another unit by mistake.
const LONGEST: Ms = 10 * 24 * 3600 * 1000;

impl Curve {
    pub fn new(points: Vec<(Ms, f64)>, shape: Shape) -> Result<Self, String> {
        if points.is_empty() {
            return Err("it has no points".into());
        }
        if let Some(pair) = points.windows(2).find(|pair| pair[1].0 < pair[0].0) {
            let seconds = |at: Ms| at as f64 / 1e3;
            return Err(format!(
                "time goes back from {} s to {} s; write the points in their order",
                seconds(pair[0].0),
                seconds(pair[1].0)
            ));
        }
        let (first, last) = (points[0].0, points[points.len() - 1].0);
        if last - first > LONGEST {
            return Err("it is longer than ten days; times are in seconds".into());
        }
        Ok(Self { points, shape })
    }

    pub fn constant(value: f64) -> Self {
        Self {
            points: vec![(0, value)],
            shape: Shape::Steps,
        }
    }

    /// `0=200m,1m=1500m,5m=200m`: what a flag says.
    pub fn parse(text: &str, unit: Unit, shape: Shape) -> Result<Self, String> {
        let point = |point: &str| {
            let place = |why: String| format!("`{point}`: {why}");
            let (time, value) = point
                .split_once('=')
                .ok_or_else(|| place("a point is TIME=VALUE, as in 5m=800m".into()))?;
            let time = duration(time.trim()).ok_or_else(|| {
                place(format!(
                    "`{}` is not a time; write seconds, or 90s, 5m, 1h",
                    time.trim()
                ))
            })?;
            Ok((time, value_of(value.trim(), unit).map_err(place)?))
        };
        let points: Result<Vec<_>, String> = text.split(',').map(|part| point(part.trim())).collect();
        Self::new(points?, shape)
    }

    /// Lines of `time,value`. Times are seconds, or seconds or milliseconds since 1970; the first is the beginning.
    pub fn csv(text: &str, unit: Unit, shape: Shape) -> Result<Self, String> {
        let mut points = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = |why: String| format!("line {}: {why}", number + 1);
            let (time, value) = line
                .split_once([',', ';', '\t'])
                .ok_or_else(|| place(format!("`{line}` is not TIME,VALUE")))?;
            let unquoted = |cell: &str| cell.trim().trim_matches('"').to_owned();
            let (time, value) = (unquoted(time), unquoted(value));
            match time.parse::<f64>().ok().filter(|time| time.is_finite()) {
                Some(time) => points.push((time, value_of(&value, unit).map_err(place)?)),
                // The names of the columns.
                None if points.is_empty() && number == 0 => {}
                None => return Err(place(format!("`{time}` is not a time; write seconds"))),
            }
        }
        Self::since_first(points, shape)
    }

    /// The answer of Prometheus to a range query, of one series; several are added up.
    pub fn prometheus(text: &str, unit: Unit, shape: Shape) -> Result<Self, String> {
        let answer: Value = serde_json::from_str(text).map_err(|e| format!("it is not JSON: {e}"))?;
        let series = answer["data"]["result"].as_array();
        let series = series.ok_or("it has no data.result: it is not an answer of Prometheus to query_range")?;
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (number, one) in series.iter().enumerate() {
            for (at, pair) in one["values"].as_array().into_iter().flatten().enumerate() {
                let read = pair[0].as_f64().zip(pair[1].as_str());
                let place = |why: String| format!("data.result[{number}].values[{at}]: {why}");
                let (time, value) = read.ok_or_else(|| place("it is not [TIME, \"VALUE\"]".into()))?;
                let value = value_of(value, unit).map_err(place)?;
                match points.binary_search_by(|point| point.0.total_cmp(&time)) {
                    Ok(there) => points[there].1 += value,
                    Err(there) => points.insert(there, (time, value)),
                }
            }
        }
        Self::since_first(points, shape)
    }

    fn since_first(points: Vec<(f64, f64)>, shape: Shape) -> Result<Self, String> {
        // No curve of seconds is that long, and no time since 1970 in seconds that late.
        let unit = match points.first() {
            Some((time, _)) if *time > 1e11 => 1.0,
            _ => 1e3,
        };
        let first = points.first().map_or(0.0, |point| point.0);
        let since = |time: f64| ((time - first) * unit).round() as Ms;
        Self::new(
            points.iter().map(|(time, value)| (since(*time), *value)).collect(),
            shape,
        )
    }

    pub fn at(&self, time: Ms) -> f64 {
        let after = self.points.partition_point(|(at, _)| *at <= time);
        let Some((_, value)) = after.checked_sub(1).map(|before| self.points[before]) else {
            return self.points[0].1;
        };
        match (self.shape, self.points.get(after)) {
            (Shape::Linear, Some((next, then))) => {
                let (from, _) = self.points[after - 1];
                value + (then - value) * (time - from) as f64 / (next - from) as f64
            }
            _ => value,
        }
    }

    /// The next point after `time`.
    pub fn next(&self, time: Ms) -> Option<Ms> {
        let after = self.points.partition_point(|(at, _)| *at <= time);
        self.points.get(after).map(|point| point.0)
    }

    pub fn end(&self) -> Ms {
        self.points[self.points.len() - 1].0
    }

    pub fn peak(&self) -> f64 {
        self.points.iter().map(|point| point.1).fold(0.0, f64::max)
    }
}

fn value_of(text: &str, unit: Unit) -> Result<f64, String> {
    let (value, example) = match unit {
        Unit::Cpu => (cpu(text), "CPU; write for example 500m or 1.5"),
        Unit::Rate => (rate(text), "a rate; write for example 50/s"),
    };
    value
        .filter(|value| (0.0..1e9).contains(value))
        .ok_or_else(|| format!("`{text}` is not {example}"))
}

/// Recorded values have more digits than a quantity may have.
fn cpu(text: &str) -> Option<f64> {
    match text.parse::<f64>() {
        Ok(cores) => Some(cores * 1e3),
        Err(_) => milli(text).map(|milli| milli as f64),
    }
}

fn rate(text: &str) -> Option<f64> {
    let (number, seconds) = match text.split_once('/') {
        None | Some((_, "s")) => (text.trim_end_matches("/s"), 1.0),
        Some((number, "m")) => (number, 60.0),
        Some((number, "h")) => (number, 3600.0),
        Some(_) => return None,
    };
    Some(number.parse::<f64>().ok()? / seconds)
}

/// `90`, `90s`, `1m30s`, `1h`.
fn duration(text: &str) -> Option<Ms> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (0.0..1e9).contains(&seconds).then_some((seconds * 1e3).round() as Ms);
    }
    let (mut rest, mut total) = (text, 0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: Ms = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let factor = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        rest = &rest[unit..];
        total += number.checked_mul(factor)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
#[path = "curve_tests.rs"]
mod tests;
