use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::{Context, Result};
use learnflow_core::{Buffer, Record};
use serde_json::{Value, json};

use super::{Middleware, PUBSUB, Rig};
use crate::{
    http::{self, Client},
    process::{Folder, Process, free_port},
};

/// What a sidecar is started with.
#[derive(Debug)]
pub struct Setup<'a> {
    rig: &'a Rig,
    middleware: Middleware,
    app_id: &'a str,
    namespace: Option<&'a str>,
    app: Option<SocketAddr>,
    otlp: Option<SocketAddr>,
    resources: Vec<Value>,
    environment: Vec<(&'a str, &'a str)>,
    arguments: Vec<&'a str>,
    /// Metadata of the pub/sub component, beside what each has.
    pubsub: Vec<(&'a str, &'a str)>,
}

impl<'a> Setup<'a> {
    pub(super) fn new(rig: &'a Rig, middleware: Middleware) -> Self {
        Self {
            rig,
            middleware,
            app_id: "app",
            namespace: None,
            app: None,
            otlp: None,
            resources: Vec::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            pubsub: Vec::new(),
        }
    }

    pub fn app_id(self, app_id: &'a str) -> Self {
        Self { app_id, ..self }
    }

    /// Dapr puts it in front of the topics in Kafka, and shows it nowhere else: two sidecars then see different events under
    /// the same names.
    pub fn namespace(self, namespace: &'a str) -> Self {
        Self {
            namespace: Some(namespace),
            ..self
        }
    }

    pub fn app(self, app: SocketAddr) -> Self {
        Self { app: Some(app), ..self }
    }

    /// Spans go there, by OTLP over HTTP.
    pub fn spans_to(self, otlp: SocketAddr) -> Self {
        Self {
            otlp: Some(otlp),
            ..self
        }
    }

    /// Another Component, Subscription, Resiliency.
    pub fn resource(mut self, resource: Value) -> Self {
        self.resources.push(resource);
        self
    }

    pub fn environment(mut self, name: &'a str, value: &'a str) -> Self {
        self.environment.push((name, value));
        self
    }

    pub fn argument(mut self, argument: &'a str) -> Self {
        self.arguments.push(argument);
        self
    }

    pub fn pubsub(mut self, name: &'a str, value: &'a str) -> Self {
        self.pubsub.push((name, value));
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Result<Sidecar> {
        let sidecar = self.launch()?;
        let api = sidecar.api;
        let healthy = || {
            http::get(api, "/v1.0/healthz")
                .ok()
                .filter(|answer| answer.status() == 204)
        };
        sidecar.process.wait("healthy sidecar", healthy)?;
        Ok(sidecar)
    }

    /// Starts it, whatever becomes of it.
    pub fn launch(self) -> Result<Sidecar> {
        let folder = Folder::new()?;
        let (api, grpc, metrics) = (free_port()?, free_port()?, free_port()?);
        let resources = folder.path().join("resources");
        fs::create_dir(&resources)?;
        let own = [self.middleware.component()?, self.pubsub_component()];
        for (number, resource) in own.iter().chain(&self.resources).enumerate() {
            write(&resources.join(format!("{number}.yaml")), resource)?;
        }
        let configuration = folder.path().join("configuration.yaml");
        write(&configuration, &self.configuration()?)?;

        let mut command = Command::new(self.rig.parts.file("dapr", "daprd"));
        command
            .args(["--app-id", self.app_id, "--app-channel-address", "127.0.0.1"])
            .arg("--resources-path")
            .arg(&resources)
            .arg("--config")
            .arg(&configuration)
            .args([
                "--dapr-listen-addresses",
                "127.0.0.1",
                "--metrics-listen-address",
                "127.0.0.1",
            ])
            .args(["--dapr-internal-grpc-listen-address", "127.0.0.1"]);
        for (flag, port) in [
            ("--dapr-http-port", api),
            ("--metrics-port", metrics),
            ("--dapr-grpc-port", grpc),
            ("--dapr-internal-grpc-port", free_port()?),
        ] {
            command.args([flag, &port.port().to_string()]);
        }
        if let Some(app) = self.app {
            command.args(["--app-port", &app.port().to_string()]);
        }
        command
            .args(&self.arguments)
            .env("NAMESPACE", self.namespace.unwrap_or("default"))
            .env("DAPR_HOST_IP", "127.0.0.1")
            .envs(self.environment.iter().copied());
        let process = Process::start("daprd", &mut command, folder.path())?;
        Ok(Sidecar {
            process,
            api,
            grpc,
            metrics,
            _folder: folder,
        })
    }

    fn pubsub_component(&self) -> Value {
        let broker = self.rig.broker().to_string();
        let group = self.namespace.map_or("{appID}", |_| "{namespace}-{appID}");
        let own = [
            ("brokers", &*broker),
            ("authType", "none"),
            ("consumerGroup", group),
            ("initialOffset", "oldest"),
            ("maxMessageBytes", "16777216"),
        ];
        let entries = own.iter().chain(&self.pubsub);
        let metadata: Vec<_> = entries
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": PUBSUB},
            "spec": {"type": "pubsub.kafka", "version": "v1", "metadata": metadata},
        })
    }

    fn configuration(&self) -> Result<Value> {
        let mut configuration = self.middleware.configuration(self.otlp)?;
        // Apps are found without a word on any network. (By default: multicast DNS.)
        let names = self.rig.folder.path().join("names.db");
        configuration["spec"]["nameResolution"] = json!({
            "component": "sqlite", "version": "v1", "configuration": {"connectionString": names},
        });
        Ok(configuration)
    }
}

/// JSON is YAML.
fn write(file: &Path, resource: &Value) -> Result<()> {
    fs::write(file, resource.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

/// A daprd that runs.
#[derive(Debug)]
pub struct Sidecar {
    process: Process,
    api: SocketAddr,
    grpc: SocketAddr,
    metrics: SocketAddr,
    _folder: Folder,
}

impl Sidecar {
    /// Where its HTTP API is.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where its gRPC API is.
    pub fn grpc(&self) -> String {
        format!("http://{}", self.grpc)
    }

    pub fn client(&self) -> Result<Client> {
        Client::new(self.api)
    }

    /// Its metrics, in Prometheus' text format.
    pub fn metrics(&self) -> Result<String> {
        Ok(String::from_utf8(http::get(self.metrics, "/metrics")?.body)?)
    }

    /// The file that it logs to.
    pub fn log_file(&self) -> &Path {
        self.process.output_file()
    }

    /// The most memory it has ever had, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        self.process.peak_memory()
    }

    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Waits until `check` finds something.
    pub fn wait<T>(&self, what: &str, check: impl FnMut() -> Option<T>) -> Result<T> {
        self.process.wait(what, check)
    }

    /// The memory that it has, in bytes.
    pub fn memory(&self) -> Result<u64> {
        self.process.memory()
    }

    /// Without a word (SIGKILL).
    pub fn kill(&self) -> Result<()> {
        self.process.kill()
    }

    pub fn wait_for_end(&self) -> Result<ExitStatus> {
        self.process.wait_for_end()
    }

    /// The records in its log so far.
    pub fn records(&self) -> Result<Vec<Record>> {
        let mut buffer: Buffer = [0; _];
        let mut records = Vec::new();
        for line in self.log().lines() {
            if let Some(text) = learnflow_core::find(line, &mut buffer) {
                records.push(Record::read(text).with_context(|| format!("not a record: {text}"))?);
            }
        }
        Ok(records)
    }
}
