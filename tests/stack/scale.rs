//! What an event costs on its way, for docs/scale.md. Not a test that passes or fails: it prints.
//!
//! `GOMAXPROCS=1 cargo test -p learnflow-tests --test stack -- --ignored --nocapture scale` keeps each part to one core.

use std::{
    thread,
    time::{Duration, Instant},
};

use learnflow_tests::process::{Folder, Process};

use crate::{agent::Agent, gateway::Gateway, logs::Log, prometheus::Prometheus, service::Service};

const RATES: [u64; 3] = [200, 1000, 4000];
const A_WHILE: Duration = Duration::from_secs(20);
const BACKLOG: u64 = 300_000;
/// Of one service.
const TOPICS: u64 = 10;

struct Line {
    _pods: Folder,
    logs: Vec<Log>,
    agent: Agent,
    service: Service,
    gateway: Gateway,
    prometheus: Prometheus,
    logged: u64,
}

impl Line {
    fn start(backlog: u64) -> Line {
        let pods = Folder::new().expect("a folder");
        let gateway = Gateway::start(|config| config);
        let service = Service::of(gateway.grpc);
        let mut logs: Vec<_> = (0..4)
            .map(|n| Log::of(pods.path(), &format!("course-agent-{n}")))
            .collect();
        write(&mut logs, 0, backlog);
        Line {
            agent: Agent::start(pods.path(), service.port, |config| config),
            prometheus: Prometheus::start(&gateway),
            service,
            gateway,
            logs,
            _pods: pods,
            logged: backlog,
        }
    }

    fn parts(&self) -> [(&'static str, &Process); 3] {
        [
            ("agent", &self.agent.process),
            ("gateway", &self.gateway.process),
            ("Prometheus", &self.prometheus.process),
        ]
    }

    fn processor_times(&self) -> [Duration; 3] {
        self.parts()
            .map(|(_, process)| process.processor_time().expect("its time"))
    }

    fn wait_until_counted(&self) {
        let counted = || self.prometheus.number("sum(learnflow_events_total)") as u64;
        let started = Instant::now();
        while counted() < self.logged {
            assert!(
                started.elapsed() < Duration::from_secs(300),
                "{} of {}",
                counted(),
                self.logged
            );
            thread::sleep(Duration::from_millis(200));
        }
    }
}

fn write(logs: &mut [Log], from: u64, count: u64) {
    let pods = logs.len() as u64;
    for number in from..from + count {
        logs[(number % pods) as usize].write(&format!("topic.{}", number % TOPICS));
    }
}

#[test]
#[ignore = "prints figures, which takes minutes"]
fn scale() {
    let mut line = Line::start(100);
    line.wait_until_counted();
    let idle = line.processor_times();
    thread::sleep(A_WHILE);
    let now = line.processor_times();
    for ((name, _), (now, before)) in line.parts().iter().zip(now.iter().zip(idle)) {
        println!("idle: {name} {:.1} % of a core", share(*now - before, A_WHILE));
    }
    for rate in RATES {
        let (before, bytes, began) = (line.processor_times(), line.service.bytes(), Instant::now());
        let mut written = 0;
        while began.elapsed() < A_WHILE {
            let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
            write(&mut line.logs, written, due - written);
            written = due;
            thread::sleep(Duration::from_millis(5));
        }
        line.logged += written;
        line.wait_until_counted();
        let (took, now) = (began.elapsed(), line.processor_times());
        println!(
            "{rate} events/s: {:.0} B each from agent to gateway",
            (line.service.bytes() - bytes) as f64 / written as f64
        );
        for ((name, _), (now, before)) in line.parts().iter().zip(now.iter().zip(before)) {
            let spent = *now - before;
            println!(
                "  {name}: {:.1} % of a core, {:.2} ms of it for 1,000 events",
                share(spent, took),
                spent.as_secs_f64() * 1e6 / written as f64
            );
        }
    }
    let line_bytes = line.logs.iter().map(Log::bytes).sum::<u64>() as f64 / line.logged as f64;
    println!("{line_bytes:.0} B of log for an event");
    drop(line);

    // As fast as it goes.
    let line = Line::start(BACKLOG);
    let (before, began) = (line.processor_times(), Instant::now());
    line.wait_until_counted();
    let (took, now) = (began.elapsed(), line.processor_times());
    let per_second = BACKLOG as f64 / took.as_secs_f64();
    println!("{BACKLOG} that had waited: {per_second:.0} events/s");
    for ((name, process), (now, before)) in line.parts().iter().zip(now.iter().zip(before)) {
        let spent = *now - before;
        println!(
            "  {name}: {:.0} % of a core, {:.0} events for a second of one, at most {} MiB",
            share(spent, took),
            BACKLOG as f64 / spent.as_secs_f64(),
            process.peak_memory().expect("its memory") >> 20
        );
    }
}

fn share(spent: Duration, of: Duration) -> f64 {
    spent.as_secs_f64() * 100.0 / of.as_secs_f64()
}
