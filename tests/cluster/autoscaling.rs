//! Real autoscalers under chosen loads, which the model is held against. Pods are KWOK's: they use as much CPU as their node's
//! annotations say, which the test sets twice a second to an even share of the load, for those that are old enough to be ready.
//!
//! `cargo xtask test autoscaling-curves` makes all curves of `cases/autoscaling-loads.yaml` at once, in ten minutes, and writes what
//! was seen to `cases/autoscaling-seen.jsonl`. On a controller with other flags than the lab's: say them in
//! `LEARNFLOW_TEST_CONTROLLER`, as seconds `SYNC,INITIALIZATION,READINESS,STABILIZATION,RESOLUTION`.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{BufRead, BufReader, Write as _},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use learnflow_tests::{
    Target,
    autoscaling::{Case, Ran, Row, Seen, cases, table},
};
use serde_json::{Value, json};

use crate::Test;

pub const TESTS: &[(&str, Test)] = &[("autoscaling::a_curve_is_as_simulated", a_curve_is_as_simulated)];
pub const LONG: &[(&str, Test)] = &[("autoscaling-curves", curves)];

const NODE: &str = include_str!("../cases/cheap-service.yaml");
const SEEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/autoscaling-seen.jsonl");
const NAMESPACE: &str = "curves";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// From a pod's creation, cut to a whole second, until it gets a share of the load, beside the time that it takes to get ready:
/// as long as those who share loads out need to know of it.
const KNOWN: f64 = 1.6;

fn a_curve_is_as_simulated(target: &Target) -> Result<()> {
    let quick: Vec<Case> = cases().into_iter().filter(|case| case.name == "quick").collect();
    let seen = record(target, &quick)?;
    let row = Row::of(
        quick.first().context("the case")?,
        seen.first().context("what was seen")?,
    );
    ensure!(
        row.resembles(),
        "seen and simulated differ:\n{}\n{seen:?}",
        table(&[row])
    );
    Ok(())
}

fn curves(target: &Target) -> Result<()> {
    let cases = cases();
    let seen = record(target, &cases)?;
    let mut file = OpenOptions::new().append(true).create(true).open(SEEN)?;
    for seen in &seen {
        writeln!(file, "{}", serde_json::to_string(seen)?)?;
    }
    let rows: Vec<Row> = cases
        .iter()
        .zip(&seen)
        .map(|(case, seen)| Row::of(case, seen))
        .collect();
    println!("{}", table(&rows));
    Ok(())
}

/// As the controller that is there runs.
fn controller() -> Result<Ran> {
    let Ok(text) = std::env::var("LEARNFLOW_TEST_CONTROLLER") else {
        return Ok(Ran::LAB);
    };
    let numbers: Vec<i64> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let [sync, initialization, readiness, stabilization, resolution] = numbers[..] else {
        anyhow::bail!("LEARNFLOW_TEST_CONTROLLER is five numbers");
    };
    Ok(Ran {
        sync,
        initialization,
        readiness,
        stabilization,
        resolution,
    })
}

/// The API server through `kubectl proxy`, for as long as it is held: a program for each request would be too slow.
struct Proxy {
    child: Child,
    url: String,
    agent: ureq::Agent,
}

impl Proxy {
    fn open(target: &Target) -> Result<Self> {
        let mut child = target
            .kubectl()
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Ok(Self {
            url: format!("http://{address}"),
            child,
            agent: agent.into(),
        })
    }

    fn text(&self, path: &str) -> Result<String> {
        Ok(self
            .agent
            .get(format!("{}{path}", self.url))
            .call()?
            .body_mut()
            .read_to_string()?)
    }

    fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(path)?)?)
    }

    fn create(&self, path: &str, object: &Value) -> Result<()> {
        let request = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json");
        request.send(object.to_string()).with_context(|| object.to_string())?;
        Ok(())
    }

    fn annotate(&self, node: &str, annotations: &Value) -> Result<()> {
        let request = self.agent.patch(format!("{}/api/v1/nodes/{node}", self.url));
        let request = request.header("content-type", "application/merge-patch+json");
        request.send(json!({ "metadata": { "annotations": annotations } }).to_string())?;
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn record(target: &Target, cases: &[Case]) -> Result<Vec<Seen>> {
    // Of that file the node.
    let node = NODE.split("\n---\n").next().unwrap_or_default();
    let path = r#"annotations: {metrics.k8s.io/resource-metrics-path: "/metrics/nodes/cheap/metrics/resource", "#;
    target.apply(None, &node.replace("annotations: {", path))?;
    target.run_kubectl(&["create", "namespace", NAMESPACE])?;
    let seen = watched(target, cases);
    // With the namespace goes all that is in it.
    target.run_kubectl(&["delete", "namespace/curves", "node/cheap", "--wait"])?;
    seen
}

fn watched(target: &Target, cases: &[Case]) -> Result<Vec<Seen>> {
    let proxy = Proxy::open(target)?;
    let controller = controller()?;
    for case in cases {
        proxy.create(
            &format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments"),
            &case.deployment(),
        )?;
    }
    let ready = || -> Result<BTreeMap<String, (i64, i64)>> { pods(&proxy) };
    let measured = || proxy.get(&format!("/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"));
    // Figures of all of them, before somebody wants them.
    let started = Instant::now();
    loop {
        share(&proxy, cases, 0.0)?;
        let figures = measured().map_or(0, |list| {
            let pods = list["items"].as_array().into_iter().flatten();
            pods.filter(|pod| pod["containers"][0].is_object()).count()
        });
        if figures >= cases.len() && ready()?.values().all(|pods| pods.1 > 0) {
            break;
        }
        ensure!(
            started.elapsed() < Duration::from_secs(120),
            "no figures of pods after two minutes"
        );
        thread::sleep(LOOK);
    }
    let mut created = Vec::new();
    for case in cases {
        let path = format!("/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers");
        proxy.create(&path, &case.autoscaler())?;
        created.push(Instant::now());
    }
    // Some rounds of all who look.
    let lead = 2 * controller.resolution + controller.sync;
    let lead = Duration::from_secs(lead.unsigned_abs());
    let (begin, clock) = (Instant::now() + lead, (seconds() + lead.as_secs_f64()).fract());
    // When metrics-server looks shows in the time of what it says.
    let stamp = || measured().ok().map(|list| list["items"][0]["timestamp"].to_string());
    let before = stamp();
    while stamp() == before {
        thread::sleep(Duration::from_millis(30));
    }
    let scraped = Instant::now();
    let mut seen: Vec<Seen> = Vec::new();
    for (case, created) in cases.iter().zip(&created) {
        seen.push(Seen {
            curve: case.name.clone(),
            controller,
            lead: round((begin - *created).as_secs_f64()),
            scrape: round(scraped.duration_since(*created).as_secs_f64() % controller.resolution as f64),
            clock: round(clock),
            wanted: Vec::new(),
            ready: Vec::new(),
        });
    }
    let longest = cases.iter().map(|case| case.seconds).max().unwrap_or(0) as f64;
    loop {
        let look = Instant::now();
        let now = match look.checked_duration_since(begin) {
            Some(since) => since.as_secs_f64(),
            None => -(begin - look).as_secs_f64(),
        };
        if now > longest {
            break;
        }
        let pods = ready()?;
        for (case, seen) in cases.iter().zip(&mut seen) {
            if now > case.seconds as f64 {
                continue;
            }
            let Some((wanted, ready)) = pods.get(&case.name) else {
                continue;
            };
            note(&mut seen.wanted, now, *wanted);
            note(&mut seen.ready, now, *ready);
        }
        share(&proxy, cases, now)?;
        thread::sleep(LOOK.saturating_sub(look.elapsed()));
    }
    Ok(seen)
}

/// By Deployment: how many are wanted, and how many are ready.
fn pods(proxy: &Proxy) -> Result<BTreeMap<String, (i64, i64)>> {
    let list = proxy.get(&format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments"))?;
    let each = list["items"].as_array().into_iter().flatten().map(|deployment| {
        let name = deployment["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| value.as_i64().unwrap_or(0);
        (
            name,
            (
                number(&deployment["spec"]["replicas"]),
                number(&deployment["status"]["readyReplicas"]),
            ),
        )
    });
    Ok(each.collect())
}

/// Tells each pod its share from now on; what it was until now is added up first.
fn share(proxy: &Proxy, cases: &[Case], now: f64) -> Result<()> {
    proxy.text("/api/v1/nodes/cheap/proxy/metrics/nodes/cheap/metrics/resource")?;
    let list = proxy.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods"))?;
    let pods = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let clock = seconds();
    let mut annotations = json!({});
    for case in cases {
        let until = (clock - case.startup as f64 - KNOWN).floor();
        let works = |pod: &&Value| {
            let metadata = &pod["metadata"];
            let created = metadata["creationTimestamp"]
                .as_str()
                .and_then(|time| time.parse::<Timestamp>().ok());
            metadata["labels"]["app"] == case.name.as_str()
                && metadata["deletionTimestamp"].is_null()
                && created.is_some_and(|created| created.as_second() as f64 <= until)
        };
        let share = case.share(now, pods.iter().filter(works).count());
        annotations[case.annotation()] = json!(format!("{share}m"));
        annotations[case.annotation() + "-until"] = json!(format!("{until}.5"));
    }
    proxy.annotate("cheap", &annotations)
}

/// Since 1970.
fn seconds() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64()
}

fn note(timeline: &mut Vec<(f64, i32)>, now: f64, number: i64) {
    let number = i32::try_from(number).unwrap_or(0);
    match timeline.last() {
        // What was before the load began is how it began.
        _ if now < 0.0 => *timeline = vec![(0.0, number)],
        Some((_, last)) if *last == number => {}
        _ => timeline.push((round(now), number)),
    }
}

fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
