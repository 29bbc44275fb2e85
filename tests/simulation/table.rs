//! Seen beside simulated.

use std::time::Duration;

use learnflow_resilience::simulate::{Arrivals, Client, Mode as Fault, Outage, Scenario, Window, simulate};

use crate::{
    case::{Case, Mode, Policy},
    outage::Seen,
};

/// One row: what was seen, in as many outages as were made, and what is simulated of each of them.
#[derive(Debug)]
pub struct Row {
    case: String,
    away: f64,
    runs: usize,
    measures: [Measure; 4],
}

/// The middle of both, and the range that nine of ten simulated runs are in.
#[derive(Debug)]
struct Measure {
    seen: f64,
    simulated: f64,
    range: (f64, f64),
}

/// How many seeds are simulated for each outage that was seen.
const SEEDS: u64 = 101;
/// What the simulation is asked for: a tenth. Of what is next to nothing: a point of calls, a tenth of a second.
const TENTH: f64 = 0.1;

/// The share of calls since the outage began that were refused; the median and the 95th percentile of how long callers
/// waited who called during it; events too many in Kafka.
type Figures = [f64; 4];

impl Row {
    pub fn of(case: &Case, policy: &Policy, seen: &[&Seen]) -> Self {
        let observed: Vec<Figures> = seen.iter().map(|seen| observed(seen)).collect();
        let simulated: Vec<Figures> = seen
            .iter()
            .flat_map(|seen| (1..=SEEDS).map(|seed| simulated(case, policy, seen, seed)))
            .collect();
        let sorted = |all: &[Figures], which: usize| {
            let mut all: Vec<f64> = all.iter().map(|figures| figures[which]).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let at = |all: &[f64], share: usize| all[(all.len() - 1) * share / 100];
        Self {
            case: case.title(),
            away: seen.iter().map(|seen| away(seen)).sum::<f64>() / seen.len() as f64,
            runs: seen.len(),
            measures: [0, 1, 2, 3].map(|which| {
                let (seen, simulated) = (sorted(&observed, which), sorted(&simulated, which));
                // Where chance decides there are two outcomes and nothing between them: no median tells that.
                let middle = |all: &[f64]| match which {
                    0 | 3 => all.iter().sum::<f64>() / all.len() as f64,
                    _ => at(all, 50),
                };
                Measure {
                    seen: middle(&seen),
                    simulated: middle(&simulated),
                    range: (at(&simulated, 5), at(&simulated, 95)),
                }
            }),
        }
    }

    /// What does not agree.
    pub fn misses(&self) -> Vec<&'static str> {
        let [refused, p50, p95, _] = &self.measures;
        [
            ("refused", refused.agrees(0.01)),
            ("p50", p50.agrees(0.1)),
            ("p95", p95.agrees(0.1)),
        ]
        .into_iter()
        .filter_map(|(name, agrees)| (!agrees).then_some(name))
        .collect()
    }

    /// Of Markdown, for docs/simulate.md.
    fn line(&self) -> String {
        let [refused, p50, p95, extra] = &self.measures;
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let range = match refused.range {
            (least, most) if most - least < 0.01 => String::new(),
            (least, most) => format!(" ({:.0} to {:.0})", least * 100.0, most * 100.0),
        };
        let misses = self.misses();
        format!(
            "| {} | {:.1} s | {} | {} | {}{range} | {:.2} s | {:.2} s | {:.2} s | {:.2} s | {:.0} | {:.0} | {} |",
            self.case,
            self.away,
            self.runs,
            percent(refused.seen),
            percent(refused.simulated),
            p50.seen,
            p50.simulated,
            p95.seen,
            p95.simulated,
            extra.seen,
            extra.simulated,
            if misses.is_empty() {
                "yes".to_owned()
            } else {
                format!("**no**: {}", misses.join(", "))
            },
        )
    }
}

impl Measure {
    fn agrees(&self, nothing: f64) -> bool {
        let difference = (self.seen - self.simulated).abs();
        difference <= TENTH * self.seen || difference <= nothing
    }
}

fn away(seen: &Seen) -> f64 {
    (seen.away[seen.away.len() - 1].1 - seen.away[0].0) / 1e3
}

fn simulated(case: &Case, policy: &Policy, seen: &Seen, seed: u64) -> Figures {
    let millis = |time: f64| Duration::from_secs_f64(time / 1e3);
    let window = |(from, to): &(f64, f64)| Window {
        from: millis(*from),
        to: millis(*to),
    };
    let outage = Outage {
        mode: match case.mode {
            Mode::Refuse | Mode::Kill | Mode::Flap => Fault::Refuse,
            Mode::Hang => Fault::Hang,
            Mode::Slow => Fault::Slow(Duration::from_secs_f64(case.late.expect("how late"))),
        },
        windows: seen.away.iter().map(window).collect(),
    };
    let report = simulate(&Scenario {
        policy: policy.in_force(),
        budget: outage.end() - outage.start(),
        tail: millis(seen.end) - outage.end(),
        outage,
        rate: case.rate.into(),
        arrivals: Arrivals::Even,
        seed,
        client: Client::default(),
    });
    [
        report.refused_share(),
        report.answers.p50,
        report.answers.p95,
        report.extra_events as f64,
    ]
}

fn observed(seen: &Seen) -> Figures {
    [
        seen.refused as f64 / seen.calls as f64,
        seen.p50,
        seen.p95,
        seen.extra as f64,
    ]
}

pub fn table(rows: &[Row]) -> String {
    let head = "| outage | away | runs | refused | simulated | p50 | simulated | p95 | simulated | twice | simulated | agrees |\n\
                |---|---|---|---|---|---|---|---|---|---|---|---|";
    let lines = rows.iter().map(Row::line);
    std::iter::once(head.to_owned())
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}
