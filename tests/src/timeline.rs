//! What pods did, and when: to be held against what failed meanwhile.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::target::Target;

/// One line for each change of a pod.
const COLUMNS: &str = "--output=custom-columns=EVENT:.type,POD:.object.metadata.name,IP:.object.status.podIP,\
    PHASE:.object.status.phase,READY:.object.status.conditions[?(@.type==\"Ready\")].status,\
    ENDS:.object.metadata.deletionTimestamp";

#[derive(Debug)]
pub struct Timeline {
    watch: Child,
    reader: JoinHandle<Vec<(Duration, String)>>,
}

impl Timeline {
    pub fn of_pods(target: &Target, namespace: &str) -> Result<Timeline> {
        let began = Instant::now();
        let mut watch = target
            .kubectl()
            .args([
                "--namespace",
                namespace,
                "get",
                "pods",
                "--watch",
                "--output-watch-events",
            ])
            .arg(COLUMNS)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run kubectl")?;
        let lines = BufReader::new(watch.stdout.take().context("kubectl's output")?).lines();
        let reader = thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .map(|line| (began.elapsed(), line))
                .collect()
        });
        Ok(Timeline { watch, reader })
    }

    pub fn stop(mut self) -> Vec<(Duration, String)> {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
        self.reader.join().unwrap_or_default()
    }
}
