//! What was seen in a real outage beside what the simulation says of the same policy, outage and rate.

use crate::{
    policy::{Backoff, Policy},
    simulate::{Mode, Scenario, simulate},
    verdict::{Answer, Call, Seen, quantile},
};
use std::time::Duration;

/// A call that takes longer than this has met the outage.
const SLOW: Duration = Duration::from_millis(500);
/// How far shares and delays may be apart.
const NEAR: f64 = 0.10;
/// Two clocks, a probe each second: delays that are so near to each other are the same.
const EXACT: Duration = Duration::from_secs(2);

/// The calls since Kafka was away.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct During {
    pub calls: u64,
    /// A share of them, from 0 to 1.
    pub refused: f64,
    /// Until the answer, of those made until Kafka was back.
    pub p50: Duration,
    pub p95: Duration,
    pub breaker_opened: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// By its calls, Kafka was away from here on.
    pub from: Duration,
    pub seen: During,
    /// A network refuses connections to a Kafka that is away, or answers nothing: the one that is nearer to what was seen.
    pub mode: Mode,
    pub simulated: During,
    /// What is not as near as it should be.
    pub apart: Vec<String>,
}

/// `None`: no call has met the outage.
pub fn compare(seen: &Seen, policy: &Policy, rate: f64) -> Option<Comparison> {
    let met = |call: &&Call| call.took > SLOW || matches!(call.answer, Answer::Refused { .. });
    let from = seen.calls.iter().filter(met).map(|call| call.begun).min()?;
    let length = seen.back.checked_sub(from).filter(|length| !length.is_zero())?;
    let since: Vec<&Call> = seen.calls.iter().filter(|call| call.begun >= from).collect();
    let refused = since
        .iter()
        .filter(|call| matches!(call.answer, Answer::Refused { .. }))
        .count();
    let during = since.iter().filter(|call| call.begun < seen.back);
    let mut took: Vec<Duration> = during.map(|call| call.took).collect();
    took.sort();
    let real = During {
        calls: since.len() as u64,
        refused: share(refused as u64, since.len() as u64),
        p50: quantile(&took, 0.5)?,
        p95: quantile(&took, 0.95)?,
        breaker_opened: since
            .iter()
            .any(|call| matches!(call.answer, Answer::Refused { by_breaker: true, .. })),
    };
    let last = since.iter().map(|call| call.begun).max()?;
    let simulated = [Mode::Refuse, Mode::Hang].map(|mode| {
        let scenario = Scenario::new(policy.clone(), mode, length, rate);
        let report = simulate(&Scenario {
            tail: last.saturating_sub(seen.back),
            ..scenario
        });
        let simulated = During {
            calls: report.calls_since,
            refused: share(report.refused, report.calls_since),
            p50: Duration::from_secs_f64(report.answers.p50),
            p95: Duration::from_secs_f64(report.answers.p95),
            breaker_opened: !report.breaker.is_empty(),
        };
        (mode, simulated)
    });
    let [refuse, hang] = simulated;
    let (mode, simulated) = if distance(&real, &hang.1) < distance(&real, &refuse.1) {
        hang
    } else {
        refuse
    };
    Some(Comparison {
        from,
        seen: real,
        mode,
        simulated,
        apart: apart(&real, &simulated),
    })
}

fn share(part: u64, all: u64) -> f64 {
    part as f64 / all.max(1) as f64
}

/// In tenths of a share and in seconds, as it matters to a caller.
fn distance(seen: &During, simulated: &During) -> f64 {
    let delays = seen.p50.abs_diff(simulated.p50) + seen.p95.abs_diff(simulated.p95);
    (seen.refused - simulated.refused).abs() * 100.0 + delays.as_secs_f64()
}

