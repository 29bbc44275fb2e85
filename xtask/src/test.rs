//! `cargo xtask test`: unit tests, then the tests on a cluster. Its last line is `N passed, N failed`.

use anyhow::{Result, bail};
use clap::Args;
use learnflow_lab::{Scope, progress};

use crate::{
    artifacts::{cargo, run_shown, target_folder},
    demo::{self, Cluster},
    wasm,
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Only the tests that need no cluster
    #[arg(long)]
    unit: bool,
    /// Only the tests whose name contains this
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
    let filter: Vec<&str> = arguments.filter.as_deref().into_iter().collect();
    let guest = wasm::build()?;
    let filter_for_envoy = wasm::build_for_envoy()?;
    progress::line("unit tests");
    let mut unit = cargo();
    unit.args([
        "test",
        "--workspace",
        "--exclude",
        "learnflow-tests",
        "--no-fail-fast",
        "--",
    ])
    .args(&filter)
    .env("LEARNFLOW_WASM", &guest)
    .env("LEARNFLOW_PROXY_WASM", filter_for_envoy);
    let (passed, text) = run_shown("unit tests", &mut unit)?;
    tally.add(&text, passed);
    if arguments.unit {
        return Ok(());
    }
    progress::line("tests of the stack on loopback");
    let mut stack = cargo();
    stack
        .args([
            "test",
            "--quiet",
            "--package",
            "learnflow-tests",
            "--test",
            "stack",
            "--",
            "--test-threads=1",
        ])
        .args(&filter);
    let (passed, text) = run_shown("tests of the stack", &mut stack)?;
    tally.add(&text, passed);
    progress::line("tests on a cluster");
    let target = demo::target(&arguments.cluster, "", Scope::Full)?;
    let mut tests = cargo();
    tests
        .args([
            "test",
            "--quiet",
            "--package",
            "learnflow-tests",
            "--lib",
            "--test",
            "cluster",
            "--no-fail-fast",
            "--",
        ])
        .arg("--test-threads=1")
        .args(&filter)
        .env("LEARNFLOW_WASM", &guest)
        .env("LEARNFLOW_TEST_KUBECONFIG", target.kubeconfig())
        .env(
            "LEARNFLOW_TEST_PLUGIN",
            target_folder().join("release/kubectl-learnflow"),
        )
        .env("LEARNFLOW_TEST_XTASK", std::env::current_exe()?);
    if let Some(context) = &arguments.cluster.context {
        tests.env("LEARNFLOW_TEST_CONTEXT", context);
    }
    if let Some(image) = &arguments.cluster.image {
        tests.env("LEARNFLOW_TEST_IMAGE", image);
    }
    if let Some(lab) = target.running_lab() {
        tests.env("LEARNFLOW_TEST_LAB", lab.name());
    }
    let (passed, text) = run_shown("tests on a cluster", &mut tests)?;
    tally.add(&text, passed);
    if !passed && !text.contains("test result") {
        bail!("the tests on a cluster did not run");
    }
    Ok(())
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
