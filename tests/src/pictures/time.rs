//! What has changed over time: lines, and rows of states.

use jiff::{Timestamp, tz::TimeZone};
use learnflow_boards::Panel;

use super::{
    Answers,
    canvas::{self, Area, Canvas, shortened, width},
    nothing,
    value::{PALETTE, color, name, of_value, shown},
};
use crate::prometheus::Series;

const SIZE: f64 = 11.0;
/// For the values on the left, and the times below.
const LEFT: f64 = 66.0;
const BELOW: f64 = 18.0;
const LEGEND: f64 = 18.0;
/// Seconds between two points from which on there was nothing between them.
const PAUSE: f64 = 15.0;

/// All series of a panel, by name.
fn all<'a>(panel: &Panel, answers: &'a Answers) -> Vec<(String, &'a Series)> {
    let of = |query: &learnflow_boards::Query| {
        let legend = query.legend.clone();
        let series = answers.to_query(&query.expr).iter();
        series.map(move |one| (name(one, &legend), one)).collect::<Vec<_>>()
    };
    let series = panel.queries.iter().flat_map(of);
    series.filter(|(_, one)| !one.points.is_empty()).collect()
}

pub fn lines(canvas: &mut Canvas, area: &Area, panel: &Panel, answers: &Answers) {
    let series = all(panel, answers);
    let legend = legend(canvas, area, &series);
    let plot = Area {
        x: area.x + LEFT,
        y: area.y + 4.0,
        w: area.w - LEFT - 4.0,
        h: area.h - BELOW - legend - 4.0,
    };
    let values = series.iter().flat_map(|(_, one)| &one.points).map(|point| point.1);
    let top = ceiling(values.fold(0.0, f64::max), &panel.unit);
    let y = |value: f64| plot.y + plot.h * (1.0 - value.clamp(0.0, top) / top);
    for n in 0..=4 {
        let value = top * f64::from(n) / 4.0;
        canvas.line((plot.x, y(value)), (plot.x + plot.w, y(value)), canvas::RULE, 1.0);
        canvas.ending(
            plot.x - 8.0,
            y(value) + 4.0,
            SIZE,
            canvas::DIM,
            &shown(value, &panel.unit),
        );
    }
    times(canvas, &plot, answers, true);
    for threshold in &panel.thresholds {
        if let Some(from) = threshold.from.filter(|from| *from < top) {
            canvas.dashes((plot.x, y(from)), (plot.x + plot.w, y(from)), color(&threshold.color));
        }
    }
    if series.is_empty() {
        canvas.centered(
            plot.x + plot.w / 2.0,
            plot.y + plot.h / 2.0,
            13.0,
            canvas::DIM,
            nothing(panel),
        );
    }
    for ((_, one), color) in series.iter().zip(PALETTE.iter().cycle()) {
        for part in one.points.chunk_by(|before, after| after.0 - before.0 <= PAUSE) {
            let points: Vec<(f64, f64)> = part
                .iter()
                .map(|(t, value)| (x(&plot, answers, *t), y(*value)))
                .collect();
            canvas.lines(&points, color, 1.6);
        }
    }
}

