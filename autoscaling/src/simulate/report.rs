//! What came of it.

use crate::{Limit, Ms};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// One for each second.
    pub slices: Vec<Slice>,
    pub changes: Vec<Change>,
    /// Seconds in which more was asked for than pods could do.
    pub saturated: f64,
    /// The longest time without a break of these.
    pub saturated_longest: f64,
    /// What was not done of what was asked for.
    pub unmet_share: f64,
    pub pod_seconds: f64,
    /// How often it turned from adding pods to taking them away, or back.
    pub turns: u32,
    /// How often it took pods away, and added some again within [`SOON`].
    pub taken_back: u32,
    /// From when the target was exceeded until the first new pod was ready.
    pub first_ready: Option<f64>,
    /// From when the load needed no more than the minimum until there were no more.
    pub back_at_minimum: Option<f64>,
    pub most_pods: i32,
    /// Seconds in which it would have had more than its maximum.
    pub at_maximum: f64,
    /// Events that waited: at most, and at the end.
    pub lag_most: f64,
    pub lag_end: f64,
    /// How long the last event that came would have waited at most, in seconds.
    pub wait_most: f64,
    /// The most pods that the load would have needed at one time.
    pub needed_most: i32,
}

/// In seconds: as long as pods are kept by default.
pub const SOON: f64 = 300.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice {
    /// Seconds since the beginning.
    pub at: f64,
    /// Thousandths of a core that are asked for, and those that are not given.
    pub load: f64,
    pub unmet: f64,
    /// What the autoscaler wants, what is there, and what works.
    pub desired: i32,
    pub ready: i32,
    /// How many it would take, by the target, without any delay.
    pub needed: i32,
    pub arrivals: f64,
    pub lag: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Seconds since the beginning.
    pub at: f64,
    pub from: i32,
    pub to: i32,
    pub limit: Limit,
}

impl Report {
    /// What follows from the rest.
    pub(super) fn finish(&mut self, min: i32) {
        let mut down: Option<f64> = None;
        let mut last = 0;
        for change in &self.changes {
            let direction = (change.to - change.from).signum();
            self.turns += u32::from(last != 0 && direction != last);
            if direction > 0 && down.is_some_and(|at| change.at - at <= SOON) {
                self.taken_back += 1;
                down = None;
            }
            if direction < 0 {
                down = Some(change.at);
            }
            last = direction;
        }
        self.needed_most = self.slices.iter().map(|slice| slice.needed).max().unwrap_or(0);
        self.most_pods = self.slices.iter().map(|slice| slice.desired).max().unwrap_or(0);
        let more = |slice: &&Slice| slice.needed > min;
        let settled = self.slices.iter().rev().take_while(|slice| slice.desired == min).last();
        let busy = self.slices.iter().rev().find(more);
        self.back_at_minimum = busy.zip(settled).map(|(busy, settled)| (settled.at - busy.at).max(0.0));
    }
}

pub(super) fn seconds(time: Ms) -> f64 {
    time as f64 / 1e3
}
