//! A service that fails while it takes events: how often each comes, in which order, and where it ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{
    exposition::series,
    http::Answer,
    sidecar::{Middleware, PUBSUB, Rig, Setup, Sidecar},
};

use crate::{
    policies,
    subscriber::{Delivery, Subscriber},
};

type Check = fn(&Rig) -> Result<Taken>;

/// Name, whether it is part of each run, and what it does.
pub const ROWS: &[(&str, bool, Check)] = &[
    ("inbound_fails_three_times", false, fails_three_times),
    ("inbound_poison_with_dead_letters", true, poison_with_dead_letters),
    ("inbound_poison_without", false, poison_without),
    ("inbound_dead_letter_fails", false, dead_letter_fails),
    ("inbound_crash_while_processing", false, crash_while_processing),
];

/// What became of the events.
#[derive(Debug)]
pub struct Taken {
    pub published: usize,
    /// Answered with success by the service.
    pub handled: usize,
    pub dead: usize,
    /// Deliveries to the service, dead letters not counted.
    pub deliveries: usize,
    /// Of the one that came most often.
    pub most: usize,
    /// Retries used up and no dead letter, by the sidecar's metrics.
    pub held: f64,
    pub seconds: f64,
}

const EVENTS: u64 = 60;
const POISON: u64 = 7;
/// Attempts of the shipped policy: the first, and five retries.
const ATTEMPTS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(90);

/// Every tenth event is refused three times.
fn fails_three_times(rig: &Rig) -> Result<Taken> {
    let fails = |delivery: &Delivery, before: usize| delivery.id.is_multiple_of(10) && before < 3;
    let line = Line::start(rig, "fails3", Some("fails3.dead"), fails)?;
    line.publish()?;
    line.wait(|line| line.handled().len() == EVENTS as usize)?;
    let taken = line.taken()?;
    ensure!(taken.most == 4 && taken.dead == 0, "{taken:?}");
    line.in_order()?;
    Ok(taken)
}

/// One event is never taken: it goes to its topic after the policy's attempts and no more, and the others go on.
fn poison_with_dead_letters(rig: &Rig) -> Result<Taken> {
    let line = Line::start(rig, "poison", Some("poison.dead"), |delivery, _| delivery.id == POISON)?;
    line.publish()?;
    line.wait(|line| line.handled().len() == EVENTS as usize - 1 && !line.dead().is_empty())?;
    // Nothing more may come: the component has retries of its own.
    thread::sleep(Duration::from_secs(7));
    let taken = line.taken()?;
    ensure!(
        taken.most == ATTEMPTS && taken.dead == 1 && taken.held == 0.0,
        "{taken:?}"
    );
    line.in_order()?;
    Ok(taken)
}

/// The same without a topic for dead letters: the partition waits, and the metrics say so.
fn poison_without(rig: &Rig) -> Result<Taken> {
    let line = Line::start(rig, "held", None, |delivery, _| delivery.id == POISON)?;
    line.publish()?;
    line.wait(|line| line.held().is_ok_and(|held| held >= 2.0))?;
    let taken = line.taken()?;
    ensure!(
        taken.most > 2 * ATTEMPTS - 1 && taken.handled < EVENTS as usize - 1,
        "{taken:?}"
    );
    line.in_order()?;
    Ok(taken)
}

/// There is such a topic, and Kafka does not take it.
fn dead_letter_fails(rig: &Rig) -> Result<Taken> {
    let line = Line::start(rig, "refused", Some("not a topic"), |delivery, _| delivery.id == POISON)?;
    line.publish()?;
    line.wait(|line| line.held().is_ok_and(|held| held >= 1.0))?;
    let log = line.sidecar.log();
    ensure!(
        log.contains("error sending message to dead letter"),
        "the log does not say it"
    );
    let taken = line.taken()?;
    ensure!(taken.handled < EVENTS as usize - 1 && taken.dead == 0, "{taken:?}");
    Ok(taken)
}

/// The pod dies in the middle of an event, and another takes its place.
fn crash_while_processing(rig: &Rig) -> Result<Taken> {
    let mut line = Line::start(rig, "crash", Some("crash.dead"), |_, _| {
        thread::sleep(Duration::from_millis(100));
        false
    })?;
    line.publish()?;
    line.wait(|line| line.subscriber.deliveries().len() >= 10)?;
    line.sidecar.kill()?;
    let before = line.subscriber.deliveries().len();
    line.sidecar = line.setup(rig).start()?;
    line.wait(|line| line.handled().len() == EVENTS as usize)?;
    let taken = line.taken()?;
    ensure!(before < EVENTS as usize, "it was over before the crash");
    ensure!(taken.dead == 0, "{taken:?}");
    Ok(taken)
}

