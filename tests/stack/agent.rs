//! The agent as it is shipped: it reads sidecars' logs in a folder, and sends what they record to a gateway.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Command,
};

use learnflow_tests::process::{Folder, Process};

use crate::{
    gateway::Gateway,
    parts, port,
    shipped::{self, replace},
    start,
};

const MANIFEST: &str = "collector/agent.yaml";

pub struct Agent {
    pub process: Process,
    folder: Folder,
}

impl Agent {
    pub fn start(gateway: &Gateway) -> Agent {
        let health = port();
        let folder = Folder::new().expect("a folder");
        let place = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir_all(folder.path().join("checkpoints")).expect("a folder");
        let config = replace(
            &shipped::config(MANIFEST, "config.yaml"),
            &[
                ("/var/log/pods", place("pods")),
                ("/var/lib/learnflow/collector", place("checkpoints")),
                ("\":13133\"", format!("\"127.0.0.1:{health}\"")),
                (
                    "collector-gateway.learnflow-system:4317",
                    format!("127.0.0.1:{}", gateway.grpc),
                ),
                ("host: \"\"", "host: 127.0.0.1".into()),
                ("port: 8888", format!("port: {}", port())),
            ],
        );
        let file = folder.path().join("agent.yaml");
        fs::write(&file, config).expect("its configuration");
        let mut command = Command::new(parts().file("collector", "collector"));
        command.arg(format!("--config={}", file.display()));
        command.envs(shipped::environment(&shipped::container(MANIFEST)));
        let health = format!("http://127.0.0.1:{health}/");
        let process = start("collector-agent", &mut command, folder.path(), &health);
        Agent { process, folder }
    }

    fn log(&self, service: &str) -> PathBuf {
        let folder = self.folder.path().join(format!("pods/shop_{service}-1_1f6ad1a4/daprd"));
        fs::create_dir_all(&folder).expect("a folder");
        folder.join("0.log")
    }

    /// A sidecar's log appears, whole, as a node's runtime has written it.
    pub fn give(&self, service: &str, lines: &str) {
        let log = self.log(service);
        let aside = self.folder.path().join("aside.log");
        fs::write(&aside, lines).expect("a log");
        fs::rename(aside, log).expect("a log in its place");
    }

    /// A log that grows.
    pub fn append(&self, service: &str) -> impl FnMut(&str) {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(self.log(service))
            .expect("a log");
        move |lines| file.write_all(lines.as_bytes()).expect("a line")
    }
}
