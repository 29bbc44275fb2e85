//! A row for what has the same labels, a column a query.

use std::collections::BTreeMap;

use learnflow_boards::Panel;

use super::{
    Answers,
    canvas::{self, Area, Canvas, shortened, width},
    nothing,
    value::{color, of_value, shown},
};

const LINE: f64 = 28.0;
const SIZE: f64 = 13.0;

pub fn table(canvas: &mut Canvas, area: &Area, panel: &Panel, answers: &Answers) {
    let mut rows: BTreeMap<Vec<String>, Vec<Option<f64>>> = BTreeMap::new();
    for (n, query) in panel.queries.iter().enumerate() {
        for series in answers.to_query(&query.expr) {
            let labels = panel.labels.iter();
            let key = labels.map(|label| series.labels.get(&label.label).cloned().unwrap_or_default());
            let row = rows
                .entry(key.collect())
                .or_insert_with(|| vec![None; panel.queries.len()]);
            row[n] = series.points.last().map(|point| point.1);
        }
    }
    if rows.is_empty() {
        canvas.centered(
            area.x + area.w / 2.0,
            area.y + area.h / 2.0,
            SIZE,
            canvas::DIM,
            nothing(panel),
        );
        return;
    }
    let titles = panel.labels.iter().map(|label| &label.title);
    let titles: Vec<&String> = titles.chain(panel.queries.iter().map(|query| &query.name)).collect();
    let cells: Vec<Vec<(String, &str)>> = rows
        .into_iter()
        .map(|(key, values)| cells(panel, key, &values))
        .collect();
    // Each as wide as what is in it, and what is left shared out.
    let wanted = |n: usize| {
        let texts = cells.iter().map(|row| row[n].0.as_str());
        let widths = texts.chain([titles[n].as_str()]).map(|text| width(text, SIZE));
        widths.fold(0.0, f64::max) + 16.0
    };
    let wanted: Vec<f64> = (0..titles.len()).map(wanted).collect();
    let share = area.w / wanted.iter().sum::<f64>();
    let mut x = area.x;
    for (n, wide) in wanted.iter().map(|wide| wide * share).enumerate() {
        canvas.text(
            x,
            area.y + 12.0,
            SIZE,
            color("blue"),
            &shortened(titles[n], SIZE, wide - 8.0),
        );
        for (line, row) in cells.iter().enumerate() {
            let y = area.y + LINE * (line as f64 + 1.0) + 12.0;
            if y < area.y + area.h {
                let (text, color) = &row[n];
                canvas.text(x, y, SIZE, color, &shortened(text, SIZE, wide - 8.0));
            }
        }
        x += wide;
    }
    for line in 0..=cells.len() {
        let y = area.y + LINE * (line as f64 + 1.0) - 8.0;
        if y < area.y + area.h {
            canvas.line((area.x, y), (area.x + area.w, y), canvas::RULE, 1.0);
        }
    }
}

fn cells(panel: &Panel, key: Vec<String>, values: &[Option<f64>]) -> Vec<(String, &'static str)> {
    let labels = key.into_iter().map(|text| (text, canvas::TEXT));
    let values = panel.queries.iter().zip(values).map(|(query, value)| match value {
        None => ("-".to_owned(), canvas::DIM),
        Some(value) => {
            let unit = query.unit.as_ref().unwrap_or(&panel.unit);
            (shown(*value, unit), color(of_value(&query.thresholds, *value)))
        }
    });
    labels.chain(values).collect()
}
