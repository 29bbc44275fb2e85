//! How a budget of memory is shared out: what each part gets, and what that lets it do. Pure: figures in, figures
//! out. Each constant says where it comes from; "measured" is
//! `cargo test -p learnflow-tests --test stack -- --ignored --nocapture figures`.

use crate::{
    config::{Memory, Share},
    replicas::OTHER,
    text::{count, list},
};

/// A part whose memory depends on the cluster. One that is not in [`PARTS`] gets what its manifest says.
struct Part {
    workload: &'static str,
    /// MiB that one pod needs at least for this load, as a limit.
    least: fn(&Load) -> u64,
    /// Its share of what is left when all have their least.
    weight: u64,
}

/// The weights are as the shipped limits: 200, 400 and 1,024 MiB. kube-state-metrics has no use for more than it needs.
const PARTS: &[Part] = &[
    Part {
        workload: AGENT,
        least: |_| limit(AGENT_IDLE, LIMITER),
        weight: 1,
    },
    Part {
        workload: GATEWAY,
        least: |load| limit(gateway(load.streams()), LIMITER),
        weight: 2,
    },
    Part {
        workload: KUBE_STATE_METRICS,
        least: |load| limit(kube_state_metrics(load), GO),
        weight: 0,
    },
    Part {
        workload: PROMETHEUS,
        least: |load| limit(prometheus(load, load.streams()), GO),
        weight: 5,
    },
];

/// Two Prometheus take the same.
fn part(workload: &str) -> Option<&'static Part> {
    let workload = if workload == OTHER { PROMETHEUS } else { workload };
    PARTS.iter().find(|part| part.workload == workload)
}

pub(crate) const AGENT: &str = "collector-agent";
pub(crate) const GATEWAY: &str = "collector-gateway";
pub(crate) const PROMETHEUS: &str = "prometheus";
/// Where the spans are in `production`.
pub(crate) const SPANS: &str = "collector-spans";
pub(crate) const KUBE_STATE_METRICS: &str = "kube-state-metrics";

/// MiB of an idle agent and an idle gateway. Measured: 42 for a gateway with what it needs compiled in. The image that is
/// shipped has every component of the distribution, which was not measured: half as much again is assumed.
const AGENT_IDLE: f64 = 64.0;
const GATEWAY_IDLE: f64 = 64.0;
/// MiB of a Prometheus with nothing but itself to scrape. Measured: 72.
const PROMETHEUS_IDLE: f64 = 80.0;
/// MiB of a kube-state-metrics with hardly anything to tell of, and bytes of one pod that it tells of. Measured in the lab
/// (container_memory_rss): 12, to which comes the code that it must not read from disk again and again; and 3,300 for each of
/// 500 pods with one series, of the ten that a pod of two containers has.
const STATES_IDLE: f64 = 32.0;
const STATES_POD: f64 = 8.0 * 1024.0;
/// Assumed: pods in the services' namespaces for each one with a sidecar.
const PODS: f64 = 2.0;
/// Bytes of one stream in the gateway: in `deltatocumulative` and in the exporter. Measured: 12,400 with 4,500 streams, and
/// 17,500 with 900, of which the batches under way are a part.
const STREAM: f64 = 16.0 * 1024.0;
/// Bytes of one series in Prometheus, scraped every 5 s. Measured: 4,000 with 10,800 series, 3,600 with 48,400; and 2,600
/// in a flood that replaced rows all the time, with 290,000.
const SERIES: f64 = 3.5 * 1024.0;
/// Series of Prometheus itself, of a Collector, of a sidecar. Measured: 797 and 61; and in the lab, as
/// `scrape_samples_post_metric_relabeling`, 538 to 594 of a sidecar that nobody calls. Routes and topics add to that.
const OWN_SERIES: f64 = 1000.0;
const COLLECTOR_SERIES: f64 = 80.0;
const SIDECAR_SERIES: f64 = 750.0;
/// Series of CPU, memory and objects for each pod with a sidecar, which is a service of its own, and has one beside it that
/// has none: docs/architecture.md does the sum.
const POD_SERIES: f64 = 72.0;
/// Series for each stream that the three limits of the gateway let in: 47,750 for 1,500, docs/architecture.md does the sum.
const STREAM_SERIES: f64 = 32.0;
/// Series of spans: 200 rows of 24 (in `production` as many in each of two pods, of which only one is counted here), docs/architecture.md does the sum.
const SPAN_SERIES: f64 = 4800.0;
/// Limits by topic that the gateway has: published, refused, delivered.
const LIMITS: u64 = 3;
/// A flood of made-up topics replaces all rows each hour, and Prometheus' head remembers up to three hours of them.
const FLOOD: f64 = 4.0;
/// A rolling update gives every sidecar a new name while the old one's series are still in the head.
const ROLLED: f64 = 2.0;
/// Streams of one topic in one limit: count, duration, size or age.
const TOPIC_STREAMS: u64 = 3;
/// MB of Prometheus' data on disk for each MiB of its memory, in `dev` and in `production`. As shipped.
const DISK: (u64, u64) = (1, 8);
/// Seconds between scrapes (the events' are closer in `dev`, but a value that stays the same takes next to nothing), and
/// bytes of a sample on disk; Prometheus' documentation says 1 to 2.
const INTERVAL: f64 = 5.0;
const SAMPLE: f64 = 2.0;
/// Of a limit, what Go is told to keep to, what the Collector refuses at, and how much may come at once. As shipped.
const GO: f64 = 0.75;
const LIMITER: f64 = 0.70;
const SPIKE: f64 = 0.15;
/// Records that wait on disk for the gateway, for each MiB of an agent. As shipped: 200,000 for 200 MiB.
const QUEUED: u64 = 1000;
/// Assumed: spans that a sidecar sends a second, and how long one is under way beside its wait.
const SENT: f64 = 50.0;
const UNDER_WAY: f64 = 1.0;
/// Bytes of a span that waits. Assumed: in the trace store 1,700 were measured.
const SPAN: f64 = 2.0 * 1024.0;
/// Of a limit, what is for spans that wait: of the gateway, and of a pod that does nothing else.
const FOR_SPANS: f64 = 0.125;
const FOR_NOTHING_ELSE: f64 = 0.4;
/// Traces that wait, for each MiB of the gateway. As shipped: 5,000 for 400 MiB.
const WAITING: f64 = 12.5;

