//! Numbers that hold a budget: no call refused in an outage of that length, at that rate or a lower one, and refusals
//! at once in a longer one.
//!
//! No timeout is proposed: an attempt that is given up goes on in the Kafka client, and its retry publishes the event twice.

use std::time::Duration;

use super::{Outage, Report, Scenario, simulate};
use crate::{
    policy::{Backoff, Breaker, Policy, Retry},
    trip::Trip,
};

/// How far the numbers are from what the worst run needed.
const MARGIN: f64 = 1.25;
/// The outage that is simulated beyond the budget.
pub(crate) const BEYOND: u32 = 3;
/// More failures than there are.
const NEVER: u64 = 1 << 40;
const PROBES: [u64; 5] = [2, 3, 5, 8, 10];
/// Fewer calls stand less in each other's way: each is tried more often, and needs more retries.
pub(crate) const RATES: [f64; 4] = [1.0, 0.3, 0.1, 0.02];

/// A policy, and what it does in each run.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub policy: Policy,
    pub within: Vec<Report>,
    pub beyond: Vec<Report>,
    pub beyond_length: Duration,
    /// The most retries that a call needed, and the most attempts that failed in a row.
    pub needed: (u32, u32),
}

/// For the outage of the scenario, whatever its policy is; `runs` seeds from that of the scenario on.
#[must_use]
pub fn fit(scenario: &Scenario, runs: u64) -> Fitted {
    let length = scenario.outage.end() - scenario.outage.start();
    let runs = |scenario: &Scenario| -> Vec<Report> {
        let with = |seed| Scenario {
            seed: scenario.seed.wrapping_add(seed),
            ..scenario.clone()
        };
        (0..runs.max(1)).map(|seed| simulate(&with(seed))).collect()
    };
    let mut retry = Retry {
        backoff: Backoff::Constant {
            interval: pause(length),
        },
        max_retries: None,
    };
    let mut within = scenario.clone();
    within.policy = Policy {
        timeout: None,
        retry: Some(retry),
        // To count what fails in a row.
        breaker: Some(breaker(NEVER, Duration::from_secs(1))),
    };
    let needed: Vec<Report> = RATES
        .iter()
        .flat_map(|share| {
            runs(&Scenario {
                rate: scenario.rate * share,
                ..within.clone()
            })
        })
        .collect();
    let most = |of: fn(&Report) -> u32| needed.iter().map(of).max().unwrap_or(0);
    let needed = (
        most(|report| report.retries_at_most),
        most(|report| report.failures_in_a_row),
    );
    let retries = (f64::from(needed.0) * MARGIN).ceil().max(3.0);
    retry.max_retries = Some(retries as u32);
    let limit = round(f64::from(needed.1) * MARGIN).max(5);

    let mut longer = scenario.clone();
    let beyond_length = length * BEYOND;
    // A flap that is longer is no harder: what is beyond it is an outage without a break.
    longer.outage = Outage::once(scenario.outage.mode, scenario.outage.start(), beyond_length);
    longer.budget = length;
    let candidates = PROBES.map(|seconds| {
        let policy = Policy {
            timeout: None,
            retry: Some(retry),
            breaker: Some(breaker(limit, Duration::from_secs(seconds))),
        };
        longer.policy = policy.clone();
        (policy, runs(&longer))
    });
    let slowest = |reports: &[Report]| {
        let closed = reports.iter().map(|report| report.closed_after.unwrap_or(f64::MAX));
        closed.fold(0.0, f64::max)
    };
    let [first, others @ ..] = candidates;
    let (policy, beyond) = others.into_iter().fold(first, |best, other| {
        if slowest(&other.1) < slowest(&best.1) {
            other
        } else {
            best
        }
    });
    within.policy = policy.clone();
    Fitted {
        policy,
        within: runs(&within),
        beyond,
        beyond_length,
        needed,
    }
}

/// A fifteenth of the outage, in half seconds, from 1 s to 5 s: shorter pauses fail no less, longer ones only delay.
fn pause(length: Duration) -> Duration {
    let halves = (length.as_secs_f64() / 15.0 * 2.0).round().clamp(2.0, 10.0);
    Duration::from_millis(halves as u64 * 500)
}

fn breaker(limit: u64, timeout: Duration) -> Breaker {
    Breaker {
        trip: Trip::parse(&format!("consecutiveFailures > {limit}")).unwrap_or_default(),
        timeout,
        interval: None,
        max_requests: 1,
    }
}

/// Up to two digits.
fn round(number: f64) -> u64 {
    let digits = number.max(1.0).log10().floor() as i32;
    let unit = 10_f64.powi((digits - 1).max(0));
    ((number / unit).ceil() * unit) as u64
}
