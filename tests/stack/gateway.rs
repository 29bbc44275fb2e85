//! The gateway as it is shipped, on free ports; and the pods for spans that the profile `production` has beside it.

use std::{fs, process::Command};

use learnflow_tests::process::{Folder, Process};

use crate::{
    parts, port,
    shipped::{self, replace},
    start,
};

pub const MANIFEST: &str = "collector/gateway.yaml";
pub const SPANS_MANIFEST: &str = "collector/production/spans.yaml";

pub struct Gateway {
    pub process: Process,
    /// Where records and spans are sent.
    pub otlp: u16,
    /// The same by gRPC.
    pub grpc: u16,
    /// Where the events' series are.
    pub metrics: u16,
    /// What it says about itself.
    pub telemetry: u16,
    command: Command,
    health: String,
    folder: Folder,
}

/// Its configuration with these ports: health, OTLP by gRPC and HTTP, series, telemetry.
pub fn config(ports: [u16; 5]) -> String {
    let http = ("\":4318\"", at(ports[2]));
    replace(&local(&shipped::config(MANIFEST, "config.yaml"), ports), &[http])
}

/// What becomes of spans: they go to the trace store at this port.
pub fn spans(store: u16) -> String {
    replace(
        &shipped::config(MANIFEST, "spans.yaml"),
        &[("traces:4317", format!("127.0.0.1:{store}"))],
    )
}

/// In the profile `production`: to these.
pub fn balance(collectors: &[u16]) -> String {
    let dns = "dns:\n        hostname: collector-spans.learnflow-system\n        port: \"4317\"\n        interval: 5s";
    let all: Vec<_> = collectors.iter().map(|port| at(*port)).collect();
    let fixed = format!("static:\n        hostnames: [{}]", all.join(", "));
    replace(&shipped::config(MANIFEST, "balance.yaml"), &[(dns, fixed)])
}

fn at(port: u16) -> String {
    format!("\"127.0.0.1:{port}\"")
}

fn local(config: &str, [health, grpc, _, metrics, telemetry]: [u16; 5]) -> String {
    replace(
        config,
        &[
            ("\":13133\"", at(health)),
            ("\":4317\"", at(grpc)),
            ("\":9464\"", at(metrics)),
            ("host: \"\"", "host: 127.0.0.1".into()),
            ("port: 8888", format!("port: {telemetry}")),
        ],
    )
}

impl Gateway {
    /// With another configuration than the shipped one; nobody keeps its traces.
    pub fn start(change: impl FnOnce(String) -> String) -> Gateway {
        Self::with(change, &spans(port()))
    }

    /// With this for the file about spans.
    pub fn with(change: impl FnOnce(String) -> String, spans: &str) -> Gateway {
        let ports = std::array::from_fn(|_| port());
        Self::run(MANIFEST, ports, &change(config(ports)), spans)
    }

    /// One of the pods for spans.
    pub fn for_spans(spans: &str) -> Gateway {
        let ports = std::array::from_fn(|_| port());
        let config = local(&shipped::config(SPANS_MANIFEST, "config.yaml"), ports);
        Self::run(SPANS_MANIFEST, ports, &config, spans)
    }

    fn run(manifest: &str, ports: [u16; 5], config: &str, spans: &str) -> Gateway {
        let [health, grpc, otlp, metrics, telemetry] = ports;
        let folder = Folder::new().expect("a folder");
        let mut command = Command::new(parts().file("collector", "collector"));
        for (name, text) in [("spans.yaml", spans), ("config.yaml", config)] {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("its configuration");
            command.arg(format!("--config={}", file.display()));
        }
        command.envs(shipped::environment(&shipped::container(manifest)));
        let health = format!("http://127.0.0.1:{health}/");
        let process = start("collector-gateway", &mut command, folder.path(), &health);
        Gateway {
            process,
            otlp,
            grpc,
            metrics,
            telemetry,
            command,
            health,
            folder,
        }
    }

    /// Once more, at the same ports, after it has ended.
    pub fn start_again(&mut self) {
        self.process = start("collector-gateway", &mut self.command, self.folder.path(), &self.health);
    }
}
