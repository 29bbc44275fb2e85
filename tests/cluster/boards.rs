//! Every query of every board, asked of a real Prometheus after real traffic. It runs within the tests of the line, as long as
//! their installation is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use learnflow_boards::{Boards, Query, chosen};
use learnflow_tests::{Frontend, Prometheus, SERVICES_NAMESPACE, Target};

/// Rules are computed every 15 or 30 s, of what is scraped every 5.
const PATIENCE: Duration = Duration::from_secs(100);
/// More lines than this nobody can read.
const MOST: usize = 100;

pub fn each_query_has_an_answer(target: &Target) -> Result<()> {
    let boards = Boards::read()?;
    Frontend::of(target)?.request_lessons(50)?;
    let prometheus = Prometheus::of(target)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wrong = wrong(&boards, &prometheus)?;
        if wrong.is_empty() {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{} queries are wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        thread::sleep(Duration::from_secs(5));
    }
}

/// What is wrong now, a line each: with everything chosen, and with all values that there are to choose, by name.
fn wrong(boards: &Boards, prometheus: &Prometheus) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut named = BTreeMap::new();
    for variable in &boards.variables {
        let samples = prometheus.query(&chosen(&variable.expr(), &boards.variables, everything))?;
        let values = samples.iter().filter_map(|sample| sample.labels.get(&variable.label));
        let values: BTreeSet<String> = values.cloned().collect();
        let expected = match &*variable.name {
            "namespace" => SERVICES_NAMESPACE,
            "service" => "course-agent",
            "group" => "user-progress",
            _ => "lesson.generated",
        };
        if !values.contains(expected) {
            wrong.push(format!("variable {}: {values:?} without {expected}", variable.name));
        }
        // As Grafana writes several.
        let values: Vec<String> = values.into_iter().map(|value| value.replace(['(', ')'], ".")).collect();
        named.insert(variable.name.clone(), format!("({})", values.join("|")));
    }
    for board in &boards.boards {
        for panel in board.panels() {
            for query in &panel.queries {
                let all = answer(prometheus, query, &chosen(&query.expr, &boards.variables, everything))?;
                let named = chosen(&query.expr, &boards.variables, |variable| named[variable].clone());
                if let Some(why) = all.or(answer(prometheus, query, &named)?) {
                    wrong.push(format!("{} / {} / {}: {why}", board.title, panel.title, query.name));
                }
            }
        }
    }
    Ok(wrong)
}

fn everything(_: &str) -> String {
    ".+".to_owned()
}

/// What is wrong with an answer.
fn answer(prometheus: &Prometheus, query: &Query, expr: &str) -> Result<Option<String>> {
    let samples = prometheus.query(expr)?;
    if samples.is_empty() {
        let there = match &query.empty_when_well {
            Some(metric) => prometheus.number(&format!("count({metric})"))? > 0.0,
            None => false,
        };
        return Ok((!there).then(|| format!("no answer to {expr}")));
    }
    let [from, to] = query.expected;
    let out = samples.iter().find(|sample| !(from..=to).contains(&sample.value));
    Ok(match out {
        Some(sample) => Some(format!(
            "{} {:?} is not within {from} and {to}",
            sample.value, sample.labels
        )),
        None if samples.len() > MOST => Some(format!("{} series", samples.len())),
        None => None,
    })
}
