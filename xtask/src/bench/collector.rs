//! What it costs to count records, against spans, and how long an event takes to the screen. The stack's own programs run on
//! the loopback device: tests/stack/costs.rs.

use anyhow::{Context, Result, bail};

use super::figure::{Figure, TIMES};
use crate::{
    artifacts::{cargo, run_shown},
    wasm,
};

/// Processor time of counting the records of events, and of counting their spans.
pub fn cpu() -> Result<Vec<Figure>> {
    let taken = taken("costs::records_against_span_metrics")?;
    Ok(vec![
        Figure::median(
            "collector.cpu.vs_spanmetrics",
            taken.of("collector.cpu.vs_spanmetrics")?,
            TIMES,
        )
        .at_most(0.5),
        // Of 1,000 events.
        Figure::median("collector.cpu.records.ms", taken.of("collector.cpu.records.ms")?, "ms"),
        Figure::median("collector.cpu.agent.ms", taken.of("collector.cpu.agent.ms")?, "ms"),
        Figure::median(
            "collector.cpu.spanmetrics.ms",
            taken.of("collector.cpu.spanmetrics.ms")?,
            "ms",
        ),
    ])
}

/// From the line in a sidecar's log to an answer of Prometheus.
pub fn screen_latency() -> Result<Vec<Figure>> {
    let taken = taken("costs::until_it_is_seen")?;
    Ok(vec![
        Figure::median("flow.screen_latency.p99_s", taken.of("flow.screen_latency.p99_s")?, "s").at_most(2.0),
        Figure::median("flow.screen_latency.p50_s", taken.of("flow.screen_latency.p50_s")?, "s"),
    ])
}

pub(super) struct Taken(pub(super) String);

impl Taken {
    /// The same of all its lines.
    pub(super) fn all(&self, key: &str) -> Result<Vec<f64>> {
        let lines = self.0.lines().filter(|line| line.starts_with("figure "));
        let each = lines.filter_map(|line| Self(line.to_owned()).of(key).ok()).flatten();
        let each: Vec<f64> = each.collect();
        if each.is_empty() {
            bail!("no figure {key}");
        }
        Ok(each)
    }

    /// The rounds of a figure, from its line `figure KEY ROUND…`.
    pub(super) fn of(&self, key: &str) -> Result<Vec<f64>> {
        let mut lines = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix("figure ")?.strip_prefix(key));
        let line = lines.next().with_context(|| format!("no figure {key}"))?;
        let rounds = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>();
        let rounds = rounds.with_context(|| format!("{key}: {line}"))?;
        if rounds.is_empty() {
            bail!("{key} has no rounds");
        }
        Ok(rounds)
    }
}

fn taken(test: &str) -> Result<Taken> {
    let guest = wasm::build()?;
    let mut command = cargo();
    command
        .args([
            "test",
            "--quiet",
            "--package",
            "learnflow-tests",
            "--test",
            "stack",
            "--",
        ])
        .args(["--ignored", "--nocapture", "--exact", test])
        .env("LEARNFLOW_WASM", guest);
    let (passed, text) = run_shown(test, &mut command)?;
    if !passed {
        bail!("{test} did not come to its end");
    }
    Ok(Taken(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_a_test_prints() {
        let taken = Taken("running 1 test\nfigure a.b 1.5 2\nfigure a.c\n".into());
        assert_eq!(taken.of("a.b").expect("two"), [1.5, 2.0]);
        assert!(taken.of("a.c").is_err() && taken.of("x").is_err());
        let twice = Taken("figure a 1\nfigure a 2\nfigure b 3\n".into());
        assert_eq!(twice.all("a").expect("two"), [1.0, 2.0]);
        assert!(twice.all("c").is_err());
    }
}
