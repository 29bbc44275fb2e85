//! What came of it, in figures.

use super::{
    breaker::{Breaker, State},
    clock::{Time, nanos, seconds},
    engine::{Call, Outcome},
    scenario::Scenario,
};
use crate::verdict::{fast_from, quantile};
use std::time::Duration;

/// What is counted on the way.
#[derive(Debug, Default)]
pub(super) struct Record {
    waiting: u64,
    waiting_at_most: u64,
    /// Events that Kafka has taken, those among them that nobody waited for any more.
    pub(super) events: u64,
    pub(super) failures: u64,
    pub(super) failures_in_a_row: u32,
}

impl Record {
    pub(super) fn begins(&mut self) {
        self.waiting += 1;
        self.waiting_at_most = self.waiting_at_most.max(self.waiting);
    }

    pub(super) fn ends(&mut self) {
        self.waiting -= 1;
    }
}

/// Times are in seconds; those of the timeline since the outage began.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub calls: u64,
    pub accepted: u64,
    pub refused: u64,
    /// Of the refused: by the breaker, without an attempt.
    pub stopped: u64,
    /// Calls since the outage began.
    pub calls_since: u64,
    /// Until the answer, whatever it was, of the calls made while Kafka was away.
    pub answers: Times,
    /// The same of all that were refused.
    pub refusals: Times,
    /// The same of the calls that were made while the breaker was open.
    pub fast: Times,
    /// The same of the refusals that are to be quick: see [`fast_from`].
    pub beyond: Times,
    pub waiting_at_most: u64,
    /// Of the waiting calls, in bytes, at most.
    pub memory: u64,
    /// Events that are in Kafka twice, or though they were refused: attempts that were given up and arrived all the same.
    pub extra_events: u64,
    /// Attempts that failed, the most in a row between two that did not, and the most retries of one call.
    pub failures: u64,
    pub failures_in_a_row: u32,
    pub retries_at_most: u32,
    /// From the end of the outage to the last answer that was a refusal or took a second or more; 0 if there was none.
    pub recovery: f64,
    pub breaker: Vec<Change>,
    /// From the end of the outage until the breaker was closed again; `None` if it never opened, or never closed.
    pub closed_after: Option<f64>,
    /// What the broker answered in the busiest second since it was back: requests, and events in them.
    pub requests_per_second: u32,
    pub events_per_second: u32,
    pub slices: Vec<Slice>,
}

/// Of some calls, in seconds. All 0 where there is no call.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    pub count: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub longest: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    pub at: f64,
    pub state: State,
}

/// One second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Slice {
    pub at: f64,
    pub made: u32,
    pub accepted: u32,
    pub refused: u32,
    /// At its end.
    pub waiting: u32,
}

const SECOND: Time = 1_000_000_000;

