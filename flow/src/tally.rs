//! Events added up: by topic, service and direction.

use crate::{Event, Name, Time};
use foldhash::fast::RandomState;
use learnflow_core::{Direction, Outcome};
use sketches_ddsketch::{Config, DDSketch};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    pub topic: Name,
    /// It is not the topic, but the route of bulk deliveries.
    pub route: bool,
    pub app: Name,
    /// Otherwise it publishes.
    pub delivers: bool,
}

impl Flow {
    pub fn of(event: &Event) -> Self {
        Self {
            topic: event.topic,
            route: event.route,
            app: event.app,
            delivers: event.direction == Direction::Deliver,
        }
    }
}

/// How far back it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// At all there was.
    All,
    /// At the last so many seconds.
    Seconds(u32),
}

/// A flow's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub flow: Flow,
    pub success: u64,
    pub retry: u64,
    pub drop: u64,
    pub error: u64,
    /// Events a second.
    pub rate: f64,
    /// How long calls took, in seconds.
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    /// From Kafka's timestamp to the delivery, in seconds.
    pub age_p95: Option<f64>,
    /// Events of each partition, since the beginning.
    pub partitions: BTreeMap<u32, u64>,
    pub last: Time,
}

impl Row {
    pub fn events(&self) -> u64 {
        self.success + self.retry + self.drop + self.error
    }

    /// The fullest partition against the average of those seen: 1 is even. `None` with fewer than two.
    pub fn skew(&self) -> Option<f64> {
        let all: u64 = self.partitions.values().sum();
        let most = self.partitions.values().max()?;
        (self.partitions.len() > 1 && all > 0).then(|| *most as f64 * self.partitions.len() as f64 / all as f64)
    }
}

/// Adds up. Memory grows with the number of flows, not with that of events.
pub struct Tally {
    window: Window,
    flows: HashMap<Flow, Series, RandomState>,
    first: Option<Time>,
    last: Time,
}

#[derive(Default)]
struct Series {
    slots: VecDeque<Slot>,
    partitions: BTreeMap<u32, u64>,
    last: Time,
}

/// A tenth of the window.
struct Slot {
    number: i64,
    outcomes: [u64; 4],
    us: DDSketch,
    age_ms: DDSketch,
}

impl Slot {
    fn new(number: i64) -> Self {
        Self {
            number,
            outcomes: [0; 4],
            // Quantiles to within one in a hundred.
            us: DDSketch::new(Config::defaults()),
            age_ms: DDSketch::new(Config::defaults()),
        }
    }
}

/// Slots of a window. The one that is being filled comes on top, so that a whole window is always there.
const SLOTS: i64 = 10;

/// More flows, and more partitions of one, than anybody has. What comes beyond is added to one flow of others, so that hostile
/// names and numbers cannot fill the memory.
const MOST_FLOWS: usize = 10_000;
const MOST_PARTITIONS: usize = 10_000;

impl Tally {
    pub fn new(window: Window) -> Self {
        Self {
            window,
            flows: HashMap::default(),
            first: None,
            last: Time::default(),
        }
    }

    /// An event that is older than the window counts among its oldest. Says where it was added.
    pub fn add(&mut self, event: &Event) -> Flow {
        self.first = Some(self.first.map_or(event.at, |first| first.min(event.at)));
        self.last = self.last.max(event.at);
        let number = self.slot(event.at);
        let mut flow = Flow::of(event);
        if self.flows.len() >= MOST_FLOWS && !self.flows.contains_key(&flow) {
            flow = Flow {
                topic: Name::OTHERS,
                route: false,
                app: Name::OTHERS,
                ..flow
            };
        }
        let series = self.flows.entry(flow).or_default();
        series.last = series.last.max(event.at);
        if let Some(partition) = event.partition
            && (series.partitions.len() < MOST_PARTITIONS || series.partitions.contains_key(&partition))
        {
            *series.partitions.entry(partition).or_default() += 1;
        }
        if series.slots.back().is_none_or(|slot| slot.number < number) {
            series.slots.push_back(Slot::new(number));
        }
        while series.slots.len() as i64 > SLOTS + 1 {
            series.slots.pop_front();
        }
        let at = series.slots.partition_point(|slot| slot.number < number);
        let Some(slot) = series.slots.get_mut(at) else {
            return flow;
        };
        slot.outcomes[place(event.outcome)] += 1;
        if let Some(us) = event.us {
            slot.us.add(us as f64);
        }
        if let Some(age) = event.age_ms {
            slot.age_ms.add(age as f64);
        }
        flow
    }

    /// The figures of all flows that had an event in the window that ends `now`, by topic, publishers first.
    pub fn rows(&self, now: Time) -> Vec<Row> {
        let oldest = match self.window {
            Window::All => i64::MIN,
            Window::Seconds(_) => self.slot(now) - SLOTS,
        };
        let seconds = match self.window {
            Window::Seconds(seconds) => {
                // Not more than there was.
                let seen = self.first.map_or(0, |first| now.0 - first.0) as f64 / 1e9;
                f64::from(seconds).min(seen.max(1.0))
            }
            Window::All => self
                .first
                .map_or(1.0, |first| ((self.last.0 - first.0) as f64 / 1e9).max(1.0)),
        };
        let mut rows: Vec<Row> = self
            .flows
            .iter()
            .filter_map(|(flow, series)| row(*flow, series, oldest, seconds))
            .collect();
        rows.sort_by_key(|row| row.flow);
        rows
    }

    /// Of the last event.
    pub fn last(&self) -> Time {
        self.last
    }

    fn slot(&self, at: Time) -> i64 {
        match self.window {
            Window::All => 0,
            Window::Seconds(seconds) => at.0.div_euclid(i64::from(seconds.max(1)) * 1_000_000_000 / SLOTS),
        }
    }
}

fn place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::Retry => 1,
        Outcome::Drop => 2,
        Outcome::Error => 3,
    }
}

fn row(flow: Flow, series: &Series, oldest: i64, seconds: f64) -> Option<Row> {
    let mut all = Slot::new(0);
    for slot in series.slots.iter().filter(|slot| slot.number >= oldest) {
        for (sum, count) in all.outcomes.iter_mut().zip(slot.outcomes) {
            *sum += count;
        }
        // They are all of one configuration: that is what could go wrong.
        let _ = all.us.merge(&slot.us);
        let _ = all.age_ms.merge(&slot.age_ms);
    }
    let [success, retry, drop, error] = all.outcomes;
    let events = success + retry + drop + error;
    let quantile = |sketch: &DDSketch, q: f64, unit: f64| sketch.quantile(q).ok().flatten().map(|value| value / unit);
    (events > 0).then(|| Row {
        flow,
        success,
        retry,
        drop,
        error,
        rate: events as f64 / seconds,
        p50: quantile(&all.us, 0.5, 1e6),
        p95: quantile(&all.us, 0.95, 1e6),
        p99: quantile(&all.us, 0.99, 1e6),
        age_p95: quantile(&all.age_ms, 0.95, 1e3),
        partitions: series.partitions.clone(),
        last: series.last,
    })
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