const MIB: f64 = 1024.0 * 1024.0;

/// What there is to look after. Counted, or said by somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) nodes: u64,
    /// Pods with a Dapr sidecar.
    pub(crate) pods: u64,
    /// Topics of a service each: one that two services publish counts twice.
    pub(crate) topics: u64,
}

impl Load {
    /// With room to grow, in coarse steps: a pod more must not roll the stack. Nodes are counted as they are.
    pub(crate) fn with_room(self) -> Self {
        Self {
            nodes: self.nodes.max(1),
            pods: step(self.pods, 10),
            topics: step(self.topics, 50),
        }
    }

    /// What each limit of the gateway must let in at least.
    fn streams(&self) -> u64 {
        self.topics * TOPIC_STREAMS
    }

    fn sidecar_series(&self) -> f64 {
        self.pods as f64 * (SIDECAR_SERIES + POD_SERIES)
    }

    fn fixed_series(&self) -> f64 {
        OWN_SERIES + SPAN_SERIES + (self.nodes + 1) as f64 * COLLECTOR_SERIES
    }

    /// Series that are written to when all topics are in use.
    fn active_series(&self) -> f64 {
        self.fixed_series() + self.sidecar_series() + self.streams() as f64 * STREAM_SERIES
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |n: u64, thing: &str| count(usize::try_from(n).unwrap_or(usize::MAX), thing);
        write!(
            f,
            "{}, {} with a sidecar and {}",
            number(self.nodes, "node"),
            number(self.pods, "pod"),
            number(self.topics, "topic")
        )
    }
}

/// The next of 1, 2, 5, 10, 20, 50, … that leaves a fifth to grow.
fn step(count: u64, least: u64) -> u64 {
    let wanted = count.saturating_add(count / 5).max(least);
    let mut power = 1;
    loop {
        for step in [1, 2, 5] {
            if step * power >= wanted || power > 1_000_000_000 {
                return step * power;
            }
        }
        power *= 10;
    }
}

/// A workload of the stack as its manifest has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// None: one on each node.
    pub(crate) pods: Option<u64>,
    /// MiB of one pod.
    pub(crate) limit: u64,
    /// It is there, and is not installed now: it stays as it is.
    pub(crate) stays: bool,
}

/// What one workload gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pods: u64,
    pub(crate) each_node: bool,
    /// MiB of one pod: the most it may take, and what it is given for certain.
    pub(crate) limit: u64,
    pub(crate) request: u64,
}

