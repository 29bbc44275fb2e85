//! From what was seen in a real outage to a verdict on each promise.
//!
//! All times are from the moment at which Kafka was taken away; what came before has none.

use crate::policy::Breaker;
use std::{collections::BTreeSet, time::Duration};

/// Publishing works again within this after Kafka is back.
pub const CLOSE: Duration = Duration::from_secs(10);
/// A refusal beyond the budget takes at most this, for 99 of 100.
pub const FAIL_FAST: Duration = Duration::from_millis(100);
/// How often the metrics are read, and so how exact they are in time.
pub const SAMPLED: Duration = Duration::from_secs(1);

/// What one run has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The outage that is to be bridged.
    pub budget: Duration,
    /// As it is declared: it says how often a call may try.
    pub breaker: Option<Breaker>,
    /// When Kafka was there again.
    pub back: Duration,
    pub calls: Vec<Call>,
    /// What the sidecar's metrics said of the breaker, as often as they were read.
    pub states: Vec<(Duration, State)>,
    pub delivery: Delivery,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub number: u32,
    pub begun: Duration,
    pub took: Duration,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    Refused {
        code: u16,
        /// The answer says that the breaker is open.
        by_breaker: bool,
        text: String,
    },
    /// The way to the sidecar broke: the event may be accepted or not.
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is said: there is no breaker, or it was never used.
    None,
    Closed,
    HalfOpen,
    Open,
}

/// What Kafka has of the events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Delivery {
    Checked {
        delivered: BTreeSet<u32>,
        /// Events that are there more than once.
        twice: BTreeSet<u32>,
        /// Accepted, and gone with Kafka's own disk before they could be read.
        discarded: BTreeSet<u32>,
    },
    Failed(String),
    #[default]
    Skipped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    Broken,
    /// The case did not occur, or was not to be looked at.
    NotTested,
    /// It cannot be told.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Stays the same from version to version.
    pub id: &'static str,
    pub promise: String,
    pub verdict: Verdict,
    pub why: String,
}

impl Call {
    pub fn ended(&self) -> Duration {
        self.begun + self.took
    }

    fn is_refused(&self) -> bool {
        matches!(self.answer, Answer::Refused { .. })
    }

    fn is_refused_by_breaker(&self) -> bool {
        matches!(self.answer, Answer::Refused { by_breaker: true, .. })
    }

    fn is_accepted(&self) -> bool {
        self.answer == Answer::Accepted
    }
}

/// From when on a refusal is to be quick: beyond the budget, and once the breaker has opened. Who called before that waited for
/// Kafka, as they should. Who is let through to try whether Kafka is back has to wait too: such a call is not counted.
#[must_use]
pub fn fast_from(budget: Duration, opened: Option<Duration>) -> Duration {
    budget.max(opened.unwrap_or_default())
}

/// All promises, in the order of the report.
pub fn judge(seen: &Seen) -> Vec<Promise> {
    vec![within(seen), lost(seen), fail_fast(seen), close(seen)]
}

/// Where calls and metrics tell different things of the breaker.
pub fn disagreements(seen: &Seen) -> Vec<String> {
    let mut said = Vec::new();
    let refused = seen.calls.iter().filter(|call| call.is_refused_by_breaker());
    let refused: Vec<Duration> = refused.map(Call::ended).collect();
    let open = |(_, state): &&(Duration, State)| matches!(state, State::Open | State::HalfOpen);
    let opened: Vec<Duration> = seen.states.iter().filter(open).map(|(at, _)| *at).collect();
    match (refused.first(), opened.first()) {
        (Some(first), None) if !seen.states.is_empty() => {
            let last = refused.iter().max().unwrap_or(first);
            // What opened and closed between two looks cannot be in the metrics.
            if *last >= *first + SAMPLED {
                said.push(format!(
                    "{} calls were refused by an open breaker from {} to {}; the metrics never show it open.",
                    refused.len(),
                    seconds(*first),
                    seconds(*last)
                ));
            }
        }
        (None, Some(first)) => said.push(format!(
            "The metrics show the breaker open from {}; no call was refused by it.",
            seconds(*first)
        )),
        _ => {}
    }
    if let (Some((at, State::Open)), Some(last)) = (seen.states.last(), seen.calls.iter().map(Call::ended).max()) {
        let accepted = seen
            .calls
            .iter()
            .filter(|call| call.is_accepted() && call.begun > seen.back)
            .count();
        if accepted > 0 && *at >= last.saturating_sub(SAMPLED) {
            said.push(format!(
                "The metrics show the breaker open to the end; {accepted} calls were accepted after Kafka was back."
            ));
        }
    }
    said
}

