//! Lessons asked for at the frontend, and what became of them.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use learnflow_core::{Buffer, Direction, Record};
use serde_json::{Value, json};

use crate::target::{PortForward, SERVICES_NAMESPACE, Target};

/// Requests at once: enough to be quick, few enough for two cores.
const CLIENTS: usize = 4;

#[derive(Debug)]
pub struct Frontend {
    forward: PortForward,
}

impl Frontend {
    pub fn of(target: &Target) -> Result<Frontend> {
        let forward = target.port_forward(SERVICES_NAMESPACE, "service/frontend", 80)?;
        Ok(Frontend { forward })
    }

    pub fn url(&self) -> String {
        self.forward.url("/")
    }

    /// Asks for `count` lessons; every one must be accepted.
    pub fn request_lessons(&self, count: usize) -> Result<()> {
        let next = AtomicUsize::new(0);
        let url = self.forward.url("/lessons");
        let client = || -> Result<()> {
            let agent = ureq::Agent::new_with_defaults();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                agent
                    .post(&url)
                    .send_json(json!({"course": "rust", "title": format!("Lesson {number}")}))
                    .with_context(|| format!("lesson {number} was not accepted"))?;
            }
        };
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            for client in clients {
                client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            }
            Ok(())
        })
    }
}

/// What user-progress has in its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub lessons: u64,
    pub deliveries: u64,
}

/// Waits until user-progress has `expected` rows; after the timeout, whatever it has.
pub fn progress_of(target: &Target, expected: u64, timeout: Duration) -> Result<Progress> {
    let forward = target.port_forward(SERVICES_NAMESPACE, "deployment/user-progress", 8080)?;
    let started = Instant::now();
    loop {
        let answer: Value = ureq::get(forward.url("/progress")).call()?.body_mut().read_json()?;
        let number = |name: &str| {
            answer[name]
                .as_u64()
                .with_context(|| format!("/progress has no {name}"))
        };
        let progress = Progress {
            lessons: number("lessons")?,
            deliveries: number("deliveries")?,
        };
        if progress.lessons >= expected || started.elapsed() > timeout {
            return Ok(progress);
        }
        thread::sleep(Duration::from_millis(250));
    }
}

/// The records of one direction in the sidecar logs of a service, read as strictly as the plugin reads them.
pub fn records(target: &Target, app: &str, direction: Direction) -> Result<Vec<Record>> {
    let log = target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "logs",
        "--selector",
        &format!("app.kubernetes.io/name={app}"),
        "--container=daprd",
        "--tail=-1",
    ])?;
    let mut buffer: Buffer = [0; _];
    let mut records = Vec::new();
    for line in log.lines() {
        if let Some(text) = learnflow_core::find(line, &mut buffer) {
            let record = Record::read(text).map_err(|error| anyhow::anyhow!("not a record: {error:?}: {text}"))?;
            records.push(record);
        }
    }
    if log.is_empty() {
        bail!("{app} has no sidecar log");
    }
    records.retain(|record| record.direction == direction);
    Ok(records)
}
