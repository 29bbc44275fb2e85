//! What Prometheus answered to every query of every board.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use learnflow_boards::{Boards, chosen, everything};
use serde::{Deserialize, Serialize};

use crate::prometheus::{Prometheus, Series};

/// How far a picture looks back, and how often, in seconds.
const BACK: f64 = 600.0;
const STEP: f64 = 5.0;

#[derive(Debug, Serialize, Deserialize)]
pub struct Answers {
    /// The time of the pictures, in seconds since 1970.
    pub from: f64,
    pub to: f64,
    /// By query, with everything chosen. What is of now has one point.
    series: BTreeMap<String, Vec<Series>>,
}

impl Answers {
    /// Asks all of it now.
    pub fn of(boards: &Boards, prometheus: &Prometheus) -> Result<Answers> {
        let to = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let from = to - BACK;
        let mut series = BTreeMap::new();
        for panel in boards.boards.iter().flat_map(|board| board.panels()) {
            for query in &panel.queries {
                let expr = chosen(&query.expr, &boards.variables, everything);
                let answer = match panel.kind.is_instant() {
                    true => prometheus
                        .query(&expr)?
                        .into_iter()
                        .map(|sample| Series {
                            labels: sample.labels,
                            points: vec![(to, sample.value)],
                        })
                        .collect(),
                    false => prometheus.range(&expr, (from, to), STEP)?,
                };
                series.insert(query.expr.clone(), answer);
            }
        }
        // JSON has no such numbers, and nobody can draw them.
        for points in series.values_mut().flatten().map(|one| &mut one.points) {
            points.retain(|(_, value)| value.is_finite());
        }
        Ok(Answers { from, to, series })
    }

    #[cfg(test)]
    pub(super) fn none() -> Answers {
        Answers {
            from: 0.0,
            to: BACK,
            series: BTreeMap::new(),
        }
    }

    /// To a query of a board, as its source has it.
    pub fn to_query(&self, expr: &str) -> &[Series] {
        self.series.get(expr).map_or(&[], Vec::as_slice)
    }

    pub fn read(file: &Path) -> Result<Answers> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} has no answers", file.display()))
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, serde_json::to_string(self)?).with_context(|| format!("cannot write {}", file.display()))
    }
}
