//! The same ten thousand events through a sidecar with the middleware and through one without: both apps get the same bytes,
//! and these are the bytes that were sent.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use learnflow_tests::{
    http::{Answer, Message},
    process::Folder,
    sidecar::{Middleware, PUBSUB, Rig, Sidecar, app},
};
use serde_json::json;

use crate::{
    Test, guests,
    load::{self, GROUP, RAW, WRAPPED},
};

pub const TESTS: &[(&str, Test)] = &[
    (
        "messages::a_guest_that_reads_bodies_is_found_out",
        a_guest_that_reads_bodies_is_found_out,
    ),
    ("messages::ten_thousand_arrive_as_they_were_sent", ten_thousand),
];

const EVENTS: u32 = 10_000;
const CALLERS: usize = 3;

fn ten_thousand(rig: &Rig) -> Result<()> {
    let with = Side::start(rig, "with", Middleware::installed()?)?;
    let plain = Side::start(rig, "plain", Middleware::installed()?.out_of_pipelines())?;
    let next = AtomicU32::new(0);
    let caller = || -> Result<()> {
        let mut clients = [with.sidecar.client()?, plain.sidecar.client()?];
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= EVENTS / GROUP {
                return Ok(());
            }
            for call in load::calls(group) {
                for client in &mut clients {
                    let answer = client.send(call.method, &call.path, &call.headers, &call.body, call.chunked)?;
                    ensure!(answer.status() == 204, "{} {}: {answer:?}", call.method, call.path);
                }
            }
        }
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        let ends = callers
            .into_iter()
            .map(|caller| caller.join().map_err(|_| anyhow!("a caller panicked"))?);
        ends.collect::<Result<()>>()
    })?;

    let (with, plain) = (with.all(EVENTS)?, plain.all(EVENTS)?);
    for number in 0..EVENTS {
        let [with, plain] = [&with[&number], &plain[&number]];
        ensure!(with.as_sent, "event {number} did not arrive as it was sent: {with:?}");
        ensure!(with == plain, "event {number} differs:\n{with:?}\n{plain:?}");
    }
    Ok(())
}

fn a_guest_that_reads_bodies_is_found_out(rig: &Rig) -> Result<()> {
    let folder = Folder::new()?;
    let side = Side::start(rig, "reads", guests::middleware(guests::READS_BODIES, &folder)?)?;
    let (number, call) = load::some_bytes().context("no such event")?;
    let answer = side
        .sidecar
        .client()?
        .send(call.method, &call.path, &call.headers, &call.body, false)?;
    ensure!(answer.status() == 204, "{answer:?}");
    let seen = side.all(1)?;
    ensure!(!seen[&number].as_sent, "it arrived as it was sent: {:?}", seen[&number]);
    Ok(())
}

/// What an app got of an event.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    path: String,
    headers: Vec<(String, String)>,
    length: usize,
    hash: u64,
    /// Whether its data are those that were sent.
    as_sent: bool,
}

struct Side {
    sidecar: Sidecar,
    seen: Arc<Mutex<BTreeMap<u32, Seen>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Side {
    fn start(rig: &Rig, namespace: &str, middleware: Middleware) -> Result<Self> {
        let seen: Arc<Mutex<BTreeMap<u32, Seen>>> = Arc::default();
        let faults: Arc<Mutex<Vec<String>>> = Arc::default();
        let (for_app, faults_of_app) = (Arc::clone(&seen), Arc::clone(&faults));
        let namespace_of_app = namespace.to_owned();
        let subscriptions = json!([
            {"pubsubname": PUBSUB, "topic": WRAPPED, "route": "/wrapped"},
            {"pubsubname": PUBSUB, "topic": RAW, "route": "/raw", "metadata": {"rawPayload": "true"}},
        ]);
        let app = app(subscriptions, move |delivery| {
            let fault = match taken(&delivery, &namespace_of_app) {
                Ok((number, event)) => match for_app.lock().map(|mut seen| seen.insert(number, event)) {
                    // Kafka may deliver twice, but the same.
                    Ok(Some(before)) if for_app.lock().is_ok_and(|seen| seen[&number] != before) => {
                        Some(format!("event {number} came twice, and not the same"))
                    }
                    _ => None,
                },
                Err(error) => Some(format!("{error:#}: {}", delivery.first)),
            };
            if let (Some(fault), Ok(mut faults)) = (fault, faults_of_app.lock()) {
                faults.push(fault);
            }
            Answer::new(200, "")
        })?;
        let sidecar = rig.sidecar(middleware).namespace(namespace).app(app).start()?;
        Ok(Self { sidecar, seen, faults })
    }

    /// Waits for so many events.
    fn all(self, events: u32) -> Result<BTreeMap<u32, Seen>> {
        let started = Instant::now();
        loop {
            let faults = self.faults.lock().map_err(|_| anyhow!("the app panicked"))?;
            ensure!(faults.is_empty(), "{}", faults.join("\n"));
            drop(faults);
            let mut seen = self.seen.lock().map_err(|_| anyhow!("the app panicked"))?;
            if seen.len() == events as usize {
                return Ok(std::mem::take(&mut *seen));
            }
            let count = seen.len();
            drop(seen);
            ensure!(
                started.elapsed() < Duration::from_secs(120),
                "only {count} events have arrived"
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The number of a delivered event, and what is compared of it.
fn taken(delivery: &Message, namespace: &str) -> Result<(u32, Seen)> {
    let number = delivery.header("number").context("a delivery without a number")?;
    let number = str::from_utf8(number)?.parse()?;
    let topic = delivery.header("__topic").context("a delivery without a topic")?;
    ensure!(topic.starts_with(namespace.as_bytes()), "an event of the other side");
    // Where it stood in Kafka differs, and so do traces.
    let differ = [
        "__topic",
        "__partition",
        "__offset",
        "__timestamp",
        "traceparent",
        "host",
        "content-length",
    ];
    let headers = delivery.headers.iter().filter(|(name, _)| !differ.contains(&&**name));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    headers.sort();
    let settled = settled(&delivery.body);
    let mut hash = DefaultHasher::new();
    settled.hash(&mut hash);
    let event = Seen {
        path: delivery.path().to_owned(),
        headers,
        length: settled.len(),
        hash: hash.finish(),
        as_sent: delivery.body.starts_with(&load::delivered(number)),
    };
    Ok((number, event))
}

/// A CloudEvent without what Dapr makes up for it. Its data come first, and what comes after them is short.
fn settled(event: &[u8]) -> Vec<u8> {
    const REST: usize = 2000;
    let mut event = event.to_vec();
    for key in ["expiration", "id", "time", "traceid", "traceparent"] {
        let key = format!(",\"{key}\":\"");
        let rest = event.len().saturating_sub(REST);
        let Some(at) = event[rest..]
            .windows(key.len())
            .rposition(|part| part == key.as_bytes())
        else {
            continue;
        };
        let from = rest + at + key.len();
        let length = event[from..].iter().position(|byte| *byte == b'"').unwrap_or(0);
        event.drain(from..from + length);
    }
    event
}
