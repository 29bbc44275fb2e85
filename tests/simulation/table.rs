//! Seen beside simulated.

use std::time::Duration;

use learnflow_resilience::simulate::{Arrivals, Client, Mode as Fault, Outage, Scenario, Window, simulate};

use crate::{
    case::{Case, Mode, Policy},
    outage::Seen,
};

#[derive(Debug)]
pub struct Row {
    name: String,
    away: f64,
    seen: Figures,
    simulated: Figures,
}

/// The share of calls since the outage began that were refused, and how long calls waited that were made during it.
#[derive(Debug, Clone, Copy)]
struct Figures {
    refused: f64,
    p50: f64,
    p95: f64,
    extra: f64,
}

/// How many seeds a simulated figure is the median of.
const SEEDS: u64 = 21;

impl Row {
    pub fn of(case: &Case, policy: &Policy, seen: &Seen) -> Self {
        let simulated = (1..=SEEDS)
            .map(|seed| simulated(case, policy, seen, seed))
            .collect::<Vec<_>>();
        let median = |of: fn(&Figures) -> f64| {
            let mut all: Vec<f64> = simulated.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Self {
            name: case.name(),
            away: (seen.away[seen.away.len() - 1].1 - seen.away[0].0) / 1e3,
            seen: observed(seen),
            simulated: Figures {
                refused: median(|of| of.refused),
                p50: median(|of| of.p50),
                p95: median(|of| of.p95),
                extra: median(|of| of.extra),
            },
        }
    }
}

fn simulated(case: &Case, policy: &Policy, seen: &Seen, seed: u64) -> Figures {
    let millis = |time: f64| Duration::from_secs_f64(time / 1e3);
    let windows: Vec<_> = seen
        .away
        .iter()
        .map(|(from, to)| Window {
            from: millis(*from),
            to: millis(*to),
        })
        .collect();
    let mode = match case.mode {
        Mode::Refuse | Mode::Kill | Mode::Flap => Fault::Refuse,
        Mode::Hang => Fault::Hang,
        Mode::Slow => Fault::Slow(Duration::from_secs_f64(case.late.expect("how late"))),
    };
    let outage = Outage { mode, windows };
    let scenario = Scenario {
        policy: policy.in_force(),
        tail: millis(seen.end) - outage.end(),
        lead: outage.start(),
        outage,
        rate: seen.rate.into(),
        arrivals: Arrivals::Even,
        seed,
        client: Client::default(),
    };
    let report = simulate(&scenario);
    Figures {
        refused: report.refused_share(),
        p50: report.answers.p50,
        p95: report.answers.p95,
        extra: report.extra_events as f64,
    }
}

fn observed(seen: &Seen) -> Figures {
    let (from, to) = (seen.away[0].0, seen.away[seen.away.len() - 1].1);
    let since = seen.calls.iter().filter(|call| call.0 >= from);
    let refused = since.clone().filter(|call| call.2 != 204).count();
    let mut took: Vec<f64> = since
        .clone()
        .filter(|call| call.0 < to)
        .map(|call| call.1 / 1e3)
        .collect();
    took.sort_by(f64::total_cmp);
    let percentile = |share: usize| took[(took.len() - 1) * share / 100];
    let accepted = seen.calls.iter().filter(|call| call.2 == 204).count();
    Figures {
        refused: refused as f64 / since.count() as f64,
        p50: percentile(50),
        p95: percentile(95),
        extra: seen.events as f64 - accepted as f64,
    }
}

/// Markdown, for docs/simulate.md.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        "| outage | away | refused | simulated | p50 | simulated | p95 | simulated | extra | simulated |".to_owned(),
        "|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for Row {
        name,
        away,
        seen,
        simulated,
    } in rows
    {
        lines.push(format!(
            "| {name} | {away:.1} s | {:.1} % | {:.1} % | {:.2} s | {:.2} s | {:.2} s | {:.2} s | {:.0} | {:.0} |",
            seen.refused * 100.0,
            simulated.refused * 100.0,
            seen.p50,
            simulated.p50,
            seen.p95,
            simulated.p95,
            seen.extra,
            simulated.extra,
        ));
    }
    lines.join("\n")
}
