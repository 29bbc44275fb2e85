//! The gateway as it is shipped, on free ports.

use std::{fs, process::Command};

use learnflow_tests::process::{Folder, Process};

use crate::{
    parts, port,
    shipped::{self, replace},
    start,
};

pub const MANIFEST: &str = "collector/gateway.yaml";

pub struct Gateway {
    pub process: Process,
    /// Where records are sent.
    pub otlp: u16,
    /// Where the events' series are.
    pub metrics: u16,
    /// What it says about itself.
    pub telemetry: u16,
    /// Where the agent sends to.
    pub grpc: u16,
    command: Command,
    health: String,
    folder: Folder,
}

/// Its configuration with these ports: health, OTLP by gRPC and HTTP, series, telemetry.
pub fn config(ports: [u16; 5]) -> String {
    let [health, grpc, http, metrics, telemetry] = ports;
    let at = |port: u16| format!("\"127.0.0.1:{port}\"");
    replace(
        &shipped::config(MANIFEST, "config.yaml"),
        &[
            ("\":13133\"", at(health)),
            ("\":4317\"", at(grpc)),
            ("\":4318\"", at(http)),
            ("\":9464\"", at(metrics)),
            ("host: \"\"", "host: 127.0.0.1".into()),
            ("port: 8888", format!("port: {telemetry}")),
        ],
    )
}

impl Gateway {
    pub fn start(change: impl FnOnce(String) -> String) -> Gateway {
        let ports = std::array::from_fn(|_| port());
        let [health, grpc, otlp, metrics, telemetry] = ports;
        let folder = Folder::new().expect("a folder");
        let file = folder.path().join("gateway.yaml");
        fs::write(&file, change(config(ports))).expect("its configuration");
        let mut command = Command::new(parts().file("collector", "collector"));
        command.arg(format!("--config={}", file.display()));
        command.envs(shipped::environment(&shipped::container(MANIFEST)));
        let health = format!("http://127.0.0.1:{health}/");
        let process = start("collector-gateway", &mut command, folder.path(), &health);
        Gateway {
            process,
            otlp,
            metrics,
            telemetry,
            grpc,
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
