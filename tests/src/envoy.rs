//! A real Envoy with the example's configuration.

mod install;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    exposition::series,
    http,
    process::{Folder, Process},
};

/// The example's files, Envoy's own first.
const EXAMPLE: [(&str, &str); 2] = [
    ("envoy.yaml", include_str!("../../manifests/envoy/envoy.yaml")),
    ("learnflow.yaml", include_str!("../../manifests/envoy/learnflow.yaml")),
];
const FILTER: &str = "/etc/envoy/learnflow-proxy-wasm.wasm";

/// Calls by operation, outcome, component and topic.
pub type Counts = BTreeMap<[String; 4], f64>;

#[derive(Debug)]
pub struct Envoy {
    process: Process,
    _folder: Folder,
    admin: SocketAddr,
    listener: SocketAddr,
}

/// The filter, as it is shipped.
pub fn released() -> Result<PathBuf> {
    crate::released("LEARNFLOW_PROXY_WASM", "learnflow-proxy-wasm.wasm")
}

impl Envoy {
    /// Starts the example in front of `upstream`, with changes to its text: what is replaced has to be there once.
    pub fn start(upstream: SocketAddr, changes: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(upstream, &released()?, changes)
    }

    /// The same, with another file for the filter.
    pub fn start_with(upstream: SocketAddr, filter: &Path, changes: &[(&str, &str)]) -> Result<Self> {
        let folder = Folder::new()?;
        let in_folder = |name: &str| folder.path().join(name);
        let behind = format!("address: {}, port_value: {}", upstream.ip(), upstream.port());
        let own = format!("path: {}", in_folder("learnflow.yaml").display());
        let mut example = EXAMPLE.map(|(_, text)| text.to_owned());
        // Port 0 is any free one; Envoy says which. Histograms show what came before the last flush.
        for (from, to) in [
            ("port_value: 9901", "port_value: 0"),
            ("port_value: 10000", "port_value: 0"),
            ("address: 127.0.0.1, port_value: 3500", &behind),
            ("path: /etc/envoy/learnflow.yaml", &own),
            ("\nadmin:\n", "\nstats_flush_interval: 0.1s\n\nadmin:\n"),
            (FILTER, filter.to_str().context("a path in UTF-8")?),
        ]
        .iter()
        .chain(changes)
        {
            let found: usize = example.iter().map(|text| text.matches(from).count()).sum();
            ensure!(found == 1, "{from} is {found} times in the example");
            example = example.map(|text| text.replace(from, to));
        }
        for ((name, _), text) in EXAMPLE.iter().zip(example) {
            fs::write(in_folder(name), text)?;
        }

        let admin = in_folder("admin");
        let mut command = Command::new(install::envoy()?);
        command
            .arg("--config-path")
            .arg(in_folder("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(&admin)
            // One worker has one table of topics, so that what overflows is known.
            .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"])
            .args(["--file-flush-interval-msec", "50"]);
        let process = Process::start("Envoy", &mut command, folder.path())?;
        let admin = process.wait("address", || fs::read_to_string(&admin).ok()?.trim().parse().ok())?;
        let listener = process.wait("listener", || {
            page(admin, "/ready")?;
            let listeners = page(admin, "/listeners")?;
            listeners
                .lines()
                .find_map(|line| line.strip_prefix("dapr::")?.parse().ok())
        })?;
        Ok(Self {
            process,
            _folder: folder,
            admin,
            listener,
        })
    }

    /// Where it takes calls.
    pub fn listener(&self) -> SocketAddr {
        self.listener
    }

    /// Waits for something, for as long as a slow machine may take.
    pub fn wait<T>(&self, what: &str, check: impl FnMut() -> Option<T>) -> Result<T> {
        self.process.wait(what, check)
    }

    /// What Envoy has said.
    pub fn log(&self) -> String {
        self.process.errors()
    }

    /// One line a call.
    pub fn access_log(&self) -> Vec<String> {
        self.process.output().lines().map(str::to_owned).collect()
    }

    /// What the filter has counted, in this metric.
    pub fn counts(&self, metric: &str) -> Result<Counts> {
        let mut counts = Counts::new();
        for (labels, value) in series(&self.metrics(), metric)? {
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            let key = [
                label("messaging_operation_type"),
                label("learnflow_outcome"),
                label("learnflow_pubsub_name"),
                label("messaging_destination_name"),
            ];
            ensure!(counts.insert(key, value).is_none(), "twice the same series: {labels:?}");
        }
        Ok(counts)
    }

    /// In Prometheus' text format.
    pub fn metrics(&self) -> String {
        page(self.admin, "/stats/prometheus").unwrap_or_default()
    }
}

fn page(from: SocketAddr, path: &str) -> Option<String> {
    let answer = http::get(from, path).ok()?;
    (answer.status() == 200).then(|| String::from_utf8_lossy(&answer.body).into_owned())
}
