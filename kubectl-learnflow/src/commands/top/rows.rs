//! Figures of flows, as rows of a table.

use super::lag::{Idle, Lags, Partitions};
use crate::{
    cli::{Sort, TopOf},
    printer::{Table, Tone, plain, success},
    text::format_seconds,
};
use learnflow_flow::{Flow, Names, Row};
use serde::Serialize;
use std::{cmp::Ordering, collections::BTreeMap};

/// What is not known is absent. Seconds, and events a second.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    #[serde(skip)]
    pub(super) flow: Flow,
    pub(super) topic: String,
    pub(super) service: String,
    pub(super) dir: &'static str,
    events: u64,
    rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<f64>,
    retries: u64,
    drops: u64,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_p95: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    #[serde(skip)]
    pub(super) lag_of: Partitions,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) partitions: BTreeMap<u32, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skew: Option<f64>,
}

impl Figures {
    /// A partition against the average of those seen.
    pub(super) fn skew_of(&self, partition: u32) -> Option<f64> {
        let all: u64 = self.partitions.values().sum();
        let of = self.partitions.get(&partition)?;
        (all > 0).then(|| *of as f64 * self.partitions.len() as f64 / all as f64)
    }
}

pub(super) fn rows(rows: Vec<Row>, names: &mut Names, lags: Option<&Lags>) -> Vec<Figures> {
    let mut figures: Vec<Figures> = rows.into_iter().map(|row| figures(row, names, lags)).collect();
    if let Some(lags) = lags {
        let seen = figures.iter().filter(|row| row.flow.delivers);
        let idle = lags.idle(seen.map(|row| (row.service.as_str(), row.topic.as_str())));
        figures.extend(idle.into_iter().map(|idle| nothing_but_lag(idle, names)));
    }
    figures
}

/// A consumer that stands still has no events.
fn nothing_but_lag(idle: Idle, names: &mut Names) -> Figures {
    Figures {
        flow: Flow {
            topic: names.name(&idle.topic),
            route: false,
            app: names.name(&idle.group),
            delivers: true,
        },
        topic: idle.topic,
        service: idle.group,
        dir: "deliver",
        events: 0,
        rate: 0.0,
        success: None,
        retries: 0,
        drops: 0,
        errors: 0,
        p50: None,
        p95: None,
        p99: None,
        age_p95: None,
        lag: Some(idle.behind.values().sum()),
        lag_of: idle.behind,
        partitions: BTreeMap::new(),
        skew: None,
    }
}

fn figures(row: Row, names: &Names, lags: Option<&Lags>) -> Figures {
    let topic = names.text(row.flow.topic);
    let behind = lags
        .filter(|_| row.flow.delivers && !row.flow.route)
        .and_then(|lags| lags.behind(names.text(row.flow.app), topic));
    Figures {
        flow: row.flow,
        // Of a bulk delivery only its route is known.
        topic: if row.flow.route {
            format!("(bulk) {topic}")
        } else {
            topic.to_owned()
        },
        service: names.text(row.flow.app).to_owned(),
        dir: if row.flow.delivers { "deliver" } else { "publish" },
        events: row.events(),
        rate: row.rate,
        success: Some(row.success as f64 / row.events() as f64),
        retries: row.retry,
        drops: row.drop,
        errors: row.error,
        p50: row.p50,
        p95: row.p95,
        p99: row.p99,
        age_p95: row.age_p95,
        lag: behind.as_ref().map(|lag| lag.values().sum()),
        lag_of: behind.unwrap_or_default(),
        skew: row.skew(),
        partitions: row.partitions,
    }
}

/// Rows that are equal in this are in the order of their names.
pub(super) fn sort(rows: &mut [Figures], by: Sort, reverse: bool, of: TopOf) {
    let most = |a: Option<f64>, b: Option<f64>| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
    let name = |a: &Figures, b: &Figures| {
        let (topic, service) = (a.topic.cmp(&b.topic), a.service.cmp(&b.service));
        // Publishers before receivers.
        let dir = b.dir.cmp(a.dir);
        match of {
            TopOf::Topics => topic.then(dir).then(service),
            TopOf::Services => service.then(dir).then(topic),
        }
    };
    rows.sort_by(|a, b| {
        let order = match by {
            Sort::Name => name(a, b),
            Sort::Success => most(a.success.map(|share| -share), b.success.map(|share| -share)),
            Sort::Rate => most(Some(a.rate), Some(b.rate)),
            Sort::P50 => most(a.p50, b.p50),
            Sort::P95 => most(a.p95, b.p95),
            Sort::P99 => most(a.p99, b.p99),
            Sort::Age => most(a.age_p95, b.age_p95),
            Sort::Lag => b.lag.cmp(&a.lag),
            Sort::Retries => b.retries.cmp(&a.retries),
            Sort::Skew => most(a.skew, b.skew),
        };
        if reverse { order.reverse() } else { order }.then_with(|| name(a, b))
    });
}

pub(super) const COLUMNS: usize = 12;

pub(super) const LAG: usize = 9;
pub(super) const SKEW: usize = 11;

/// Without anybody who knows a lag, its column says nothing.
pub(super) fn have_lag(rows: &[Figures]) -> bool {
    rows.iter().any(|row| row.lag.is_some())
}

pub(super) fn header(of: TopOf) -> [&'static str; COLUMNS] {
    let [one, two] = match of {
        TopOf::Topics => ["TOPIC", "SERVICE"],
        TopOf::Services => ["SERVICE", "TOPIC"],
    };
    [
        one, two, "DIR", "SUCCESS", "RPS", "P50", "P95", "P99", "AGE_P95", "LAG", "RETRIES", "SKEW",
    ]
}

/// Where the column is that it is sorted by.
pub(super) fn place(by: Sort) -> usize {
    match by {
        Sort::Name => 0,
        Sort::Success => 3,
        Sort::Rate => 4,
        Sort::P50 => 5,
        Sort::P95 => 6,
        Sort::P99 => 7,
        Sort::Age => 8,
        Sort::Lag => LAG,
        Sort::Retries => 10,
        Sort::Skew => SKEW,
    }
}

pub(super) fn cells(row: &Figures, of: TopOf) -> [(String, Tone); COLUMNS] {
    let time = |seconds: Option<f64>| plain(seconds.map_or_else(|| "-".into(), format_seconds));
    let (one, two) = match of {
        TopOf::Topics => (&row.topic, &row.service),
        TopOf::Services => (&row.service, &row.topic),
    };
    [
        plain(one.clone()),
        plain(two.clone()),
        plain(row.dir),
        success(row.success),
        plain(format!("{:.1}", row.rate)),
        time(row.p50),
        time(row.p95),
        time(row.p99),
        time(row.age_p95),
        plain(row.lag.map_or_else(|| "-".into(), |lag| lag.to_string())),
        plain(if row.dir == "deliver" {
            row.retries.to_string()
        } else {
            "-".into()
        }),
        plain(row.skew.map_or_else(|| "-".into(), |skew| format!("{skew:.1}"))),
    ]
}

pub(super) fn table(rows: &[Figures], of: TopOf) -> Table {
    let seen = |column: &usize| *column != LAG || have_lag(rows);
    let columns: Vec<usize> = (0..COLUMNS).filter(seen).collect();
    let header = header(of);
    let header: Vec<&str> = columns.iter().map(|column| header[*column]).collect();
    let mut table = Table::new(&header);
    let row = |row: &Figures| {
        let cells = cells(row, of);
        columns.iter().map(|column| cells[*column].clone()).collect()
    };
    table.rows = rows.iter().map(row).collect();
    table
}
