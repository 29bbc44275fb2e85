//! What a publish through a real sidecar to a real Kafka takes, with the middleware and without.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use learnflow_tests::{
    http::Client,
    sidecar::{Middleware, PUBSUB, Rig, Sidecar},
};

use super::figure::{Figure, TIMES};
use crate::{artifacts::step, wasm};

/// A round has enough publishes for its 99th percentile to stand on twenty of them.
const ROUNDS: usize = 21;
const PUBLISHES: usize = 2000;

/// As large as an event often is.
const BODY: &[u8] = &[b'x'; 400];

/// The latencies of one round, sorted: without, with.
type Round = [Vec<Duration>; 2];

pub fn publish() -> Result<Vec<Figure>> {
    let guest = step("building the middleware (WebAssembly)", wasm::build)?;
    let rounds = step("timing publishes through daprd to Kafka", || {
        let rig = Rig::start()?;
        // Both have loaded it: that no call passes it is all that differs.
        let plain = rig.sidecar(Middleware::of(guest.clone()).out_of_pipelines()).start()?;
        let with = rig.sidecar(Middleware::of(guest)).start()?;
        measure([&plain, &with])
    })?;
    Ok(vec![
        ratio("daprd.publish.p50.vs_plain", &rounds, 50),
        ratio("daprd.publish.p99.vs_plain", &rounds, 99).at_most(1.03),
        micros("daprd.publish.p50.us", &rounds, 50),
        micros("daprd.publish.p99.us", &rounds, 99),
    ])
}

fn measure(sidecars: [&Sidecar; 2]) -> Result<Vec<Round>> {
    let mut clients = [sidecars[0].client()?, sidecars[1].client()?];
    round(&mut clients)?; // to warm up
    let rounds = (0..ROUNDS).map(|_| round(&mut clients)).collect::<Result<_>>()?;
    let records = sidecars.map(|sidecar| sidecar.records().map(|records| records.len()));
    let [plain, with] = records;
    let (plain, with) = (plain?, with?);
    let expected = (ROUNDS + 1) * PUBLISHES;
    ensure!(
        plain == 0 && with == expected,
        "{plain} records without the middleware, {with} with it"
    );
    Ok(rounds)
}

/// In turns, each sidecar first in every other one: what slows the machine down for a while slows both.
fn round(clients: &mut [Client; 2]) -> Result<Round> {
    let mut latencies = [Vec::new(), Vec::new()];
    for turn in 0..PUBLISHES {
        for side in [turn % 2, 1 - turn % 2] {
            latencies[side].push(one(&mut clients[side])?);
        }
    }
    latencies.iter_mut().for_each(|latencies| latencies.sort());
    Ok(latencies)
}

fn one(client: &mut Client) -> Result<Duration> {
    const TRACE: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let path = format!("/v1.0/publish/{PUBSUB}/bench");
    let headers = [("content-type", "text/plain"), TRACE];
    let started = Instant::now();
    let answer = client.send("POST", &path, &headers, BODY, false)?;
    let took = started.elapsed();
    ensure!(answer.status() == 204, "a publish is answered with {answer:?}");
    Ok(took)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64()
}

fn ratio(key: &'static str, rounds: &[Round], percent: usize) -> Figure {
    let ratios = rounds
        .iter()
        .map(|[plain, with]| percentile(with, percent) / percentile(plain, percent));
    Figure::median(key, ratios.collect(), TIMES)
}

/// With the middleware.
fn micros(key: &'static str, rounds: &[Round], percent: usize) -> Figure {
    let micros = rounds.iter().map(|[_, with]| percentile(with, percent) * 1e6);
    Figure::median(key, micros.collect(), "us")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_compared_round_by_round() {
        let sorted = |from: u64| (0..101).map(|at| Duration::from_micros(from + at)).collect::<Vec<_>>();
        // 1,050 against 1,000 in the middle, then the same of a slower machine.
        let rounds = [
            [sorted(950), sorted(1000)],
            [sorted(1950), sorted(2050)],
            [sorted(950), sorted(950)],
        ];
        assert!(ratio("r", &rounds, 50).row().contains(" 1.05 ×         1.00 – 1.05"));
        assert!(micros("m", &rounds, 50).row().contains(" 1,050 us"));
        assert_eq!(percentile(&sorted(0), 99), 99e-6);
    }
}
