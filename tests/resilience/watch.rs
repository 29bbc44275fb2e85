//! What a sidecar says of itself while it is watched: its memory, and its breaker twice, in its log and in its metrics.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use learnflow_tests::{exposition::series, sidecar::Sidecar};

const PAUSE: Duration = Duration::from_millis(250);

/// One state of a breaker, and since when.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub at: Timestamp,
    pub to: String,
}

#[derive(Debug, Default)]
pub struct Seen {
    /// The most memory, in bytes.
    pub memory: u64,
    /// As the metrics have it, to a quarter of a second.
    pub breaker: Vec<Change>,
    /// Publishes whose first attempt failed, so far. (Dapr counts a call that is tried again once.)
    pub failed: Vec<(Timestamp, f64)>,
}

/// Until it is told to stop.
pub fn watch(sidecar: &Sidecar, stop: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        seen.memory = seen.memory.max(sidecar.memory()?);
        // With thousands of calls waiting, an answer may be late.
        let Ok(page) = sidecar.metrics() else { continue };
        seen.failed.push((Timestamp::now(), failed(&page)?));
        if let Some(to) = state(&page)?
            && seen.breaker.last().is_none_or(|last| last.to != to)
        {
            seen.breaker.push(Change {
                at: Timestamp::now(),
                to,
            });
        }
        thread::sleep(PAUSE);
    }
    Ok(seen)
}

/// The state whose series is 1.
fn state(page: &str) -> Result<Option<String>> {
    let mut states = series(page, "dapr_resiliency_cb_state")?.into_iter();
    let state = states.find(|(_, value)| *value == 1.0);
    Ok(state.and_then(|(labels, _)| labels.get("status").cloned()))
}

fn failed(page: &str) -> Result<f64> {
    let activations = series(page, "dapr_resiliency_activations_total")?.into_iter();
    let retries = activations.filter(|(labels, _)| labels.get("policy").is_some_and(|policy| policy == "retry"));
    Ok(retries.map(|(_, value)| value).sum())
}

/// The changes of breakers in a sidecar's log.
pub fn logged(sidecar: &Sidecar) -> Result<Vec<Change>> {
    let log = sidecar.log();
    let lines = log.lines().filter(|line| line.contains("changed state from"));
    let change = |line: &str| -> Result<Change> {
        let at = line.strip_prefix("time=\"").and_then(|rest| rest.split('"').next());
        let to = line.split(" to ").last().and_then(|rest| rest.split('"').next());
        Ok(Change {
            at: at.context("a time")?.parse()?,
            to: to.context("a state")?.to_owned(),
        })
    };
    lines
        .map(|line| change(line).with_context(|| line.to_owned()))
        .collect()
}
