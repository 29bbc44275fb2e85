//! One outage, as its callers see it.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use learnflow_tests::{
    http::Client,
    sidecar::{Middleware, PUBSUB, Rig, Sidecar, serves},
};
use serde::{Deserialize, Serialize};

use crate::case::{Case, Mode, Policy};

/// Before the outage.
const LEAD: Duration = Duration::from_secs(5);
/// After it.
const TAIL: Duration = Duration::from_secs(20);
/// No answer takes longer than the policies let it.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is kept of an outage. Times are in milliseconds since the first call, waits in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Which row of `outages.yaml` it is.
    pub row: String,
    /// When Kafka was away, from and to.
    pub away: Vec<(f64, f64)>,
    /// When the last call was made.
    pub end: f64,
    /// Calls since the outage began, and those of them that were refused.
    pub calls: usize,
    pub refused: usize,
    /// How long callers waited, whatever they were answered, who called while Kafka was away.
    pub p50: f64,
    pub p95: f64,
    pub longest: f64,
    /// How many waited at a time.
    pub waiting: usize,
    /// More events in Kafka than calls that were accepted.
    pub extra: i64,
    /// Of the sidecar, before and at most, in MB.
    pub memory: (u64, u64),
}

/// When a call was made, how long it took, and the status it got.
type Call = (f64, f64, u16);

impl Seen {
    fn of(row: String, away: Vec<(f64, f64)>, end: f64, calls: &[Call], events: u64, memory: (u64, u64)) -> Self {
        let (from, to) = (away[0].0, away[away.len() - 1].1);
        let since: Vec<&Call> = calls.iter().filter(|call| call.0 >= from).collect();
        let during = since.iter().filter(|call| call.0 < to);
        let mut took: Vec<f64> = during.map(|call| (call.1 / 10.0).round() / 100.0).collect();
        took.sort_by(f64::total_cmp);
        let percentile = |share: usize| took[(took.len() - 1) * share / 100];
        let ends = calls.iter().map(|call| (call.0 + call.1, false));
        let mut changes: Vec<(f64, bool)> = calls.iter().map(|call| (call.0, true)).chain(ends).collect();
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut waiting, mut most) = (0_usize, 0);
        for (_, begins) in changes {
            waiting = if begins { waiting + 1 } else { waiting - 1 };
            most = most.max(waiting);
        }
        let accepted = calls.iter().filter(|call| call.2 == 204).count();
        Self {
            row,
            end,
            calls: since.len(),
            refused: since.iter().filter(|call| call.2 != 204).count(),
            p50: percentile(50),
            p95: percentile(95),
            longest: percentile(100),
            waiting: most,
            extra: events as i64 - accepted as i64,
            memory: (memory.0 / 1_000_000, memory.1 / 1_000_000),
            away,
        }
    }
}

pub fn run(rig: &mut Rig, case: &Case, policy: &Policy) -> Result<Seen> {
    let topic = case.name();
    let sidecar = rig
        .sidecar(Middleware::installed()?)
        .resource(policy.resiliency(PUBSUB))
        .argument("--log-level=warn")
        .start()?;
    let path = format!("/v1.0/publish/{PUBSUB}/{topic}");
    warm_up(&sidecar, &path)?;
    let before = events(rig, &topic)?;
    let memory = sidecar.peak_memory()?;

    let began = Instant::now();
    let length = Duration::from_secs_f64(case.seconds);
    let (stop, stopped) = mpsc::channel();
    let load = {
        let (api, rate) = (sidecar.api(), case.rate);
        thread::spawn(move || load(api, &path, rate, began, &stopped))
    };
    wait_until(began + LEAD);
    let away = outage(rig, case, began, length, &topic)?;
    thread::sleep(TAIL);
    let end = millis(began.elapsed());
    stop.send(()).ok().context("the load")?;
    let calls = load.join().ok().context("the load")?;
    let events = events(rig, &topic)? - before;
    let memory = (memory, sidecar.peak_memory()?);
    Ok(Seen::of(case.name(), away, end, &calls, events, memory))
}

/// Makes it, and says when Kafka was away.
fn outage(rig: &mut Rig, case: &Case, began: Instant, length: Duration, topic: &str) -> Result<Vec<(f64, f64)>> {
    let now = || millis(began.elapsed());
    let mut away = Vec::new();
    let from = Instant::now();
    match case.mode {
        Mode::Refuse | Mode::Flap => {
            let period = case.period.map_or(length, Duration::from_secs_f64);
            let mut at = from;
            while at < from + length {
                let gate = rig.gate().context("a gate")?;
                let began = now();
                gate.refuse()?;
                wait_until(at + period);
                gate.let_in()?;
                away.push((began, now()));
                at += period * 2;
                wait_until(at.min(from + length));
            }
        }
        Mode::Slow => {
            let late = Duration::from_secs_f64(case.late.context("how late")?);
            let began = now();
            rig.gate().context("a gate")?.answers_late_by(late);
            wait_until(from + length);
            rig.gate().context("a gate")?.answers_late_by(Duration::ZERO);
            away.push((began, now()));
        }
        Mode::Hang => {
            let began = now();
            rig.kafka_mut().hold(true)?;
            wait_until(from + length);
            rig.kafka_mut().hold(false)?;
            away.push((began, now()));
        }
        Mode::Kill => {
            let began = now();
            rig.kafka_mut().kill();
            wait_until(from + length);
            rig.kafka_mut().start_again()?;
            while !serves(rig.kafka().address(), topic) {
                thread::sleep(Duration::from_millis(20));
            }
            away.push((began, now()));
        }
    }
    Ok(away)
}

/// A call each time one is due, whatever became of those before.
fn load(api: SocketAddr, path: &str, rate: u32, began: Instant, stopped: &mpsc::Receiver<()>) -> Vec<Call> {
    let (answers, all) = mpsc::channel();
    for number in 0.. {
        wait_until(began + Duration::from_secs(number) / rate);
        if stopped.try_recv().is_ok() {
            break;
        }
        let (answers, path) = (answers.clone(), path.to_owned());
        let call = move || {
            let at = Instant::now();
            let status = publish(api, &path).unwrap_or(0);
            let _ = answers.send((millis(at - began), millis(at.elapsed()), status));
        };
        let small = thread::Builder::new().stack_size(128 << 10);
        small.spawn(call).expect("a thread");
    }
    drop(answers);
    let mut calls: Vec<_> = all.iter().collect();
    calls.sort_by(|a, b| a.0.total_cmp(&b.0));
    calls
}

fn publish(api: SocketAddr, path: &str) -> Result<u16> {
    let mut client = Client::new(api)?.patience(PATIENCE)?;
    let headers = [("content-type", "text/plain"), ("connection", "close")];
    Ok(client.send("POST", path, &headers, &[b'x'; 400], false)?.status())
}

/// Until each partition knows its leader, for all that can be told.
fn warm_up(sidecar: &Sidecar, path: &str) -> Result<()> {
    for _ in 0..40 {
        sidecar.wait("publish", || {
            publish(sidecar.api(), path).ok().filter(|status| *status == 204)
        })?;
    }
    Ok(())
}

fn events(rig: &mut Rig, topic: &str) -> Result<u64> {
    let broker = rig.kafka().address().to_string();
    let arguments = ["--bootstrap-server", &broker, "--topic", topic];
    let said = rig.kafka().tool("org.apache.kafka.tools.GetOffsetShell", &arguments)?;
    let counts = said
        .lines()
        .filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok());
    Ok(counts.sum())
}

fn wait_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}