/// Everything that follows from a budget.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    pub(crate) budget: Memory,
    pub(crate) load: Load,
    pub(crate) sizes: Vec<Size>,
    /// For each of the gateway's limits by topic.
    pub(crate) streams: u64,
    /// Hours, and MB; what the profile has where that is less.
    pub(crate) retention: (u64, u64),
    /// Traces that the gateway holds while they wait for a decision; none where it holds none.
    pub(crate) traces: Option<u64>,
    /// The share of traces that the sidecars begin.
    pub(crate) begun: Share,
}

/// What a profile keeps of metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shipped {
    pub(crate) hours: u64,
    pub(crate) megabytes: u64,
    pub(crate) production: bool,
    /// Seconds that a trace waits for a decision.
    pub(crate) wait: u64,
}

/// MiB as a limit, for something that takes so much of it.
fn limit(taken: f64, share: f64) -> u64 {
    (taken / share).ceil() as u64
}

/// MiB that a gateway takes with so many streams in each limit, all of them in use.
fn gateway(streams: u64) -> f64 {
    GATEWAY_IDLE + (streams * LIMITS) as f64 * STREAM / MIB
}

/// MiB that kube-state-metrics takes.
fn kube_state_metrics(load: &Load) -> f64 {
    STATES_IDLE + load.pods as f64 * PODS * STATES_POD / MIB
}

/// MiB that Prometheus takes while a flood of topics goes on and all sidecars have just rolled.
fn prometheus(load: &Load, streams: u64) -> f64 {
    let series = load.fixed_series() + load.sidecar_series() * ROLLED + streams as f64 * STREAM_SERIES * FLOOD;
    PROMETHEUS_IDLE + series * SERIES / MIB
}

impl Workload {
    fn part(&self) -> Option<&'static Part> {
        part(&self.name).filter(|_| !self.stays)
    }

    fn copies(&self, load: &Load) -> u64 {
        self.pods.unwrap_or(load.nodes)
    }

    fn least(&self, load: &Load) -> u64 {
        self.part().map_or(self.limit, |part| (part.least)(load))
    }

    /// More is of no use: what is shipped, or twice what this load needs.
    fn most(&self, load: &Load) -> u64 {
        self.part()
            .map_or(self.limit, |part| self.limit.max(2 * (part.least)(load)))
    }

    fn at(&self, load: &Load, level: u64) -> u64 {
        let weight = self.part().map_or(0, |part| part.weight);
        self.most(load).min(self.least(load) + weight * level)
    }

    fn sized(&self, load: &Load, limit: u64, production: bool) -> Size {
        Size {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            pods: self.copies(load),
            each_node: self.pods.is_none(),
            limit,
            request: if production { limit } else { limit.div_ceil(3) },
        }
    }
}

/// Shares a budget out. `Err`: what each needs at least; together that is more than the budget.
pub(crate) fn fit(budget: &Memory, load: Load, workloads: &[Workload], shipped: Shipped) -> Result<Fit, Vec<Size>> {
    let mib = budget.bytes() / (1 << 20);
    let sum = |level: u64| -> u64 {
        workloads
            .iter()
            .map(|one| one.copies(&load) * one.at(&load, level))
            .sum()
    };
    let sizes = |limit: &dyn Fn(&Workload) -> u64| -> Vec<Size> {
        let each = workloads
            .iter()
            .map(|one| one.sized(&load, limit(one), shipped.production));
        each.collect()
    };
    if sum(0) > mib {
        return Err(sizes(&|one| one.least(&load)));
    }
    // The highest level at which all of it fits; `sum` never falls.
    let (mut level, mut beyond) = (0, mib + 1);
    while beyond - level > 1 {
        let middle = level + (beyond - level) / 2;
        match sum(middle) <= mib {
            true => level = middle,
            false => beyond = middle,
        }
    }
    let sizes = sizes(&|one| one.at(&load, level));
    let of = |name: &str| sizes.iter().find(|size| size.name == name).map(|size| size.limit);
    Ok(Fit {
        budget: budget.clone(),
        load,
        streams: streams(&load, of(GATEWAY), of(PROMETHEUS)),
        retention: retention(&load, of(PROMETHEUS), shipped),
        traces: of(GATEWAY)
            .filter(|_| !shipped.production)
            .map(|limit| (limit as f64 * WAITING) as u64),
        begun: begun(&load, &sizes, shipped),
        sizes,
    })
}

