//! A steady load from inside the lab, where Services have their addresses. Each request has a connection of its own, and none
//! is tried twice: what a caller would have noticed is counted.

use std::{
    fs::{self, File},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};
use serde_json::{Value, json};

/// Requests under way at most; more than are ever needed while answers come within a second.
const CLIENTS: usize = 64;
/// Far longer than a caller would wait; an answer that late counts as slow, not as failed.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Result<Vec<Failure>>>>,
    slowest: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
pub struct Failure {
    /// Since the load began.
    pub at: Duration,
    pub what: String,
}

/// What became of the requests.
#[derive(Debug)]
pub struct Tally {
    pub accepted: u64,
    pub failures: Vec<Failure>,
    pub slowest: Duration,
}

impl Load {
    /// Asks `url` for `per_second` lessons a second from the network of the lab `name`, until it is stopped.
    pub fn on(name: &str, url: &str, per_second: u32) -> Result<Load> {
        let node = learnflow_lab::cache()?.join("labs").join(name).join("node.pid");
        let node: u32 = fs::read_to_string(&node).context("the lab's node")?.trim().parse()?;
        let network = Arc::new(File::open(format!("/proc/{node}/ns/net"))?);
        let mut load = Load {
            stop: Arc::default(),
            accepted: Arc::default(),
            clients: Vec::new(),
            slowest: Arc::default(),
        };
        let next = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        for _ in 0..CLIENTS {
            let (network, next, url) = (network.clone(), next.clone(), url.to_owned());
            let (stop, accepted, slowest) = (load.stop.clone(), load.accepted.clone(), load.slowest.clone());
            load.clients.push(thread::spawn(move || {
                // Of this thread alone.
                setns(&*network, CloneFlags::CLONE_NEWNET)?;
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = Duration::from_secs(number) / per_second;
                    thread::sleep(due.saturating_sub(began.elapsed()));
                    let sent = Instant::now();
                    match ask(&url, number) {
                        Ok(()) => {
                            accepted.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(what) => failures.push(Failure {
                            at: sent - began,
                            what: format!("{what:#}"),
                        }),
                    }
                    let took = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX);
                    slowest.fetch_max(took, Ordering::Relaxed);
                }
                Ok(failures)
            }));
        }
        Ok(load)
    }

    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        failures.sort_by_key(|failure| failure.at);
        Ok(Tally {
            accepted: self.accepted.load(Ordering::Relaxed),
            failures,
            slowest: Duration::from_millis(self.slowest.load(Ordering::Relaxed)),
        })
    }
}

fn ask(url: &str, number: u64) -> Result<()> {
    let config = ureq::Agent::config_builder()
        .max_idle_connections(0)
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build();
    let mut answer = ureq::Agent::new_with_config(config)
        .post(url)
        .send_json(json!({"course": "rust", "title": format!("Lesson {number}")}))?;
    let status = answer.status();
    let body = answer.body_mut().read_to_string()?;
    // What was refused says where: each hop has sentences of its own.
    ensure!(status.is_success(), "{status}: {body}");
    let lesson: Value = serde_json::from_str(&body).with_context(|| format!("not a lesson: {body}"))?;
    lesson["id"].as_str().context("an answer without an id").map(|_| ())
}
