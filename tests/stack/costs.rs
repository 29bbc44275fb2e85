//! What counting costs, and how long it takes: figures of `cargo xtask bench`, as lines `figure KEY ROUND…`. Not tests that
//! pass or fail, so they are ignored.
//!
//! `cargo test -p learnflow-tests --test stack -- --ignored --nocapture costs`

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use learnflow_tests::{
    http::{Answer, serve},
    process::{Folder, Process},
    sidecar::{Middleware, PUBSUB, Rig, app},
};
use serde_json::json;

use crate::{
    agent::Agent,
    flood::made_up,
    gateway::{self, Gateway},
    otlp::{Record, send},
    port,
    prometheus::Prometheus,
};

const TOPIC: &str = "lesson.generated";
/// Published through a real sidecar, whose log and spans are what is counted.
const EVENTS: usize = 5_000;
/// The same again and again, so that there is something to measure.
const TIMES: usize = 8;
const ROUNDS: usize = 5;

fn figure(key: &str, rounds: &[f64]) {
    let rounds: Vec<String> = rounds.iter().map(|value| format!("{value:.6}")).collect();
    println!("figure {key} {}", rounds.join(" "));
}

/// What a sidecar leaves of events that it publishes and delivers.
struct Traces {
    /// Its log, as a node's runtime writes it.
    log: String,
    /// The bodies of its requests to an OTLP receiver.
    spans: Vec<Vec<u8>>,
}

fn of_real_events() -> Traces {
    let spans: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let for_receiver = Arc::clone(&spans);
    let receiver = serve(move |request| {
        for_receiver.lock().expect("spans").push(request.body);
        Answer::new(200, "")
    })
    .expect("a receiver");
    let subscriptions = json!([{"pubsubname": PUBSUB, "topic": TOPIC, "route": "/lessons"}]);
    let app = app(subscriptions, |_| Answer::new(200, "")).expect("an app");
    let rig = Rig::start().expect("Kafka");
    let sidecar = rig.sidecar(Middleware::installed().expect("the middleware"));
    let sidecar = sidecar
        .app_id("agent")
        .app(app)
        .spans_to(receiver)
        .start()
        .expect("a sidecar");
    let mut client = sidecar.client().expect("a client");
    let body = vec![b'x'; 400];
    let path = format!("/v1.0/publish/{PUBSUB}/{TOPIC}");
    for n in 0..EVENTS {
        let trace = format!("00-{:032x}-b7ad6b7169203331-01", n + 1);
        let headers = [("content-type", "text/plain"), ("traceparent", &*trace)];
        let answer = client.send("POST", &path, &headers, &body, false).expect("an answer");
        assert_eq!(answer.status(), 204, "{answer:?}");
    }
    let all = || (sidecar.log().matches("\\\"lf\\\":1").count() >= 2 * EVENTS).then_some(());
    sidecar
        .wait("record of each publish and delivery", all)
        .expect("records");
    // It sends its spans each 5 s.
    thread::sleep(Duration::from_secs(7));
    let log = sidecar.log();
    let log = log
        .lines()
        .map(|line| format!("2026-01-15T10:00:00.000000000Z stdout F {line}\n"));
    Traces {
        log: log.collect(),
        spans: spans.lock().expect("spans").clone(),
    }
}

/// The sum of the samples of a metric in a Collector's exposition.
fn counted(gateway: &Gateway, metric: &str) -> f64 {
    let mut answer = ureq::get(format!("http://127.0.0.1:{}/metrics", gateway.metrics))
        .call()
        .expect("series");
    let text = answer.body_mut().read_to_string().expect("text");
    let of_it = |line: &&str| line.starts_with(metric) && line.as_bytes().get(metric.len()) == Some(&b'{');
    let values = text
        .lines()
        .filter(of_it)
        .map(|line| line.rsplit('}').next().unwrap_or_default().trim());
    values
        .map(|value| {
            value
                .split(' ')
                .next()
                .unwrap_or_default()
                .parse::<f64>()
                .expect("a number")
        })
        .sum()
}

