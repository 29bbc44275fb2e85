//! What the guest costs, in memory and, in the host that Dapr embeds, per call.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::figure::{Figure, TIMES};
use crate::{
    artifacts::{size, step},
    host, wasm,
};

/// Who takes the lines that a guest logs.
#[derive(Clone, Copy)]
enum Logger {
    /// Nobody: the cost of the host and the guest alone.
    Nobody,
    /// Dapr's own. It costs what the guest cannot change.
    Dapr,
}

/// Nanoseconds per call with each guest, of each round: the one that does nothing first, then ours.
struct Rounds(Vec<Vec<f64>>);

const NOOP: usize = 0;
const OURS: usize = 1;
const OTHER: usize = 2;

pub fn bytes() -> Result<Vec<Figure>> {
    let bytes = size(&guest()?)?;
    Ok(vec![Figure::new("guest.bytes", bytes as f64, "By").at_most(16384.0)])
}

pub fn pages() -> Result<Vec<Figure>> {
    let pages = pages_of(&guest()?)?;
    Ok(vec![Figure::new("guest.pages", pages.into(), "64Ki").at_most(2.0)])
}

pub fn publish() -> Result<Vec<Figure>> {
    let [floor, _] = others()?;
    let guest = Rounds::of("publish", Logger::Nobody, &[floor])?;
    let logged = Rounds::of("publish", Logger::Dapr, &[])?;
    Ok(vec![
        guest.ratio("guest.publish.vs_noop").at_most(2.0),
        guest.added("guest.publish.ns", OURS),
        guest.added("guest.publish.calls.ns", OTHER),
        logged.added("guest.publish.logged.ns", OURS),
    ])
}

/// Against the same logic, written with the crate that there is for such guests.
pub fn added_cost() -> Result<Vec<Figure>> {
    let [_, peer] = others()?;
    let rounds = Rounds::of("publish", Logger::Nobody, std::slice::from_ref(&peer))?;
    let share = |round: &[f64]| (round[OURS] - round[NOOP]) / (round[OTHER] - round[NOOP]);
    Ok(vec![
        rounds
            .median("guest.added_cost.vs_http_wasm_guest", share, TIMES)
            .at_most(0.5),
        rounds.added("guest.added_cost.http_wasm_guest.ns", OTHER),
        Figure::new("guest.added_cost.http_wasm_guest.bytes", size(&peer)? as f64, "By"),
        Figure::new(
            "guest.added_cost.http_wasm_guest.pages",
            pages_of(&peer)?.into(),
            "64Ki",
        ),
    ])
}

pub fn delivery() -> Result<Vec<Figure>> {
    let guest = Rounds::of("delivery", Logger::Nobody, &[])?;
    Ok(vec![
        guest.ratio("guest.delivery.vs_noop"),
        guest.added("guest.delivery.ns", OURS),
    ])
}

/// Calls that are not pub/sub: most of what passes a sidecar.
pub fn other() -> Result<Vec<Figure>> {
    let guest = Rounds::of("other", Logger::Nobody, &[])?;
    Ok(vec![
        guest.ratio("guest.other.vs_noop").at_most(1.25),
        guest.added("guest.other.ns", OURS),
    ])
}

impl Rounds {
    fn of(call: &str, logger: Logger, others: &[PathBuf]) -> Result<Self> {
        let host = host::build()?;
        let noop = host.with_file_name("noop.wasm");
        fs::write(&noop, host::NOOP).with_context(|| format!("cannot write {}", noop.display()))?;
        let logger = match logger {
            Logger::Nobody => "nobody",
            Logger::Dapr => "dapr",
        };
        let mut time = Command::new(host);
        time.args(["time", call, logger]).args([noop, guest()?]).args(others);
        let said = step(&format!("timing the guest: {call}"), || ask(&mut time))?;
        let rounds: Vec<Vec<f64>> = serde_json::from_slice(&said).context("times of the guests")?;
        ensure!(!rounds.is_empty(), "no round was timed");
        ensure!(
            rounds.iter().all(|round| round.len() == 2 + others.len()),
            "a guest was not timed"
        );
        Ok(Self(rounds))
    }

    /// Round by round: what slows down a whole round slows down all in it.
    fn median(&self, key: &'static str, of: impl Fn(&[f64]) -> f64, unit: &'static str) -> Figure {
        Figure::median(key, self.0.iter().map(|round| of(round)).collect(), unit)
    }

    fn ratio(&self, key: &'static str) -> Figure {
        self.median(key, |round| round[OURS] / round[NOOP], TIMES)
    }

    /// What a guest does, and one that does nothing does not.
    fn added(&self, key: &'static str, guest: usize) -> Figure {
        self.median(key, |round| round[guest] - round[NOOP], "ns")
    }
}

/// The host calls of a publish alone, and the peer.
fn others() -> Result<[PathBuf; 2]> {
    step(
        "building what the middleware is measured against",
        wasm::build_for_bench,
    )
}

fn pages_of(guest: &Path) -> Result<u32> {
    let said = ask(Command::new(host::build()?).arg("pages").arg(guest))?;
    serde_json::from_slice(&said).context("pages of the guest")
}

fn guest() -> Result<PathBuf> {
    step("building the middleware (WebAssembly)", wasm::build)
}

/// What a run of the host prints.
fn ask(host: &mut Command) -> Result<Vec<u8>> {
    let output = host.stdin(Stdio::null()).output().context("cannot run the host")?;
    if !output.status.success() {
        bail!("{host:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_was_timed_in_the_same_round() {
        // The second round is slow for both, the third for one.
        let rounds = Rounds(vec![vec![1000.0, 2000.0], vec![4000.0, 8000.0], vec![1000.0, 5000.0]]);
        assert!(rounds.ratio("r").row().contains(" 2.00 ×         2.00 – 5.00"));
        assert!(rounds.added("a", OURS).row().contains(" 4,000 ns      1,000 – 4,000"));
    }
}