fn within(seen: &Seen) -> Promise {
    let promise = format!("No publish is refused in an outage of up to {}", seconds(seen.budget));
    let whole = seen.back <= seen.budget;
    // Of a longer outage its first part counts.
    let counts = |call: &&Call| whole || call.ended() <= seen.budget;
    let refused: Vec<&Call> = seen
        .calls
        .iter()
        .filter(|call| call.is_refused())
        .filter(counts)
        .collect();
    let unknown = seen
        .calls
        .iter()
        .filter(|call| matches!(call.answer, Answer::Unknown(_)));
    let unknown = unknown.filter(counts).count();
    let all = seen.calls.iter().filter(counts).count();
    let (verdict, why) = match (refused.first(), unknown) {
        (Some(first), _) => (
            Verdict::Broken,
            format!("{} of {all} refused, {}", refused.len(), told(first)),
        ),
        (None, 0) if all == 0 => (Verdict::Unknown, "nothing was published".to_owned()),
        (None, 0) => (
            Verdict::Kept,
            format!("0 of {all} refused, Kafka was away for {}", seconds(seen.back)),
        ),
        (None, n) => (Verdict::Unknown, format!("of {n} of {all} calls the answer never came")),
    };
    Promise {
        id: "none-refused-within-budget",
        promise,
        verdict,
        why,
    }
}

fn told(call: &Call) -> String {
    let Answer::Refused { code, text, .. } = &call.answer else {
        return String::new();
    };
    format!(
        "the first at {} after {} with {code}: {text}",
        seconds(call.ended()),
        seconds(call.took)
    )
}

fn lost(seen: &Seen) -> Promise {
    let accepted: BTreeSet<u32> = seen
        .calls
        .iter()
        .filter(|call| call.is_accepted())
        .map(|call| call.number)
        .collect();
    let all = accepted.len();
    let (verdict, why) = match &seen.delivery {
        Delivery::Skipped => (Verdict::NotTested, format!("{all} accepted, delivery not checked")),
        Delivery::Failed(why) => (Verdict::Unknown, format!("{all} accepted, delivery not checked: {why}")),
        Delivery::Checked {
            delivered,
            twice,
            discarded,
        } => {
            let missing = accepted.difference(delivered);
            let missing: Vec<u32> = missing.filter(|number| !discarded.contains(number)).copied().collect();
            let mut why = format!(
                "{} of {all} accepted events are in Kafka",
                all - missing.len() - discarded.len()
            );
            if !discarded.is_empty() {
                why.push_str(&format!(
                    ", {} went with its disk before they could be read",
                    discarded.len()
                ));
            }
            if !twice.is_empty() {
                why.push_str(&format!(", {} of them more than once", twice.len()));
            }
            match missing.first() {
                Some(first) => (
                    Verdict::Broken,
                    format!("{why}; {} are lost, the first is number {first}", missing.len()),
                ),
                None => (Verdict::Kept, why),
            }
        }
    };
    Promise {
        id: "none-lost",
        promise: "No accepted event is lost".into(),
        verdict,
        why,
    }
}

