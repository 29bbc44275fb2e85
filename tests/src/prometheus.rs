//! Questions to the Prometheus that the plugin installed.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::target::{PortForward, STACK_NAMESPACE, Target};

#[derive(Debug)]
pub struct Prometheus {
    forward: PortForward,
}

#[derive(Debug, Clone)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Prometheus {
    pub fn of(target: &Target) -> Result<Prometheus> {
        let forward = target.port_forward(STACK_NAMESPACE, "service/prometheus", 9090)?;
        Ok(Prometheus { forward })
    }

    pub fn query(&self, query: &str) -> Result<Vec<Sample>> {
        let answer: Value = ureq::get(self.forward.url("/api/v1/query"))
            .query("query", query)
            .call()
            .with_context(|| format!("Prometheus did not answer {query}"))?
            .body_mut()
            .read_json()?;
        let results = answer["data"]["result"].as_array().context("an instant vector")?;
        results
            .iter()
            .map(|result| {
                let labels = result["metric"].as_object().context("labels")?;
                Ok(Sample {
                    labels: labels
                        .iter()
                        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                        .collect(),
                    value: result["value"][1].as_str().context("a value")?.parse()?,
                })
            })
            .collect()
    }

    /// One number; 0 where nothing matches.
    pub fn number(&self, query: &str) -> Result<f64> {
        Ok(self.query(query)?.first().map_or(0.0, |sample| sample.value))
    }

    /// Waits until a query has this value; an error says what it had in the end.
    pub fn wait_for(&self, query: &str, expected: f64, timeout: Duration) -> Result<()> {
        self.wait_until(query, &format!("{expected}"), |value| value == expected, timeout)
    }

    /// Waits until a query has at least this value.
    pub fn wait_at_least(&self, query: &str, least: f64, timeout: Duration) -> Result<()> {
        self.wait_until(query, &format!("{least} or more"), |value| value >= least, timeout)
    }

    fn wait_until(&self, query: &str, wanted: &str, met: impl Fn(f64) -> bool, timeout: Duration) -> Result<()> {
        let started = Instant::now();
        loop {
            let value = self.number(query)?;
            if met(value) {
                return Ok(());
            }
            if started.elapsed() > timeout {
                bail!("{query} is {value}, not {wanted}, after {} s", timeout.as_secs());
            }
            thread::sleep(Duration::from_millis(500));
        }
    }
}
