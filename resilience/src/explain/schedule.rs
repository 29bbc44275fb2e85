//! When attempts are made, and how long all of it may take.

use crate::policy::{Backoff, Policy, Retry};
use std::time::Duration;

/// Retries as they are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The first one included; `None`: without end.
    pub attempts: Option<u64>,
    /// The first pauses, shortest and longest.
    pub pauses: Vec<(Duration, Duration)>,
    /// All pauses together, shortest and longest; `None`: without end.
    pub waiting: Option<(Duration, Duration)>,
}

/// How long a call may hold its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// No longer than this.
    Most(Duration),
    /// This, and so many attempts, each as long as whoever is called takes for it.
    Pauses(Duration, u64),
    Endless,
}

impl Schedule {
    pub fn of(retry: &Retry) -> Self {
        const SHOWN: usize = 6;
        // Nobody waits for more of them than this: what comes after differs by nothing.
        const MOST: u64 = 100_000;
        let mut pauses = Vec::new();
        let (mut shortest, mut longest) = (Duration::ZERO, Duration::ZERO);
        let mut made = 0;
        let limit = elapsed(retry);
        let retries = retry.max_retries.map_or(MOST, u64::from).min(MOST);
        while made < retries {
            let (least, most) = pause(&retry.backoff, made);
            if limit.is_some_and(|limit| shortest + least > limit) {
                break;
            }
            if pauses.len() < SHOWN {
                pauses.push((least, most));
            }
            shortest += least;
            longest += most;
            made += 1;
        }
        let ends = retry.max_retries.is_some() || limit.is_some();
        let longest = limit.map_or(longest, |limit| longest.min(limit));
        let skipped = retry
            .max_retries
            .map_or(0, |retries| u64::from(retries).saturating_sub(MOST));
        let rest = pause(&retry.backoff, MOST).1 * u32::try_from(skipped).unwrap_or(u32::MAX);
        Self {
            attempts: ends.then_some(made + 1 + skipped),
            pauses,
            waiting: ends.then(|| ((shortest + rest).min(longest + rest), longest + rest)),
        }
    }
}

/// No attempt begins later than this.
pub(super) fn elapsed(retry: &Retry) -> Option<Duration> {
    match retry.backoff {
        Backoff::Exponential { max_elapsed, .. } => max_elapsed,
        Backoff::Constant { .. } => None,
    }
}

/// The pause before the retry `n`, counted from 0: shortest and longest.
fn pause(backoff: &Backoff, n: u64) -> (Duration, Duration) {
    match *backoff {
        Backoff::Constant { interval } => (interval, interval),
        Backoff::Exponential {
            initial,
            max,
            multiplier,
            randomization,
            ..
        } => {
            let grown = initial.as_secs_f64() * multiplier.powi(i32::try_from(n).unwrap_or(i32::MAX));
            // The first one is never cut.
            let nominal = if n == 0 { grown } else { grown.min(max.as_secs_f64()) };
            let of = |factor: f64| Duration::try_from_secs_f64(nominal * factor).unwrap_or(max);
            (of((1.0 - randomization).max(0.0)), of(1.0 + randomization))
        }
    }
}

pub fn blocking(policy: &Policy) -> Blocking {
    let attempts = policy.retry.as_ref().map(Schedule::of);
    let (attempts, pauses) = match &attempts {
        None => (1, Duration::ZERO),
        Some(schedule) => match (schedule.attempts, schedule.waiting) {
            (Some(attempts), Some((_, longest))) => (attempts, longest),
            _ => return Blocking::Endless,
        },
    };
    // Where a limit ends it, attempts are counted in; only the last one may go beyond.
    let limit = policy.retry.as_ref().and_then(elapsed);
    match (policy.timeout, limit) {
        (Some(timeout), limit) => {
            let all = timeout.saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX));
            let most = pauses.saturating_add(all);
            Blocking::Most(limit.map_or(most, |limit| most.min(limit + timeout)))
        }
        (None, Some(limit)) if pauses >= limit => Blocking::Pauses(limit, 1),
        (None, _) => Blocking::Pauses(pauses, attempts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(interval: u64, max_retries: Option<u32>) -> Retry {
        Retry {
            backoff: Backoff::Constant {
                interval: Duration::from_secs(interval),
            },
            max_retries,
        }
    }

    #[test]
    fn constant_retries_are_summed_up() {
        let schedule = Schedule::of(&constant(2, Some(30)));
        assert_eq!(schedule.attempts, Some(31));
        assert_eq!(
            schedule.waiting,
            Some((Duration::from_secs(60), Duration::from_secs(60)))
        );
        assert_eq!(Schedule::of(&constant(2, None)).attempts, None);
        let none = Schedule::of(&constant(2, Some(0)));
        assert_eq!(
            (none.attempts, none.waiting),
            (Some(1), Some((Duration::ZERO, Duration::ZERO)))
        );
    }

    #[test]
    fn exponential_retries_end_after_15_minutes() {
        let retry = Retry {
            backoff: Backoff::Exponential {
                initial: Duration::from_millis(500),
                max: Duration::from_secs(60),
                multiplier: 1.5,
                randomization: 0.5,
                max_elapsed: Some(Duration::from_secs(900)),
            },
            max_retries: None,
        };
        let schedule = Schedule::of(&retry);
        assert_eq!(
            schedule.pauses[0],
            (Duration::from_millis(250), Duration::from_millis(750))
        );
        assert_eq!(
            schedule.pauses[1],
            (Duration::from_millis(375), Duration::from_millis(1125))
        );
        let (_, longest) = schedule.waiting.expect("it ends");
        assert_eq!(longest, Duration::from_secs(900));
    }
}
