//! Whether the answer to a query of a board is a good one.

use anyhow::Result;
use learnflow_boards::Query;

use crate::prometheus::Prometheus;

/// More lines than this nobody can read.
const MOST: usize = 100;

/// What is wrong with the answer to a query, asked as `expr`: with everything chosen that there is to choose.
pub fn wrong(prometheus: &Prometheus, query: &Query, expr: &str) -> Result<Option<String>> {
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
