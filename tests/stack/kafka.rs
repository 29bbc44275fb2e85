//! Lag as Kafka has it, by the collector that the plugin ships, for each way to log in: a real Kafka with open, SASL and
//! mutual TLS listeners, a made-up authority, and what the plugin makes of Components for them.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use learnflow_tests::{
    exposition::series,
    pki::Pki,
    process::{Folder, Process, free_port},
    sidecar::{Kafka, Secured},
};
use serde_json::Value;

use crate::{parts, port, shipped::replace, start};

/// What the plugin makes of tests/cases/kafka-collector.components.yaml; its own tests hold it to that.
const MADE: &str = include_str!("../cases/kafka-collector.yaml");
const NAMES: [&str; 5] = ["mutual", "open", "plain", "scram", "unverified"];
const USER: &str = "learnflow";
/// As the Component has it, and one for SCRAM that YAML takes for a number.
const PASSWORDS: [&str; 2] = ["1e3: #pa$$w${HOME}rd", "0123"];
const TOPIC: &str = "lesson.generated";
const UNREAD: &str = "lesson.unread";
const GROUP: &str = "user-progress";
/// Three scrapes, and time for a broker to come up.
const PATIENCE: Duration = Duration::from_secs(90);

/// By component and partition.
type Lags = BTreeMap<(String, String), f64>;

#[test]
fn lag_is_exact_by_each_way_to_log_in_and_kafka_may_come_late_and_go() {
    let folder = Folder::new().expect("a folder");
    let pki = Pki::write(folder.path()).expect("certificates");
    let address = || free_port().expect("a free port");
    let secured = Secured {
        sasl: address(),
        mutual: address(),
        authority: folder.path().join("ca.pem"),
        identity: folder.path().join("broker.pem"),
        user: USER,
        passwords: PASSWORDS,
    };
    // Its address is known when it is formatted; it does not run yet.
    let broker = folder.path().join("kafka");
    fs::create_dir_all(&broker).expect("a folder");
    let mut kafka = Kafka::start_with(parts(), &broker, Some(&secured)).expect("Kafka");
    kafka.kill();

    let collector = Collector::start(&kafka, &secured, &pki);
    // It is up without Kafka, and says that it learns nothing: what LearnFlowKafkaSilent looks at.
    collector.until("counters at 0", |collector| {
        let counts = series(
            &collector.page(collector.telemetry),
            "otelcol_scraper_scraped_metric_points",
        )?;
        let silent = |name: &&str| {
            let receiver = format!("kafkametrics/{name}");
            let of = counts
                .iter()
                .filter(|(labels, _)| labels.get("receiver") == Some(&receiver));
            let of: Vec<f64> = of.map(|(_, count)| *count).collect();
            !of.is_empty() && of.iter().all(|count| *count == 0.0)
        };
        Ok(NAMES.iter().all(silent))
    });

    kafka.start_again().expect("Kafka");
    let ends = fill(&kafka);
    let committed = [4, 0, ends[2]];
    for (partition, offset) in committed.iter().enumerate() {
        commit(&kafka, partition, *offset);
    }
    let wanted: Lags = NAMES
        .iter()
        .flat_map(|name| {
            let lag = move |partition: usize| ends[partition] - committed[partition];
            (0..3).map(move |partition| (((*name).to_owned(), partition.to_string()), lag(partition) as f64))
        })
        .collect();
    collector.until("the lag", |collector| Ok(collector.lags()? == wanted));
    let told = kafka.tool(
        GROUPS,
        &[
            "--bootstrap-server",
            &kafka.address().to_string(),
            "--describe",
            "--group",
            GROUP,
        ],
    );
    println!("{}", told.expect("Kafka's own table"));

    let page = collector.page(collector.metrics);
    for (metric, of_topic, value) in [
        (
            "kafka_consumer_group_offset_sum",
            true,
            committed.iter().sum::<i64>() as f64,
        ),
        ("kafka_topic_partitions", true, 3.0),
        ("kafka_partition_replicas", true, 3.0),
        ("kafka_partition_replicas_in_sync", true, 3.0),
        ("kafka_consumer_group_members", false, 0.0),
        ("kafka_brokers", false, 1.0),
    ] {
        let mut found = series(&page, metric).expect(metric);
        found.retain(|(labels, _)| labels.get("topic").is_none_or(|topic| topic == TOPIC));
        let names: Vec<&str> = found
            .iter()
            .filter_map(|(labels, _)| Some(labels.get("learnflow_pubsub_name")?.as_str()))
            .collect();
        assert_eq!(found.len(), NAMES.len(), "{metric}: {found:?}");
        assert!(NAMES.iter().all(|name| names.contains(name)), "{metric}: {names:?}");
        for (labels, found) in &found {
            assert_eq!(*found, value, "{metric} {labels:?}");
            assert_eq!(
                labels.get("topic").is_some_and(|topic| topic == TOPIC),
                of_topic,
                "{metric} {labels:?}"
            );
        }
    }
    let offsets = series(&page, "kafka_partition_current_offset").expect("offsets");
    let sum: f64 = offsets.iter().map(|(_, offset)| offset).sum();
    assert_eq!(sum, (ends.iter().sum::<i64>() * NAMES.len() as i64) as f64);
    for gone in ["_ratio", "__consumer_offsets", "oldest_offset", "lag_sum"] {
        assert!(!page.contains(gone), "{gone}: {page}");
    }

    // A lag that is old looks like one that is good.
    kafka.kill();
    let killed = Instant::now();
    collector.until("no lag", |collector| Ok(collector.lags()?.is_empty()));
    println!("gone {:.0} s after Kafka was killed", killed.elapsed().as_secs_f64());
    kafka.start_again().expect("Kafka");
    let back = Instant::now();
    collector.until("the lag", |collector| Ok(collector.lags()? == wanted));
    println!("back {:.0} s after Kafka was up", back.elapsed().as_secs_f64());
    let memory = collector.process.peak_memory().expect("its memory");
    println!("{} MiB at most", memory >> 20);
}

