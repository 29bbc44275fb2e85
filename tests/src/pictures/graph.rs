//! Circles and arrows. What only sends is on the left, what is sent to further right.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use learnflow_boards::Panel;

use super::{
    Answers,
    canvas::{self, Area, Canvas},
    value::{color, shown},
};

const RADIUS: f64 = 34.0;

pub fn graph(canvas: &mut Canvas, area: &Area, panel: &Panel, answers: &Answers) -> Result<()> {
    let of = |name: &str| {
        let query = panel.queries.iter().find(|query| query.name == name);
        query
            .map(|query| answers.to_query(&query.expr))
            .with_context(|| format!("a graph has a query {name}"))
    };
    let label = |series: &crate::Series, name: &str| series.labels.get(name).cloned().unwrap_or_default();
    let value = |series: &crate::Series| series.points.last().map_or(0.0, |point| point.1);
    let edges: Vec<(String, String, f64)> = of("edges")?
        .iter()
        .map(|edge| (label(edge, "source"), label(edge, "target"), value(edge)))
        .collect();
    let nodes = of("nodes")?;
    // As far right as the longest way to it; a circle of ways ends it.
    let mut depth: BTreeMap<String, usize> = nodes.iter().map(|node| (label(node, "id"), 0)).collect();
    for _ in 0..nodes.len() {
        for (source, target, _) in &edges {
            let next = depth.get(source).copied().unwrap_or(0) + 1;
            if let Some(there) = depth
                .get_mut(target)
                .filter(|there| **there < next && next < nodes.len())
            {
                *there = next;
            }
        }
    }
    let mut columns: BTreeMap<usize, Vec<&String>> = BTreeMap::new();
    // What is joined to nothing is of no way.
    let joined = |id: &str| edges.iter().any(|(source, target, _)| source == id || target == id);
    for (id, depth) in depth.iter().filter(|(id, _)| joined(id)) {
        columns.entry(*depth).or_default().push(id);
    }
    let mut places: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let count = columns.len().max(1) as f64;
    for (n, column) in columns.values().enumerate() {
        let each = area.h / column.len() as f64;
        for (m, id) in column.iter().enumerate() {
            let x = area.x + area.w / count * (n as f64 + 0.5);
            places.insert(id, (x, area.y + each * (m as f64 + 0.5) - 8.0));
        }
    }
    for (source, target, value) in &edges {
        if let (Some(from), Some(to)) = (places.get(source.as_str()), places.get(target.as_str())) {
            arrow(canvas, *from, *to, &shown(*value, &panel.unit));
        }
    }
    for node in nodes {
        let Some(&(x, y)) = places.get(label(node, "id").as_str()) else {
            continue;
        };
        let stroke = color(if label(node, "subtitle") == "topic" {
            "orange"
        } else {
            "blue"
        });
        canvas.circle((x, y), RADIUS, canvas::PANEL, stroke);
        canvas.centered(x, y + 5.0, 13.0, canvas::BRIGHT, &shown(value(node), &panel.unit));
        canvas.centered(x, y + RADIUS + 18.0, 13.0, canvas::TEXT, &label(node, "title"));
        canvas.centered(x, y + RADIUS + 34.0, 11.0, canvas::DIM, &label(node, "subtitle"));
    }
    Ok(())
}

fn arrow(canvas: &mut Canvas, from: (f64, f64), to: (f64, f64), text: &str) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let at = |distance: f64| (from.0 + ux * distance, from.1 + uy * distance);
    let tip = length - RADIUS - 3.0;
    canvas.line(at(RADIUS + 2.0), at(tip - 8.0), canvas::DIM, 2.0);
    let (x, y) = at(tip - 11.0);
    let side = 5.0;
    canvas.triangle(
        [at(tip), (x - uy * side, y + ux * side), (x + uy * side, y - ux * side)],
        canvas::DIM,
    );
    let (x, y) = at(length / 2.0);
    canvas.centered(x, y - 8.0, 12.0, canvas::BRIGHT, text);
}
