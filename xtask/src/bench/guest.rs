//! What the guest costs, in memory and, in the host that Dapr embeds, per call.

use std::{
    fs,
    path::PathBuf,
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

/// Nanoseconds per call with the no-op guest and with ours, of each round.
struct Rounds(Vec<(f64, f64)>);

pub fn bytes() -> Result<Vec<Figure>> {
    let bytes = size(&guest()?)?;
    Ok(vec![Figure::new("guest.bytes", bytes as f64, "By").at_most(16384.0)])
}

pub fn pages() -> Result<Vec<Figure>> {
    let said = ask(Command::new(host::build()?).arg("pages").arg(guest()?))?;
    let pages: u32 = serde_json::from_slice(&said).context("pages of the guest")?;
    Ok(vec![Figure::new("guest.pages", pages.into(), "64Ki").at_most(2.0)])
}

pub fn publish() -> Result<Vec<Figure>> {
    let guest = Rounds::of("publish", Logger::Nobody)?;
    let logged = Rounds::of("publish", Logger::Dapr)?;
    Ok(vec![
        guest.ratio("guest.publish.vs_noop").at_most(2.0),
        guest.added("guest.publish.ns"),
        logged.added("guest.publish.logged.ns"),
    ])
}

pub fn delivery() -> Result<Vec<Figure>> {
    let guest = Rounds::of("delivery", Logger::Nobody)?;
    Ok(vec![
        guest.ratio("guest.delivery.vs_noop"),
        guest.added("guest.delivery.ns"),
    ])
}

/// Calls that are not pub/sub: most of what passes a sidecar.
pub fn other() -> Result<Vec<Figure>> {
    let guest = Rounds::of("other", Logger::Nobody)?;
    Ok(vec![
        guest.ratio("guest.other.vs_noop").at_most(1.25),
        guest.added("guest.other.ns"),
    ])
}

impl Rounds {
    fn of(call: &str, logger: Logger) -> Result<Self> {
        let host = host::build()?;
        let noop = host.with_file_name("noop.wasm");
        fs::write(&noop, host::NOOP).with_context(|| format!("cannot write {}", noop.display()))?;
        let logger = match logger {
            Logger::Nobody => "nobody",
            Logger::Dapr => "dapr",
        };
        let mut time = Command::new(host);
        time.args(["time", call, logger]).args([noop, guest()?]);
        let said = step(&format!("timing the guest: {call}"), || ask(&mut time))?;
        let rounds: Vec<_> = serde_json::from_slice(&said).context("times of the guests")?;
        ensure!(!rounds.is_empty(), "no round was timed");
        Ok(Self(rounds))
    }

    /// Pair by pair: what slows down a whole round slows down both.
    fn ratio(&self, key: &'static str) -> Figure {
        Figure::median(key, self.0.iter().map(|(noop, ours)| ours / noop).collect(), TIMES)
    }

    /// What our guest does, and a guest that does nothing does not.
    fn added(&self, key: &'static str) -> Figure {
        Figure::median(key, self.0.iter().map(|(noop, ours)| ours - noop).collect(), "ns")
    }
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
    fn rounds_are_compared_pair_by_pair() {
        // The second round is slow for both, the third for one.
        let rounds = Rounds(vec![(1000.0, 2000.0), (4000.0, 8000.0), (1000.0, 5000.0)]);
        assert!(rounds.ratio("r").row().contains(" 2.00 ×         2.00 – 5.00"));
        assert!(rounds.added("a").row().contains(" 4,000 ns      1,000 – 4,000"));
    }
}
