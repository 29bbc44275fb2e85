//! What the controller decides each time it looks: `horizontal.go`.

use crate::{
    Autoscaler, Ms, SECOND,
    behavior::{Behavior, Events},
    replicas::{Calculator, Pod, Reading, Tolerances, Unknown},
};

/// Flags of kube-controller-manager, `--horizontal-pod-autoscaler-…`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flags {
    pub sync_period: Ms,
    pub tolerance: f64,
    pub cpu_initialization: Ms,
    pub initial_readiness: Ms,
    pub downscale_stabilization: Ms,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            sync_period: 15 * SECOND,
            tolerance: 0.1,
            cpu_initialization: 300 * SECOND,
            initial_readiness: 30 * SECOND,
            downscale_stabilization: 300 * SECOND,
        }
    }
}

/// What it sees when it looks.
#[derive(Debug)]
pub struct Seen<'a> {
    pub now: Ms,
    /// `spec.replicas` of the target.
    pub replicas: i32,
    /// `status.replicas`: the pods that are there, and not being deleted.
    pub status: i32,
    pub pods: &'a [Pod],
    /// For each metric: what was read, and the request of a pod.
    pub readings: &'a [(Reading, Option<i64>)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub replicas: i32,
    /// What the metrics ask for, before windows, policies and bounds; absent when nothing is known.
    pub wanted: Option<i32>,
    pub limit: Limit,
}

/// What kept it from what the metrics ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Nothing,
    Unknown(Unknown),
    /// Set to no replicas by somebody: it does not begin at zero.
    Zero,
    Window,
    Rate,
    Maximum,
    Minimum,
}

/// Of one autoscaler, with what it remembers.
#[derive(Debug, Clone)]
pub struct Controller {
    flags: Flags,
    recommendations: Vec<(Ms, i32)>,
    events: Events,
}

impl Controller {
    pub fn new(flags: Flags) -> Self {
        Self {
            flags,
            recommendations: Vec::new(),
            events: Events::default(),
        }
    }

    /// `reconcileAutoscaler`.
    pub fn sync(&mut self, hpa: &Autoscaler, seen: &Seen<'_>) -> Decision {
        let (now, current) = (seen.now, seen.replicas);
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
        let stay = |limit| Decision {
            replicas: current,
            wanted: None,
            limit,
        };
        let decision = if current == 0 && hpa.min != 0 {
            stay(Limit::Zero)
        } else if current > hpa.max {
            Decision {
                replicas: hpa.max,
                ..stay(Limit::Maximum)
            }
        } else if current < hpa.min {
            Decision {
                replicas: hpa.min,
                ..stay(Limit::Minimum)
            }
        } else {
            match self.wanted(hpa, seen) {
                Err(unknown) => return stay(Limit::Unknown(unknown)),
                Ok(wanted) => {
                    let (replicas, limit) = match &hpa.behavior {
                        None => self.without_behavior(hpa, now, current, wanted),
                        Some(behavior) => self.with_behavior(hpa, behavior, now, current, wanted),
                    };
                    Decision {
                        replicas,
                        wanted: Some(wanted),
                        limit,
                    }
                }
            }
        };
        if let Some(behavior) = hpa.behavior.as_ref().filter(|_| decision.replicas != current) {
            self.events.add(now, current, decision.replicas, behavior);
        }
        decision
    }

