//! Events of many pods, in the order of time.

use crate::{Event, Time};
use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

/// Each pod's log is in order, and they come at different moments. So an event waits for a while, for those before it.
#[derive(Debug)]
pub struct Order {
    waiting: BinaryHeap<Reverse<Entry>>,
    /// How many events wait at most. Beyond it the oldest goes on: memory stays bounded, order may suffer.
    most: usize,
    came: u64,
}

#[derive(Debug)]
struct Entry {
    event: Event,
    /// Two events of one moment stay as they came.
    came: u64,
}

impl Entry {
    fn key(&self) -> (Time, u64) {
        (self.event.at, self.came)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Order {
    pub fn new(most: usize) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            most,
            came: 0,
        }
    }

    /// Takes an event in. The one that goes out is there when too many wait.
    pub fn add(&mut self, event: Event) -> Option<Event> {
        self.came += 1;
        let came = self.came;
        self.waiting.push(Reverse(Entry { event, came }));
        (self.waiting.len() > self.most).then(|| self.pop()).flatten()
    }

    /// The oldest one, if it is not after `until`.
    pub fn next(&mut self, until: Time) -> Option<Event> {
        let oldest = self.waiting.peek()?;
        (oldest.0.event.at <= until).then(|| self.pop()).flatten()
    }

    /// The oldest one: nothing more will come.
    pub fn pop(&mut self) -> Option<Event> {
        self.waiting.pop().map(|Reverse(entry)| entry.event)
    }
}
