use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use learnflow_lab::Parts;

use crate::process::{Process, free_port};

const REQUESTS: &str = "requests.log";

/// Each request that was answered, but not each fetch, which says nothing and comes all the time; and what goes wrong.
const LOGGING: &str = r#"<Configuration>
  <Appenders>
    <Console name="console"><PatternLayout pattern="%d %p %m (%c)%n"/></Console>
    <File name="requests" fileName="requests.log">
      <RegexFilter regex=".*requestApiKeyName.:.FETCH.*" onMatch="DENY" onMismatch="ACCEPT"/>
      <PatternLayout pattern="%d{UNIX_MILLIS} %.-200m%n"/>
    </File>
  </Appenders>
  <Loggers>
    <Logger name="kafka.request.logger" level="debug" additivity="false"><AppenderRef ref="requests"/></Logger>
    <Logger name="kafka.server.KafkaRaftServer" level="info"/>
    <Root level="warn"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
"#;

/// One broker, which is its own controller.
#[derive(Debug)]
pub struct Kafka {
    process: Option<Process>,
    address: SocketAddr,
    java: PathBuf,
    jars: PathBuf,
    folder: PathBuf,
}

/// Listeners with TLS, beside the open one.
#[derive(Debug)]
pub struct Secured {
    /// SASL and TLS.
    pub sasl: SocketAddr,
    /// TLS with a certificate of the client.
    pub mutual: SocketAddr,
    /// PEM files: whom to believe, and the broker's own certificate with its key.
    pub authority: PathBuf,
    pub identity: PathBuf,
    /// A name, and its passwords for PLAIN and for SCRAM-SHA-512.
    pub user: &'static str,
    pub passwords: [&'static str; 2],
}

impl Kafka {
    /// With its data in `folder`, which has to outlive it.
    pub fn start(parts: &Parts, folder: &Path) -> Result<Self> {
        Self::start_with(parts, folder, None)
    }

    pub fn start_with(parts: &Parts, folder: &Path, secured: Option<&Secured>) -> Result<Self> {
        let address = free_port()?;
        Self::start_at(parts, folder, address, address, secured)
    }

    /// It listens at `address`, and tells its clients that it is reached at `told`.
    pub fn start_behind(parts: &Parts, folder: &Path, address: SocketAddr, told: SocketAddr) -> Result<Self> {
        Self::start_at(parts, folder, address, told, None)
    }

    fn start_at(
        parts: &Parts,
        folder: &Path,
        address: SocketAddr,
        told: SocketAddr,
        secured: Option<&Secured>,
    ) -> Result<Self> {
        let mut properties = configuration(address, told, free_port()?, &folder.join("data"), secured);
        if let Some(secured) = secured {
            properties += &secured.properties();
        }
        fs::write(folder.join("server.properties"), properties)?;
        fs::write(folder.join("log4j2.xml"), LOGGING)?;
        let mut kafka = Self {
            process: None,
            address,
            java: parts.file("kafka", "jre/bin/java"),
            jars: parts.file("kafka", "lib/*"),
            folder: folder.to_owned(),
        };
        let mut format = vec!["format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qg", "--config"];
        format.push("server.properties");
        let scram = secured.map(Secured::scram).unwrap_or_default();
        if !scram.is_empty() {
            format.extend(["--add-scram", &scram]);
        }
        kafka.tool("kafka.tools.StorageTool", &format)?;
        kafka.start_again()?;
        Ok(kafka)
    }

    /// With the data it had.
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = self.java();
        command.env("JDK_JAVA_OPTIONS", "-Dlog4j2.configurationFile=log4j2.xml");
        command.arg("kafka.Kafka").arg(self.folder.join("server.properties"));
        let process = Process::start("Kafka", &mut command, &self.folder)?;
        // Its port takes connections long before it answers, and it answers before it leads a partition.
        process.wait("start", || {
            process.output().contains("Kafka Server started").then_some(())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// At once, as by SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// It stands still: the kernel goes on taking connections and bytes for it, and nothing is answered. Or it goes on.
    #[cfg(target_os = "linux")]
    pub fn hold(&self, still: bool) -> Result<()> {
        self.process.as_ref().context("Kafka does not run")?.hold(still)
    }

    /// What it has answered since it was first started: milliseconds since 1970, and the kind of the request (`PRODUCE`, …).
    pub fn requests(&self) -> Result<Vec<(i64, String)>> {
        let log = fs::read_to_string(self.folder.join(REQUESTS)).context("Kafka's log of requests")?;
        let request = |line: &str| {
            let (at, rest) = line.split_once(' ')?;
            let (_, kind) = rest.split_once("\"requestApiKeyName\":\"")?;
            Some((at.parse().ok()?, kind.split('"').next()?.to_owned()))
        };
        // The last line may be there in part.
        Ok(log.lines().filter_map(request).collect())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn create_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        let (broker, partitions) = (self.address.to_string(), partitions.to_string());
        let server = ["--bootstrap-server", &broker];
        let create = ["--create", "--topic", topic, "--partitions", &partitions];
        self.tool("org.apache.kafka.tools.TopicCommand", &[&server[..], &create].concat())?;
        Ok(())
    }

    /// Runs one of Kafka's own tools to its end; what it said.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let mut java = self.java();
        let output = java.arg(class).args(arguments).current_dir(&self.folder).output();
        let output = output.with_context(|| format!("cannot run {class}"))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{class} {arguments:?}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn java(&self) -> Command {
        let mut java = Command::new(&self.java);
        java.args(["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-cp"])
            .arg(&self.jars);
        java
    }
}

impl Secured {
    fn scram(&self) -> String {
        format!("SCRAM-SHA-512=[name={},password={}]", self.user, self.passwords[1])
    }

    fn properties(&self) -> String {
        const MODULES: &str = "org.apache.kafka.common.security";
        const LISTENER: &str = "listener.name.sasl_ssl";
        let Self { user, passwords, .. } = self;
        format!(
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
{LISTENER}.plain.sasl.jaas.config={MODULES}.plain.PlainLoginModule required user_{user}=\"{}\";
{LISTENER}.scram-sha-512.sasl.jaas.config={MODULES}.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
listener.name.ssl.ssl.client.auth=required
",
            passwords[0],
            self.identity.display(),
            self.authority.display()
        )
    }
}

fn configuration(
    broker: SocketAddr,
    told: SocketAddr,
    controller: SocketAddr,
    data: &Path,
    secured: Option<&Secured>,
) -> String {
    let others = secured.map(|Secured { sasl, mutual, .. }| format!(",SASL_SSL://{sasl},SSL://{mutual}"));
    let others = others.unwrap_or_default();
    let (listeners, advertised) = (
        format!("PLAINTEXT://{broker}{others}"),
        format!("PLAINTEXT://{told}{others}"),
    );
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners={listeners},CONTROLLER://{controller}
advertised.listeners={advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
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
