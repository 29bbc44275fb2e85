//! The stack's own programs with the configuration that is shipped, on loopback, without a cluster: the Collector's gateway and
//! agent, Prometheus, and promtool for its rules. `cargo xtask test` runs these; the programs are parts of the lab.

#[cfg(target_os = "linux")]
mod agent;
mod boards;
#[cfg(target_os = "linux")]
mod costs;
#[cfg(target_os = "linux")]
mod dapr;
#[cfg(target_os = "linux")]
mod faults;
mod figures;
mod flood;
mod gateway;
mod jaeger;
mod kafka;
#[cfg(target_os = "linux")]
mod logs;
mod otlp;
mod prometheus;
#[cfg(target_os = "linux")]
mod publishing;
mod remote_write;
mod rules;
#[cfg(target_os = "linux")]
mod scale;
#[cfg(target_os = "linux")]
mod service;
mod shipped;
mod traces;
#[cfg(target_os = "linux")]
mod tries;
mod valid;

use std::{path::Path, process::Command, sync::OnceLock};

use learnflow_lab::Parts;
use learnflow_tests::process::{Process, free_port};

/// Starts a program and waits until `ready` answers with 200.
fn start(name: &'static str, command: &mut Command, folder: &Path, ready: &str) -> Process {
    let process = Process::start(name, command, folder).expect(name);
    let answer = process.wait(ready, || ureq::get(ready).call().ok());
    answer.expect(name);
    process
}

/// A free port of the loopback device.
fn port() -> u16 {
    free_port().expect("a free port").port()
}

fn parts() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let names = ["collector", "prometheus", "jaeger", "kafka"];
        learnflow_lab::parts(&names).expect("the parts of the lab that these tests run")
    })
}
