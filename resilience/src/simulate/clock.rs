//! Time as the model counts it, and the queue of what is due.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// Nanoseconds since the first call.
pub(super) type Time = u64;

pub(super) fn nanos(duration: Duration) -> Time {
    Time::try_from(duration.as_nanos()).unwrap_or(Time::MAX / 4)
}

pub(super) fn seconds(time: Time) -> f64 {
    time as f64 / 1e9
}

/// What is due, by time; of the same time, what was put in first.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<(Time, u64, T)>>,
    put: u64,
}

impl<T: Ord> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            put: 0,
        }
    }

    pub(super) fn put(&mut self, due: Time, what: T) {
        self.put += 1;
        self.heap.push(Reverse((due, self.put, what)));
    }

    pub(super) fn due(&self) -> Time {
        self.heap.peek().map_or(Time::MAX, |Reverse((due, ..))| *due)
    }

    pub(super) fn take(&mut self) -> Option<(Time, T)> {
        self.heap.pop().map(|Reverse((due, _, what))| (due, what))
    }
}
