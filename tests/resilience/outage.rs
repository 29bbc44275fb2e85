//! Kafka is away while services publish: what their callers feel, and whether each accepted event arrives.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use learnflow_tests::sidecar::{Middleware, Rig};

use crate::{
    callers::{Call, Callers},
    measured::Measured,
    policies,
    subscriber::Subscriber,
    watch,
};

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Killed: its port refuses connections.
    Refuses,
    /// Stands still: connections are accepted, and nothing is answered.
    Hangs,
    /// Not to be reached, three times, and back for a second between them. A gate does it: Kafka itself starts too slowly for that.
    Flaps,
}

#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub name: &'static str,
    pub fault: Fault,
    pub seconds: u64,
    /// Publishes a second.
    pub rate: u32,
    /// Of the topic. The Kafka client fails at most ten publishes a second for each.
    pub partitions: u32,
    /// Part of each run of all tests.
    pub short: bool,
    pub promise: Promise,
}

/// What is to hold beside that nothing that was accepted is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Promise {
    /// Nothing is refused.
    Bridged,
    /// The breaker opens, refuses at once, and closes soon.
    FailsFast,
    /// Nothing more.
    Kept,
}

const QUIET: Duration = Duration::from_secs(5);
/// How often a Kafka that flaps is away, and for how long it is there between.
const TURNS: u32 = 3;
const UP: Duration = Duration::from_secs(1);
/// Publishes go on for as long after Kafka is back.
const AFTER: Duration = Duration::from_secs(15);
/// A consumer that was thrown out by Kafka is back by then, and has what waited.
const ARRIVES: Duration = Duration::from_secs(90);

impl Outage {
    pub fn run(&self, rig: &mut Rig, ready: Duration) -> Result<Measured> {
        let topic = format!("outage.{}", self.name);
        rig.kafka_mut().create_topic(&topic, self.partitions)?;
        let subscriber = Subscriber::taking_all(&topic)?;
        let consumer = format!("{}-in", self.name);
        let publisher = format!("{}-out", self.name);
        let _consumer = rig
            .sidecar(Middleware::installed()?)
            .app_id(&consumer)
            .app(subscriber.app)
            .resource(policies::shipped()?)
            .start()?;
        let sidecar = rig
            .sidecar(Middleware::installed()?)
            .app_id(&publisher)
            // As course-agent has it.
            .environment("GOMEMLIMIT", "400MiB")
            .resource(policies::shipped()?)
            .start()?;
        let callers = Callers::start(sidecar.api(), &topic, self.rate);
        let began = Timestamp::now();
        let stop = AtomicBool::new(false);
        let seen = Mutex::new(None);
        let (away, back, calls) = thread::scope(|scope| {
            scope.spawn(|| {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch::watch(&sidecar, &stop));
            });
            let outcome = self.disturb(rig, ready, callers);
            stop.store(true, Ordering::Relaxed);
            outcome
        })?;
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let accepted = calls.iter().filter(|call| call.accepted()).count();
        let waited = Instant::now();
        let arrived = || {
            let events = subscriber.events();
            calls
                .iter()
                .filter(|call| call.accepted() && events.contains_key(&call.id))
                .count()
        };
        while arrived() < accepted && waited.elapsed() < ARRIVES {
            thread::sleep(Duration::from_millis(250));
        }
        let measured = Measured {
            outage: *self,
            began,
            away,
            back,
            calls,
            events: subscriber.events(),
            deliveries: subscriber.deliveries().len(),
            seen: seen.ok_or_else(|| anyhow!("nobody watched"))??,
            logged: watch::logged(&sidecar)?,
            requests: rig.kafka_mut().requests()?,
        };
        Ok(measured)
    }

    /// The outage, with some quiet before and some load after it. When it began, when it was over, and all calls.
    fn disturb(&self, rig: &mut Rig, ready: Duration, callers: Callers) -> Result<(Timestamp, Timestamp, Vec<Call>)> {
        thread::sleep(QUIET);
        let away = Timestamp::now();
        let lasts = Duration::from_secs(self.seconds);
        match self.fault {
            Fault::Refuses => {
                let kafka = rig.kafka_mut();
                kafka.kill();
                thread::sleep(lasts.saturating_sub(ready));
                kafka.start_again()?;
            }
            Fault::Hangs => {
                rig.kafka().hold(true)?;
                thread::sleep(lasts);
                rig.kafka().hold(false)?;
            }
            Fault::Flaps => {
                let gate = rig.gate().context("a gate")?;
                for turn in 0..TURNS {
                    if turn > 0 {
                        thread::sleep(UP);
                    }
                    gate.refuse()?;
                    thread::sleep((lasts - UP * (TURNS - 1)) / TURNS);
                    gate.let_in()?;
                }
            }
        }
        let back = Timestamp::now();
        thread::sleep(AFTER);
        Ok((away, back, callers.stop().context("the callers")?))
    }
}