/// Processor time that these take until `metric` is `wanted`, less what they take while they do nothing.
fn processor_time(processes: &[&Process], gateway: &Gateway, metric: &str, wanted: f64, work: impl FnOnce()) -> f64 {
    let time = || -> f64 {
        processes
            .iter()
            .map(|process| process.processor_time().expect("its time").as_secs_f64())
            .sum()
    };
    thread::sleep(Duration::from_secs(1));
    let (before_idle, idle_for) = (time(), Duration::from_secs(4));
    thread::sleep(idle_for);
    let idle = (time() - before_idle) / idle_for.as_secs_f64();
    let (before, started) = (time(), Instant::now());
    work();
    loop {
        let now = counted(gateway, metric);
        if now == wanted {
            break;
        }
        assert!(
            now < wanted && started.elapsed() < Duration::from_secs(120),
            "{metric} is {now}, not {wanted}"
        );
        thread::sleep(Duration::from_millis(250));
    }
    time() - before - idle * started.elapsed().as_secs_f64()
}

#[test]
#[ignore = "gives figures, which takes minutes"]
fn records_against_span_metrics() {
    let traces = of_real_events();
    // Spans are counted and nothing else is done with them.
    let all = gateway::spans(port());
    let from = all.find("    traces:\n").expect("the pipeline that keeps");
    let to = all.find("    metrics/spans:").expect("the one of metrics");
    let only_counted =
        format!("{}{}", &all[..from], &all[to..]).replace("[spanmetrics, spanmetrics/kept]", "[spanmetrics]");
    let events = (EVENTS * TIMES) as f64;
    let (mut ratios, mut ours, mut agents, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let gateway = Gateway::start(|config| config);
        let logs = Folder::new().expect("a folder");
        let agent = Agent::start(logs.path(), gateway.grpc, |config| config);
        let log = traces.log.repeat(TIMES);
        let agent_before = agent.process.processor_time().expect("its time").as_secs_f64();
        let records = processor_time(
            &[&agent.process, &gateway.process],
            &gateway,
            "learnflow_events_total",
            2.0 * events,
            || appear(logs.path(), &log),
        );
        agents.push((agent.process.processor_time().expect("its time").as_secs_f64() - agent_before) / events * 1000.0);
        drop((agent, gateway));
        let gateway = Gateway::with(|config| config, &only_counted);
        let spans = processor_time(
            &[&gateway.process],
            &gateway,
            "traces_span_metrics_duration_seconds_count",
            2.0 * events,
            || {
                for body in std::iter::repeat_n(&traces.spans, TIMES).flatten() {
                    ureq::post(format!("http://127.0.0.1:{}/v1/traces", gateway.otlp))
                        .content_type("application/x-protobuf")
                        .send(&body[..])
                        .expect("the gateway takes it");
                }
            },
        );
        ratios.push(records / spans);
        ours.push(records / events * 1e6);
        theirs.push(spans / events * 1e6);
    }
    figure("collector.cpu.vs_spanmetrics", &ratios);
    figure("collector.cpu.records.ms", &ours);
    figure(
        "collector.cpu.agent.ms",
        &agents.iter().map(|time| time * 1e3).collect::<Vec<_>>(),
    );
    figure("collector.cpu.spanmetrics.ms", &theirs);
}

