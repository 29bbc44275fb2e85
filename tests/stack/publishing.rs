//! Publishing does not depend on the stack: publishes through a real sidecar to a real Kafka, in turns with the stack running
//! and with all of it standing still, its connections open. Not a test that passes or fails by its figures: it prints.
//!
//! `cargo test -p learnflow-tests --test stack -- --ignored --nocapture publishing`

use std::{
    fs::File,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use learnflow_tests::{
    http::Client,
    process::Folder,
    sidecar::{Middleware, PUBSUB, Rig},
};

use crate::{agent::Agent, gateway::Gateway, logs::Log, prometheus::Prometheus};

const ROUNDS: usize = 15;
/// A round of one side; the 99th percentile stands on ten of them.
const PUBLISHES: usize = 1000;
/// 200 a second.
const PAUSE: Duration = Duration::from_millis(5);

fn round(client: &mut Client) -> Vec<Duration> {
    let path = format!("/v1.0/publish/{PUBSUB}/bench");
    let headers = [("content-type", "text/plain")];
    let mut took: Vec<_> = (0..PUBLISHES)
        .map(|_| {
            let started = Instant::now();
            let answer = client
                .send("POST", &path, &headers, &[b'x'; 400], false)
                .expect("an answer");
            let took = started.elapsed();
            assert_eq!(answer.status(), 204, "{answer:?}");
            thread::sleep(PAUSE.saturating_sub(took));
            took
        })
        .collect();
    took.sort();
    took
}

#[test]
#[ignore = "prints figures, which takes minutes"]
fn publishing() {
    let pods = Folder::new().expect("a folder");
    let gateway = Gateway::start(|config| config);
    let agent = Agent::start(pods.path(), gateway.grpc, |config| config);
    let prometheus = Prometheus::start(&gateway);
    let rig = Rig::start().expect("Kafka");
    let sidecar = rig
        .sidecar(Middleware::installed().expect("the middleware"))
        .app_id("course-agent");
    let spans = SocketAddr::from((Ipv4Addr::LOCALHOST, gateway.grpc));
    let sidecar = sidecar.spans_to(spans).start().expect("a sidecar");

    // What a container runtime does, stack or not.
    let stop = Arc::new(AtomicBool::default());
    let (mut said, mut log) = (
        File::open(sidecar.log_file()).expect("its log"),
        Log::of(pods.path(), "course-agent-0"),
    );
    let stopped = stop.clone();
    let runtime = thread::spawn(move || {
        let mut rest = String::new();
        while !stopped.load(Ordering::Relaxed) {
            said.read_to_string(&mut rest).expect("its log");
            let whole = rest.rfind('\n').map_or(0, |at| at + 1);
            log.pass_on(&rest[..whole]);
            rest.drain(..whole);
            thread::sleep(Duration::from_millis(20));
        }
    });

    let mut client = sidecar.client().expect("a client");
    round(&mut client);
    let mut ratios: [Vec<f64>; 2] = Default::default();
    let mut seen: [Vec<f64>; 2] = Default::default();
    for number in 0..ROUNDS {
        let mut sides = [Vec::new(), Vec::new()];
        for side in [number % 2, 1 - number % 2] {
            for part in [&agent.process, &gateway.process, &prometheus.process] {
                part.hold(side == 1).expect("held");
            }
            thread::sleep(Duration::from_millis(500));
            sides[side] = round(&mut client);
        }
        for (at, percent) in [50, 99].into_iter().enumerate() {
            let of = |side: usize| sides[side][(PUBLISHES - 1) * percent / 100].as_secs_f64();
            ratios[at].push(of(0) / of(1));
            seen[at].push(of(0) * 1e6);
        }
    }
    for part in [&agent.process, &gateway.process, &prometheus.process] {
        part.hold(false).expect("held");
    }
    for (at, percent) in [50, 99].into_iter().enumerate() {
        for all in [&mut ratios[at], &mut seen[at]] {
            all.sort_by(f64::total_cmp);
        }
        let middle = ROUNDS / 2;
        println!(
            "p{percent}: {:.0} us with the stack running, {:.3} of that with it stopped (median of {ROUNDS} rounds; half of them {:.3} to {:.3})",
            seen[at][middle],
            ratios[at][middle],
            ratios[at][ROUNDS / 4],
            ratios[at][ROUNDS * 3 / 4]
        );
    }
    // And nothing of it is lost.
    let published = ((2 * ROUNDS + 1) * PUBLISHES) as f64;
    prometheus.expect("sum(increase(learnflow_events_total[1h] anchored))", published);
    stop.store(true, Ordering::Relaxed);
    runtime.join().expect("the runtime");
}
