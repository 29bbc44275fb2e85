//! How many replicas one metric asks for: `replica_calculator.go`, rule by rule.

use crate::{Metric, Ms, Resource, SECOND, Source, Target};

/// As the controller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pod {
    pub phase: Phase,
    /// When the kubelet took it on.
    pub started: Option<Ms>,
    /// The condition `Ready`, and since when it is so.
    pub ready: bool,
    pub since: Ms,
    /// It is being deleted, or has failed.
    pub ignored: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Pending,
    Running,
}

/// A figure of one pod: the mean over the window that ends at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub value: i64,
    pub at: Ms,
    pub window: Ms,
}

/// What was asked for one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// In the order of the pods.
    PerPod(Vec<Option<Sample>>),
    Total(i64),
    Nothing,
}

/// Why a metric says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    NoFigures,
    NoPods,
    /// All pods with figures are not ready, or too young.
    NoneReady,
    NoRequest,
    /// A target of this type does not go with this metric.
    NoTarget,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerances {
    pub up: f64,
    pub down: f64,
}

impl Tolerances {
    fn within(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Calculator {
    pub cpu_initialization: Ms,
    pub initial_readiness: Ms,
    pub tolerances: Tolerances,
}

/// Which figures count.
#[derive(Debug, Default)]
struct Groups {
    /// Of pods that count, by position.
    figures: Vec<i64>,
    ready: usize,
    unready: usize,
    missing: usize,
}

impl Calculator {
    /// `replicas`: of the target's spec; `status`: how many pods there are. `request`: of each pod, in thousandths.
    pub fn replicas(
        &self,
        metric: &Metric,
        reading: &Reading,
        (replicas, status): (i32, i32),
        pods: &[Pod],
        request: Option<i64>,
        now: Ms,
    ) -> Result<i32, Unknown> {
        match (&metric.source, metric.target, reading) {
            (_, _, Reading::Nothing) => Err(Unknown::NoFigures),
            (Source::Resource(resource) | Source::Container(resource, _), target, Reading::PerPod(figures)) => {
                let measure = match target {
                    Target::Utilization(percent) => {
                        let request = request.filter(|request| *request > 0).ok_or(Unknown::NoRequest)?;
                        Measure::Percent { request, percent }
                    }
                    Target::AverageValue(value) => Measure::Value(value),
                    Target::Value(_) => return Err(Unknown::NoTarget),
                };
                self.per_pod(measure, figures, replicas, pods, Some(*resource), now)
            }
            (Source::Pods(_), Target::AverageValue(value), Reading::PerPod(figures)) => {
                self.per_pod(Measure::Value(value), figures, replicas, pods, None, now)
            }
            (Source::External(_) | Source::Object(_), Target::Value(target), Reading::Total(total)) => {
                self.of_total(*total as f64 / target as f64, replicas, pods)
            }
            (Source::External(_) | Source::Object(_), Target::AverageValue(target), Reading::Total(total)) => {
                let (total, target) = (*total as f64, target as f64);
                Ok(match self.tolerances.within(total / (target * f64::from(status))) {
                    true => status,
                    false => (total / target).ceil().min(f64::from(i32::MAX)) as i32,
                })
            }
            _ => Err(Unknown::NoTarget),
        }
    }

    /// `getUsageRatioReplicaCount`.
    fn of_total(&self, ratio: f64, replicas: i32, pods: &[Pod]) -> Result<i32, Unknown> {
        if replicas == 0 {
            return Ok(ratio.ceil() as i32);
        }
        if self.tolerances.within(ratio) {
            return Ok(replicas);
        }
        if pods.is_empty() {
            return Err(Unknown::NoPods);
        }
        // Pods that are being deleted count here, as long as they are ready.
        let ready = pods.iter().filter(|pod| pod.phase == Phase::Running && pod.ready);
        Ok((ratio * ready.count() as f64).ceil() as i32)
    }

    /// `GetResourceReplicas` and `calcPlainMetricReplicas`, which differ in the measure only.
    fn per_pod(
        &self,
        measure: Measure,
        figures: &[Option<Sample>],
        replicas: i32,
        pods: &[Pod],
        resource: Option<Resource>,
        now: Ms,
    ) -> Result<i32, Unknown> {
        if figures.iter().all(Option::is_none) {
            return Err(Unknown::NoFigures);
        }
        if pods.is_empty() {
            return Err(Unknown::NoPods);
        }
        let groups = self.group(pods, figures, resource, now);
        let mut values = groups.figures;
        if values.is_empty() {
            return Err(Unknown::NoneReady);
        }
        let ratio = measure.ratio(&values);
        let with_unready = groups.unready > 0 && ratio > 1.0;
        if !with_unready && groups.missing == 0 {
            return Ok(match self.tolerances.within(ratio) {
                true => replicas,
                false => (ratio * groups.ready as f64).ceil() as i32,
            });
        }
        // Of who is silent the worst is assumed that keeps things as they are.
        if ratio < 1.0 {
            values.extend(std::iter::repeat_n(measure.full(), groups.missing));
        } else if ratio > 1.0 {
            values.extend(std::iter::repeat_n(0, groups.missing));
        }
        if with_unready {
            values.extend(std::iter::repeat_n(0, groups.unready));
        }
        let again = measure.ratio(&values);
        if self.tolerances.within(again) || (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0) {
            return Ok(replicas);
        }
        let wanted = (again * values.len() as f64).ceil() as i32;
        let turned = (again < 1.0 && wanted > replicas) || (again > 1.0 && wanted < replicas);
        Ok(if turned { replicas } else { wanted })
    }

    /// `groupPods`.
    fn group(&self, pods: &[Pod], figures: &[Option<Sample>], resource: Option<Resource>, now: Ms) -> Groups {
        let mut groups = Groups::default();
        for (pod, figure) in pods.iter().zip(figures) {
            if pod.ignored {
                continue;
            }
            if pod.phase == Phase::Pending {
                groups.unready += 1;
                continue;
            }
            let Some(figure) = figure else {
                groups.missing += 1;
                continue;
            };
            if resource == Some(Resource::Cpu) && self.too_young(pod, figure, now) {
                groups.unready += 1;
                continue;
            }
            groups.figures.push(figure.value);
            groups.ready += 1;
        }
        groups
    }

    /// Its CPU is that of its start, not of its work.
    fn too_young(&self, pod: &Pod, figure: &Sample, now: Ms) -> bool {
        let Some(started) = pod.started.map(whole) else {
            return true;
        };
        let since = whole(pod.since);
        if started + self.cpu_initialization > now {
            // One whole window since it became ready, or not ready.
            !pod.ready || whole(figure.at) < since + figure.window
        } else {
            // It has never been ready.
            !pod.ready && started + self.initial_readiness > since
        }
    }
}

/// The API has times in whole seconds.
fn whole(time: Ms) -> Ms {
    time.div_euclid(SECOND) * SECOND
}

/// In whole numbers, and rounded down, as in the controller: 70.9 % are 70.
#[derive(Debug, Clone, Copy)]
enum Measure {
    Percent { request: i64, percent: i32 },
    Value(i64),
}

impl Measure {
    fn ratio(self, values: &[i64]) -> f64 {
        let total: i64 = values.iter().sum();
        let count = values.len() as i64;
        match self {
            Self::Percent { request, percent } => (total * 100 / (request * count)) as f64 / f64::from(percent),
            Self::Value(target) => (total / count) as f64 / target as f64,
        }
    }

    /// What a pod without figures counts on the way down.
    fn full(self) -> i64 {
        match self {
            Self::Percent { request, percent } => request * i64::from(percent.max(100)) / 100,
            Self::Value(target) => target,
        }
    }
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
