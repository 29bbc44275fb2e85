//! Who measures pods: kubelets, and metrics-server, which keeps two points of each container.

use super::{
    chance::Chance,
    scenario::{Figures, Service},
};
use crate::{Ms, SECOND, replicas::Sample};

/// `freshContainerMinMetricsResolution`.
const FRESH: Ms = 10 * SECOND;

/// What all ready pods have used since the beginning, each: they share the load evenly.
#[derive(Debug)]
pub(super) struct Shared {
    /// In thousandths of a core times milliseconds, at each moment at which something changed.
    sums: Vec<(Ms, f64)>,
}

impl Shared {
    pub(super) fn new(begin: Ms) -> Self {
        Self {
            sums: vec![(begin, 0.0)],
        }
    }

    pub(super) fn add(&mut self, until: Ms, usage: f64) {
        let (from, sum) = self.sums[self.sums.len() - 1];
        if until > from {
            self.sums.push((until, sum + usage * (until - from) as f64));
        }
    }

    pub(super) fn at(&self, time: Ms) -> f64 {
        let after = self.sums.partition_point(|(at, _)| *at <= time);
        let Some(before) = after.checked_sub(1) else {
            return 0.0;
        };
        let (from, sum) = self.sums[before];
        match self.sums.get(after) {
            Some((next, then)) => sum + (then - sum) * (time - from) as f64 / (next - from) as f64,
            None => sum,
        }
    }
}

/// Of one pod: what metrics-server keeps.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    /// When the kubelet looks at it.
    phase: Ms,
    previous: Option<Point>,
    last: Option<Point>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    at: Ms,
    cpu: f64,
}

/// The times of a pod that its use of CPU depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) running: Ms,
    pub(super) ready: Ms,
}

impl Meter {
    pub(super) fn new(figures: &Figures, chance: &mut Chance) -> Self {
        Self {
            phase: chance.below(figures.housekeeping),
            previous: None,
            last: None,
        }
    }

    /// `podStorage.Store`.
    pub(super) fn scrape(&mut self, now: Ms, times: Times, figures: &Figures, service: &Service, shared: &Shared) {
        let at = match figures.housekeeping {
            0 => now,
            every => now - (now - self.phase).rem_euclid(every),
        };
        if at <= times.running {
            return;
        }
        let new = Point {
            at,
            cpu: used(at, times, service, shared),
        };
        let age = at - times.running;
        if age < figures.resolution && age >= FRESH {
            self.previous = Some(Point {
                at: times.running,
                cpu: 0.0,
            });
        } else if self.last.is_some_and(|last| last.at < new.at) {
            self.previous = self.last;
        }
        self.last = Some(new);
    }

    pub(super) fn cpu(&self, clock: Ms) -> Option<Sample> {
        self.sample(clock, |previous, last| {
            (last.cpu - previous.cpu) / (last.at - previous.at) as f64
        })
    }

    pub(super) fn memory(&self, bytes: i64, clock: Ms) -> Option<Sample> {
        self.sample(clock, |_, _| bytes as f64)
    }

    fn sample(&self, clock: Ms, value: impl Fn(Point, Point) -> f64) -> Option<Sample> {
        let (previous, last) = self.previous.zip(self.last)?;
        // As a quantity: rounded up. What was measured is never a whole number, only what is simulated.
        let value = (value(previous, last) + 1e-4).ceil() as i64;
        Some(Sample {
            value,
            at: last.at + clock,
            window: last.at - previous.at,
        })
    }
}

fn used(at: Ms, times: Times, service: &Service, shared: &Shared) -> f64 {
    let running = (at - times.running) as f64;
    let begin = times.ready + super::engine::KNOWN;
    let starting = (at.min(begin) - times.running) as f64;
    let working = match at > begin {
        true => shared.at(at) - shared.at(begin),
        false => 0.0,
    };
    service.idle * running + service.starting * starting + working
}