fn apart(seen: &During, simulated: &During) -> Vec<String> {
    let mut apart = Vec::new();
    if (seen.refused - simulated.refused).abs() > NEAR {
        apart.push(format!(
            "{:.0} % were refused, {:.0} % by the simulation",
            seen.refused * 100.0,
            simulated.refused * 100.0
        ));
    }
    for (name, real, simulated) in [("p50", seen.p50, simulated.p50), ("p95", seen.p95, simulated.p95)] {
        let near = EXACT.max(real.mul_f64(NEAR));
        if real.abs_diff(simulated) > near {
            apart.push(format!(
                "{name} was {:.1} s, {:.1} s by the simulation",
                real.as_secs_f64(),
                simulated.as_secs_f64()
            ));
        }
    }
    if seen.breaker_opened != simulated.breaker_opened {
        let was = |opened: bool| if opened { "opened" } else { "did not open" };
        apart.push(format!(
            "the breaker {}, by the simulation it {}",
            was(seen.breaker_opened),
            was(simulated.breaker_opened)
        ));
    }
    apart
}

/// A policy in words.
pub fn words(policy: &Policy) -> String {
    let mut parts = Vec::new();
    if let Some(timeout) = policy.timeout {
        parts.push(format!("each attempt ends after {timeout:?}"));
    }
    parts.push(match &policy.retry {
        None => "no retries".into(),
        Some(retry) => {
            let pause = match &retry.backoff {
                Backoff::Constant { interval } => format!("every {interval:?}"),
                Backoff::Exponential { initial, max, .. } => format!("after {initial:?}, growing to {max:?}"),
            };
            match retry.max_retries {
                Some(retries) => format!("up to {retries} retries, {pause}"),
                None => format!("retries without end, {pause}"),
            }
        }
    });
    parts.push(match &policy.breaker {
        None => "no breaker".into(),
        Some(breaker) => format!("breaker opens at {} for {:?}", breaker.trip.text, breaker.timeout),
    });
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::Retry, verdict::Delivery};

    fn waiting() -> Policy {
        Policy {
            retry: Some(Retry {
                backoff: Backoff::Constant {
                    interval: Duration::from_secs(2),
                },
                max_retries: Some(30),
            }),
            ..Policy::default()
        }
    }

    /// Calls at 5/s through an outage from 1 s to 21 s, each of which has this answer.
    fn seen(answer: fn(Duration) -> (Duration, Answer)) -> Seen {
        let call = |number: u32| {
            let begun = Duration::from_millis(u64::from(number) * 200);
            let (took, answer) = match begun.as_secs() {
                1..21 => answer(begun),
                _ => (Duration::from_millis(5), Answer::Accepted),
            };
            Call {
                number,
                begun,
                took,
                answer,
            }
        };
        Seen {
            back: Duration::from_secs(21),
            budget: Duration::from_secs(30),
            calls: (0..150).map(call).collect(),
            states: Vec::new(),
            breaker: None,
            delivery: Delivery::Skipped,
        }
    }

    #[test]
    fn calls_that_wait_are_near_to_what_the_simulation_says() {
        let seen = seen(|begun| (Duration::from_secs(22).saturating_sub(begun), Answer::Accepted));
        let comparison = compare(&seen, &waiting(), 5.0).expect("an outage");
        assert_eq!(comparison.from, Duration::from_secs(1));
        assert_eq!(comparison.seen.refused, 0.0);
        assert!(comparison.simulated.refused == 0.0, "{comparison:?}");
        assert!(comparison.simulated.p50 > Duration::from_secs(5), "{comparison:?}");
    }

    #[test]
    fn refusals_that_the_policy_does_not_explain_are_told() {
        let seen = seen(|_| {
            let refused = Answer::Refused {
                code: 500,
                by_breaker: true,
                text: String::new(),
            };
            (Duration::from_millis(5), refused)
        });
        let comparison = compare(&seen, &waiting(), 5.0).expect("an outage");
        assert_eq!(comparison.apart[0], "69 % were refused, 0 % by the simulation");
        assert!(
            comparison
                .apart
                .iter()
                .any(|text| text.starts_with("the breaker opened"))
        );
    }

    #[test]
    fn without_an_outage_there_is_nothing_to_compare() {
        let seen = seen(|_| (Duration::from_millis(5), Answer::Accepted));
        assert_eq!(compare(&seen, &waiting(), 5.0), None);
    }
}
