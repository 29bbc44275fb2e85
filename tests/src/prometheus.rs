//! Questions to a Prometheus: the one that the plugin installed, or one on loopback.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::target::{PortForward, STACK_NAMESPACE, Target};

#[derive(Debug)]
pub struct Prometheus {
    url: String,
    _forward: Option<PortForward>,
}

#[derive(Debug, Clone)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// When, in seconds since 1970, and what.
    pub points: Vec<(f64, f64)>,
}

impl Prometheus {
    pub fn of(target: &Target) -> Result<Prometheus> {
        Self::of_workload(target, "service/prometheus")
    }

    /// One of two.
    pub fn of_workload(target: &Target, workload: &str) -> Result<Prometheus> {
        let forward = target.port_forward(STACK_NAMESPACE, workload, 9090)?;
        Ok(Prometheus {
            url: forward.url(""),
            _forward: Some(forward),
        })
    }

    /// One that listens on loopback.
    pub fn at(port: u16) -> Prometheus {
        Prometheus {
            url: format!("http://127.0.0.1:{port}"),
            _forward: None,
        }
    }

    pub fn query(&self, query: &str) -> Result<Vec<Sample>> {
        let sample = |result: &Value| {
            Ok(Sample {
                labels: labels(result)?,
                value: result["value"][1].as_str().context("a value")?.parse()?,
            })
        };
        self.ask("query", &[("query", query)])?.iter().map(sample).collect()
    }

    /// The values from one time to another, in seconds since 1970, `step` seconds apart.
    pub fn range(&self, query: &str, (from, to): (f64, f64), step: f64) -> Result<Vec<Series>> {
        let [from, to, step] = [from, to, step].map(|number| format!("{number:.3}"));
        let asked = [("query", query), ("start", &from), ("end", &to), ("step", &step)];
        let series = |result: &Value| {
            let point = |point: &Value| {
                let value = point[1].as_str().context("a value")?.parse()?;
                Ok((point[0].as_f64().context("a time")?, value))
            };
            let points = result["values"].as_array().context("values")?.iter().map(point);
            Ok(Series {
                labels: labels(result)?,
                points: points.collect::<Result<_>>()?,
            })
        };
        self.ask("query_range", &asked)?.iter().map(series).collect()
    }

    fn ask(&self, way: &str, asked: &[(&str, &str)]) -> Result<Vec<Value>> {
        let query = asked.first().map(|(_, query)| *query).unwrap_or_default();
        let mut answer: Value = ureq::get(format!("{}/api/v1/{way}", self.url))
            .query_pairs(asked.iter().copied())
            .call()
            .with_context(|| format!("Prometheus did not answer {query}"))?
            .body_mut()
            .read_json()?;
        match answer["data"]["result"].take() {
            Value::Array(results) => Ok(results),
            _ => bail!("{query} has no vector for an answer"),
        }
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

fn labels(result: &Value) -> Result<BTreeMap<String, String>> {
    let labels = result["metric"].as_object().context("labels")?.iter();
    let text = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    Ok(labels.map(text).collect())
}