/// From a line in a sidecar's log to its event in an answer of Prometheus.
#[test]
#[ignore = "gives figures, which takes minutes"]
fn until_it_is_seen() {
    const LOOKS: usize = 100;
    let traces = of_one();
    let gateway = Gateway::start(|config| config);
    let logs = Folder::new().expect("a folder");
    let _agent = Agent::start(logs.path(), gateway.grpc, |config| config);
    let prometheus = Prometheus::start(&gateway);
    appear(logs.path(), "");
    let mut log = File::options().append(true).open(place(logs.path())).expect("the log");
    let mut waits = Vec::new();
    for n in 1..=LOOKS {
        // Not in step with any interval.
        thread::sleep(Duration::from_millis((n as u64 * 379) % 1000));
        let started = Instant::now();
        log.write_all(traces.as_bytes()).expect("a line");
        while prometheus.number("sum(learnflow_events_total)") < n as f64 {
            assert!(started.elapsed() < Duration::from_secs(30), "event {n} is not seen");
            thread::sleep(Duration::from_millis(10));
        }
        waits.push(started.elapsed().as_secs_f64());
    }
    waits.sort_by(f64::total_cmp);
    figure("flow.screen_latency.p50_s", &[waits[LOOKS / 2]]);
    figure("flow.screen_latency.p99_s", &[waits[LOOKS * 99 / 100 - 1]]);
}

/// Where a node keeps a sidecar's log.
fn place(logs: &Path) -> PathBuf {
    logs.join("shop_agent-1_1f6ad1a4/daprd/0.log")
}

/// A sidecar's log appears, whole, as a node's runtime has written it.
fn appear(logs: &Path, lines: &str) {
    let (aside, place) = (logs.join("aside.log"), place(logs));
    fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
    fs::write(&aside, lines).expect("a log");
    fs::rename(aside, place).expect("a log in its place");
}

fn of_one() -> String {
    let record = r#"{\"lf\":1,\"dir\":\"publish\",\"pubsub\":\"kafka-pubsub\",\"topic\":\"lesson.generated\",\"outcome\":\"success\",\"status\":204,\"us\":1234,\"bytes\":400}"#;
    format!(
        "2026-01-15T10:00:00.000000000Z stdout F time=\"2026-01-15T10:00:00.000000000Z\" level=info msg=\"{record}\" \
         app_id=agent component=\"learnflow (middleware.http.wasm/v1)\" instance=agent-1 scope=dapr.runtime type=log ver=1.18.1\n"
    )
}

/// What a shorter interval costs: processor time of the gateway and of Prometheus, per second, with a few topics and with
/// as many as are let in.
#[test]
#[ignore = "gives figures, which takes minutes"]
fn what_an_interval_costs() {
    for (name, topics) in [("10 topics", 10), ("every row taken", 20_000)] {
        for interval in ["1s", "5s"] {
            let gateway = Gateway::start(|config| config);
            let prometheus = Prometheus::start_at(&gateway, port(), &[], |config| {
                for job in config["scrape_configs"].as_array_mut().expect("jobs") {
                    if job["job_name"] == "learnflow" {
                        job["scrape_interval"] = interval.into();
                        job["scrape_timeout"] = if interval == "1s" { "1s" } else { "2s" }.into();
                    }
                }
            });
            for start in (0..topics).step_by(500) {
                let records: Vec<Record> = match topics {
                    10 => (0..10).map(|n| Record::published(&format!("topic.{n}"))).collect(),
                    _ => (start..start + 500).map(made_up).collect(),
                };
                send(gateway.otlp, "agent", &records);
                thread::sleep(Duration::from_millis(50));
            }
            thread::sleep(Duration::from_secs(12));
            let time = |process: &Process| process.processor_time().expect("its time").as_secs_f64();
            let (before, measured) = (
                [&gateway.process, &prometheus.process].map(time),
                Duration::from_secs(20),
            );
            thread::sleep(measured);
            let after = [&gateway.process, &prometheus.process].map(time);
            let share = |n: usize| (after[n] - before[n]) / measured.as_secs_f64() * 1000.0;
            let series = prometheus.number("scrape_samples_scraped{job=\"learnflow\"}");
            let took = prometheus.number("max_over_time(scrape_duration_seconds{job=\"learnflow\"}[20s])");
            println!(
                "{name}, scraped each {interval}: {series} series, a scrape takes {:.0} ms at most; gateway {:.1} ms/s, \
                 Prometheus {:.1} ms/s",
                took * 1e3,
                share(0),
                share(1)
            );
        }
    }
}
