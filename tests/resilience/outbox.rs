//! Dapr's outbox: an event goes with a state transaction, by way of another broker, so that none is refused while Kafka is away.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use learnflow_tests::{
    process::Folder,
    sidecar::{Middleware, PUBSUB, Rig, Setup},
};
use serde_json::{Value, json};

use crate::{policies, subscriber::Subscriber};

const TOPIC: &str = "outbox.events";
const STORE: &str = "lessons";
const OUTBOX: &str = "outbox-pubsub";
/// The sidecar waits a second for each event of a partition before it sends it on.
const PER_SECOND: u32 = 2;
const OUTAGE: Duration = Duration::from_secs(30);
const ARRIVES: Duration = Duration::from_secs(120);

/// Kafka is away for 30 s; when it is back, the sidecar dies.
pub fn outage_and_crash(rig: &mut Rig) -> Result<String> {
    let folder = Folder::new()?;
    let other = rig.another_kafka(&folder)?;
    let subscriber = Subscriber::taking_all(TOPIC)?;
    let consumer = rig
        .sidecar(Middleware::installed()?)
        .app_id("outbox-in")
        .app(subscriber.app);
    let _consumer = consumer.resource(policies::shipped()?).start()?;

    let database = folder.path().join("state.db");
    let resources = [
        store(&database.display().to_string()),
        outbox(&other.address().to_string()),
    ];
    let first = sidecar(rig, &resources)?.start()?;
    let mut client = first.client()?;
    let mut took = Vec::new();
    // Without this content type the event would be Go's way to print a map.
    let mut publish = |id: u64| -> Result<()> {
        let body = json!({"operations": [{"operation": "upsert", "request": {
            "key": id.to_string(), "value": {"id": id}, "metadata": {"contentType": "application/json"},
        }}]});
        let began = Instant::now();
        let path = format!("/v1.0/state/{STORE}/transaction");
        let headers = [("content-type", "application/json")];
        let answer = client.send("POST", &path, &headers, body.to_string().as_bytes(), false)?;
        ensure!(answer.status() == 204, "event {id} was refused: {answer:?}");
        took.push(began.elapsed());
        Ok(())
    };
    let pause = Duration::from_secs(1) / PER_SECOND;
    let mut id = 0;
    let mut go_on = |lasts: Duration| -> Result<u64> {
        let began = Instant::now();
        while began.elapsed() < lasts {
            publish(id)?;
            id += 1;
            thread::sleep(pause);
        }
        Ok(id)
    };
    go_on(Duration::from_secs(3))?;
    rig.kafka_mut().kill();
    let published = go_on(OUTAGE);
    rig.kafka_mut().start_again()?;
    let published = published?;
    first.kill()?;
    let _second = sidecar(rig, &resources)?.start()?;

    let began = Instant::now();
    while subscriber.events().len() < usize::try_from(published)? && began.elapsed() < ARRIVES {
        thread::sleep(Duration::from_millis(250));
    }
    let events = subscriber.events();
    ensure!(
        events.len() as u64 == published,
        "{} of {published} events arrived",
        events.len()
    );
    let twice = events.values().filter(|places| **places > 1).count();
    let slowest = took.iter().max().copied().unwrap_or_default();
    Ok(format!(
        "{published} transactions, 0 refused, the slowest took {:.0} ms; all events arrived, {twice} of them twice, the last \
         {:.0} s after Kafka was back",
        slowest.as_secs_f64() * 1e3,
        began.elapsed().as_secs_f64()
    ))
}

fn sidecar<'a>(rig: &'a Rig, resources: &[Value]) -> Result<Setup<'a>> {
    let setup = rig.sidecar(Middleware::installed()?).app_id("outbox-out");
    let setup = setup.resource(policies::shipped()?);
    Ok(resources
        .iter()
        .fold(setup, |setup, resource| setup.resource(resource.clone())))
}

fn store(file: &str) -> Value {
    component(
        STORE,
        "state.sqlite",
        &[
            ("connectionString", file),
            ("outboxPublishPubsub", PUBSUB),
            ("outboxPublishTopic", TOPIC),
            ("outboxPubsub", OUTBOX),
        ],
    )
}

fn outbox(broker: &str) -> Value {
    component(
        OUTBOX,
        "pubsub.kafka",
        &[
            ("brokers", broker),
            ("authType", "none"),
            ("consumerGroup", "{appID}"),
            ("initialOffset", "oldest"),
        ],
    )
}

fn component(name: &str, kind: &str, metadata: &[(&str, &str)]) -> Value {
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": name},
        "spec": {"type": kind, "version": "v1", "metadata": metadata},
    })
}
