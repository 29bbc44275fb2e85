//! A real Envoy with the example's configuration.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{http, install};

/// The example's files, Envoy's own first.
const EXAMPLE: [(&str, &str); 2] = [
    ("envoy.yaml", include_str!("../../../../manifests/envoy/envoy.yaml")),
    (
        "learnflow.yaml",
        include_str!("../../../../manifests/envoy/learnflow.yaml"),
    ),
];
const FILTER: &str = "/etc/envoy/learnflow-proxy-wasm.wasm";

pub struct Envoy {
    child: Child,
    folder: PathBuf,
    pub admin: SocketAddr,
    pub listener: SocketAddr,
}

/// The filter, as it is shipped.
pub fn release() -> PathBuf {
    let target = || std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = || target().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into());
    let named = std::env::var_os("LEARNFLOW_PROXY_WASM").map(PathBuf::from);
    let file = named.unwrap_or_else(|| target().join("wasm/learnflow-proxy-wasm.wasm"));
    assert!(file.exists(), "{}: run `cargo xtask wasm` first", file.display());
    std::path::absolute(file).expect("a path")
}

impl Envoy {
    /// Starts the example in front of `upstream`, with changes to its text: what is replaced has to be there once.
    pub fn start(upstream: SocketAddr, changes: &[(&str, &str)]) -> Self {
        Self::start_with(upstream, &release(), changes)
    }

    /// The same, with another file for the filter.
    pub fn start_with(upstream: SocketAddr, filter: &Path, changes: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("learnflow-envoy-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");

        let behind = format!("address: {}, port_value: {}", upstream.ip(), upstream.port());
        let in_folder = |name: &str| folder.join(name).to_str().expect("a path in UTF-8").to_owned();
        let mut example = EXAMPLE.map(|(_, text)| text.to_owned());
        // Port 0 is any free one; Envoy says which. Histograms show what came before the last flush.
        for (from, to) in [
            ("port_value: 9901", "port_value: 0"),
            ("port_value: 10000", "port_value: 0"),
            ("address: 127.0.0.1, port_value: 3500", &behind),
            (
                "path: /etc/envoy/learnflow.yaml",
                &format!("path: {}", in_folder("learnflow.yaml")),
            ),
            ("\nadmin:\n", "\nstats_flush_interval: 0.1s\n\nadmin:\n"),
            (FILTER, filter.to_str().expect("a path in UTF-8")),
        ]
        .iter()
        .chain(changes)
        {
            let found: usize = example.iter().map(|text| text.matches(from).count()).sum();
            assert_eq!(found, 1, "{from}");
            example = example.map(|text| text.replace(from, to));
        }
        for ((name, _), text) in EXAMPLE.iter().zip(example) {
            fs::write(folder.join(name), text).expect("a file");
        }

        let admin = folder.join("admin");
        let log = |name: &str| Stdio::from(File::create(folder.join(name)).expect("a file"));
        let child = Command::new(install::envoy())
            .arg("--config-path")
            .arg(folder.join("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(&admin)
            // One worker has one table of topics, so that what overflows is known.
            .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"])
            .args(["--file-flush-interval-msec", "50"])
            .stdin(Stdio::null())
            .stdout(log("access.log"))
            .stderr(log("envoy.log"))
            .spawn()
            .expect("Envoy starts");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy = Self {
            child,
            folder,
            admin: nowhere,
            listener: nowhere,
        };
        envoy.admin = envoy.wait("an address", |_| fs::read_to_string(&admin).ok()?.trim().parse().ok());
        envoy.listener = envoy.wait("readiness", |envoy| {
            http::get(envoy.admin, "/ready")?;
            let listeners = http::get(envoy.admin, "/listeners")?;
            listeners
                .lines()
                .find_map(|line| line.strip_prefix("dapr::")?.parse().ok())
        });
        envoy
    }

    /// Waits for something, for as long as a slow machine may take.
    pub fn wait<T>(&mut self, what: &str, mut check: impl FnMut(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = check(self) {
                return found;
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(
                ended.is_none() && started.elapsed() < Duration::from_secs(60),
                "Envoy: no {what} ({ended:?}):\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What Envoy has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("envoy.log")).unwrap_or_default()
    }

    /// One line a call.
    pub fn access_log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn metrics(&self) -> String {
        http::get(self.admin, "/stats/prometheus").expect("metrics")
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("Envoy's log: {}\n{}", self.folder.display(), self.log());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