    /// The most that a metric asks for. With one that is unknown it does not scale down.
    fn wanted(&self, hpa: &Autoscaler, seen: &Seen<'_>) -> Result<i32, Unknown> {
        let calculator = Calculator {
            cpu_initialization: self.flags.cpu_initialization,
            initial_readiness: self.flags.initial_readiness,
            tolerances: self.tolerances(hpa),
        };
        let (mut wanted, mut unknown) = (None, None);
        for (metric, (reading, request)) in hpa.metrics.iter().zip(seen.readings) {
            let of = (seen.replicas, seen.status);
            match calculator.replicas(metric, reading, of, seen.pods, *request, seen.now) {
                Ok(replicas) => wanted = wanted.max(Some(replicas)),
                Err(e) => unknown = unknown.or(Some(e)),
            }
        }
        match (wanted, unknown) {
            (None, unknown) => Err(unknown.unwrap_or(Unknown::NoFigures)),
            (Some(wanted), Some(unknown)) if wanted < seen.replicas => Err(unknown),
            (Some(wanted), _) => Ok(wanted.max(0)),
        }
    }

    fn tolerances(&self, hpa: &Autoscaler) -> Tolerances {
        let behavior = hpa.behavior.as_ref();
        let or_flag = |own: Option<f64>| own.unwrap_or(self.flags.tolerance);
        Tolerances {
            up: or_flag(behavior.and_then(|behavior| behavior.up.tolerance)),
            down: or_flag(behavior.and_then(|behavior| behavior.down.tolerance)),
        }
    }

    /// `normalizeDesiredReplicas`.
    fn without_behavior(&mut self, hpa: &Autoscaler, now: Ms, current: i32, wanted: i32) -> (i32, Limit) {
        let cutoff = now - self.flags.downscale_stabilization;
        self.recommendations.retain(|(at, _)| *at >= cutoff);
        let highest = self.recommendations.iter().map(|(_, replicas)| *replicas).max();
        let stabilised = highest.map_or(wanted, |highest| highest.max(wanted));
        self.recommendations.push((now, wanted));
        let most = current.saturating_mul(2).max(4);
        let limit = if stabilised < hpa.min {
            return (hpa.min, Limit::Minimum);
        } else if stabilised > most.min(hpa.max) {
            let limit = if hpa.max > most { Limit::Rate } else { Limit::Maximum };
            return (most.min(hpa.max), limit);
        } else if stabilised != wanted {
            Limit::Window
        } else {
            Limit::Nothing
        };
        (stabilised, limit)
    }

    /// `normalizeDesiredReplicasWithBehaviors`.
    fn with_behavior(
        &mut self,
        hpa: &Autoscaler,
        behavior: &Behavior,
        now: Ms,
        current: i32,
        wanted: i32,
    ) -> (i32, Limit) {
        let cutoff = |window: Ms| now - window;
        let up = cutoff(behavior.up.window.map_or(0, seconds));
        let down = cutoff(behavior.down.window.map_or(self.flags.downscale_stabilization, seconds));
        self.recommendations.retain(|(at, _)| *at >= up || *at >= down);
        let since = |cutoff: Ms| {
            let recent = self.recommendations.iter().filter(move |(at, _)| *at > cutoff);
            recent.map(|(_, replicas)| *replicas)
        };
        let lowest = since(up).fold(wanted, i32::min);
        let highest = since(down).fold(wanted, i32::max);
        // `max` first: where both windows disagree, the way down wins.
        let stabilised = current.max(lowest).min(highest);
        self.recommendations.push((now, wanted));
        let window = match stabilised == wanted {
            true => Limit::Nothing,
            false => Limit::Window,
        };
        if stabilised > current {
            let limit = self.events.up_limit(now, current, &behavior.up).max(current);
            match stabilised > limit.min(hpa.max) {
                true if hpa.max > limit => (limit, Limit::Rate),
                true => (hpa.max, Limit::Maximum),
                false => (stabilised, window),
            }
        } else if stabilised < current {
            let limit = self.events.down_limit(now, current, &behavior.down).min(current);
            match stabilised < limit.max(hpa.min) {
                true if hpa.min < limit => (limit, Limit::Rate),
                true => (hpa.min, Limit::Minimum),
                false => (stabilised, window),
            }
        } else {
            (stabilised, window)
        }
    }
}

fn seconds(seconds: i32) -> Ms {
    Ms::from(seconds) * SECOND
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
