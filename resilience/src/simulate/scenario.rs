//! What is asked: which policy, which outage, how many calls.

use std::time::Duration;

use crate::policy::Policy;

#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub policy: Policy,
    pub outage: Outage,
    /// As long as this an outage is to be bridged; what is beyond it is to be refused at once.
    pub budget: Duration,
    /// Calls a second, of one sidecar.
    pub rate: f64,
    pub arrivals: Arrivals,
    pub seed: u64,
    /// How long calls are made after the outage. They begin at 0.
    pub tail: Duration,
    pub client: Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// One each 1/rate seconds.
    Even,
    /// By chance, as from many callers that know nothing of each other.
    Poisson,
}

/// When Kafka is away, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    pub mode: Mode,
    /// In order, apart from each other, since the first call.
    pub windows: Vec<Window>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: Duration,
    pub to: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Connections are closed, and new ones refused: no broker is there.
    Refuse,
    /// Connections stay and are accepted, and nothing is answered: a broker that stands still, a network that drops packets.
    Hang,
    /// Each answer comes so much later.
    Slow(Duration),
}

/// The Kafka client's surroundings. What it does by itself is fixed: Dapr has no setting for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Client {
    /// Partitions that are published to, of all topics together. Each is a queue with a breaker of its own.
    pub partitions: usize,
    /// How long a healthy broker takes to answer.
    pub latency: Duration,
    /// What a sidecar needs for each call that waits, in bytes.
    pub call_bytes: u64,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            partitions: 3,
            latency: Duration::from_millis(3),
            call_bytes: 100_000,
        }
    }
}

impl Outage {
    /// One that begins `from` after the first call.
    pub fn once(mode: Mode, from: Duration, length: Duration) -> Self {
        let to = from + length;
        let windows = vec![Window { from, to }];
        Self { mode, windows }
    }

    /// Away for `period`, back for `period`, until `length` is over.
    pub fn flapping(from: Duration, length: Duration, period: Duration) -> Self {
        let end = from + length;
        let starts = (0..).map(|turn| from + period * 2 * turn);
        let windows = starts.take_while(|start| *start < end && !period.is_zero());
        Self {
            mode: Mode::Refuse,
            windows: windows
                .map(|from| Window {
                    from,
                    to: (from + period).min(end),
                })
                .collect(),
        }
    }

    pub fn start(&self) -> Duration {
        self.windows.first().map_or(Duration::ZERO, |window| window.from)
    }

    pub fn end(&self) -> Duration {
        self.windows.last().map_or(Duration::ZERO, |window| window.to)
    }
}

impl Scenario {
    /// With what is usual: calls from 5 s before the outage until 30 s after it.
    pub fn new(policy: Policy, mode: Mode, length: Duration, rate: f64) -> Self {
        Self {
            policy,
            outage: Outage::once(mode, Duration::from_secs(5), length),
            budget: length,
            rate,
            arrivals: Arrivals::Even,
            seed: 1,
            tail: Duration::from_secs(30),
            client: Client::default(),
        }
    }
}
