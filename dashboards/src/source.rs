//! The form of a board's source.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its address in Grafana, which others link to, and the name of its file.
    pub uid: String,
    pub title: String,
    /// The question that it answers.
    pub description: String,
    /// What can be chosen, by name.
    pub variables: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub title: String,
    pub panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    pub title: String,
    pub kind: Kind,
    /// Of 24 columns. They fill a row from the left.
    pub width: u32,
    /// What it means, and what to do when it is not as it should be.
    pub description: String,
    /// Grafana's name of the unit. Of a table: that of the queries which name none.
    pub unit: String,
    /// From which value on it has which colour.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// What a value is called, instead of its number.
    #[serde(default)]
    pub names: BTreeMap<String, Name>,
    /// Of a table: its columns that are labels, in their order, and their titles.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// The board that says more.
    pub more: Option<String>,
    pub queries: Vec<Query>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One number, now.
    Stat,
    /// Lines.
    Lines,
    /// States, one row a series.
    States,
    /// A column for each label and for each query.
    Table,
    /// Circles and arrows: the queries `nodes` and `edges`, with the labels that Grafana draws them by.
    Graph,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// None: all below the next one.
    pub from: Option<f64>,
    pub color: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    pub text: String,
    pub color: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    pub label: String,
    pub title: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Different in its panel. Of a table: the column's title.
    pub name: String,
    pub expr: String,
    /// What a series is called, with labels as `{{label}}`.
    #[serde(default)]
    pub legend: String,
    /// Of a table: the column's, when it is not the panel's.
    pub unit: Option<String>,
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// What every value lies within, after the tests' traffic.
    pub expected: [f64; 2],
    /// Of lines: the points are traces to open. What draws no line itself has points all the same.
    #[serde(default)]
    pub exemplars: bool,
    /// No series is good news. Then this metric must be there all the same.
    pub empty_when_well: Option<String>,
}

/// What boards share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    pub variables: Vec<Variable>,
    shorthands: BTreeMap<String, String>,
}

impl Common {
    /// A query with `%NAME` replaced. Longer names first: one may begin with another.
    pub fn in_full(&self, expr: &str) -> String {
        let mut names: Vec<_> = self.shorthands.keys().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.iter().fold(expr.trim().to_owned(), |expr, name| {
            expr.replace(&format!("%{name}"), &self.shorthands[*name])
        })
    }
}

/// A choice above a board.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub name: String,
    pub title: String,
    pub description: String,
    /// The series, …
    pub series: String,
    /// … and of which label the values are.
    pub label: String,
}

impl Board {
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    pub fn queries_mut(&mut self) -> impl Iterator<Item = &mut Query> {
        let panels = self.rows.iter_mut().flat_map(|row| &mut row.panels);
        panels.flat_map(|panel| &mut panel.queries)
    }
}

impl Kind {
    /// What is of now, and not of a time.
    pub fn is_instant(self) -> bool {
        matches!(self, Kind::Stat | Kind::Table | Kind::Graph)
    }
}

impl Variable {
    /// What there is to choose, as PromQL.
    pub fn expr(&self) -> String {
        format!("count by ({}) ({})", self.label, self.series)
    }
}

/// A query with what is chosen: `.+` is everything.
pub fn chosen(expr: &str, variables: &[Variable], value: impl Fn(&str) -> String) -> String {
    variables.iter().fold(expr.to_owned(), |expr, variable| {
        expr.replace(&format!("${}", variable.name), &value(&variable.name))
    })
}

/// The choice of everything, of any variable.
pub fn everything(_: &str) -> String {
    ".+".to_owned()
}
