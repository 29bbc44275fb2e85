//! Sidecars that start while Kafka is away, as those of pods that are rolled, moved or added in an outage.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use learnflow_tests::{
    http,
    sidecar::{Middleware, PUBSUB, Rig, Setup, Sidecar},
};

use crate::policies;

/// It ends by itself, with a code that is not 0, and starts once Kafka is back.
pub fn start_while_kafka_refuses(rig: &mut Rig) -> Result<String> {
    rig.kafka_mut().kill();
    let ended = ends(rig);
    rig.kafka_mut().start_again()?;
    let ended = ended?;
    Ok(format!("ends after {:.1} s; {}", ended.as_secs_f64(), starts(rig)?))
}

/// While nothing is answered it neither ends nor gets ready. When Kafka answers again it ends, since that was too late, and one
/// that is started then is ready.
pub fn start_while_kafka_hangs(rig: &mut Rig) -> Result<String> {
    const WAITS: Duration = Duration::from_secs(20);
    rig.kafka().hold(true)?;
    let sidecar = setup(rig)?.launch();
    thread::sleep(WAITS);
    let early = sidecar.as_ref().is_ok_and(is_ready);
    rig.kafka().hold(false)?;
    let began = Instant::now();
    ensure!(!early, "it was ready without Kafka");
    let status = sidecar?.wait_for_end()?;
    ensure!(!status.success(), "it ended well");
    Ok(format!(
        "neither ready nor ended after {} s; ends {:.1} s after Kafka answers again; {}",
        WAITS.as_secs(),
        began.elapsed().as_secs_f64(),
        starts(rig)?
    ))
}

fn is_ready(sidecar: &Sidecar) -> bool {
    http::get(sidecar.api(), "/v1.0/healthz").is_ok_and(|answer| answer.status() == 204)
}

fn ends(rig: &Rig) -> Result<Duration> {
    let began = Instant::now();
    let sidecar = setup(rig)?.launch()?;
    let status = sidecar.wait_for_end()?;
    ensure!(!status.success(), "it ended well");
    ensure!(
        sidecar.log().contains(PUBSUB),
        "its last words do not name the component"
    );
    Ok(began.elapsed())
}

fn starts(rig: &Rig) -> Result<String> {
    let began = Instant::now();
    let sidecar = setup(rig)?.start()?;
    let path = format!("/v1.0/publish/{PUBSUB}/pods");
    let answer = sidecar.client()?.send("POST", &path, &[], b"{}", false)?;
    ensure!(answer.status() == 204, "{answer:?}");
    Ok(format!(
        "with Kafka back, one publishes {:.1} s after its start",
        began.elapsed().as_secs_f64()
    ))
}

fn setup(rig: &Rig) -> Result<Setup<'_>> {
    Ok(rig
        .sidecar(Middleware::installed()?)
        .app_id("pods")
        .resource(policies::shipped()?))
}