/// A topic, a service that takes it, and a sidecar for both sides.
struct Line {
    name: &'static str,
    subscriber: Subscriber,
    fails: fn(&Delivery, usize) -> bool,
    sidecar: Sidecar,
    began: Instant,
}

impl Line {
    fn start(rig: &Rig, name: &'static str, dead: Option<&str>, fails: fn(&Delivery, usize) -> bool) -> Result<Self> {
        let answer =
            move |delivery: &Delivery, before| Answer::new(if fails(delivery, before) { 500 } else { 200 }, "");
        let subscriber = Subscriber::of(name, dead, answer)?;
        let sidecar = setup(rig, name, &subscriber)?.start()?;
        Ok(Self {
            name,
            subscriber,
            fails,
            sidecar,
            began: Instant::now(),
        })
    }

    fn setup<'a>(&self, rig: &'a Rig) -> Setup<'a> {
        setup(rig, self.name, &self.subscriber).unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn publish(&self) -> Result<()> {
        let mut client = self.sidecar.client()?;
        let path = format!("/v1.0/publish/{PUBSUB}/{}?metadata.partitionKey=", self.name);
        for id in 0..EVENTS {
            let key = id % 3;
            let body = format!("{{\"id\":{id}}}");
            let headers = [("content-type", "application/json")];
            let answer = client.send("POST", &format!("{path}{key}"), &headers, body.as_bytes(), false)?;
            ensure!(answer.status() == 204, "{answer:?}");
        }
        Ok(())
    }

    fn wait(&self, until: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !until(self) {
            if began.elapsed() > PATIENCE {
                bail!("{}: it did not come: {:?}", self.name, self.taken()?);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn deliveries(&self, dead: bool) -> Vec<Delivery> {
        let mut deliveries = self.subscriber.deliveries();
        deliveries.retain(|delivery| (delivery.route == "/dead") == dead);
        deliveries
    }

    fn dead(&self) -> BTreeSet<u64> {
        self.deliveries(true).iter().map(|delivery| delivery.id).collect()
    }

    fn handled(&self) -> BTreeSet<u64> {
        let mut before = BTreeMap::<u64, usize>::new();
        let mut handled = BTreeSet::new();
        for delivery in self.deliveries(false) {
            let before = before.entry(delivery.id).or_default();
            if !(self.fails)(&delivery, *before) {
                handled.insert(delivery.id);
            }
            *before += 1;
        }
        handled
    }

    /// No event is seen for the first time after a later one of its partition.
    fn in_order(&self) -> Result<()> {
        let mut last = BTreeMap::new();
        for delivery in self.deliveries(false) {
            let (partition, offset) = delivery.place;
            let last = last.entry(partition).or_insert(offset);
            ensure!(
                offset >= *last,
                "{}: {offset} after {last} in partition {partition}",
                self.name
            );
            *last = offset;
        }
        Ok(())
    }

    /// The same sum as in dashboards/rules/flow.yaml: rounds of retries that ended without a dead letter. Each attempt that fails
    /// is counted, the end of such a round once more; what Dapr calls an activation is a round.
    fn held(&self) -> Result<f64> {
        let page = self.sidecar.metrics()?;
        let sum = |metric: &str, (name, value): (&str, &str)| -> Result<f64> {
            let series = series(&page, metric)?.into_iter();
            let is = series.filter(|(labels, _)| labels.get(name).is_some_and(|other| other == value));
            Ok(is.map(|(_, value)| value).sum())
        };
        let failed = sum("dapr_component_pubsub_ingress_count", ("process_status", "retry"))?;
        let rounds = sum("dapr_resiliency_activations_total", ("flow_direction", "inbound"))?;
        Ok((failed - rounds * ATTEMPTS as f64).max(0.0))
    }

    fn taken(&self) -> Result<Taken> {
        let deliveries = self.deliveries(false);
        let mut times = BTreeMap::<u64, usize>::new();
        for delivery in &deliveries {
            *times.entry(delivery.id).or_default() += 1;
        }
        Ok(Taken {
            published: EVENTS as usize,
            handled: self.handled().len(),
            dead: self.dead().len(),
            deliveries: deliveries.len(),
            most: times.into_values().max().context("no delivery")?,
            held: self.held()?,
            seconds: self.began.elapsed().as_secs_f64(),
        })
    }
}

fn setup<'a>(rig: &'a Rig, name: &'static str, subscriber: &Subscriber) -> Result<Setup<'a>> {
    let setup = rig.sidecar(Middleware::installed()?).app_id(name).app(subscriber.app);
    Ok(setup.resource(policies::shipped()?))
}