const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

/// Publishes to three partitions; where each ends, as Kafka's own tool says it.
fn fill(kafka: &Kafka) -> [i64; 3] {
    let server = kafka.address().to_string();
    // One that the group never read has no lag.
    for topic in [TOPIC, UNREAD] {
        let line = [
            "--bootstrap-server",
            &server,
            "--create",
            "--topic",
            topic,
            "--partitions",
            "3",
        ];
        kafka
            .tool("org.apache.kafka.tools.TopicCommand", &line)
            .expect("a topic");
    }
    let load = format!(
        "--topic {TOPIC} --num-records 200 --record-size 50 --throughput -1 --producer-props bootstrap.servers={server} \
         partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner"
    );
    let load: Vec<&str> = load.split(' ').collect();
    kafka
        .tool("org.apache.kafka.tools.ProducerPerformance", &load)
        .expect("events");
    let said = kafka.tool(
        "org.apache.kafka.tools.GetOffsetShell",
        &["--bootstrap-server", &server, "--topic", TOPIC],
    );
    let said = said.expect("offsets");
    let mut ends = [0; 3];
    for line in said.lines().filter(|line| line.starts_with(TOPIC)) {
        let mut fields = line.rsplit(':');
        let offset: i64 = fields.next().and_then(|field| field.parse().ok()).expect("an offset");
        let partition: usize = fields.next().and_then(|field| field.parse().ok()).expect("a partition");
        ends[partition] = offset;
    }
    assert_eq!(ends.iter().sum::<i64>(), 200, "{said}");
    assert!(ends.iter().all(|end| *end > 4), "{ends:?}");
    ends
}

fn commit(kafka: &Kafka, partition: usize, offset: i64) {
    let (server, at, offset) = (
        kafka.address().to_string(),
        format!("{TOPIC}:{partition}"),
        offset.to_string(),
    );
    let line = [
        "--bootstrap-server",
        &server,
        "--group",
        GROUP,
        "--reset-offsets",
        "--execute",
        "--topic",
        &at,
        "--to-offset",
        &offset,
    ];
    kafka.tool(GROUPS, &line).expect("a commit");
}

struct Collector {
    process: Process,
    metrics: u16,
    telemetry: u16,
    _folder: Folder,
}

