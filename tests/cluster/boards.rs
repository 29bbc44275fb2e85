//! Every query of every board, asked of a real Prometheus after real traffic. It runs within the tests of the line, as long as
//! their installation is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use learnflow_boards::{Boards, chosen, everything};
use learnflow_tests::{Frontend, Prometheus, SERVICES_NAMESPACE, Target, boards};

/// Rules are computed every 15 or 30 s, of what is scraped every 5.
const PATIENCE: Duration = Duration::from_secs(100);

pub fn each_query_has_an_answer(target: &Target) -> Result<()> {
    let all = Boards::read()?;
    Frontend::of(target)?.request_lessons(50)?;
    let prometheus = Prometheus::of(target)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wrong = wrong(&all, &prometheus)?;
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
fn wrong(all: &Boards, prometheus: &Prometheus) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut named = BTreeMap::new();
    for variable in &all.variables {
        let samples = prometheus.query(&chosen(&variable.expr(), &all.variables, everything))?;
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
    for board in &all.boards {
        for panel in board.panels() {
            for query in &panel.queries {
                let unchosen = chosen(&query.expr, &all.variables, everything);
                let named = chosen(&query.expr, &all.variables, |variable| named[variable].clone());
                let why = boards::wrong(prometheus, query, &unchosen)?;
                if let Some(why) = why.or(boards::wrong(prometheus, query, &named)?) {
                    wrong.push(format!("{} / {} / {}: {why}", board.title, panel.title, query.name));
                }
            }
        }
    }
    Ok(wrong)
}
