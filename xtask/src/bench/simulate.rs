//! How fast the plugin simulates, as its user has it: reading and printing are part of the time.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::figure::Figure;
use crate::artifacts;

const ROUNDS: usize = 11;
/// Enough that starting the program does not count.
const RUNS: &str = "1000";

/// Calls of the budget's outage under the shipped policies. The plugin has one thread for it.
pub fn calls_per_second() -> Result<Vec<Figure>> {
    let plugin = artifacts::plugin()?;
    let rounds = (0..ROUNDS).map(|_| {
        let mut simulate = Command::new(&plugin);
        simulate
            .args([
                "simulate",
                "--shipped",
                "--outage",
                "30s",
                "--rate",
                "50/s",
                "--runs",
                RUNS,
                "-o",
                "json",
            ])
            .stderr(Stdio::null());
        let began = Instant::now();
        let output = simulate.output().context("cannot run the plugin")?;
        let took = began.elapsed().as_secs_f64();
        let said: Value = serde_json::from_slice(&output.stdout).context("what it printed")?;
        let calls = said["answers"][0]["run"]["published"].as_f64().unwrap_or_default();
        ensure!(calls > 0.0, "nothing was simulated");
        Ok(calls * RUNS.parse::<f64>()? / took)
    });
    let rounds = rounds.collect::<Result<_>>()?;
    Ok(vec![Figure::median("simulate.calls_per_s", rounds, "/s").at_least(1e6)])
}