/// As many as the gateway and Prometheus can bear, up to what is shipped or four times what is needed.
fn streams(load: &Load, gateway_limit: Option<u64>, prometheus_limit: Option<u64>) -> u64 {
    let room = |limit: f64, without: f64, each: f64| ((limit - without) / each).max(0.0) as u64;
    let in_gateway = gateway_limit.map(|limit| {
        let each = gateway(1) - gateway(0);
        room(limit as f64 * LIMITER, gateway(0), each)
    });
    let in_prometheus = prometheus_limit.map(|limit| {
        let each = prometheus(load, 1) - prometheus(load, 0);
        room(limit as f64 * GO, prometheus(load, 0), each)
    });
    let room = in_gateway.into_iter().chain(in_prometheus).min().unwrap_or(u64::MAX);
    room.max(load.streams()).min((4 * load.streams()).max(1500))
}

/// As long as the disk lasts that goes with so much memory, and never longer than the profile keeps.
fn retention(load: &Load, limit: Option<u64>, shipped: Shipped) -> (u64, u64) {
    let Some(limit) = limit else {
        return (shipped.hours, shipped.megabytes);
    };
    let (dev, production) = DISK;
    let megabytes = (limit * if shipped.production { production } else { dev }).min(shipped.megabytes);
    let an_hour = load.active_series() / INTERVAL * SAMPLE * 3600.0 / 1e6;
    let hours = (megabytes as f64 / an_hour) as u64;
    // A block is two hours: with less there would be none.
    (hours.clamp(2, shipped.hours.max(2)), megabytes)
}

/// The share of traces whose spans there is room for while they wait, in coarse steps: a change rolls the services.
fn begun(load: &Load, sizes: &[Size], shipped: Shipped) -> Share {
    let (holder, of_it) = match shipped.production {
        true => (SPANS, FOR_NOTHING_ELSE),
        false => (GATEWAY, FOR_SPANS),
    };
    let Some(holder) = sizes.iter().find(|size| size.name == holder) else {
        return Share::ALL;
    };
    let room = holder.total() as f64 * of_it * MIB / (SPAN * (shipped.wait as f64 + UNDER_WAY));
    let wanted = load.pods as f64 * SENT;
    let steps = [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
    let share = steps.into_iter().find(|share| wanted * share <= room);
    Share::new(share.unwrap_or(0.01)).unwrap_or(Share::ALL)
}

impl Size {
    pub(crate) fn total(&self) -> u64 {
        self.pods * self.limit
    }

    /// MiB that Go is told to keep to.
    pub(crate) fn go(&self) -> u64 {
        share(self.limit, GO)
    }

    /// MiB at which a Collector refuses, and MiB that may come between two looks.
    pub(crate) fn limiter(&self) -> (u64, u64) {
        (share(self.limit, LIMITER), share(self.limit, SPIKE))
    }

    /// Records that an agent's queue holds.
    pub(crate) fn queue(&self) -> u64 {
        self.limit * QUEUED
    }

    /// Its name, when its size is for a budget to choose.
    pub(crate) fn chosen(&self) -> Option<&'static str> {
        part(&self.name).map(|part| part.workload)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}Mi", self.name, self.limit)?;
        match (self.each_node, self.pods) {
            (true, _) => write!(f, " on each node"),
            (false, 1) => Ok(()),
            (false, pods) => write!(f, " for each of {pods} pods"),
        }
    }
}

fn share(limit: u64, of: f64) -> u64 {
    (limit as f64 * of) as u64
}

pub(crate) fn total(sizes: &[Size]) -> u64 {
    sizes.iter().map(Size::total).sum()
}

pub(crate) fn shown(sizes: &[Size]) -> String {
    list(&sizes.iter().map(ToString::to_string).collect::<Vec<_>>())
}

impl Fit {
    pub(crate) fn size(&self, name: &str) -> Option<&Size> {
        self.sizes.iter().find(|size| size.name == name)
    }

    /// MiB that a namespace may take. What is over goes to the one with the agents, for nodes that come.
    pub(crate) fn quota(&self, namespace: &str) -> u64 {
        let of = |size: &&Size| size.namespace == namespace;
        let own: u64 = self.sizes.iter().filter(of).map(Size::total).sum();
        let each_node = self.sizes.iter().filter(of).any(|size| size.each_node);
        match each_node {
            true => own + self.budget.bytes() / (1 << 20) - total(&self.sizes),
            false => own,
        }
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
