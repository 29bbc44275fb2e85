//! When attempts are made, and how long all of it may take.

use crate::policy::{Backoff, Policy, Retry};
use std::time::Duration;

/// A publish that meets a broker which refuses takes the Kafka client at least this: three tries, 100 ms apart.
pub const CLIENT: Duration = Duration::from_millis(300);

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

/// The time between the begins of two attempts, on average and once they are regular.
fn rhythm(retry: &Retry) -> f64 {
    let pause = match retry.backoff {
        Backoff::Constant { interval } => interval,
        Backoff::Exponential { max, .. } => max,
    };
    (pause + CLIENT).as_secs_f64()
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

/// How long a publish can wait for Kafka, at the least: its pauses, and what the client takes for each attempt.
pub fn endures(retry: Option<&Retry>) -> Option<Duration> {
    let Some(retry) = retry else {
        return Some(CLIENT);
    };
    let schedule = Schedule::of(retry);
    let (attempts, (shortest, _)) = (schedule.attempts?, schedule.waiting?);
    // A 15 minutes' end counts the attempts in.
    let attempts = match elapsed(retry) {
        Some(limit) if shortest + pause(&retry.backoff, attempts).1 >= limit => 1,
        _ => u32::try_from(attempts).unwrap_or(u32::MAX),
    };
    Some(shortest.saturating_add(CLIENT.saturating_mul(attempts)))
}

/// When so many failures in a row have come together, with `rate` publishes a second that all fail: each fails at once,
/// and again with each retry. `None`: never.
pub fn opens_after(retry: Option<&Retry>, failures: u32, rate: f64) -> Option<Duration> {
    let attempts = match retry {
        None => 1.0,
        Some(retry) => Schedule::of(retry)
            .attempts
            .map_or(f64::INFINITY, |attempts| attempts as f64),
    };
    let rhythm = retry.map_or(1.0, rhythm);
    // The failures of all calls that came before `t`: a call of age `u` has failed 1 + u / rhythm times, to its end.
    let grown = rhythm * (attempts - 1.0);
    let together = |t: f64| match t <= grown {
        true => rate * (t + t * t / (2.0 * rhythm)),
        false => rate * (grown + grown * grown / (2.0 * rhythm) + attempts * (t - grown)),
    };
    let (mut low, mut high) = (0.0, 1e7);
    if together(high) < f64::from(failures) {
        return None;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match together(middle) < f64::from(failures) {
            true => low = middle,
            false => high = middle,
        }
    }
    Duration::try_from_secs_f64(high).ok()
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
        let endures = endures(Some(&retry)).expect("it ends");
        assert!(
            endures > Duration::from_secs(860) && endures <= Duration::from_secs(900),
            "{endures:?}"
        );
    }

    #[test]
    fn a_breaker_opens_when_failures_have_come_together() {
        let retry = constant(2, Some(30));
        let opens = |failures, rate| opens_after(Some(&retry), failures, rate).map(|after| after.as_secs());
        assert_eq!(opens(12_001, 50.0), Some(31));
        assert_eq!(opens(12_001, 5.0), Some(110));
        assert_eq!(opens(5, 50.0), Some(0));
        assert_eq!(opens_after(None, 5, 5.0), Some(Duration::from_secs(1)));
    }
}
