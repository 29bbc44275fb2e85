//! From one moment at which something happens to the next.

use super::{
    chance::Chance,
    measure::{Meter, Shared, Times},
    report::{Change, Report, Slice, seconds},
    scenario::{Events, Scenario},
};
use crate::{Controller, Limit, Ms, Phase, Pod, Reading, Resource, SECOND, Seen, Source, Target, replicas::Sample};

/// A round of the controller takes some time, and the next begins a whole period after its end.
const ROUND: Ms = 15;
/// Until whoever shares the load out knows of a pod that got ready.
pub(super) const KNOWN: Ms = SECOND;
/// Longer than anybody remembers.
const LONG_AGO: Ms = 3600 * SECOND;

#[derive(Debug)]
struct Simulated {
    created: Ms,
    times: Times,
    meter: Meter,
}

impl Simulated {
    fn ready(&self, now: Ms) -> bool {
        self.times.ready <= now
    }

    fn seen(&self, now: Ms, clock: Ms) -> Pod {
        let ready = self.ready(now);
        Pod {
            phase: match self.times.running <= now {
                true => Phase::Running,
                false => Phase::Pending,
            },
            started: Some(self.created + clock),
            ready,
            since: clock + if ready { self.times.ready } else { self.created },
            ignored: false,
        }
    }
}

struct World<'a> {
    scenario: &'a Scenario,
    chance: Chance,
    clock: Ms,
    now: Ms,
    controller: Controller,
    desired: i32,
    limit: Limit,
    pods: Vec<Simulated>,
    shared: Shared,
    lag: f64,
    /// What who serves external metrics last saw.
    lag_seen: f64,
    report: Report,
    /// Since when more was asked for than was done.
    saturated_since: Option<Ms>,
    /// Since when the target is exceeded, until a new pod is ready.
    exceeded_since: Option<Ms>,
    asked: f64,
    unmet: f64,
}

