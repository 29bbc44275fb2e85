//! Dapr's circuit breaker: `sony/gobreaker` 0.5, rule by rule.

use super::clock::{Time, nanos};
use crate::{
    policy::Breaker as Settings,
    trip::{Counts, Trip},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Closed,
    Open,
    HalfOpen,
}

/// Lets a call try, or refuses it.
#[derive(Debug)]
pub(super) struct Breaker {
    trip: Trip,
    timeout: Time,
    interval: Option<Time>,
    max_requests: u32,
    state: State,
    /// Counts begin anew with each; an answer to a call of an earlier one is not counted.
    generation: u32,
    expiry: Time,
    counts: Counts,
    pub(super) changes: Vec<(Time, State)>,
}

const NEVER: Time = Time::MAX;

impl Breaker {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut breaker = Self {
            trip: settings.trip.clone(),
            timeout: nanos(settings.timeout),
            interval: settings.interval.filter(|interval| !interval.is_zero()).map(nanos),
            max_requests: settings.max_requests.max(1),
            state: State::Closed,
            generation: 0,
            expiry: NEVER,
            counts: Counts::default(),
            changes: Vec::new(),
        };
        breaker.begin_anew(0);
        breaker
    }

    /// The generation of a call that may try; `None` refuses it.
    pub(super) fn admit(&mut self, now: Time) -> Option<u32> {
        self.look(now);
        let refused = match self.state {
            State::Closed => false,
            State::Open => true,
            State::HalfOpen => self.counts.requests >= self.max_requests,
        };
        if refused {
            return None;
        }
        self.counts.requests += 1;
        Some(self.generation)
    }

    pub(super) fn is_half_open(&self) -> bool {
        self.state == State::HalfOpen
    }

    pub(super) fn answered(&mut self, now: Time, generation: u32, succeeded: bool) {
        self.look(now);
        if generation != self.generation {
            return;
        }
        match (self.state, succeeded) {
            (State::Closed, true) => success(&mut self.counts),
            (State::HalfOpen, true) => {
                success(&mut self.counts);
                if self.counts.consecutive_successes >= self.max_requests {
                    self.change(State::Closed, now);
                }
            }
            (State::Closed, false) => {
                failure(&mut self.counts);
                if self.trip.opens(&self.counts) {
                    self.change(State::Open, now);
                }
            }
            (State::HalfOpen, false) => self.change(State::Open, now),
            (State::Open, _) => {}
        }
    }

    pub(super) fn consecutive_failures(&self) -> u32 {
        self.counts.consecutive_failures
    }

    /// Time alone opens it half, and empties the counts of a closed one.
    fn look(&mut self, now: Time) {
        if self.expiry < now {
            match self.state {
                State::Closed => self.begin_anew(now),
                State::Open => self.change(State::HalfOpen, now),
                State::HalfOpen => {}
            }
        }
    }

    fn change(&mut self, state: State, now: Time) {
        self.state = state;
        self.changes.push((now, state));
        self.begin_anew(now);
    }

    fn begin_anew(&mut self, now: Time) {
        self.generation += 1;
        self.counts = Counts::default();
        self.expiry = match self.state {
            State::Closed => self.interval.map_or(NEVER, |interval| now + interval),
            State::Open => now + self.timeout,
            State::HalfOpen => NEVER,
        };
    }
}

fn success(counts: &mut Counts) {
    counts.total_successes += 1;
    counts.consecutive_successes += 1;
    counts.consecutive_failures = 0;
}

fn failure(counts: &mut Counts) {
    counts.total_failures += 1;
    counts.consecutive_failures += 1;
    counts.consecutive_successes = 0;
}
