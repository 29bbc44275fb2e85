//! `cargo xtask bench`: figures, each with its goal. Ratios are taken in one run, against a peer or a floor.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use crate::{
    artifacts::{self, size},
    wasm,
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Also write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug)]
struct Figure {
    key: &'static str,
    value: f64,
    unit: &'static str,
    /// The value it should not exceed.
    goal: f64,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let figures: Vec<Figure> = [guest()?, plugin()?].into_iter().flatten().collect();
    println!("{:<34} {:>12} {:<8} {:>12}", "FIGURE", "VALUE", "UNIT", "GOAL");
    for figure in &figures {
        let verdict = if figure.value <= figure.goal { "" } else { "  missed" };
        println!(
            "{:<34} {:>12} {:<8} {:>12}{verdict}",
            figure.key,
            figure.value,
            figure.unit,
            format!("≤ {}", figure.goal)
        );
    }
    if let Some(file) = arguments.json {
        let rows: Vec<_> = figures
            .iter()
            .map(|figure| {
                json!({
                    "key": figure.key, "value": figure.value, "unit": figure.unit, "goal": figure.goal,
                    "met": figure.value <= figure.goal,
                })
            })
            .collect();
        std::fs::write(&file, serde_json::to_vec_pretty(&rows)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// What the guest costs before it runs.
fn guest() -> Result<Vec<Figure>> {
    let guest = wasm::build()?;
    Ok(vec![Figure {
        key: "guest.bytes",
        value: size(&guest)? as f64,
        unit: "By",
        goal: 16384.0,
    }])
}

fn plugin() -> Result<Vec<Figure>> {
    Ok(vec![Figure {
        key: "plugin.bytes",
        value: size(&artifacts::plugin()?)? as f64,
        unit: "By",
        goal: 20.0 * 1024.0 * 1024.0,
    }])
}