impl Collector {
    /// As the Deployment runs it: its arguments, and its variables from Secrets.
    fn start(kafka: &Kafka, secured: &Secured, pki: &Pki) -> Collector {
        let [health, metrics, telemetry] = std::array::from_fn(|_| port());
        let objects: Vec<Value> = serde_saphyr::from_multiple(MADE).expect("objects");
        let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).expect(kind);
        let folder = Folder::new().expect("a folder");
        let file = |name: &str| of("ConfigMap")["data"][name].as_str().expect(name).to_owned();
        let local = |port: u16| format!("\"127.0.0.1:{port}\"");
        let config = replace(
            &file("config.yaml"),
            &[
                ("\":13133\"", local(health)),
                ("\":9464\"", local(metrics)),
                ("host: \"\"", "host: 127.0.0.1".into()),
                ("port: 8888", format!("port: {telemetry}")),
            ],
        );
        let brokers = replace(
            &file("brokers.yaml"),
            &[
                ("127.0.0.1:19092", kafka.address().to_string()),
                ("127.0.0.1:19093", secured.sasl.to_string()),
                ("127.0.0.1:19094", secured.mutual.to_string()),
            ],
        );
        let kept = STANDARD.decode(of("Secret")["data"]["secrets.yaml"].as_str().expect("a file"));
        let kept = String::from_utf8(kept.expect("base64")).expect("a text");
        for (name, text) in [
            ("config.yaml", config),
            ("brokers.yaml", brokers),
            ("secrets.yaml", kept),
        ] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        let secrets = BTreeMap::from([
            (("kafka", "brokers"), secured.sasl.to_string()),
            (("kafka", "username"), USER.to_owned()),
            (("kafka", "password"), PASSWORDS[1].to_owned()),
            (("kafka-ca", "ca.crt"), pki.authority.clone()),
            (("kafka-client", "tls.crt"), pki.certificate.clone()),
            (("kafka-client", "tls.key"), pki.key.clone()),
        ]);
        let container = &of("Deployment")["spec"]["template"]["spec"]["containers"][0];
        let mut command = Command::new(parts().file("collector", "collector"));
        for argument in container["args"].as_array().expect("args") {
            let argument = argument.as_str().expect("a text");
            let file = argument.rsplit_once('/').expect("a path").1;
            command.arg(format!("--config={}", folder.path().join(file).display()));
        }
        for variable in container["env"].as_array().expect("env") {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let from = &variable["valueFrom"]["secretKeyRef"];
            let value = match (&variable["value"], from["name"].as_str(), from["key"].as_str()) {
                (Value::String(value), ..) => value.clone(),
                (_, Some(name), Some(key)) => secrets[&(name, key)].clone(),
                _ => panic!("{variable}"),
            };
            command.env(text(&variable["name"]), value);
        }
        let ready = format!("http://127.0.0.1:{health}/");
        let process = start("collector-kafka", &mut command, folder.path(), &ready);
        Collector {
            process,
            metrics,
            telemetry,
            _folder: folder,
        }
    }

    fn page(&self, port: u16) -> String {
        let answer = ureq::get(format!("http://127.0.0.1:{port}/metrics")).call();
        answer.map_or_else(
            |_| String::new(),
            |mut answer| answer.body_mut().read_to_string().expect("a page"),
        )
    }

    fn lags(&self) -> anyhow::Result<Lags> {
        let found = series(&self.page(self.metrics), "kafka_consumer_group_lag")?;
        let lag = |(labels, lag): (BTreeMap<String, String>, f64)| {
            assert_eq!((labels["group"].as_str(), labels["topic"].as_str()), (GROUP, TOPIC));
            (
                (labels["learnflow_pubsub_name"].clone(), labels["partition"].clone()),
                lag,
            )
        };
        Ok(found.into_iter().map(lag).collect())
    }

    /// Without where in the program they arose.
    fn last_errors(&self) -> String {
        let errors = self.process.errors();
        let lines = errors.lines().rev().take(10);
        let without = lines.map(|line| line.split("\"stacktrace\"").next().unwrap_or_default());
        without.collect::<Vec<_>>().join("\n")
    }

    fn until(&self, what: &str, met: impl Fn(&Collector) -> anyhow::Result<bool>) {
        let began = Instant::now();
        while !met(self).expect(what) {
            assert!(
                began.elapsed() < PATIENCE,
                "no {what}: {}\n{}",
                self.page(self.metrics),
                self.last_errors()
            );
            thread::sleep(Duration::from_millis(500));
        }
    }
}
