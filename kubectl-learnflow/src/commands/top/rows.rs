//! Figures of flows, as rows of a table.

use crate::{
    cli::{Sort, TopOf},
    printer::{Table, plain, success},
    text::format_seconds,
};
use learnflow_flow::{Names, Row};
use serde::Serialize;
use std::{cmp::Ordering, collections::BTreeMap};

/// What is not known is absent. Seconds, and events a second.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    pub(super) topic: String,
    pub(super) service: String,
    pub(super) dir: &'static str,
    events: u64,
    rate: f64,
    success: f64,
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    partitions: BTreeMap<u32, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skew: Option<f64>,
}

pub(super) fn rows(rows: Vec<Row>, names: &Names, of: TopOf) -> Vec<Figures> {
    let mut figures: Vec<Figures> = rows.into_iter().map(|row| figures(row, names)).collect();
    let key = |figures: &Figures| match of {
        TopOf::Topics => (figures.topic.clone(), figures.dir == "deliver", figures.service.clone()),
        TopOf::Services => (figures.service.clone(), figures.dir == "deliver", figures.topic.clone()),
    };
    figures.sort_by_key(key);
    figures
}

fn figures(row: Row, names: &Names) -> Figures {
    let topic = names.text(row.flow.topic);
    Figures {
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
        success: row.success as f64 / row.events() as f64,
        retries: row.retry,
        drops: row.drop,
        errors: row.error,
        p50: row.p50,
        p95: row.p95,
        p99: row.p99,
        age_p95: row.age_p95,
        skew: row.skew(),
        partitions: row.partitions,
    }
}

/// Rows that are equal in this stay in the order of their names.
pub(super) fn sort(rows: &mut [Figures], by: Sort) {
    let most = |a: Option<f64>, b: Option<f64>| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
    rows.sort_by(|a, b| match by {
        Sort::Rate => most(Some(a.rate), Some(b.rate)),
        Sort::Success => most(Some(b.success), Some(a.success)),
        Sort::P95 => most(a.p95, b.p95),
        Sort::Age => most(a.age_p95, b.age_p95),
        Sort::Name => Ordering::Equal,
    });
}

pub(super) fn table(rows: &[Figures], of: TopOf) -> Table {
    let first: [&str; 2] = match of {
        TopOf::Topics => ["TOPIC", "SERVICE"],
        TopOf::Services => ["SERVICE", "TOPIC"],
    };
    let mut table = Table::new(&[
        first[0], first[1], "DIR", "SUCCESS", "RPS", "P50", "P95", "P99", "AGE_P95", "RETRIES", "SKEW",
    ]);
    for row in rows {
        let time = |seconds: Option<f64>| plain(seconds.map_or_else(|| "-".into(), format_seconds));
        let (one, two) = match of {
            TopOf::Topics => (&row.topic, &row.service),
            TopOf::Services => (&row.service, &row.topic),
        };
        table.rows.push(vec![
            plain(one.clone()),
            plain(two.clone()),
            plain(row.dir),
            success(Some(row.success)),
            plain(format!("{:.1}", row.rate)),
            time(row.p50),
            time(row.p95),
            time(row.p99),
            time(row.age_p95),
            plain(if row.dir == "deliver" {
                row.retries.to_string()
            } else {
                "-".into()
            }),
            plain(row.skew.map_or_else(|| "-".into(), |skew| format!("{skew:.1}"))),
        ]);
    }
    table
}