impl Report {
    pub(super) fn new(
        scenario: &Scenario,
        calls: Vec<Call>,
        served: Vec<(Time, u32)>,
        breaker: Option<Breaker>,
        record: Record,
    ) -> Self {
        let (start, end) = (nanos(scenario.outage.start()), nanos(scenario.outage.end()));
        let took = |call: &Call| call.answered - call.made;
        let during = |call: &&Call| (start..end).contains(&call.made);
        let refused = |call: &&Call| call.outcome != Some(Outcome::Accepted);
        let stopped = |call: &&Call| call.outcome == Some(Outcome::Stopped);
        let accepted = calls.iter().filter(|call| !refused(call)).count() as u64;
        let late = calls.iter().filter(|call| refused(call) || took(call) >= SECOND);
        let last = late.map(|call| call.answered).max().unwrap_or(0);
        let changes = breaker.map(|breaker| breaker.changes).unwrap_or_default();
        // One that is let through to try goes to Kafka like any other.
        let open = |call: &&Call| !call.tries && state(&changes, call.made) == State::Open;
        let closed = changes.last().filter(|(_, state)| *state == State::Closed);
        let [requests, events] = busiest(&served, end);
        let opened = changes.iter().find(|(_, state)| *state == State::Open);
        let opened = opened.map(|(at, _)| Duration::from_nanos(at.saturating_sub(start)));
        let quick = start + nanos(fast_from(scenario.budget, opened))..end;
        let beyond = |call: &&Call| refused(call) && quick.contains(&call.made) && !call.tries;
        Self {
            calls: calls.len() as u64,
            accepted,
            refused: calls.len() as u64 - accepted,
            stopped: calls.iter().filter(stopped).count() as u64,
            calls_since: calls.iter().filter(|call| call.made >= start).count() as u64,
            answers: Times::of(calls.iter().filter(during).map(took)),
            refusals: Times::of(calls.iter().filter(refused).map(took)),
            fast: Times::of(calls.iter().filter(open).map(took)),
            beyond: Times::of(calls.iter().filter(beyond).map(took)),
            waiting_at_most: record.waiting_at_most,
            memory: record.waiting_at_most * scenario.client.call_bytes,
            extra_events: record.events.saturating_sub(accepted),
            failures: record.failures,
            failures_in_a_row: record.failures_in_a_row,
            retries_at_most: calls.iter().map(|call| call.retries).max().unwrap_or(0),
            recovery: seconds(last.saturating_sub(end)),
            breaker: changes
                .iter()
                .map(|(at, state)| Change {
                    at: seconds(*at) - seconds(start),
                    state: *state,
                })
                .collect(),
            closed_after: closed.map(|(at, _)| seconds(at.saturating_sub(end))),
            requests_per_second: requests,
            events_per_second: events,
            slices: slices(&calls, start),
        }
    }

    /// The share of the calls since the outage began that were refused.
    #[must_use]
    pub fn refused_share(&self) -> f64 {
        self.refused as f64 / self.calls_since.max(1) as f64
    }
}

fn state(changes: &[(Time, State)], at: Time) -> State {
    let before = changes.partition_point(|(when, _)| *when <= at);
    before.checked_sub(1).map_or(State::Closed, |last| changes[last].1)
}

impl Times {
    fn of(times: impl Iterator<Item = Time>) -> Self {
        let mut times: Vec<Time> = times.collect();
        times.sort_unstable();
        let percentile = |share: f64| quantile(&times, share).map_or(0.0, seconds);
        Self {
            count: times.len() as u64,
            p50: percentile(0.5),
            p95: percentile(0.95),
            p99: percentile(0.99),
            longest: percentile(1.0),
        }
    }
}

fn busiest(served: &[(Time, u32)], end: Time) -> [u32; 2] {
    let mut most = [0, 0];
    let mut second = (0, [0, 0]);
    for (at, events) in served.iter().filter(|(at, _)| *at >= end) {
        let number = (at - end) / SECOND;
        if number != second.0 {
            second = (number, [0, 0]);
        }
        second.1[0] += 1;
        second.1[1] += events;
        most = [most[0].max(second.1[0]), most[1].max(second.1[1])];
    }
    most
}

fn slices(calls: &[Call], start: Time) -> Vec<Slice> {
    // Whole seconds since the outage began, so that it begins with a slice.
    let offset = start.div_ceil(SECOND) * SECOND - start;
    let slice = |at: Time| ((at + offset) / SECOND) as usize;
    let last = calls.iter().map(|call| slice(call.answered)).max().unwrap_or(0);
    let mut slices = vec![Slice::default(); last + 1];
    for call in calls {
        slices[slice(call.made)].made += 1;
        let answered = &mut slices[slice(call.answered)];
        match call.outcome {
            Some(Outcome::Accepted) => answered.accepted += 1,
            _ => answered.refused += 1,
        }
    }
    let mut waiting = 0;
    for (number, slice) in slices.iter_mut().enumerate() {
        waiting = waiting + slice.made - slice.accepted - slice.refused;
        slice.waiting = waiting;
        slice.at = number as f64 - seconds(start + offset);
    }
    slices
}
