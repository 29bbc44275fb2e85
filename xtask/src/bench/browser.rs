//! The page: how large its files are, and how fast a real Chromium reads and shows events with it.

use std::fs;

use anyhow::{Context, Result, ensure};
use learnflow_tests::browser::Browser;
use serde_json::Value;

use super::figure::Figure;
use crate::{
    artifacts::{self, root, size},
    wasm,
};

const ROUNDS: usize = 5;
/// Enough that opening the page does not count.
const EVENTS: usize = 200_000;

pub fn page_bytes() -> Result<Vec<Figure>> {
    let wasm = wasm::build_page()?;
    let mut bytes = size(&wasm)? + size(&wasm.with_extension("js"))?;
    for file in fs::read_dir(root().join("kubectl-learnflow/page"))? {
        bytes += size(&file?.path())?;
    }
    Ok(vec![Figure::new("page.bytes", bytes as f64, "By").at_most(300_000.0)])
}

/// From opening the page until all events of a log are read and shown.
pub fn events_per_second() -> Result<Vec<Figure>> {
    let folder = learnflow_tests::process::Folder::new()?;
    let log = folder.path().join("sidecars.log");
    let records = fs::read_to_string(root().join("tests/cases/records.text.log"))?;
    let lines: Vec<&str> = records.lines().filter(|line| line.contains("{\\\"lf\\\":1")).collect();
    ensure!(!lines.is_empty(), "no records to repeat");
    let text: String = lines
        .iter()
        .cycle()
        .take(EVENTS)
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(&log, text)?;
    let browser = Browser::find()?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut ui = std::process::Command::new(artifacts::plugin()?);
        ui.args(["ui", "--file"]).arg(&log).env_remove("KUBECONFIG");
        let ui = learnflow_tests::process::Process::start("the plugin", &mut ui, folder.path())?;
        let url = ui.wait("address", || ui.output().lines().next().map(str::to_owned))?;
        let seen: Value = browser.see("read", &[&url])?;
        let took = seen["result"]["took"].as_f64().context("how long it took")?;
        rounds.push(EVENTS as f64 / (took / 1e3));
    }
    Ok(vec![Figure::median("browser.events_per_s", rounds, "/s").at_least(1e4)])
}
