//! `cargo xtask fuzz`: random calls through the guest, in the host that Dapr embeds. See `docs/fuzz.md`.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{artifacts::step, host, wasm};

#[derive(Debug, Args)]
pub struct Arguments {
    /// How many calls
    #[arg(long, default_value_t = 100_000)]
    calls: u64,
    /// Begins the random numbers: the same seed, the same calls [default: the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Only the call with this number
    #[arg(long, value_name = "NUMBER", conflicts_with = "calls", requires = "seed")]
    call: Option<u64>,
}

/// Ends with 1 if a call came to harm.
pub fn run(arguments: Arguments) -> Result<()> {
    let guest = step("building the middleware (WebAssembly)", wasm::build)?;
    let host = host::build()?;
    let (from, calls) = arguments.call.map_or((0, arguments.calls), |call| (call, 1));
    let seed = arguments.seed.unwrap_or_else(clock);
    let status = command(&host, &guest, seed, from, calls)
        .status()
        .context("cannot run the host")?;
    if !status.success() {
        std::process::exit(status.code().unwrap_or(2));
    }
    Ok(())
}

fn command(host: &Path, guest: &Path, seed: u64, from: u64, calls: u64) -> Command {
    let mut command = Command::new(host);
    command
        .arg("fuzz")
        .arg(guest)
        .args([seed, from, calls].map(|number| number.to_string()))
        .stdin(Stdio::null());
    command
}

pub(crate) fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{io::Write, path::PathBuf, sync::LazyLock};

    /// Built once: a program that runs is not to be written to.
    pub(crate) static HOST: LazyLock<PathBuf> = LazyLock::new(|| host::build().expect("the host"));

    /// The guest that `cargo xtask test` has built, or the one built last.
    pub(crate) fn guest() -> PathBuf {
        let built = || crate::artifacts::target_folder().join("wasm/learnflow.wasm");
        let guest = std::env::var_os("LEARNFLOW_WASM").map_or_else(built, PathBuf::from);
        std::path::absolute(guest).expect("a folder to be in")
    }

    #[test]
    fn a_hundred_thousand_random_calls_come_to_no_harm() {
        // One that is the same everywhere, and one that sees something new each time.
        for seed in [1, clock()] {
            let output = command(&HOST, &guest(), seed, 0, 50_000)
                .output()
                .expect("a run of the host");
            let said = String::from_utf8_lossy(&output.stdout);
            // Not captured: so that the seed is known where all is well, too.
            let _ = writeln!(std::io::stderr(), "{}", said.trim_end());
            assert!(
                output.status.success(),
                "{said}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    #[test]
    fn golden_answers_are_what_go_makes_of_them() {
        let cases = crate::artifacts::root().join("tests/cases");
        let output = Command::new(&*HOST)
            .arg("answers")
            .args(["records.answers.txt", "records.answers.bulk.txt"].map(|file| cases.join(file)))
            .output()
            .expect("a run of the host");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn the_same_seed_makes_the_same_calls() {
        let run = || {
            command(&HOST, &guest(), 1, 0, 2000)
                .output()
                .expect("a run of the host")
                .stdout
        };
        let said = [run(), run()].map(|said| String::from_utf8(said).expect("text"));
        // What comes before the speed: how many calls of each kind.
        let [one, other] = said
            .each_ref()
            .map(|said| said.rsplit_once(", ").and_then(|(said, _)| said.rsplit_once(", ")));
        assert!(one.is_some_and(|(kinds, _)| kinds.contains("deliveries")), "{said:?}");
        assert_eq!(one.map(|(kinds, _)| kinds), other.map(|(kinds, _)| kinds));
    }

    #[test]
    fn a_guest_that_does_nothing_is_found_out() {
        let noop = HOST.with_file_name(format!("noop.{}.wasm", std::process::id()));
        std::fs::write(&noop, host::NOOP).expect("a guest");
        let output = command(&HOST, &noop, 1, 0, 1000).output().expect("a run of the host");
        std::fs::remove_file(&noop).expect("a guest");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in [
            "seed 1, call ",
            "0 lines are logged",
            "Again: cargo xtask fuzz --seed 1 --call ",
            "The least that fails:",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
