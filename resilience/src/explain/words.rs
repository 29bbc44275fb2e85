//! Policies in plain words.

use super::{Flow, Schedule, blocking, schedule::Blocking};
use crate::{
    policy::{Backoff, Breaker, Retry},
    read::{Direction, Target},
};
use std::time::Duration;

/// `500ms`, `2s`, `1m30s`.
pub fn length(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 {
        return format!("{}ms", duration.as_millis());
    }
    if seconds < 60.0 {
        let text = format!("{seconds:.1}");
        return format!("{}s", text.strip_suffix(".0").unwrap_or(&text));
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    let part = |n: u64, unit: &str| if n == 0 { String::new() } else { format!("{n}{unit}") };
    part(hours, "h") + &part(minutes, "m") + &part(seconds, "s")
}

/// `2s`, or `1.1s–3.4s` where chance decides.
pub fn between((least, most): (Duration, Duration)) -> String {
    match (length(least), length(most)) {
        (least, most) if least == most => least,
        (least, most) => format!("{least}–{most}"),
    }
}

fn times(n: u64, thing: &str) -> String {
    match n {
        1 => format!("1 {thing}"),
        n => format!("{n} {thing}s"),
    }
}

/// The three parts as cells: timeout, retries, breaker.
pub fn parts(flow: &Flow) -> [String; 3] {
    let policy = &flow.found.policy;
    [
        policy.timeout.map_or_else(|| "-".into(), length),
        policy.retry.as_ref().map_or_else(|| "-".into(), retry),
        policy
            .breaker
            .as_ref()
            .map_or_else(|| "-".into(), |breaker| breaker.trip.text.clone()),
    ]
}

/// `30 × 2s`, `∞ × 5s`, `5 × 500ms ×1.5 to 1m`.
fn retry(retry: &Retry) -> String {
    let number = retry.max_retries.map_or_else(|| "∞".into(), |n| n.to_string());
    match retry.backoff {
        _ if retry.max_retries == Some(0) => "none".into(),
        Backoff::Constant { interval } => format!("{number} × {}", length(interval)),
        Backoff::Exponential { initial, max, .. } => format!("{number} × {}…{}", length(initial), length(max)),
    }
}

/// What happens to a call, sentence by sentence.
pub fn plain(flow: &Flow) -> Vec<String> {
    let call = match (&flow.target, flow.direction) {
        (Target::Component { .. }, Direction::Outbound) => "A publish",
        (Target::Component { .. }, Direction::Inbound) => "A delivery",
        _ => "A call",
    };
    let call = match &flow.target {
        Target::Component { kind, .. } if *kind != crate::read::ComponentKind::Pubsub => "A call",
        _ => call,
    };
    let policy = &flow.found.policy;
    let mut said = Vec::new();
    said.push(match &policy.retry {
        None => format!("{call} is tried once."),
        Some(retry) => format!("{call} {}", attempts(retry)),
    });
    said.push(match policy.timeout {
        Some(timeout) => format!("Each attempt is given up after {}.", length(timeout)),
        None => "No attempt is given up: it ends when what is called ends it.".into(),
    });
    said.push(match blocking(policy) {
        Blocking::Most(longest) => format!("So it takes {} at the most.", length(longest)),
        Blocking::Pauses(pauses, 1) if pauses.is_zero() => "So it takes as long as its one attempt.".into(),
        Blocking::Pauses(pauses, attempts) => {
            format!(
                "So it takes {}, and the time of {}.",
                length(pauses),
                times(attempts, "attempt")
            )
        }
        Blocking::Endless => "So it may take for ever.".into(),
    });
    if let Some(breaker) = &policy.breaker {
        said.push(opens(breaker, policy.retry.is_some()));
    }
    if let Some(codes) = &flow.found.http_codes {
        said.push(format!("Of failures with an HTTP status, only {codes} are retried."));
    }
    if let Some(codes) = &flow.found.grpc_codes {
        said.push(format!("Of failures with a gRPC status, only {codes} are retried."));
    }
    if let Some(within) = &flow.found.within {
        said.push(format!("Each attempt, when it reaches no one, {}", attempts(within)));
    }
    if flow.dead_letters {
        said.push(
            "What fails goes to its dead-letter topic, through the outbound policy, in 30s or not at all.".into(),
        );
    }
    if let Some(around) = &flow.found.around {
        let all = times_around(around);
        said.push(format!("If none of it succeeds and no dead-letter topic takes the event, the Kafka component begins all of it anew, {all}."));
    }
    said
}

/// `is tried up to 31 times, 2s apart.`
fn attempts(retry: &Retry) -> String {
    let schedule = Schedule::of(retry);
    let apart = match retry.backoff {
        Backoff::Constant { interval } if interval.is_zero() => "with no pause".into(),
        Backoff::Constant { interval } => format!("{} apart", length(interval)),
        Backoff::Exponential { .. } => {
            let pauses: Vec<String> = schedule.pauses.iter().map(|pause| between(*pause)).collect();
            let max = match retry.backoff {
                Backoff::Exponential { max, .. } => max,
                Backoff::Constant { interval } => interval,
            };
            let shown = format!("with pauses of {}", pauses.join(", "));
            match schedule.attempts {
                Some(attempts) if attempts as usize <= pauses.len() + 1 => shown,
                _ => format!("{shown} and so on, up to {} on average", length(max)),
            }
        }
    };
    match (retry.max_retries, schedule.attempts) {
        (Some(0), _) => "is tried once.".into(),
        (Some(_), Some(attempts)) => format!("is tried up to {attempts} times, {apart}."),
        (None, Some(_)) => format!("is tried for up to 15 minutes, {apart}."),
        _ => format!("is tried without end, {apart}."),
    }
}

fn times_around(retry: &Retry) -> String {
    let apart = match retry.backoff {
        Backoff::Constant { interval } => format!("{} later", length(interval)),
        Backoff::Exponential { initial, max, .. } => format!("{} to {} later", length(initial), length(max)),
    };
    match retry.max_retries {
        None => format!("{apart}, without end"),
        Some(n) => format!("{apart}, {}", times(n.into(), "time")),
    }
}

fn opens(breaker: &Breaker, retries: bool) -> String {
    let Breaker {
        trip,
        timeout,
        max_requests,
        interval,
    } = breaker;
    let ends = if retries {
        " and the retries of all waiting calls end"
    } else {
        ""
    };
    let tries = if *max_requests == 1 {
        "one call may try".into()
    } else {
        format!("{max_requests} calls may try at a time")
    };
    let anew = interval.map_or_else(String::new, |interval| {
        format!(" Counts begin anew each {}.", length(interval))
    });
    format!(
        "When {}, the breaker opens: calls are refused at once{ends}. After {} {tries}.{anew}",
        trip.text,
        length(*timeout)
    )
}
