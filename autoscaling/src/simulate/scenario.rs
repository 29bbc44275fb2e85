//! What is simulated.

use crate::{Autoscaler, Curve, Flags, Ms, Resource, SECOND, Source};

#[derive(Debug, Clone)]
pub struct Scenario {
    pub hpa: Autoscaler,
    pub flags: Flags,
    pub service: Service,
    pub load: Load,
    pub figures: Figures,
    /// How many pods there are when it begins; absent: as many as the first value of the load comes to.
    pub replicas: Option<i32>,
    /// How long the load has had its first value when it begins.
    pub lead: Ms,
    /// How long the load keeps its last value.
    pub tail: Ms,
    pub seed: u64,
    /// Where they are known; they are chance otherwise.
    pub phases: Option<Phases>,
}

/// One pod of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub containers: Vec<Container>,
    /// Thousandths of a core that it can use at most; absent: as much as comes.
    pub capacity: Option<f64>,
    /// From its creation until its containers run.
    pub pending: Ms,
    /// From then until it is ready.
    pub startup: Ms,
    /// By which share that may be longer or shorter, by chance.
    pub jitter: f64,
    /// Thousandths of a core that it takes without any load.
    pub idle: f64,
    /// Thousandths of a core that it takes until it is ready.
    pub starting: f64,
    /// Thousandths of a byte that it takes; absent: not known.
    pub memory: Option<i64>,
}

/// What it requests, in thousandths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub cpu: Option<i64>,
    pub memory: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// Of all pods together, in thousandths of a core.
    pub cpu: Option<Curve>,
    pub events: Option<Events>,
}

/// Events that wait until a pod takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// A second.
    pub arrivals: Curve,
    /// What one pod takes in a second.
    pub drain: f64,
    /// Of the topic: no more pods than that get events.
    pub partitions: Option<u32>,
    /// Thousandths of a core that a pod takes for one event a second.
    pub cpu: f64,
}

/// How old the figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// How often metrics-server asks the kubelets.
    pub resolution: Ms,
    /// How often a kubelet looks at its containers; 0: when it is asked.
    pub housekeeping: Ms,
    /// How often who serves external metrics looks; 0: when it is asked.
    pub external: Ms,
}

/// When the controller and metrics-server first look after the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phases {
    pub sync: Ms,
    pub scrape: Ms,
    /// How much of a second of the clock was over at time 0: the API cuts times to whole seconds.
    pub clock: Ms,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            resolution: 15 * SECOND,
            housekeeping: 10 * SECOND,
            external: 15 * SECOND,
        }
    }
}

impl Service {
    /// Of one pod, for a metric.
    pub fn request(&self, source: &Source) -> Option<i64> {
        let of = |container: &Container, resource| match resource {
            Resource::Cpu => container.cpu,
            Resource::Memory => container.memory,
        };
        match source {
            Source::Resource(resource) => self.containers.iter().map(|one| of(one, *resource)).sum(),
            Source::Container(resource, name) => {
                let named = self.containers.iter().find(|container| container.name == *name);
                named.and_then(|container| of(container, *resource))
            }
            _ => None,
        }
    }
}

impl Load {
    pub(super) fn cpu_at(&self, time: Ms) -> f64 {
        self.cpu.as_ref().map_or(0.0, |curve| curve.at(time))
    }

    pub(super) fn next(&self, time: Ms) -> Option<Ms> {
        let curves = [self.cpu.as_ref(), self.events.as_ref().map(|events| &events.arrivals)];
        curves.into_iter().flatten().filter_map(|curve| curve.next(time)).min()
    }

    pub fn end(&self) -> Ms {
        let curves = [self.cpu.as_ref(), self.events.as_ref().map(|events| &events.arrivals)];
        curves.into_iter().flatten().map(Curve::end).max().unwrap_or(0)
    }
}
