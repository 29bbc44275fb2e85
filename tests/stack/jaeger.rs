//! The trace store as it is shipped, in memory.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use learnflow_tests::{
    Span,
    process::{Folder, Process},
    spans_by,
};

use crate::{
    parts, port,
    shipped::{self, replace},
    start,
};

const MANIFEST: &str = "tracing/traces.yaml";

pub struct Jaeger {
    _process: Process,
    query: u16,
    _folder: Folder,
}

impl Jaeger {
    /// It takes spans at this port.
    pub fn start(otlp: u16) -> Jaeger {
        let (query, health) = (port(), port());
        let at = |port: u16| format!("\"127.0.0.1:{port}\"");
        let config = replace(
            &shipped::config(MANIFEST, "config.yaml"),
            &[
                ("\":13133\"", at(health)),
                ("\":16686\"", at(query)),
                ("\"localhost:16685\"", at(port())),
                ("\":4317\"", at(otlp)),
                ("host: \"\"", "host: 127.0.0.1".into()),
                ("port: 8888", format!("port: {}", port())),
            ],
        );
        let folder = Folder::new().expect("a folder");
        let mut command = Command::new(parts().file("jaeger", "jaeger"));
        let memory = shipped::config(MANIFEST, "memory.yaml");
        for (name, text) in [("memory.yaml", memory), ("config.yaml", config)] {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("its configuration");
            command.arg(format!("--config={}", file.display()));
        }
        let ready = format!("http://127.0.0.1:{health}/status");
        let process = start("jaeger", &mut command, folder.path(), &ready);
        Jaeger {
            _process: process,
            query,
            _folder: folder,
        }
    }

    pub fn spans(&self) -> Vec<Span> {
        let ask = |path: &str| {
            let mut answer = ureq::get(format!("http://127.0.0.1:{}{path}", self.query)).call()?;
            Ok(answer.body_mut().with_config().limit(1 << 30).read_to_string()?)
        };
        spans_by(ask).expect("the trace store answers")
    }

    /// Waits until no more spans come, at least for so long.
    pub fn settled(&self, at_least: Duration) -> Vec<Span> {
        thread::sleep(at_least);
        let started = Instant::now();
        let mut spans = self.spans();
        loop {
            thread::sleep(Duration::from_secs(3));
            let now = self.spans();
            if now.len() == spans.len() {
                return now;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "spans keep coming");
            spans = now;
        }
    }
}