/// A coloured piece as long as a state lasts.
pub fn states(canvas: &mut Canvas, area: &Area, panel: &Panel, answers: &Answers) {
    let series = all(panel, answers);
    let names = series.iter().map(|(name, _)| width(name, SIZE));
    let left = names.fold(60.0, f64::max).min(area.w / 3.0) + 12.0;
    let plot = Area {
        x: area.x + left,
        y: area.y + 2.0,
        w: area.w - left - 4.0,
        h: area.h - BELOW - 4.0,
    };
    let each = (plot.h / series.len().max(1) as f64).min(44.0);
    for (n, (name, one)) in series.iter().enumerate() {
        let y = plot.y + each * n as f64;
        let text = shortened(name, SIZE, left - 12.0);
        canvas.ending(plot.x - 8.0, y + each / 2.0 + 4.0, SIZE, canvas::TEXT, &text);
        let parts: Vec<&[(f64, f64)]> = one.points.chunk_by(|before, after| before.1 == after.1).collect();
        for (m, part) in parts.iter().enumerate() {
            let (first, last) = (part[0], part[part.len() - 1]);
            // Until the next one begins, unless there was nothing in between.
            let end = parts
                .get(m + 1)
                .map(|next| next[0].0)
                .filter(|next| next - last.0 <= PAUSE);
            let (from, to) = (x(&plot, answers, first.0), x(&plot, answers, end.unwrap_or(last.0)));
            let state = panel.names.get(&format!("{}", first.1));
            let named = state.map(|name| name.color.as_str());
            let piece = Area {
                x: from,
                y: y + 2.0,
                w: (to - from).max(3.0),
                h: each - 4.0,
            };
            canvas.rect(
                &piece,
                color(named.unwrap_or_else(|| of_value(&panel.thresholds, first.1))),
                0.0,
            );
            let text = state.map_or_else(|| shown(first.1, &panel.unit), |name| name.text.clone());
            if piece.w > width(&text, SIZE) + 8.0 {
                canvas.text(from + 6.0, y + each / 2.0 + 4.0, SIZE, canvas::BACK, &text);
            }
        }
    }
    times(canvas, &plot, answers, false);
}

fn x(plot: &Area, answers: &Answers, time: f64) -> f64 {
    plot.x + plot.w * (time - answers.from) / (answers.to - answers.from)
}

/// Each second minute.
fn times(canvas: &mut Canvas, plot: &Area, answers: &Answers, ruled: bool) {
    let step = 120.0;
    let mut time = (answers.from / step).ceil() * step;
    while time <= answers.to {
        let x = x(plot, answers, time);
        if ruled {
            canvas.line((x, plot.y), (x, plot.y + plot.h), canvas::RULE, 1.0);
        }
        let clock = Timestamp::from_second(time as i64).map(|time| time.to_zoned(TimeZone::UTC));
        let clock = clock.map(|time| time.strftime("%H:%M").to_string()).unwrap_or_default();
        if x < plot.x + plot.w - 10.0 {
            canvas.centered(x, plot.y + plot.h + 14.0, SIZE, canvas::DIM, &clock);
        }
        time += step;
    }
}

/// Below the lines, in as many rows as it takes up to three; how high it is.
fn legend(canvas: &mut Canvas, area: &Area, series: &[(String, &Series)]) -> f64 {
    let room = area.w - LEFT;
    let mut rows: Vec<Vec<(f64, usize)>> = vec![Vec::new()];
    let mut x = 0.0;
    for (n, (name, _)) in series.iter().enumerate() {
        let wide = width(name, SIZE).min(room - 30.0) + 34.0;
        if x + wide > room && x > 0.0 {
            rows.push(Vec::new());
            x = 0.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((x, n));
        }
        x += wide;
    }
    rows.truncate(3);
    let height = rows.len() as f64 * LEGEND;
    for (line, row) in rows.iter().enumerate() {
        let y = area.y + area.h - height + LEGEND * (line as f64 + 1.0) - 4.0;
        for (x, n) in row {
            let x = area.x + LEFT + x;
            let color = PALETTE[n % PALETTE.len()];
            canvas.line((x, y - 4.0), (x + 12.0, y - 4.0), color, 3.0);
            canvas.text(
                x + 17.0,
                y,
                SIZE,
                canvas::TEXT,
                &shortened(&series[*n].0, SIZE, room - 30.0),
            );
        }
    }
    height
}

/// The end of the scale: a round number that is not below the largest value.
fn ceiling(largest: f64, unit: &str) -> f64 {
    if largest <= 0.0 {
        return 1.0;
    }
    let base = if unit == "bytes" {
        1024f64.powf(largest.log(1024.0).floor())
    } else {
        1.0
    };
    let scaled = largest / base;
    let power = 10f64.powf(scaled.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= scaled * 1.02);
    step.unwrap_or(12.0) * power * base
}
