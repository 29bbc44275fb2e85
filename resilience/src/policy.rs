//! One policy as it is in force for one target and direction: what a call through it is bounded by.

pub use crate::trip::{Compare, Count, Counts, Trip};
use std::time::Duration;

/// What Dapr wraps around a call: the breaker is asked at each attempt, the timeout ends one, and the retry makes the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// Of one attempt. `None`: an attempt ends when the component or the caller ends it.
    pub timeout: Option<Duration>,
    pub retry: Option<Retry>,
    pub breaker: Option<Breaker>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    pub backoff: Backoff,
    /// After the first attempt. `None`: without end.
    pub max_retries: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Backoff {
    Constant {
        interval: Duration,
    },
    Exponential {
        initial: Duration,
        max: Duration,
        multiplier: f64,
        /// The share by which a pause is longer or shorter, by chance.
        randomization: f64,
        /// No attempt begins later than this after the first one, however many retries are left.
        max_elapsed: Option<Duration>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Breaker {
    pub trip: Trip,
    /// How long it stays open before it lets calls try.
    pub timeout: Duration,
    /// How often the counts begin anew while it is closed. `None`: never.
    pub interval: Option<Duration>,
    /// How many calls may try at a time while it is half-open.
    pub max_requests: u32,
}
