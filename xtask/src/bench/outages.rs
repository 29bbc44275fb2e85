//! What the shipped policies do in an outage of a real Kafka: two rows of tests/resilience.

use anyhow::{Result, bail};

use super::{collector::Taken, figure::Figure};
use crate::{
    artifacts::{cargo, run_shown},
    wasm,
};

pub fn resilience() -> Result<Vec<Figure>> {
    let mut text = String::new();
    for row in ["refused_30s", "refused_90s"] {
        text += &measured(&format!("resilience::{row}"))?;
    }
    let taken = Taken(text);
    // By each row.
    let lost = taken.all("resilience.lost")?.iter().sum();
    let figure = |key, unit| Ok::<_, anyhow::Error>(Figure::median(key, taken.of(key)?, unit));
    Ok(vec![
        figure("resilience.refused_30s", "")?.at_most(0.0),
        Figure::new("resilience.lost", lost, "").at_most(0.0),
        figure("resilience.failfast_p99_ms", "ms")?.at_most(100.0),
        figure("resilience.close_after_recovery_s", "s")?.at_most(10.0),
    ])
}

/// What a row prints. That it misses a goal is a figure, not an error.
fn measured(row: &str) -> Result<String> {
    let guest = wasm::build()?;
    let mut command = cargo();
    let test = [
        "test",
        "--quiet",
        "--package",
        "learnflow-tests",
        "--test",
        "resilience",
    ];
    command
        .args(test)
        .args(["--", "--include-ignored", "--exact", row])
        .env("LEARNFLOW_WASM", guest);
    let (_, text) = run_shown(row, &mut command)?;
    if !text.contains("figure resilience.lost") {
        bail!("{row} did not come to its end");
    }
    Ok(text)
}
