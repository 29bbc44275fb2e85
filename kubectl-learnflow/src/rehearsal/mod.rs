//! A rehearsal: what sidecars would write, without any.
//!
//! Real are the guest's bytes, which run in an embedded host, and so each record; and the policies, with the engine that says
//! what they make of an outage. The rest is a script, which a seed decides.

mod script;
mod sidecars;

use crate::{assets, cli, problem::Problem};
use learnflow_flow::Time;
use learnflow_resilience::{
    policy::Policy,
    read::{ComponentKind, Direction, Objects, Target, policy_of},
};
use script::Script;
pub(crate) use script::{LEAD, OUTAGE};
use sidecars::Sidecars;
use std::time::Duration;

/// What Dapr's component is called here, as in the policies that are shipped.
const COMPONENT: &str = "kafka-pubsub";
/// 2026-01-15T10:00:00Z: where nobody waits, the clock is not ours either.
pub(crate) const BEGINNING: Time = Time(1_768_471_200_000_000_000);

/// The sidecars that there are.
pub(crate) const PODS: [Pod; 4] = [
    Pod::new("frontend", "frontend-rehearsal-0"),
    Pod::new("course-agent", "course-agent-rehearsal-0"),
    Pod::new("user-progress", "user-progress-rehearsal-0"),
    Pod::new("user-progress", "user-progress-rehearsal-1"),
];

pub(crate) struct Pod {
    pub(crate) app: &'static str,
    pub(crate) name: &'static str,
}

impl Pod {
    const fn new(app: &'static str, name: &'static str) -> Self {
        Self { app, name }
    }
}

/// A line of a sidecar's log.
pub(crate) struct Line {
    pub(crate) at: Time,
    /// Which of [`PODS`].
    pub(crate) pod: usize,
    /// With its end.
    pub(crate) text: String,
}

/// A publish, whatever came of it.
pub(crate) struct Publish {
    pub(crate) made: Time,
    pub(crate) answered: Time,
    pub(crate) accepted: bool,
}

/// Once from the beginning to the end: some quiet seconds, an outage, and what comes after it.
pub(crate) struct Round {
    pub(crate) start: Time,
    /// In the order of time.
    pub(crate) lines: Vec<Line>,
    pub(crate) publishes: Vec<Publish>,
    /// How many calls passed the middleware, those without a record among them.
    pub(crate) calls: usize,
}

impl Round {
    pub(crate) fn end(&self) -> Time {
        self.lines.last().map_or(self.start, |line| line.at)
    }

    /// When Kafka goes away, and when it is back.
    pub(crate) fn outage(&self) -> (Time, Time) {
        (later(self.start, LEAD), later(self.start, LEAD + OUTAGE))
    }
}

/// Plays round after round.
pub(crate) struct Rehearsal {
    seed: u64,
    pub(crate) publishing: Policy,
    script: Script,
    sidecars: Sidecars,
}

impl Rehearsal {
    pub(crate) fn new(settings: &cli::Rehearsal) -> Result<Self, Problem> {
        let shipped = assets::folder("resilience")?;
        let (objects, _) = Objects::of_cluster(shipped.iter().map(|object| object.value()));
        let target = Target::Component {
            name: COMPONENT.into(),
            kind: ComponentKind::Pubsub,
        };
        let policy = |direction| policy_of(&objects, "", &target, direction).policy;
        let publishing = policy(Direction::Outbound);
        Ok(Self {
            seed: settings.seed,
            script: Script::new(publishing.clone(), policy(Direction::Inbound)),
            publishing,
            sidecars: Sidecars::new().map_err(broken)?,
        })
    }

    /// The next round, from `start` on.
    pub(crate) fn round(&mut self, start: Time) -> Result<Round, Problem> {
        let calls = self.script.calls(self.seed, start);
        self.seed = self.seed.wrapping_add(1);
        let publishes = calls.iter().filter(|call| call.publish).map(|call| Publish {
            made: later(start, call.at),
            answered: later(start, call.at + call.took),
            accepted: call.answer.status.is_some_and(|status| status < 300),
        });
        let (publishes, count) = (publishes.collect(), calls.len());
        Ok(Round {
            start,
            publishes,
            calls: count,
            lines: self.sidecars.play(calls, start).map_err(broken)?,
        })
    }
}

pub(crate) fn later(time: Time, by: Duration) -> Time {
    Time(time.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
}

fn broken(error: learnflow_host::Error) -> Problem {
    Problem::new(format!("The middleware inside this plugin cannot be run: {error}."))
        .next("This is a defect of the build; take another version of the plugin.")
}

#[cfg(test)]
mod tests;
