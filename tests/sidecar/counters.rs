//! What a real daprd counts, against its records: `kubectl learnflow coverage` rests on it.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};
use learnflow_core::{Direction, Outcome, Record};
use learnflow_tests::{
    exposition, grpc,
    http::{Answer, Client},
    sidecar::{Middleware, PUBSUB, Rig, Sidecar, app},
};
use serde_json::json;

use crate::Test;

pub const TESTS: &[(&str, Test)] = &[
    ("counters::a_grpc_publish_is_counted_and_has_no_record", grpc_publish),
    ("counters::what_an_app_takes_is_counted_once", deliveries),
];

fn grpc_publish(rig: &Rig) -> Result<()> {
    let sidecar = rig.sidecar(Middleware::installed()?).app_id("two-ways").start()?;
    let mut client = Client::new(sidecar.api())?;
    for path in ["publish/kafka-pubsub/ways", "publish/kafka-pubsub/ways"] {
        let answer = client.send("POST", &format!("/v1.0/{path}"), &[], b"{}", false)?;
        ensure!(answer.status() == 204, "{answer:?}");
    }
    for _ in 0..3 {
        grpc::publish(&sidecar.grpc(), PUBSUB, "ways", "{}")?;
    }
    ensure!(
        grpc::publish(&sidecar.grpc(), "nobody", "ways", "{}").is_err(),
        "no such Component"
    );
    let published = |record: &&Record| record.direction == Direction::Publish;
    let records = sidecar.records()?.iter().filter(published).count();
    ensure!(records == 2, "{records} records");
    ensure!(
        count(
            &sidecar,
            "dapr_component_pubsub_egress_count",
            &[("topic", "ways"), ("success", "true")]
        )? == 5.0
    );
    let method = ("grpc_server_method", "/dapr.proto.runtime.v1.Dapr/PublishEvent");
    let ok = ("grpc_server_status", "OK");
    ensure!(count(&sidecar, "dapr_grpc_io_server_completed_rpcs", &[method, ok])? == 3.0);
    Ok(())
}

/// The first delivery is refused, and one event is none that can be delivered.
fn deliveries(rig: &Rig) -> Result<()> {
    let asked = AtomicU32::new(0);
    let app = app(
        json!([
            {"pubsubname": PUBSUB, "topic": "tried", "route": "/tried"},
            {"pubsubname": PUBSUB, "topic": "tried.bulk", "route": "/bulk", "bulkSubscribe": {"enabled": true}},
        ]),
        move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Answer::new(500, ""),
            _ => Answer::new(200, ""),
        },
    )?;
    let sidecar = rig.sidecar(Middleware::installed()?).app_id("tries").app(app).start()?;
    let mut client = Client::new(sidecar.api())?;
    for (path, body) in [
        ("publish/kafka-pubsub/tried", "{}"),
        ("publish/kafka-pubsub/tried", "{}"),
        ("publish/kafka-pubsub/tried?metadata.ttlInSeconds=0", "{}"),
        (
            "publish/bulk/kafka-pubsub/tried.bulk",
            r#"[{"entryId":"1","event":"a","contentType":"text/plain"},{"entryId":"2","event":"b","contentType":"text/plain"}]"#,
        ),
    ] {
        let answer = client.send(
            "POST",
            &format!("/v1.0/{path}"),
            &[("content-type", "application/json")],
            body.as_bytes(),
            false,
        )?;
        ensure!(answer.status() == 204, "{answer:?}");
    }
    let records = sidecar.wait("four deliveries", || {
        let mut records = sidecar.records().ok()?;
        records.retain(|record| record.direction == Direction::Deliver);
        (records.len() >= 4).then_some(records)
    })?;
    let taken = |record: &&Record| !record.bulk && record.outcome == Outcome::Success;
    ensure!(records.iter().filter(taken).count() == 2, "{records:?}");
    ensure!(records.iter().filter(|record| record.bulk).count() == 1, "{records:?}");
    let of = |status| [("topic", "tried"), ("process_status", status)];
    let counted = |status| count(&sidecar, "dapr_component_pubsub_ingress_count", &of(status));
    let counts = (counted("success")?, counted("retry")?, counted("drop")?);
    // The attempt that failed is there twice, and the event that was too old is dropped.
    ensure!(counts == (2.0, 2.0, 1.0), "{counts:?}");
    // An attempt of less than a millisecond is not in the latencies.
    let latencies = count(
        &sidecar,
        "dapr_component_pubsub_ingress_latencies_count",
        &of("success"),
    )?;
    ensure!(latencies <= 2.0, "{latencies} latencies");
    // The Component is not in it: Dapr writes the name of a field there.
    let bulk = [("topic", "tried.bulk"), ("component", "pubsubName")];
    let calls = count(&sidecar, "dapr_component_pubsub_ingress_bulk_count", &bulk)?;
    ensure!(calls == 1.0, "{calls} bulk calls");
    Ok(())
}

fn count(sidecar: &Sidecar, metric: &str, labels: &[(&str, &str)]) -> Result<f64> {
    let series = exposition::series(&sidecar.metrics()?, metric)?;
    let of = |series: &&(exposition::Labels, f64)| {
        labels
            .iter()
            .all(|(name, value)| series.0.get(*name).is_some_and(|have| have == value))
    };
    Ok(series.iter().filter(of).map(|(_, value)| value).sum())
}
