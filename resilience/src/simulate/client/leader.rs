//! The breaker that a partition has for finding its leader: `eapache/go-resiliency`, 3 errors, 1 success, 10 s.

use crate::simulate::clock::Time;

const ERRORS: u32 = 3;
const TIMEOUT: Time = 10_000_000_000;

#[derive(Debug, Default)]
pub(super) struct LeaderBreaker {
    /// Until then it is open; after it, half-open.
    opened_until: Option<Time>,
    errors: u32,
    last_error: Time,
}

impl LeaderBreaker {
    pub(super) fn lets_try(&self, now: Time) -> bool {
        self.opened_until.is_none_or(|until| now >= until)
    }

    pub(super) fn tried(&mut self, now: Time, success: bool) {
        match (self.opened_until, success) {
            // Errors of a closed one are forgotten with time alone.
            (None, true) => {}
            (Some(_), true) => {
                self.opened_until = None;
                self.errors = 0;
            }
            (Some(_), false) => self.open(now),
            (None, false) => {
                if self.errors > 0 && now > self.last_error + TIMEOUT {
                    self.errors = 0;
                }
                self.errors += 1;
                self.last_error = now;
                if self.errors == ERRORS {
                    self.open(now);
                }
            }
        }
    }

    fn open(&mut self, now: Time) {
        self.opened_until = Some(now + TIMEOUT);
        self.errors = 0;
    }
}
