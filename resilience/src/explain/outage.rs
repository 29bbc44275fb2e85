//! Whether the two promises hold at a rate, by simulation: publishes outlive an outage, and in a longer one a breaker stops them.

use super::Question;
use crate::{
    policy::Policy,
    simulate::{BEYOND, Client, Mode, Outage, RATES, Report, Scenario, State, simulate},
};
use std::time::Duration;

/// What a publish is to survive when nobody says.
pub const OUTAGE: Duration = Duration::from_secs(30);
/// Chance decides when the Kafka client looks for a broker again. Always the same seeds, so that the same is said each time.
const RUNS: u64 = 3;

/// A policy and what it is to go through.
pub(super) struct Trial<'a> {
    pub(super) policy: &'a Policy,
    pub(super) outage: Duration,
    pub(super) rate: f64,
    pub(super) partitions: usize,
}

/// The run that was worst, and its rate.
pub(super) struct Worst {
    pub(super) rate: f64,
    pub(super) report: Report,
}

impl Trial<'_> {
    /// What its retries alone refuse, whatever the breaker does.
    pub(super) fn retries_end(&self) -> Option<Worst> {
        let policy = Policy {
            breaker: None,
            ..self.policy.clone()
        };
        self.refusing(&policy, |report| report.refused)
    }

    /// What its breaker refuses.
    pub(super) fn breaker_opens(&self) -> Option<Worst> {
        self.policy.breaker.as_ref()?;
        self.refusing(self.policy, |report| report.stopped)
    }

    /// A much longer outage in which no breaker opens: how long that is, and the run that holds most calls.
    pub(super) fn nothing_stops(&self) -> Option<(Duration, Report)> {
        let length = self.outage * BEYOND;
        let reports: Vec<Report> = self.runs(self.policy, length, self.rate).collect();
        let stops = |report: &Report| {
            let opened = report.breaker.iter().find(|change| change.state == State::Open);
            opened.is_some_and(|change| change.at < length.as_secs_f64())
        };
        let worst = reports.iter().max_by_key(|report| report.waiting_at_most)?;
        (!reports.iter().any(stops)).then(|| (length, worst.clone()))
    }

    /// At the highest rate at which any is. Fewer calls stand less in each other's way, are tried more often, and so may be
    /// refused where many are not.
    fn refusing(&self, policy: &Policy, refused: fn(&Report) -> u64) -> Option<Worst> {
        RATES.iter().map(|share| self.rate * share).find_map(|rate| {
            let worst = self.runs(policy, self.outage, rate).max_by_key(refused)?;
            (refused(&worst) > 0).then_some(Worst { rate, report: worst })
        })
    }

    fn runs(&self, policy: &Policy, length: Duration, rate: f64) -> impl Iterator<Item = Report> {
        let mut scenario = Scenario::new(policy.clone(), Mode::Refuse, length, rate);
        scenario.client = Client {
            partitions: self.partitions,
            ..scenario.client
        };
        (1..=RUNS).map(move |seed| {
            scenario.seed = seed;
            simulate(&scenario)
        })
    }
}

/// How many publishes the longest simulation has.
#[must_use]
pub fn publishes(rate: f64, question: &Question) -> f64 {
    let outage = question.outage.unwrap_or(OUTAGE);
    let scenario = Scenario::new(Policy::default(), Mode::Refuse, outage * BEYOND, rate);
    rate * (Outage::end(&scenario.outage) + scenario.tail).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Backoff, Breaker, Retry},
        trip::Trip,
    };

    fn policy(max_retries: u32, trip: Option<&str>) -> Policy {
        Policy {
            timeout: None,
            retry: Some(Retry {
                backoff: Backoff::Constant {
                    interval: Duration::from_secs(2),
                },
                max_retries: Some(max_retries),
            }),
            breaker: trip.map(|trip| Breaker {
                trip: Trip::parse(trip).expect("a trip"),
                timeout: Duration::from_secs(5),
                interval: None,
                max_requests: 1,
            }),
        }
    }

    fn trial(policy: &Policy, rate: f64) -> Trial<'_> {
        Trial {
            policy,
            outage: OUTAGE,
            rate,
            partitions: 3,
        }
    }

    #[test]
    fn retries_that_end_are_found_behind_a_breaker_too() {
        let short = policy(3, Some("consecutiveFailures >= 5"));
        let worst = trial(&short, 5.0).retries_end().expect("they end");
        assert!(worst.report.refused > 50 && worst.report.stopped == 0);
        assert!(trial(&policy(30, None), 5.0).retries_end().is_none());
    }

    #[test]
    fn few_publishes_need_more_retries_than_many() {
        let some = policy(5, None);
        let worst = trial(&some, 500.0).retries_end().expect("at a lower rate");
        assert!(worst.rate < 500.0, "{}", worst.rate);
    }

    #[test]
    fn a_breaker_that_opens_within_the_outage_or_not_at_all() {
        let opens = policy(30, Some("consecutiveFailures >= 5"));
        let worst = trial(&opens, 5.0).breaker_opens().expect("it opens");
        assert!(worst.report.breaker[0].at < 5.0);
        assert!(trial(&opens, 5.0).nothing_stops().is_none());
        let never = policy(60, Some("consecutiveFailures > 90000"));
        assert!(trial(&never, 5.0).breaker_opens().is_none());
        let (longer, report) = trial(&never, 5.0).nothing_stops().expect("nothing does");
        assert_eq!(longer, Duration::from_secs(90));
        assert!(report.waiting_at_most > 400);
        // A breaker between both.
        let good = policy(60, Some("consecutiveFailures > 1200"));
        assert!(trial(&good, 20.0).breaker_opens().is_none());
        assert!(trial(&good, 20.0).nothing_stops().is_none());
    }

    #[test]
    fn the_same_is_said_each_time() {
        let policy = policy(5, Some("consecutiveFailures >= 50"));
        let of = || {
            let worst = trial(&policy, 20.0).breaker_opens().expect("it opens");
            (worst.rate, worst.report)
        };
        assert_eq!(of(), of());
    }
}