fn fail_fast(seen: &Seen) -> Promise {
    let opened = seen.calls.iter().filter(|call| call.is_refused_by_breaker());
    let opened = opened.map(Call::ended).min();
    let from = fast_from(seen.budget, opened);
    let refused = |since: Duration, until: Duration| {
        let made = move |call: &&Call| call.begun >= since && call.begun < until && call.is_refused();
        let mut took: Vec<Duration> = seen.calls.iter().filter(made).map(|call| call.took).collect();
        took.sort();
        took
    };
    let earlier = refused(seen.budget, from.min(seen.back));
    let mut took = refused(from, seen.back);
    // Which calls were let through to try is in no answer: as many of the slowest as there can have been.
    let slow = took.len() - took.partition_point(|took| *took <= FAIL_FAST);
    let tried = took.split_off(took.len() - slow.min(tries(seen, from)));
    let (verdict, why) = match quantile(&took, 0.99) {
        None if seen.back <= seen.budget => (
            Verdict::NotTested,
            format!("the outage ended after {}", seconds(seen.back)),
        ),
        None if !earlier.is_empty() => (
            Verdict::NotTested,
            format!("the breaker opened only at {}", seconds(from)),
        ),
        None => (Verdict::NotTested, "nothing was refused there".to_owned()),
        Some(p99) => {
            let verdict = if p99 <= FAIL_FAST {
                Verdict::Kept
            } else {
                Verdict::Broken
            };
            let mut why = format!("p99 of {} refusals is {}", took.len(), seconds(p99));
            if let Some(longest) = tried.last() {
                why.push_str(&format!(
                    "; {} more let through to try whether Kafka is back, up to {}",
                    tried.len(),
                    seconds(*longest)
                ));
            }
            if let Some(longest) = earlier.last() {
                why.push_str(&format!(
                    "; {} more before the breaker opened at {}, up to {}",
                    earlier.len(),
                    seconds(from),
                    seconds(*longest)
                ));
            }
            (verdict, why)
        }
    };
    Promise {
        id: "fails-fast-beyond-budget",
        promise: format!("A refusal beyond it takes at most {}", seconds(FAIL_FAST)),
        verdict,
        why,
    }
}

/// The most calls that an open breaker can have let through until Kafka was back.
fn tries(seen: &Seen, from: Duration) -> usize {
    let Some(breaker) = seen.breaker.as_ref().filter(|breaker| !breaker.timeout.is_zero()) else {
        return 0;
    };
    let rounds = seen.back.saturating_sub(from).as_secs_f64() / breaker.timeout.as_secs_f64();
    rounds.ceil() as usize * breaker.max_requests.max(1) as usize
}

fn close(seen: &Seen) -> Promise {
    let limit = seen.back + CLOSE;
    let first = seen
        .calls
        .iter()
        .filter(|call| call.is_accepted() && call.ended() >= seen.back);
    let first = first.map(Call::ended).min();
    let refused = seen
        .calls
        .iter()
        .filter(|call| call.is_refused() && call.ended() > limit);
    let refused: Vec<&Call> = refused.collect();
    let was_open = seen
        .states
        .iter()
        .any(|(_, state)| matches!(state, State::Open | State::HalfOpen))
        || seen.calls.iter().any(|call| call.is_refused());
    let open = seen.states.iter().rev().find(|(_, state)| *state == State::Open);
    let open = open.filter(|(at, _)| *at > limit + SAMPLED);
    let (verdict, why) = match (first, refused.last(), open) {
        (_, Some(last), _) => {
            let late = last.ended().saturating_sub(seen.back);
            (
                Verdict::Broken,
                format!(
                    "{} were still refused later, the last {} after Kafka was back",
                    refused.len(),
                    seconds(late)
                ),
            )
        }
        (None, ..) => (Verdict::Broken, "nothing was accepted after Kafka was back".to_owned()),
        (Some(first), None, None) if !was_open => (
            Verdict::NotTested,
            format!(
                "it never opened; the first was accepted {} after Kafka was back",
                seconds(first - seen.back)
            ),
        ),
        (Some(first), None, _) if first > limit => (
            Verdict::Broken,
            format!(
                "the first was accepted {} after Kafka was back",
                seconds(first - seen.back)
            ),
        ),
        (_, None, Some((at, _))) => (
            Verdict::Broken,
            format!(
                "the metrics show it open {} after Kafka was back",
                seconds(*at - seen.back)
            ),
        ),
        (Some(first), None, None) => (
            Verdict::Kept,
            format!(
                "the first was accepted {} after Kafka was back",
                seconds(first - seen.back)
            ),
        ),
    };
    Promise {
        id: "works-again-soon",
        promise: format!("The breaker is closed within {} after Kafka is back", seconds(CLOSE)),
        verdict,
        why,
    }
}

/// Of sorted values: the smallest that so many are not over.
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s.fract() == 0.0 => format!("{s:.0} s"),
        s => format!("{s:.1} s"),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
