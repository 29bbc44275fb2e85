//! `remoteWrite` as the plugin renders it, between two real Prometheus: everything arrives, also what was scraped while the
//! receiver was away, and while the Secret was not there yet.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use learnflow_tests::process::{Folder, Process};
use serde_json::{Value, json};

use crate::{
    gateway::Gateway,
    otlp::{Record, send},
    parts, port,
    prometheus::Prometheus,
    shipped::replace,
};

const RENDERED: &str = include_str!("../cases/remote-write.yaml");
const USER: &str = "me";
/// And what it is as a hash, from Prometheus' documentation of its web configuration.
const PASSWORD: &str = "test";
const HASH: &str = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay";

/// One that takes what others write, from those who know the password.
struct Receiver {
    process: Process,
    port: u16,
    folder: Folder,
}

impl Receiver {
    fn new(folder: Folder, port: u16) -> Receiver {
        let file = |name: &str, content: Value| {
            let file = folder.path().join(name);
            fs::write(&file, content.to_string()).expect("a file");
            file.display().to_string()
        };
        let config = file("receiver.yml", json!({}));
        let web = file("web.yml", json!({ "basic_auth_users": { USER: HASH } }));
        let mut command = Command::new(parts().file("prometheus", "prometheus"));
        command
            .arg(format!("--config.file={config}"))
            .arg(format!("--web.config.file={web}"))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver");
        let process = Process::start("receiver", &mut command, folder.path()).expect("started");
        let ready = format!("http://{USER}:{PASSWORD}@127.0.0.1:{port}/-/ready");
        process.wait(&ready, || ureq::get(&ready).call().ok()).expect("ready");
        Receiver { process, port, folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{USER}:{PASSWORD}@127.0.0.1:{}{path}", self.port)
    }
}

/// Every sample of the Collectors' up to a moment, by labels. Not the 0 that a series began with before Prometheus did: that is not sent.
fn samples(url: &str, until: u64) -> BTreeMap<String, Value> {
    let mut answer = ureq::get(url)
        .query(
            "query",
            "{job=~\"learnflow|collectors\", __name__!=\"promhttp_metric_handler_errors_total\"}[1h]",
        )
        .query("time", until.to_string())
        .call()
        .expect("an answer");
    let answer: Value = answer.body_mut().read_json().expect("JSON");
    let results = answer["data"]["result"].as_array().expect("a matrix").iter();
    let all = results.map(|series| {
        let mut labels = series["metric"].clone();
        // What it has there beside its own: which of two it comes from.
        let replica = labels
            .as_object_mut()
            .and_then(|labels| labels.remove("prometheus_replica"));
        assert!(replica.is_none_or(|replica| replica == "prometheus"), "{labels}");
        (labels.to_string(), series["values"].clone())
    });
    all.collect()
}

/// Waits until both have the same of what was scraped up to now.
fn expect_the_same(prometheus: &Prometheus, receiver: &Receiver) -> usize {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let (of, at) = (prometheus.url("/api/v1/query"), receiver.url("/api/v1/query"));
    let started = Instant::now();
    loop {
        let (wanted, found) = (samples(&of, now), samples(&at, now));
        if wanted == found && !wanted.is_empty() {
            return wanted
                .values()
                .map(|values| values.as_array().map_or(0, Vec::len))
                .sum();
        }
        let mut differ = wanted
            .iter()
            .filter(|(labels, values)| found.get(*labels) != Some(values));
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{} series of {}; {:#?}, and there {:#?}",
            found.len(),
            wanted.len(),
            differ.clone().collect::<Vec<_>>(),
            differ.next().map(|(labels, _)| found.get(labels))
        );
        thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn everything_is_written_to_the_other_one() {
    let gateway = Gateway::start(|config| config);
    let secret = Folder::new().expect("a folder");
    let receiver = Receiver::new(Folder::new().expect("a folder"), port());
    let rendered = replace(
        RENDERED,
        &[
            (
                "https://mimir.example.com:8443/api/v1/push",
                format!("http://127.0.0.1:{}/api/v1/write", receiver.port),
            ),
            ("/etc/prometheus-remote-write", secret.path().display().to_string()),
        ],
    );
    let rendered: Value = serde_saphyr::from_str(&rendered).expect("YAML");
    let prometheus = Prometheus::start_at(&gateway, port(), &[], |config| {
        config["remote_write"] = rendered["remote_write"].clone();
        config["global"]["external_labels"] = json!({ "prometheus_replica": "${REPLICA}" });
    });
    let publish = |topic: &str| {
        for _ in 0..10 {
            send(gateway.otlp, "course-agent", &vec![Record::published(topic); 100]);
            thread::sleep(Duration::from_millis(800));
        }
    };

    // The Secret comes later.
    publish("before.the.secret");
    assert!(
        samples(&receiver.url("/api/v1/query"), u32::MAX.into()).is_empty(),
        "nobody may write yet"
    );
    fs::write(secret.path().join("username"), USER).expect("written");
    fs::write(secret.path().join("password"), PASSWORD).expect("written");
    let first = expect_the_same(&prometheus, &receiver);

    // The receiver goes, and comes back.
    let Receiver { process, port, folder } = receiver;
    process.kill().expect("killed");
    publish("while.it.is.away");
    let receiver = Receiver::new(folder, port);
    let all = expect_the_same(&prometheus, &receiver);
    let own = |what: &str| prometheus.number(&format!("sum(prometheus_remote_storage_{what}_total)"));
    println!("{:.1} B for a sample that is written", own("bytes") / own("samples"));
    println!("{first} samples once the Secret was there, {all} after the receiver had been away");
    let query = "sum(increase(learnflow_events_total[1h] anchored))";
    assert_eq!(prometheus.number(query), 2000.0);
}
