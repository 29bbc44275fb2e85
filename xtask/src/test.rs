//! `cargo xtask test`: unit tests, then those in real sidecars, then those on a cluster. Its last line is `N passed, N failed`.

use std::process::Command;

use anyhow::Result;
use clap::Args;
use learnflow_lab::{Scope, progress};

use crate::{
    ahead,
    artifacts::{self, cargo, run_shown, target_folder},
    demo::{self, Cluster},
    wasm,
};

/// What the names of the outages begin with.
const OUTAGES: &str = "resilience";

#[derive(Debug, Args)]
pub struct Arguments {
    /// Only the tests that need neither sidecars nor a cluster
    #[arg(long)]
    unit: bool,
    /// Only the tests whose name contains this. `resilience`: real outages of a real Kafka, all of them, and nothing else
    filter: Option<String>,
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds up the closing lines of Rust's test runners: `test result: ok. 5 passed; 0 failed; …`
    fn add(&mut self, text: &str, success: bool) {
        let mut failed = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            let number = |word: &str| -> u64 {
                let words: Vec<_> = line.split([' ', ';']).collect();
                let at = words.iter().position(|other| *other == word);
                at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok())
                    .unwrap_or(0)
            };
            self.passed += number("passed");
            failed += number("failed");
        }
        // A run that ended badly without counting a failure did not compile, or was killed.
        self.failed += if success { failed } else { failed.max(1) };
    }

    /// Runs tests, showing what they say.
    fn run(&mut self, title: &str, mut tests: Command) -> Result<()> {
        progress::line(title);
        let (passed, text) = run_shown(title, &mut tests)?;
        self.add(&text, passed);
        Ok(())
    }
}

pub fn run(arguments: Arguments) -> Result<()> {
    let mut tally = Tally::default();
    let result = all(&arguments, &mut tally);
    if let Err(error) = &result {
        eprintln!("× {error:#}");
        tally.failed += 1;
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

fn all(arguments: &Arguments, tally: &mut Tally) -> Result<()> {
    let guest = wasm::build()?;
    let filter_for_envoy = wasm::build_for_envoy()?;
    let test = |arguments_of_cargo: &[&str], arguments_of_tests: &[&str]| {
        let mut test = cargo();
        test.args(["test", "--no-fail-fast"])
            .args(arguments_of_cargo)
            .arg("--")
            .args(arguments_of_tests)
            .args(&arguments.filter)
            .env("LEARNFLOW_WASM", &guest)
            .env("LEARNFLOW_PROXY_WASM", &filter_for_envoy);
        test
    };
    let harness = ["--quiet", "--package", "learnflow-tests"];
    let outages = [&harness[..], &["--test", "resilience"]].concat();
    if arguments
        .filter
        .as_deref()
        .is_some_and(|filter| filter.starts_with(OUTAGES))
    {
        return tally.run("outages", test(&outages, &["--include-ignored"]));
    }
    let unit = test(&["--workspace", "--exclude", "learnflow-tests"], &[]);
    tally.run("unit tests", unit)?;
    if arguments.unit {
        return Ok(());
    }
    if cfg!(target_os = "linux") {
        let ahead = arguments.cluster.kubeconfig.is_none().then(ahead::start);
        let sidecars = test(
            &[&harness[..], &["--lib", "--test", "simulation", "--test", "sidecar"]].concat(),
            &["--test-threads=1"],
        );
        tally.run("tests in sidecars", sidecars)?;
        // The short ones.
        tally.run("outages", test(&outages, &[]))?;
        let stack = test(&[&harness[..], &["--test", "stack"]].concat(), &["--test-threads=1"]);
        tally.run("tests of the stack", stack)?;
        ahead.map_or(Ok(()), ahead::Ahead::finish)?;
    }
    let later = artifacts::later_plugin(&guest)?;
    let target = demo::target(&arguments.cluster, "", Scope::Full)?;
    let plugin = target_folder().join("release/kubectl-learnflow");
    if cfg!(target_os = "linux") {
        let mut letters = test(&[&harness[..], &["--test", "dlq"]].concat(), &["--test-threads=1"]);
        letters.env("LEARNFLOW_TEST_PLUGIN", &plugin);
        tally.run("tests of dead letters", letters)?;
        let mut page = test(&[&harness[..], &["--test", "page"]].concat(), &["--test-threads=1"]);
        page.env("LEARNFLOW_TEST_PLUGIN", &plugin);
        tally.run("tests of the page", page)?;
    }
    let mut cluster = test(&[&harness[..], &["--test", "cluster"]].concat(), &["--test-threads=1"]);
    cluster
        .env("LEARNFLOW_TEST_KUBECONFIG", target.kubeconfig())
        .env("LEARNFLOW_TEST_PLUGIN", &plugin)
        .env("LEARNFLOW_TEST_LATER_PLUGIN", later)
        .env("LEARNFLOW_TEST_XTASK", std::env::current_exe()?);
    if let Some(context) = &arguments.cluster.context {
        cluster.env("LEARNFLOW_TEST_CONTEXT", context);
    }
    if let Some(image) = &arguments.cluster.image {
        cluster.env("LEARNFLOW_TEST_IMAGE", image);
    }
    if let Some(lab) = target.running_lab() {
        cluster.env("LEARNFLOW_TEST_LAB", lab.name());
    }
    tally.run("tests on a cluster", cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_are_added_up() {
        let mut tally = Tally::default();
        tally.add(
            "test result: ok. 5 passed; 0 failed; 0 ignored\nx\ntest result: FAILED. 2 passed; 3 failed; 0 ignored\n",
            false,
        );
        assert_eq!((tally.passed, tally.failed), (7, 3));
    }

    #[test]
    fn a_run_that_does_not_compile_is_a_failure() {
        let mut tally = Tally::default();
        tally.add("error: could not compile", false);
        assert_eq!((tally.passed, tally.failed), (0, 1));
    }
}
