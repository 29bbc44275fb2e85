//! The agent as it is shipped, reading a folder of ours instead of a node's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use learnflow_tests::process::{Folder, Process};

use crate::{
    parts, port,
    shipped::{self, replace},
    start,
};

pub const MANIFEST: &str = "collector/agent.yaml";

pub struct Agent {
    pub process: Process,
    command: Command,
    health: String,
    folder: Folder,
}

impl Agent {
    /// Reads what is under `pods`, and hands it to a gateway's port.
    pub fn start(pods: &Path, gateway: u16, change: impl FnOnce(String) -> String) -> Agent {
        let (health, telemetry) = (port(), port());
        let folder = Folder::new().expect("a folder");
        let checkpoint = folder.path().join("checkpoint");
        fs::create_dir(&checkpoint).expect("a folder");
        let config = replace(
            &shipped::config(MANIFEST, "config.yaml"),
            &[
                ("/var/log/pods/", format!("{}/", pods.display())),
                ("/var/lib/learnflow/collector", checkpoint.display().to_string()),
                (
                    "collector-gateway.learnflow-system:4317",
                    format!("127.0.0.1:{gateway}"),
                ),
                ("\":13133\"", format!("\"127.0.0.1:{health}\"")),
                ("host: \"\"", "host: 127.0.0.1".into()),
                ("port: 8888", format!("port: {telemetry}")),
            ],
        );
        let file: PathBuf = folder.path().join("agent.yaml");
        fs::write(&file, change(config)).expect("its configuration");
        let container = shipped::container(MANIFEST);
        let flags = container["args"].as_array().expect("args").iter();
        let flags = flags.map(|flag| flag.as_str().expect("a text"));
        let mut command = Command::new(parts().file("collector", "collector"));
        command
            .args(flags.filter(|flag| !flag.starts_with("--config=")))
            .arg(format!("--config={}", file.display()))
            .envs(shipped::environment(&container));
        let health = format!("http://127.0.0.1:{health}/");
        let process = start("collector-agent", &mut command, folder.path(), &health);
        Agent {
            process,
            command,
            health,
            folder,
        }
    }

    /// Once more, with its checkpoint and its queue, after it has ended.
    pub fn start_again(&mut self) {
        self.process = start("collector-agent", &mut self.command, self.folder.path(), &self.health);
    }
}
