//! Prometheus as it is shipped: its flags, its scrape intervals and the rules, with addresses instead of a cluster's names.

use std::{fs, process::Command};

use learnflow_tests::process::{Folder, Process};
use serde_json::{Value, json};

use crate::{
    gateway::Gateway,
    parts, port,
    shipped::{self, replace},
    start,
};

pub const MANIFEST: &str = "prometheus/prometheus.yaml";

pub struct Prometheus {
    pub process: Process,
    port: u16,
    _folder: Folder,
}

/// Its configuration for one gateway. Pods cannot be looked up here, so that the jobs that do are given theirs.
pub fn config(metrics: u16, telemetry: u16, own: u16) -> Value {
    let local = |port: u16| format!("127.0.0.1:{port}");
    let text = replace(
        &shipped::config(MANIFEST, "prometheus.yml"),
        &[
            ("collector-gateway:9464", local(metrics)),
            ("localhost:9090", local(own)),
            (
                "/etc/prometheus-rules/*.yaml",
                shipped::root().join("dashboards/rules/*.yaml").display().to_string(),
            ),
        ],
    );
    let mut config: Value = serde_saphyr::from_str(&text).expect("YAML");
    let jobs = config["scrape_configs"].as_array_mut().expect("jobs");
    jobs.retain(|job| job["job_name"] != "dapr");
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
        let port = port();
        let folder = Folder::new().expect("a folder");
        let file = folder.path().join("prometheus.yml");
        let config = config(gateway.metrics, gateway.telemetry, port);
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
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .envs(shipped::environment(&container));
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        let process = start("prometheus", &mut command, folder.path(), &ready);
        Prometheus {
            process,
            port,
            _folder: folder,
        }
    }

    pub fn client(&self) -> learnflow_tests::Prometheus {
        learnflow_tests::Prometheus::at(self.port)
    }

    /// One number; 0 where nothing matches.
    pub fn number(&self, query: &str) -> f64 {
        let mut answer = ureq::get(format!("http://127.0.0.1:{}/api/v1/query", self.port))
            .query("query", query)
            .call()
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        let answer: Value = answer.body_mut().read_json().expect("JSON");
        let results = answer["data"]["result"].as_array().expect("a vector");
        assert!(results.len() <= 1, "{query} has {} results", results.len());
        let value = results
            .first()
            .map_or("0", |result| result["value"][1].as_str().expect("a value"));
        value.parse().expect("a number")
    }
}
