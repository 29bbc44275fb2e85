use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use learnflow_lab::Parts;

use crate::process::{Process, free_port};

/// One broker, which is its own controller.
#[derive(Debug)]
pub struct Kafka {
    _process: Process,
    address: SocketAddr,
}

impl Kafka {
    /// With its data in `folder`, which has to outlive it.
    pub fn start(parts: &Parts, folder: &Path) -> Result<Self> {
        let address = free_port()?;
        let properties = folder.join("server.properties");
        fs::write(&properties, configuration(address, free_port()?, &folder.join("data")))?;

        let format = java(parts)
            .args([
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                "MkU3OEVBNTcwNTJENDM2Qg",
                "--config",
            ])
            .arg(&properties)
            .output()
            .context("cannot run Kafka's StorageTool")?;
        ensure!(
            format.status.success(),
            "Kafka's StorageTool: {}",
            String::from_utf8_lossy(&format.stderr)
        );

        let mut command = java(parts);
        command.arg("kafka.Kafka").arg(&properties);
        let process = Process::start("Kafka", &mut command, folder)?;
        process.wait("connection", || TcpStream::connect(address).ok())?;
        Ok(Self {
            _process: process,
            address,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn java(parts: &Parts) -> Command {
    let mut java = Command::new(parts.file("kafka", "jre/bin/java"));
    java.args(["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-cp"])
        .arg(parts.file("kafka", "lib/*"));
    java
}

fn configuration(broker: SocketAddr, controller: SocketAddr, data: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{broker},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={}
num.partitions=3
message.max.bytes=16777216
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
",
        data.display()
    )
}
