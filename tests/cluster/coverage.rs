//! Who publishes over gRPC is named, and of the others nothing is missed.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{Frontend, SERVICES_NAMESPACE, Target, grpc};
use serde_json::{Value, json};

use crate::expect;

const AGENT: &str = include_str!("../cases/grpc-agent.yaml");
const TOPIC: &str = "grpc.topic";
/// Of the sidecar's gRPC API.
const PORT: u16 = 50001;

pub fn a_grpc_publisher_is_named(target: &Target) -> Result<()> {
    target.apply(Some(SERVICES_NAMESPACE), AGENT)?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/grpc-agent")?;
    expect(target, &["enroll", "grpc-agent"], 0)?;
    let app = target.port_forward(SERVICES_NAMESPACE, "deployment/grpc-agent", 8080)?;
    let sidecar = target.port_forward(SERVICES_NAMESPACE, "deployment/grpc-agent", PORT)?;
    let frontend = Frontend::of(target)?;
    let publish = || -> Result<()> {
        frontend.request_lessons(1)?;
        ureq::post(app.url("/lessons")).send_json(json!({"course": "rust", "title": "over HTTP"}))?;
        grpc::publish(&sidecar.url(""), "grpc-pubsub", TOPIC, "{}")
    };
    let looked = AtomicBool::new(false);
    let (table, document) = thread::scope(|scope| {
        let publishing = scope.spawn(|| -> Result<()> {
            while !looked.load(Ordering::Relaxed) {
                publish()?;
                thread::sleep(Duration::from_millis(300));
            }
            Ok(())
        });
        let table = expect(target, &["coverage", "--window=15s"], 0);
        let document = expect(target, &["coverage", "--window=15s", "--min=99%", "-o", "json"], 1);
        looked.store(true, Ordering::Relaxed);
        publishing.join().map_err(|_| anyhow::anyhow!("the publisher"))??;
        Ok::<_, anyhow::Error>((table?, document?))
    })?;
    println!("{}\n{}", table.0, table.1);
    ensure!(table.1.contains("published over gRPC"), "{}", table.1);
    let document: Value = serde_json::from_str(&document.0).context(document.1)?;
    let row = |service: &str, dir: &str| {
        let rows = document["rows"].as_array().into_iter().flatten();
        let mut of = rows.filter(|row| row["service"] == service && row["dir"] == dir);
        of.next().with_context(|| format!("no row of {service}: {document}"))
    };
    let named = row("grpc-agent", "publish")?;
    ensure!(
        named["topic"] == TOPIC && named["why"][0]["code"] == "grpc-publish",
        "{named}"
    );
    let covered = named["covered"].as_f64().context("a share")?;
    ensure!((0.3..0.7).contains(&covered), "half of them go over HTTP: {named}");
    for (service, dir) in [("course-agent", "publish"), ("user-progress", "deliver")] {
        let row = row(service, dir)?;
        ensure!(
            row["covered"] == 1.0 && row["broker"].is_u64() && row["why"] == json!([]),
            "{row}"
        );
    }
    remove(target)
}

fn remove(target: &Target) -> Result<()> {
    expect(target, &["unenroll", "grpc-agent"], 0)?;
    let namespace = ["--namespace", SERVICES_NAMESPACE];
    let added = ["delete", "deployment/grpc-agent", "component/grpc-pubsub", "--wait"];
    target.run_kubectl(&[&namespace[..], &added].concat())?;
    let gone = ["wait", "--for=delete", "service/grpc-agent-dapr", "--timeout=60s"];
    target.run_kubectl(&[&namespace[..], &gone].concat())?;
    Ok(())
}