pub fn simulate(scenario: &Scenario) -> Report {
    let mut world = World::new(scenario);
    world.run();
    world.report
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let begin = -scenario.lead;
        let mut world = Self {
            scenario,
            chance: Chance::new(scenario.seed),
            clock: 0,
            now: begin,
            controller: Controller::new(scenario.flags),
            desired: scenario.replicas.unwrap_or(scenario.hpa.min.max(1)),
            limit: Limit::Nothing,
            pods: Vec::new(),
            shared: Shared::new(begin),
            lag: 0.0,
            lag_seen: 0.0,
            report: Report::default(),
            saturated_since: None,
            exceeded_since: None,
            asked: 0.0,
            unmet: 0.0,
        };
        // They have been there for long, and under the same load.
        let long_ago = begin - LONG_AGO;
        for _ in 0..world.desired {
            let meter = Meter::new(&scenario.figures, &mut world.chance);
            world.pods.push(Simulated {
                created: long_ago,
                times: Times {
                    running: long_ago,
                    ready: long_ago,
                },
                meter,
            });
        }
        let each = scenario.load.cpu_at(0) / f64::from(world.desired.max(1));
        let usage = scenario.service.capacity.map_or(each, |most| each.min(most));
        world.shared = Shared::new(long_ago);
        world.shared.add(begin, usage);
        world
    }

    fn run(&mut self) {
        let Scenario { flags, figures, .. } = self.scenario;
        let end = self.scenario.load.end() + self.scenario.tail;
        let begin = self.now;
        let phases = self.scenario.phases;
        let (mut sync, mut scrape) = match phases {
            Some(phases) => (begin + phases.sync, begin + phases.scrape),
            None => (
                begin + 1 + self.chance.below(flags.sync_period),
                begin + 1 + self.chance.below(figures.resolution),
            ),
        };
        for looks in [2, 1] {
            self.scrape(scrape - looks * figures.resolution);
        }
        self.clock = match phases {
            Some(phases) => phases.clock,
            None => self.chance.below(SECOND),
        };
        let mut external = (figures.external > 0).then(|| begin + 1 + self.chance.below(figures.external));
        // The beginning is one of them.
        let mut tick = -(self.scenario.lead - 1).div_euclid(SECOND) * SECOND;
        while self.now < end {
            let changes = self
                .pods
                .iter()
                .flat_map(|pod| [pod.times.running, pod.times.ready, pod.times.ready + KNOWN]);
            let change = changes.filter(|at| *at > self.now).min();
            let due = [Some(sync), Some(scrape), external, Some(tick), change];
            let due = due.into_iter().chain([self.scenario.load.next(self.now), Some(end)]);
            let next = due.flatten().filter(|at| *at > self.now).min().unwrap_or(end);
            self.pass(next);
            if external.is_none_or(|at| at == next) {
                self.lag_seen = self.lag;
                external = external.map(|at| at + figures.external);
            }
            if next == scrape {
                self.scrape(next);
                scrape += figures.resolution;
            }
            if next == sync {
                self.sync();
                sync += flags.sync_period + ROUND;
            }
            if next == tick {
                self.tick();
                tick += SECOND;
            }
        }
        self.end_saturation();
        self.report.unmet_share = if self.asked > 0.0 { self.unmet / self.asked } else { 0.0 };
        self.report.lag_end = self.lag;
        self.report.finish(self.scenario.hpa.min);
    }

    fn ready(&self) -> usize {
        self.pods.iter().filter(|pod| pod.ready(self.now)).count()
    }

    /// Those that get a share of the load.
    fn working(&self) -> usize {
        self.pods
            .iter()
            .filter(|pod| pod.times.ready + KNOWN <= self.now)
            .count()
    }

    /// Thousandths of a core that are asked for, and events that come and go each second.
    fn demand(&self, time: Ms, ready: usize) -> (f64, f64, f64) {
        let load = &self.scenario.load;
        let (arrivals, taken) = load.events.as_ref().map_or((0.0, 0.0), |events| {
            let arrivals = events.arrivals.at(time.max(0));
            let able = taking(events, ready);
            // With nothing waiting no more is taken than comes.
            (arrivals, if self.lag > 0.0 { able } else { able.min(arrivals) })
        });
        let of_events = load.events.as_ref().map_or(0.0, |events| events.cpu * taken);
        (load.cpu_at(time.max(0)) + of_events, arrivals, taken)
    }

    /// Until `next` nothing happens but what the load does.
    fn pass(&mut self, next: Ms) {
        let span = (next - self.now) as f64;
        let middle = self.now + (next - self.now) / 2;
        let ready = self.working();
        let (load, arrivals, taken) = self.demand(middle, ready);
        let each = if ready == 0 { 0.0 } else { load / ready as f64 };
        let usage = self.scenario.service.capacity.map_or(each, |most| each.min(most));
        self.shared.add(next, usage);
        self.lag = (self.lag + (arrivals - taken) * span / 1e3).max(0.0);
        if self.now >= 0 {
            let missing = load - usage * ready as f64;
            self.asked += load * span;
            self.report.pod_seconds += self.pods.len() as f64 * span / 1e3;
            // A thousandth of a core is nothing.
            if missing > 1.0 {
                self.unmet += missing * span;
                self.saturated_since.get_or_insert(self.now);
            } else {
                self.end_saturation();
            }
        }
        self.now = next;
        if self
            .exceeded_since
            .is_some_and(|since| self.pods.iter().any(|pod| pod.times.ready > since && pod.ready(next)))
        {
            let since = self.exceeded_since.take().unwrap_or_default();
            self.report.first_ready.get_or_insert(seconds(next - since));
        }
    }

    fn end_saturation(&mut self) {
        if let Some(since) = self.saturated_since.take() {
            let lasted = seconds(self.now - since);
            self.report.saturated += lasted;
            self.report.saturated_longest = self.report.saturated_longest.max(lasted);
        }
    }

    fn scrape(&mut self, now: Ms) {
        let Scenario { figures, service, .. } = self.scenario;
        for pod in &mut self.pods {
            pod.meter.scrape(now, pod.times, figures, service, &self.shared);
        }
    }

    fn sync(&mut self) {
        let Scenario { hpa, service, .. } = self.scenario;
        let pods: Vec<Pod> = self.pods.iter().map(|pod| pod.seen(self.now, self.clock)).collect();
        let readings: Vec<(Reading, Option<i64>)> = hpa
            .metrics
            .iter()
            .map(|metric| (self.reading(&metric.source), service.request(&metric.source)))
            .collect();
        let decision = self.controller.sync(
            hpa,
            &Seen {
                now: self.now + self.clock,
                replicas: self.desired,
                status: pods.len() as i32,
                pods: &pods,
                readings: &readings,
            },
        );
        self.limit = decision.limit;
        if decision.replicas != self.desired {
            if self.now >= 0 {
                self.report.changes.push(Change {
                    at: seconds(self.now),
                    from: self.desired,
                    to: decision.replicas,
                    limit: decision.limit,
                });
            }
            self.desired = decision.replicas;
            self.resize();
        }
    }

    fn reading(&self, source: &Source) -> Reading {
        let figures = |of: &dyn Fn(&Simulated) -> Option<Sample>| Reading::PerPod(self.pods.iter().map(of).collect());
        let Scenario { service, load, .. } = self.scenario;
        match source {
            Source::Resource(Resource::Cpu) | Source::Container(Resource::Cpu, _) => {
                figures(&|pod| pod.meter.cpu(self.clock))
            }
            Source::Resource(Resource::Memory) | Source::Container(Resource::Memory, _) => match service.memory {
                Some(bytes) => figures(&|pod| pod.meter.memory(bytes, self.clock)),
                None => Reading::Nothing,
            },
            Source::External(_) if load.events.is_some() => Reading::Total((self.lag_seen * 1e3).ceil() as i64),
            Source::Object(_) if load.events.is_some() => {
                Reading::Total((self.demand(self.now, self.working()).1 * 1e3).ceil() as i64)
            }
            Source::Pods(_) if load.events.is_some() => {
                let ready = self.working();
                let taken = self.demand(self.now, ready).2;
                let value = (taken / ready.max(1) as f64 * 1e3).ceil() as i64;
                figures(&|pod| {
                    pod.ready(self.now).then_some(Sample {
                        value,
                        at: self.now + self.clock,
                        window: self.scenario.figures.external,
                    })
                })
            }
            _ => Reading::Nothing,
        }
    }

    /// Pods come, or go: first those that are not ready, then the youngest.
    fn resize(&mut self) {
        let wanted = usize::try_from(self.desired).unwrap_or(0);
        let now = self.now;
        if self.pods.len() > wanted {
            self.pods.sort_by_key(|pod| pod.times.ready);
            self.pods.truncate(wanted);
        }
        let Scenario { figures, service, .. } = self.scenario;
        while self.pods.len() < wanted {
            let by_chance = 1.0 + service.jitter * (2.0 * self.chance.share() - 1.0);
            let startup = (service.startup as f64 * by_chance).round() as Ms;
            let running = now + service.pending.max(1);
            let meter = Meter::new(figures, &mut self.chance);
            self.pods.push(Simulated {
                created: now,
                times: Times {
                    running,
                    ready: running + startup,
                },
                meter,
            });
        }
    }

    /// Once a second.
    fn tick(&mut self) {
        if self.now < 0 {
            return;
        }
        let working = self.working();
        let (load, arrivals, _) = self.demand(self.now, working);
        let needed = self.needed(load);
        let done = self
            .scenario
            .service
            .capacity
            .map_or(load, |most| load.min(most * working as f64));
        let done = if working == 0 { 0.0 } else { done };
        if needed > self.desired && self.report.first_ready.is_none() {
            self.exceeded_since.get_or_insert(self.now);
        }
        if self.limit == Limit::Maximum {
            self.report.at_maximum += 1.0;
        }
        if let Some(events) = &self.scenario.load.events {
            self.report.lag_most = self.report.lag_most.max(self.lag);
            let wait = self.lag / taking(events, working).max(1e-9);
            self.report.wait_most = self.report.wait_most.max(wait.min(1e9));
        }
        self.report.slices.push(Slice {
            at: seconds(self.now),
            load,
            unmet: load - done,
            desired: self.desired,
            ready: self.ready() as i32,
            needed,
            arrivals,
            lag: self.lag,
        });
    }

    /// By the targets, without any delay, and with the tolerance: fewer are not more.
    fn needed(&self, load: f64) -> i32 {
        let Scenario {
            hpa, service, flags, ..
        } = self.scenario;
        let each = hpa.metrics.iter().filter_map(|metric| {
            let cpu = metric.source.resource() == Some(Resource::Cpu);
            let (total, target) = match metric.target {
                Target::Utilization(percent) if cpu => {
                    let request = service.request(&metric.source)? as f64;
                    (load, request * f64::from(percent) / 100.0 - service.idle)
                }
                Target::AverageValue(value) if cpu => (load, value as f64 - service.idle),
                Target::AverageValue(value) if matches!(metric.source, Source::External(_)) => {
                    (self.lag * 1e3, value as f64)
                }
                _ => return None,
            };
            (target > 0.0).then(|| (total / (target * (1.0 + flags.tolerance))).ceil())
        });
        each.fold(0.0, f64::max).min(1e6) as i32
    }
}

fn taking(events: &Events, ready: usize) -> f64 {
    let useful = events.partitions.map_or(ready, |most| ready.min(most as usize));
    events.drain * useful as f64
}
