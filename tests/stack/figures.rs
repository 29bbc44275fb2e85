//! The figures that `--budget` rests on, taken from the real programs. Not a test that passes or fails: it prints.
//!
//! `cargo test -p learnflow-tests --test stack -- --ignored --nocapture figures`

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{flood::made_up, gateway::Gateway, otlp::send, prometheus::Prometheus, shipped::replace};

const MIB: f64 = 1024.0 * 1024.0;

/// Streams of each of the three limits; none at all is what an idle stack takes.
const STREAMS: [usize; 4] = [0, 300, 1500, 6000];

#[test]
#[ignore = "prints figures, which takes minutes"]
fn figures() {
    for streams in STREAMS {
        let gateway = Gateway::start(|config| {
            replace(
                &config,
                &[("max_streams: 1500", format!("max_streams: {}", streams.max(1)))],
            )
        });
        let prometheus = Prometheus::start(&gateway);
        let begun = Instant::now();
        // Enough that each of the limits is reached.
        for n in 0..streams * 10 / 250 {
            let records: Vec<_> = (n * 250..(n + 1) * 250).map(made_up).collect();
            let (delivered, published): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.deliver);
            send(gateway.otlp, "course-agent", &published);
            send(gateway.otlp, "user-progress", &delivered);
            thread::sleep(Duration::from_millis(100));
        }
        // A garbage collection of Prometheus' head, and many scrapes.
        thread::sleep(Duration::from_secs(90));
        let series = prometheus.number("prometheus_tsdb_head_series");
        let own = prometheus.number("count({job=\"prometheus\"})");
        let telemetry = prometheus.number("count({job=\"collectors\"})");
        let rate = prometheus.number("rate(prometheus_tsdb_head_samples_appended_total{type=\"float\"}[1m])");
        let peak =
            |process: &learnflow_tests::process::Process| process.peak_memory().expect("its memory") as f64 / MIB;
        println!(
            "{streams} streams, after {:.0?}: {series} series ({own} of Prometheus itself, {telemetry} of the \
             gateway), {rate:.0} samples/s; gateway {:.0} MiB, Prometheus {:.0} MiB",
            begun.elapsed(),
            peak(&gateway.process),
            peak(&prometheus.process),
        );
    }
}
