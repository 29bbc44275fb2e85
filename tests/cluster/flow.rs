//! `flow -f` while its connections break.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{Frontend, Target};
use serde_json::Value;

use crate::gate::Gate;

const LESSONS: usize = 300;

/// Each event of 300 lessons once, though all connections to the API server break every two seconds.
pub fn goes_on_after_cuts(target: &Target) -> Result<()> {
    let gate = Gate::to(target)?;
    let mut flow = gate.plugin(target, &["flow", "--follow", "--output=jsonl"]);
    let mut flow = flow.stdout(Stdio::piped()).spawn().context("cannot run the plugin")?;
    let lines = BufReader::new(flow.stdout.take().context("no stdout")?).lines();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let reader = {
        let seen = seen.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })
    };
    let count = || seen.lock().unwrap_or_else(PoisonError::into_inner).len();
    // Until its logs are open.
    thread::sleep(Duration::from_secs(5));
    gate.break_every(Duration::from_secs(2));
    let frontend = Frontend::of(target)?;
    for _ in 0..10 {
        frontend.request_lessons(LESSONS / 10)?;
        thread::sleep(Duration::from_secs(1));
    }
    gate.break_every(Duration::ZERO);
    let begin = Instant::now();
    while count() < 2 * LESSONS && begin.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(100));
    }
    // What comes twice comes now.
    thread::sleep(Duration::from_secs(5));
    flow.kill()?;
    flow.wait()?;
    reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    ensure!(gate.broken() > 5, "only {} connections were broken", gate.broken());
    let mut times = BTreeMap::<(String, String), usize>::new();
    for line in seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let event: Value = serde_json::from_str(line)?;
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        *times.entry((text("dir"), text("trace"))).or_default() += 1;
    }
    let twice = times.values().filter(|times| **times > 1).count();
    ensure!(
        times.len() == 2 * LESSONS && twice == 0,
        "{} of {} events were seen, {twice} of them twice",
        times.len(),
        2 * LESSONS
    );
    Ok(())
}
