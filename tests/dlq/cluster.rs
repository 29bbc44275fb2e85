//! What the objects of a cluster say: who has which dead-letter topic, and how Kafka is logged in to. The API server is not a
//! real one; a port-forward is tried on a real cluster.

use std::{collections::BTreeMap, fs, path::Path, process::Command, slice::from_ref};

use anyhow::{Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use learnflow_tests::{
    http::{Answer, Message, serve},
    pki::Pki,
    process::{Folder, free_port},
    sidecar::{Kafka, PUBSUB, Rig, Secured},
};
use serde_json::{Value, json};

use crate::{
    Test,
    bench::{Said, Shop, plugin},
};

pub const TESTS: &[(&str, Test)] = &[
    ("cluster::subscriptions_say_whose_they_are", subscriptions),
    ("cluster::each_way_to_log_in", logins),
];

/// The name of a Component, its settings, and what is said when it does not work.
type Case = (&'static str, Vec<(&'static str, Value)>, Option<&'static str>);

/// What a replay holds while it sends.
const LEASE: &str = "learnflow-dlq-replay";
const USER: &str = "learnflow";
const PASSWORDS: [&str; 2] = ["1e3: #pa$$w${HOME}rd", "0123"];

fn subscriptions(rig: &Rig) -> Result<()> {
    let shop = Shop::open(rig, "declared", json!({}))?;
    shop.publish(0..2, |_| String::new())?;
    shop.publish(2..3, |_| "metadata.__topic=payments".into())?;
    shop.wait_for_dead(3)?;
    let server = rig.kafka().address().to_string();
    let folder = Folder::new()?;
    let open = component(PUBSUB, &[("authType", json!("none"))]);
    let subscription = |name: &str, pubsub: &str, topic: &str| {
        json!({ "metadata": { "name": name }, "spec": { "pubsubname": pubsub, "topic": topic,
            "deadLetterTopic": shop.dead, "routes": { "default": "/take" } } })
    };
    let lists = BTreeMap::from([
        ("components", vec![open]),
        (
            "subscriptions",
            vec![
                subscription("one", PUBSUB, &shop.topic),
                // Of another Kafka: its topic has nothing to do with this one.
                subscription("two", "other", "payments"),
            ],
        ),
    ]);
    let cluster = Cluster::start(folder.path(), lists, BTreeMap::new())?;
    let list = cluster
        .dlq(&["ls", "--bootstrap", &server, "--component", PUBSUB])?
        .ended(0)?;
    println!("{}", list.out);
    ensure!(
        list.out.contains("Subscription one") && !list.out.contains("two"),
        "{list:?}"
    );
    shop.take_from_now_on();
    let arguments = [
        "replay",
        &shop.dead,
        "--yes",
        "--bootstrap",
        &server,
        "--component",
        PUBSUB,
    ];
    let sent = cluster.dlq(&arguments)?.ended(1)?;
    ensure!(
        sent.err.contains("2 dead letters of") && sent.err.contains("payments"),
        "{sent:?}"
    );
    shop.wait_for_taken(2)?;
    Ok(())
}

fn logins(rig: &Rig) -> Result<()> {
    let folder = Folder::new()?;
    let pki = Pki::write(folder.path())?;
    let secured = Secured {
        sasl: free_port()?,
        mutual: free_port()?,
        authority: folder.path().join("ca.pem"),
        identity: folder.path().join("broker.pem"),
        user: USER,
        passwords: PASSWORDS,
    };
    let broker = folder.path().join("kafka");
    fs::create_dir_all(&broker)?;
    let kafka = Kafka::start_with(rig.parts(), &broker, Some(&secured))?;
    let server = kafka.address().to_string();
    let topic = [
        "--bootstrap-server",
        &server,
        "--create",
        "--topic",
        "dead",
        "--partitions",
        "2",
    ];
    kafka.tool("org.apache.kafka.tools.TopicCommand", &topic)?;
    let load = format!(
        "--topic dead --num-records 20 --record-size 50 --throughput -1 --producer-props bootstrap.servers={server} \
         compression.type=zstd"
    );
    let load: Vec<&str> = load.split(' ').collect();
    kafka.tool("org.apache.kafka.tools.ProducerPerformance", &load)?;

    let of = |name: &str, key: &str| json!({ "secret": name, "key": key });
    let (sasl, mutual) = (secured.sasl.to_string(), secured.mutual.to_string());
    let password = |mechanism: &str, password: Value, more: &[(&'static str, Value)]| {
        let own = [
            ("brokers", json!(sasl)),
            ("authType", json!("password")),
            ("saslMechanism", json!(mechanism)),
            ("saslUsername", json!(USER)),
            ("saslPassword", password),
        ];
        [&own[..], more].concat()
    };
    let ca = ("caCert", json!(pki.authority));
    let mutual_tls = [
        ("brokers", json!(mutual)),
        ("authType", json!("mtls")),
        ("caCert", of("tls", "ca.crt")),
        ("clientCert", of("tls", "tls.crt")),
        ("clientKey", of("tls", "tls.key")),
    ];
    let cases: [Case; 10] = [
        (
            "open",
            vec![("brokers", json!(server)), ("authType", json!("none"))],
            None,
        ),
        ("plain", password("PLAIN", json!(PASSWORDS[0]), from_ref(&ca)), None),
        (
            "scram",
            password("SHA-512", of("login", "password"), from_ref(&ca)),
            None,
        ),
        (
            "unverified",
            password("SHA-512", of("login", "password"), &[("skipVerify", json!("true"))]),
            None,
        ),
        ("mutual", mutual_tls.to_vec(), None),
        (
            "wrong",
            password("SHA-512", json!("wrong"), from_ref(&ca)),
            Some("does not accept the login"),
        ),
        (
            "unsupported",
            password("SHA-256", json!("x"), from_ref(&ca)),
            Some("does not accept the login"),
        ),
        (
            "stranger",
            password("PLAIN", json!(PASSWORDS[0]), &[]),
            Some("certificate"),
        ),
        (
            "hidden",
            password("PLAIN", of("forbidden", "password"), from_ref(&ca)),
            Some("Ask for `get` on that Secret"),
        ),
        (
            "token",
            vec![("brokers", json!(server)), ("authType", json!("oidc"))],
            Some("authType is oidc"),
        ),
    ];
    let components = cases.iter().map(|(name, settings, _)| component(name, settings));
    let secrets = BTreeMap::from([
        ("login", json!({ "password": STANDARD.encode(PASSWORDS[1]) })),
        (
            "tls",
            json!({ "ca.crt": STANDARD.encode(&pki.authority), "tls.crt": STANDARD.encode(&pki.certificate),
                "tls.key": STANDARD.encode(&pki.key) }),
        ),
    ]);
    let lists = BTreeMap::from([("components", components.collect()), ("subscriptions", Vec::new())]);
    let cluster = Cluster::start(folder.path(), lists, secrets)?;
    for (name, settings, refused) in &cases {
        let at = settings
            .iter()
            .find_map(|(name, value)| (*name == "brokers").then_some(value.as_str()?));
        let at = at.unwrap_or_default();
        let said = cluster.dlq(&[
            "ls",
            "--topic",
            "dead",
            "-o",
            "json",
            "--component",
            name,
            "--bootstrap",
            at,
        ])?;
        match refused {
            None => ensure!(
                said.code == 0 && said.json()?["topics"][0]["deadLetters"] == 20,
                "{name}: {said:?}"
            ),
            Some(words) => {
                print!("{name}: {}", said.err);
                ensure!(said.code == 2 && said.err.contains(words), "{name}: {said:?}");
                ensure!(!said.err.contains(PASSWORDS[0]), "{name}: {said:?}");
            }
        }
    }
    let several = cluster.dlq(&["ls"])?.ended(2)?;
    ensure!(several.err.contains("--component"), "{several:?}");
    Ok(())
}

/// A value is a text, or says in which Secret it is.
fn component(name: &str, settings: &[(&str, Value)]) -> Value {
    let item = |(name, value): &(&str, Value)| match value["secret"].as_str() {
        None => json!({ "name": name, "value": value }),
        Some(secret) => json!({ "name": name, "secretKeyRef": { "name": secret, "key": value["key"] } }),
    };
    let mut metadata: Vec<Value> = settings.iter().map(item).collect();
    if !settings.iter().any(|(name, _)| *name == "brokers") {
        metadata.push(json!({ "name": "brokers", "value": "kafka:9092" }));
    }
    json!({ "metadata": { "name": name }, "spec": { "type": "pubsub.kafka", "version": "v1", "metadata": metadata } })
}

struct Cluster {
    kubeconfig: String,
}

impl Cluster {
    fn start(
        folder: &Path,
        lists: BTreeMap<&'static str, Vec<Value>>,
        secrets: BTreeMap<&'static str, Value>,
    ) -> Result<Self> {
        let server = serve(move |request| answer(&request, &lists, &secrets))?;
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{server}") } }],
            "users": [{ "name": "u", "user": {} }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u", "namespace": "shop" } }],
        });
        let file = folder.join("kubeconfig");
        fs::write(&file, config.to_string())?;
        let kubeconfig = file.to_string_lossy().into_owned();
        Ok(Self { kubeconfig })
    }

    fn dlq(&self, arguments: &[&str]) -> Result<Said> {
        let mut command: Command = plugin()?;
        command.args(["--kubeconfig", &self.kubeconfig, "dlq"]).args(arguments);
        Said::of(command.output()?)
    }
}

fn answer(request: &Message, lists: &BTreeMap<&str, Vec<Value>>, secrets: &BTreeMap<&str, Value>) -> Answer {
    let path = request.path().split('?').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let refusal = |code: u16, reason: &str| {
        (
            code,
            json!({ "kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": "no" }),
        )
    };
    let (status, body) = match (lists.get(name), secrets.get(name)) {
        (Some(items), _) => (200, json!({ "metadata": {}, "items": items })),
        (_, Some(data)) => (200, json!({ "metadata": { "name": name }, "data": data })),
        _ if name == "pods" => (200, json!({ "metadata": {}, "items": [] })),
        // Whoever writes one has it.
        _ if name == "leases" || name == LEASE && request.first.starts_with("PATCH") => (
            201,
            json!({ "metadata": { "name": LEASE, "resourceVersion": "1" }, "spec": {} }),
        ),
        _ if name == "forbidden" => refusal(403, "Forbidden"),
        _ => refusal(404, "NotFound"),
    };
    Answer::Whole {
        status,
        headers: vec![("content-type", "application/json".into())],
        body: body.to_string().into_bytes(),
    }
}
