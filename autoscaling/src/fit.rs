//! Targets and behaviour that hold under a load, with as few pods as possible.

use crate::{
    Autoscaler, Behavior, Ms, Policy, PolicyKind, Resource, Rules, Select, Source, Target,
    simulate::{Report, Scenario, simulate},
};

#[derive(Debug, Clone)]
pub struct Fitted {
    pub hpa: Autoscaler,
    /// Under it, one for each run.
    pub reports: Vec<Report>,
    /// How many were tried.
    pub tried: usize,
}

/// Runs that sort out who is worth more of them.
const FIRST: u64 = 3;
/// More than any sensible maximum; how many it comes to is then the proposal.
const PLENTY: i32 = 200;
/// In percent, from few pods to many.
const TARGETS: std::ops::RangeInclusive<i32> = 30..=90;
/// Seconds of work that wait for each pod, when it is scaled by lag.
const BACKLOGS: [f64; 6] = [60.0, 30.0, 20.0, 10.0, 5.0, 2.0];
const WINDOWS: [i32; 4] = [600, 300, 120, 60];

impl Scenario {
    /// How long it may take, in seconds, until a new pod helps: figures, a round of the controller, and its start.
    pub fn allowance(&self) -> f64 {
        let Self {
            figures,
            flags,
            service,
            ..
        } = self;
        let startup = service.startup as f64 * (1.0 + service.jitter);
        let rest: Ms = figures.housekeeping + 2 * figures.resolution + flags.sync_period + service.pending;
        (startup + rest as f64) / 1e3
    }

    /// Whether events that waited are gone: what is left is less than a pod does in a second, or than the target.
    pub fn drained(&self, report: &Report) -> bool {
        let Some(events) = &self.load.events else { return true };
        let targets = self
            .hpa
            .metrics
            .iter()
            .filter_map(|metric| match (&metric.source, metric.target) {
                (Source::External(_), Target::AverageValue(value) | Target::Value(value)) => Some(value as f64 / 1e3),
                _ => None,
            });
        let most = targets.fold(events.drain, f64::max) * 1.1 * f64::from(report.most_pods.max(1));
        report.lag_end <= most
    }

    /// No more is asked for than pods do, and no event waits longer, than it takes until a new pod helps; none is taken
    /// away and soon wanted back; nothing waits in the end.
    pub fn holds(&self, report: &Report) -> bool {
        let late = report.saturated_longest.max(report.wait_most);
        late <= self.allowance() && report.taken_back == 0 && self.drained(report)
    }
}

/// The cheapest of all that hold in each of `runs`; absent when none does.
pub fn fit(scenario: &Scenario, runs: u64) -> Option<Fitted> {
    let mut tried = 0;
    let mut good: Vec<(f64, Scenario)> = Vec::new();
    for hpa in candidates(scenario) {
        tried += 1;
        let mut candidate = Scenario {
            hpa,
            ..scenario.clone()
        };
        let reports: Vec<Report> = (0..FIRST.min(runs))
            .map(|run| simulate(&with_seed(&candidate, run)))
            .collect();
        if !reports.iter().all(|report| candidate.holds(report)) {
            continue;
        }
        let most = reports.iter().map(|report| report.most_pods).max().unwrap_or(1);
        candidate.hpa.max = most.max(candidate.hpa.min);
        let cost = reports.iter().map(|report| report.pod_seconds).sum::<f64>() / reports.len() as f64;
        good.push((cost, candidate));
    }
    // The first of those that cost the same: with the longest windows.
    good.sort_by(|a, b| a.0.total_cmp(&b.0));
    good.into_iter().find_map(|(_, candidate)| {
        let reports: Vec<Report> = (0..runs).map(|run| simulate(&with_seed(&candidate, run))).collect();
        let holds = reports.iter().all(|report| candidate.holds(report));
        holds.then_some(Fitted {
            hpa: candidate.hpa,
            reports,
            tried,
        })
    })
}

fn with_seed(scenario: &Scenario, run: u64) -> Scenario {
    Scenario {
        seed: scenario.seed.wrapping_add(run),
        ..scenario.clone()
    }
}

fn candidates(scenario: &Scenario) -> Vec<Autoscaler> {
    let mut all = Vec::new();
    for (number, target) in targets(scenario) {
        for window in WINDOWS {
            for down in downs() {
                for up in ups() {
                    let mut hpa = scenario.hpa.clone();
                    hpa.metrics[number].target = target;
                    hpa.max = most(scenario).max(hpa.min);
                    hpa.behavior = Some(Behavior {
                        up: Rules {
                            policies: up.clone(),
                            select: Select::Max,
                            ..rules(scenario, true)
                        },
                        down: Rules {
                            window: Some(window),
                            policies: down.clone(),
                            select: Select::Max,
                            ..rules(scenario, false)
                        },
                    });
                    all.push(hpa);
                }
            }
        }
    }
    all
}

/// With their tolerance, which says how exact somebody wants it.
fn rules(scenario: &Scenario, up: bool) -> Rules {
    let own = scenario.hpa.behavior.as_ref();
    let own = own.map(|behavior| if up { &behavior.up } else { &behavior.down });
    Rules {
        tolerance: own.and_then(|rules| rules.tolerance),
        ..if up { Rules::up() } else { Rules::down() }
    }
}

fn most(scenario: &Scenario) -> i32 {
    let partitions = scenario.load.events.as_ref().and_then(|events| events.partitions);
    partitions
        .and_then(|most| i32::try_from(most).ok())
        .unwrap_or(PLENTY)
        .min(PLENTY)
}

fn targets(scenario: &Scenario) -> Vec<(usize, Target)> {
    let mut all = Vec::new();
    for (number, metric) in scenario.hpa.metrics.iter().enumerate() {
        let Scenario { service, load, .. } = scenario;
        match (&metric.source, metric.target) {
            (source, Target::Utilization(_)) if source.resource() == Some(Resource::Cpu) => {
                let Some(request) = service.request(source) else {
                    continue;
                };
                // A pod at its limit must be well above the target, or nobody sees that it is too much.
                let reachable = |percent: &i32| {
                    let target = request as f64 * f64::from(*percent) / 100.0;
                    service.capacity.is_none_or(|most| target * 1.15 < most)
                };
                let percents = TARGETS.rev().step_by(5).filter(reachable);
                all.extend(percents.map(|percent| (number, Target::Utilization(percent))));
            }
            (Source::External(_), Target::AverageValue(_)) => {
                if let Some(events) = &load.events {
                    let values = BACKLOGS.map(|seconds| (events.drain * seconds).max(1.0).round() as i64 * 1000);
                    all.extend(values.map(|value| (number, Target::AverageValue(value))));
                }
            }
            _ => {}
        }
    }
    all
}

fn policy(kind: PolicyKind, value: i32, period: i32) -> Policy {
    Policy { kind, value, period }
}

fn ups() -> [Vec<Policy>; 2] {
    [vec![policy(PolicyKind::Pods, 2, 15)], Rules::up().policies]
}

fn downs() -> [Vec<Policy>; 3] {
    [
        vec![policy(PolicyKind::Pods, 1, 60)],
        vec![policy(PolicyKind::Percent, 25, 60)],
        vec![policy(PolicyKind::Percent, 100, 15)],
    ]
}
