//! Publishers that do not wait for each other: a call begins when it is due, whatever became of those before.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use learnflow_tests::{http::Client, sidecar::PUBSUB};

/// Longer than any policy keeps a call.
const PATIENCE: Duration = Duration::from_secs(150);
/// Thousands of them wait at once.
const STACK: usize = 128 << 10;

/// One publish. Times are since the load began.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: u64,
    pub sent: Duration,
    pub took: Duration,
    /// 0: no answer at all.
    pub status: u16,
    /// Of a refusal.
    pub body: String,
}

impl Call {
    pub fn accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn answered(&self) -> Duration {
        self.sent + self.took
    }
}

/// They go on until they are stopped.
#[derive(Debug)]
pub struct Callers {
    stop: Arc<AtomicBool>,
    pace: JoinHandle<Result<()>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Callers {
    pub fn start(api: SocketAddr, topic: &str, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let path = format!("/v1.0/publish/{PUBSUB}/{topic}");
        let pace = {
            let (stop, calls) = (stop.clone(), calls.clone());
            thread::spawn(move || pace(api, &path, per_second, &stop, &calls))
        };
        Self { stop, pace, calls }
    }

    /// Begins no more calls, and waits for the answers to those that were begun.
    pub fn stop(self) -> Result<Vec<Call>> {
        self.stop.store(true, Ordering::Relaxed);
        self.pace.join().map_err(|_| anyhow!("a caller panicked"))??;
        let mut calls = std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        calls.sort_by_key(|call| call.id);
        Ok(calls)
    }
}

fn pace(api: SocketAddr, path: &str, per_second: u32, stop: &AtomicBool, calls: &Arc<Mutex<Vec<Call>>>) -> Result<()> {
    let began = Instant::now();
    let mut waiting = Vec::new();
    for id in 0.. {
        let due = Duration::from_secs(id) / per_second;
        thread::sleep(due.saturating_sub(began.elapsed()));
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (path, calls) = (path.to_owned(), calls.clone());
        let call = move || {
            let sent = Instant::now();
            let answer = Client::new(api).and_then(|client| {
                let body = format!("{{\"id\":{id}}}");
                let headers = [("content-type", "application/json"), ("connection", "close")];
                client
                    .patience(PATIENCE)?
                    .send("POST", &path, &headers, body.as_bytes(), false)
            });
            let (status, body) = match answer {
                Ok(answer) => (answer.status(), String::from_utf8_lossy(&answer.body).into_owned()),
                Err(error) => (0, format!("{error:#}")),
            };
            calls.lock().unwrap_or_else(PoisonError::into_inner).push(Call {
                id,
                sent: sent - began,
                took: sent.elapsed(),
                status,
                body,
            });
        };
        waiting.push(thread::Builder::new().stack_size(STACK).spawn(call)?);
    }
    for caller in waiting {
        caller.join().map_err(|_| anyhow!("a caller panicked"))?;
    }
    Ok(())
}
