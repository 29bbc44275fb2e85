//! Prometheus as it is shipped: its flags, its scrape intervals and the rules, with addresses instead of a cluster's names.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use learnflow_tests::process::{Folder, Process};
use serde_json::{Value, json};

use crate::{
    gateway::Gateway,
    parts, port,
    shipped::{self, replace},
    start,
};

pub const MANIFEST: &str = "prometheus/prometheus.yaml";
/// Where it finds the gateways.
const TARGETS: &str = "gateways.json";

pub struct Prometheus {
    pub process: Process,
    port: u16,
    command: Command,
    folder: Folder,
}

/// Its configuration for one gateway. Pods cannot be looked up here, so that the jobs that do are given theirs.
pub fn config(metrics: u16, telemetry: u16, own: u16) -> Value {
    let text = replace(
        &shipped::config(MANIFEST, "prometheus.yml"),
        &[
            ("localhost:9090", local(own)),
            (
                "/etc/prometheus-rules/*.yaml",
                shipped::root().join("dashboards/rules/*.yaml").display().to_string(),
            ),
        ],
    );
    let mut config: Value = serde_saphyr::from_str(&text).expect("YAML");
    let jobs = config["scrape_configs"].as_array_mut().expect("jobs");
    let of_a_cluster = |job: &Value| {
        ["apps", "dapr", "kafka", "kube-state-metrics", "kubelet"]
            .iter()
            .any(|name| job["job_name"] == *name)
    };
    jobs.retain(|job| !of_a_cluster(job));
    let events = jobs.iter_mut().find(|job| job["job_name"] == "learnflow");
    let events = events.and_then(Value::as_object_mut).expect("the job of the events");
    events.remove("kubernetes_sd_configs");
    events.remove("relabel_configs");
    events.insert("static_configs".into(), json!([{ "targets": [local(metrics)] }]));
    for job in jobs.iter_mut().filter(|job| job["job_name"] == "collectors") {
        let labels = json!({ "collector": "collector-gateway", "pod": "collector-gateway-1" });
        *job = json!({
            "job_name": "collectors",
            "static_configs": [{ "targets": [local(telemetry)], "labels": labels }],
        });
    }
    config
}

impl Prometheus {
    pub fn start(gateway: &Gateway) -> Prometheus {
        Self::start_at(gateway, port(), &[], |_| ())
    }

    /// With a port of its own, more flags, and a changed configuration.
    pub fn start_at(gateway: &Gateway, port: u16, flags: &[&str], change: impl FnOnce(&mut Value)) -> Prometheus {
        let folder = Folder::new().expect("a folder");
        let file = folder.path().join("prometheus.yml");
        let mut config = config(gateway.metrics, gateway.telemetry, port);
        let targets = folder.path().join(TARGETS);
        let jobs = config["scrape_configs"].as_array_mut().expect("jobs");
        for job in jobs.iter_mut().filter(|job| job["job_name"] == "learnflow") {
            let job = job.as_object_mut().expect("a job");
            let discovered = job.remove("static_configs").expect("static targets");
            fs::write(&targets, discovered.to_string()).expect("its targets");
            job.insert("file_sd_configs".into(), json!([{ "files": [targets] }]));
        }
        change(&mut config);
        fs::write(&file, config.to_string()).expect("its configuration");
        let container = shipped::container(MANIFEST);
        let arguments = container["args"].as_array().expect("args");
        let arguments = arguments.iter().map(|argument| {
            let argument = argument.as_str().expect("a text");
            match argument.split_once('=') {
                Some((flag @ "--config.file", _)) => format!("{flag}={}", file.display()),
                Some((flag @ "--storage.tsdb.path", _)) => format!("{flag}={}", folder.path().join("data").display()),
                _ => argument.to_owned(),
            }
        });
        let mut command = Command::new(parts().file("prometheus", "prometheus"));
        command
            .args(arguments)
            .args(flags)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .envs(shipped::environment(&container));
        let process = start("prometheus", &mut command, folder.path(), &ready(port));
        Prometheus {
            process,
            port,
            command,
            folder,
        }
    }

    /// The ids of traces that these series' points have.
    pub fn exemplars(&self, query: &str) -> BTreeSet<String> {
        let answer = self.answer("query_exemplars", query);
        let series = answer["data"].as_array().expect("series").iter();
        let points = series.flat_map(|series| series["exemplars"].as_array().into_iter().flatten());
        let id = |point: &Value| point["labels"]["trace_id"].as_str().expect("a trace's id").to_owned();
        points.map(id).collect()
    }

    /// The gateways that there are now, as it would find their pods.
    pub fn find(&self, gateways: &[&Gateway]) {
        let targets: Vec<_> = gateways.iter().map(|gateway| local(gateway.metrics)).collect();
        // In one step: it reads the file as soon as it changes.
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join(TARGETS));
        fs::write(&new, json!([{ "targets": targets }]).to_string()).expect("targets");
        fs::rename(new, file).expect("renamed");
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Once more, with its data, after it has ended.
    pub fn start_again(&mut self) {
        self.process = start("prometheus", &mut self.command, self.folder.path(), &ready(self.port));
    }

    pub fn client(&self) -> learnflow_tests::Prometheus {
        learnflow_tests::Prometheus::at(self.port)
    }

    /// Waits until a query has this value: scrapes come each second, metrics of spans each 5 s, rules each 15 s.
    pub fn expect(&self, query: &str, expected: f64) {
        let waited = self.client().wait_for(query, expected, Duration::from_secs(60));
        waited.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// One number; 0 where nothing matches.
    pub fn number(&self, query: &str) -> f64 {
        let results = self.ask(query);
        assert!(results.len() <= 1, "{query} has {} results", results.len());
        let value = results
            .first()
            .map_or("0", |result| result["value"][1].as_str().expect("a value"));
        value.parse().expect("a number")
    }

    /// What a query gives: an instant vector, or for a range of samples a matrix.
    pub fn ask(&self, query: &str) -> Vec<Value> {
        let answer = self.answer("query", query);
        answer["data"]["result"].as_array().expect("results").clone()
    }

    fn answer(&self, way: &str, query: &str) -> Value {
        let mut answer = ureq::get(self.url(&format!("/api/v1/{way}")))
            .query("query", query)
            .call()
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        answer.body_mut().read_json().expect("JSON")
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn ready(port: u16) -> String {
    format!("http://127.0.0.1:{port}/-/ready")
}
