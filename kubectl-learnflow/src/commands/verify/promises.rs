//! Promises with their verdicts: how they are shown, and what they come to.

use crate::{
    model::Outcome,
    printer::{Printer, Tone},
    problem::Problem,
};
use learnflow_resilience::verdict::{Promise, Verdict};
use serde_json::{Value, json};

/// `next`: what to do when something cannot be told.
pub(super) fn outcome(promises: &[Promise], next: &str) -> Result<Outcome, Problem> {
    let is = |verdict: Verdict| promises.iter().any(|promise| promise.verdict == verdict);
    if is(Verdict::Broken) {
        return Ok(Outcome::Bad);
    }
    match promises.iter().find(|promise| promise.verdict == Verdict::Unknown) {
        Some(promise) => Err(Problem::new(format!("Not everything can be told: {}.", promise.why)).next(next)),
        None => Ok(Outcome::Good),
    }
}

pub(super) fn show(promises: &[Promise], printer: &Printer) {
    printer.data_line(Tone::Plain, "PROMISES");
    for promise in promises {
        let (sign, tone) = match promise.verdict {
            Verdict::Kept => ("√", Tone::Good),
            Verdict::Broken => ("×", Tone::Bad),
            Verdict::NotTested => ("-", Tone::Plain),
            Verdict::Unknown => ("?", Tone::Warn),
        };
        printer.data_line(tone, &format!("{sign} {}: {}", promise.promise, promise.why));
    }
    printer.data("\n");
    let count = |verdict: Verdict| promises.iter().filter(|promise| promise.verdict == verdict).count();
    let (kept, all) = (count(Verdict::Kept), promises.len());
    match count(Verdict::Broken) {
        0 => printer.data_line(Tone::Good, &format!("√ {kept} of {all} promises kept, none broken")),
        n => printer.data_line(Tone::Bad, &format!("× {n} of {all} promises broken")),
    }
}

pub(super) fn document(promise: &Promise) -> Value {
    let verdict = match promise.verdict {
        Verdict::Kept => "kept",
        Verdict::Broken => "broken",
        Verdict::NotTested => "not-tested",
        Verdict::Unknown => "unknown",
    };
    json!({ "id": promise.id, "promise": promise.promise, "verdict": verdict, "why": promise.why })
}
