//! `cargo xtask boards`: the JSON for Grafana, made of the boards' sources.

use std::fs;

use anyhow::{Context, Result};
use learnflow_boards::{Boards, made};

pub fn run() -> Result<()> {
    let folder = made();
    let files = Boards::read()?.files()?;
    // A board that is gone takes its file with it.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    for (name, text) in &files {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("dashboards/grafana/{name}");
    }
    Ok(())
}
