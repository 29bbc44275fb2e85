//! Replays: each dead letter arrives once, as it was, whatever happens to the plugin.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::sidecar::{PUBSUB, Rig};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    Test,
    bench::{Said, Shop, Taken, until},
};

pub const TESTS: &[(&str, Test)] = &[
    ("replay::each_of_500_once_though_it_is_killed", killed),
    ("replay::a_broker_that_dies_and_ctrl_c", interrupted),
    ("replay::an_event_arrives_as_it_was", as_it_was),
    ("replay::what_cannot_be_sent_is_named", named),
    ("replay::what_dies_again_can_be_sent_again", again),
];

const KEYS: usize = 7;

fn killed(rig: &Rig) -> Result<()> {
    const EVENTS: usize = 500;
    let shop = Shop::open(rig, "killed", json!({}))?;
    shop.publish(0..EVENTS, |n| format!("metadata.partitionKey=k{}", n % KEYS))?;
    shop.wait_for_dead(EVENTS as i64)?;

    let dry = shop.replay(&["-o", "json"])?.ended(0)?.json()?;
    ensure!(
        dry["toSend"] == EVENTS && dry["sent"] == 0 && dry["dryRun"] == true,
        "{dry}"
    );
    shop.take_from_now_on();
    // SIGKILL, at whatever point it is.
    for (number, wanted) in [40, 41, 150, 260, 400].into_iter().enumerate() {
        let mut run = shop.command(&["replay", &shop.dead, "--from", &shop.topic, "--yes", "--rate", "200/s"])?;
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        until(&format!("{wanted} events"), || {
            (shop.taken().len() >= wanted).then_some(())
        })?;
        thread::sleep(Duration::from_millis(number as u64 * 3));
        run.kill()?;
        run.wait()?;
    }
    let before = shop.taken().len();
    ensure!(before < EVENTS, "it was killed too late to tell anything: {before}");
    let began = Instant::now();
    let rest = shop.replay(&["--yes", "--rate", "10000/s", "-o", "json"])?.ended(0)?;
    println!("the rest took {:.1} s", began.elapsed().as_secs_f64());
    println!(
        "killed 5 times, at {before} of {EVENTS}; then: {}",
        rest.out.replace('\n', "")
    );
    let rest = rest.json()?;
    ensure!(rest["sent"] == rest["toSend"] && rest["sentBefore"] != 0, "{rest}");

    shop.wait_for_taken(EVENTS)?;
    let once_more = shop.replay(&["--yes", "-o", "json"])?.ended(0)?.json()?;
    ensure!(
        once_more["sent"] == 0 && once_more["sentBefore"] == EVENTS,
        "{once_more}"
    );
    // What was sent twice would have come by now.
    thread::sleep(Duration::from_secs(2));
    let taken = shop.taken();
    let numbers: Vec<u64> = taken.iter().filter_map(|one| one.body["data"]["n"].as_u64()).collect();
    let different: BTreeSet<u64> = numbers.iter().copied().collect();
    ensure!(
        numbers.len() == EVENTS && different.len() == EVENTS,
        "{} events of {} numbers arrived",
        numbers.len(),
        different.len()
    );
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for n in numbers {
        let before = last.insert(n % KEYS as u64, n);
        ensure!(before.is_none_or(|before| before < n), "{n} came after {before:?}");
    }
    Ok(())
}

/// With a Kafka of its own, which the others would miss.
fn interrupted(_: &Rig) -> Result<()> {
    const EVENTS: usize = 200;
    let mut rig = Rig::start()?;
    let shop = Shop::open(&rig, "interrupted", json!({}))?;
    shop.publish(0..EVENTS, |_| String::new())?;
    shop.wait_for_dead(EVENTS as i64)?;
    shop.take_from_now_on();
    let start = || -> Result<Child> {
        let mut run = shop.command(&["replay", &shop.dead, "--from", &shop.topic, "--yes", "--rate", "100/s"])?;
        Ok(run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    };
    let run = start()?;
    until("40 events", || (shop.taken().len() >= 40).then_some(()))?;
    signal::kill(Pid::from_raw(i32::try_from(run.id())?), Signal::SIGINT)?;
    let said = Said::of(run.wait_with_output()?)?.ended(130)?;
    ensure!(said.err.contains("goes on where it stopped"), "{said:?}");

    let run = start()?;
    until("100 events", || (shop.taken().len() >= 100).then_some(()))?;
    rig.kafka_mut().kill();
    let said = Said::of(run.wait_with_output()?)?.ended(1)?;
    println!("{}", said.err);
    ensure!(said.err.contains("Run the same command again"), "{said:?}");
    rig.kafka_mut().start_again()?;
    let rest = until("a Kafka that answers", || {
        let said = shop.replay(&["--yes", "--rate", "1000/s", "-o", "json"]).ok()?;
        (said.code == 0).then_some(said)
    })?;
    println!("{}", rest.out.replace('\n', ""));
    shop.wait_for_taken(EVENTS)?;
    thread::sleep(Duration::from_secs(2));
    // What Kafka has is what was sent. Dapr may deliver one again that it was about to note as done when Kafka went away.
    let taken = shop.taken();
    let places: BTreeSet<_> = taken
        .iter()
        .map(|one| (&one.headers["__partition"], &one.headers["__offset"]))
        .collect();
    let different: BTreeSet<u64> = taken.iter().filter_map(|one| one.body["data"]["n"].as_u64()).collect();
    println!(
        "{} deliveries of {} messages with {} events",
        taken.len(),
        places.len(),
        different.len()
    );
    ensure!(different.len() == EVENTS && places.len() == EVENTS, "not each once");
    Ok(())
}

fn as_it_was(rig: &Rig) -> Result<()> {
    let wrapped = Shop::open(rig, "wrapped", json!({}))?;
    wrapped.take_from_now_on();
    wrapped.publish(0..1, |_| "metadata.partitionKey=first&metadata.lesson=math".into())?;
    let direct = wrapped.wait_for_taken(1)?.remove(0);
    wrapped.refuse_from_now_on();
    wrapped.publish(1..2, |_| "metadata.partitionKey=first&metadata.lesson=math".into())?;
    wrapped.wait_for_dead(1)?;
    let shown = wrapped
        .plugin(&["show", &wrapped.dead, "-o", "json"])?
        .ended(0)?
        .json()?;
    wrapped.take_from_now_on();
    wrapped.replay(&["--yes"])?.ended(0)?;
    let replayed = wrapped.wait_for_taken(2)?.remove(1);

    let dead: Value = serde_json::from_str(shown["deadLetters"][0]["body"].as_str().context("a body")?)?;
    ensure!(
        replayed.body == dead,
        "it died as {dead}, and arrived as {}",
        replayed.body
    );
    ensure!(replayed.body["data"] == json!({ "n": 1 }), "{replayed:?}");
    let names = |one: &Taken| one.headers.keys().cloned().collect::<BTreeSet<_>>();
    let (mut had, has) = (names(&direct), names(&replayed));
    ensure!(had.insert("learnflow-replay-of".into()), "{direct:?}");
    ensure!(had == has, "{had:?}\n{has:?}");
    for same in [
        "__key",
        "__partition",
        "__topic",
        "lesson",
        "partitionkey",
        "content-type",
    ] {
        ensure!(direct.headers[same] == replayed.headers[same], "{same}: {replayed:?}");
    }
    let origin = &shown["deadLetters"][0]["origin"];
    // Where it is now, not where it was: that is what Dapr would tell if the headers of its own were sent on.
    ensure!(
        replayed.headers["__offset"].parse().ok() != origin["offset"].as_i64(),
        "{replayed:?}"
    );
    let place = format!(
        "{}/{}/{}@{}",
        wrapped.topic, origin["partition"], origin["offset"], origin["timestamp"]
    );
    ensure!(
        replayed.headers["learnflow-replay-of"] == place,
        "{place}: {replayed:?}"
    );

    // Bytes without an envelope stay without one.
    let raw = Shop::open(rig, "raw", json!({ "rawPayload": "true" }))?;
    raw.publish(0..3, |_| "metadata.rawPayload=true".into())?;
    raw.wait_for_dead(3)?;
    raw.take_from_now_on();
    raw.replay(&["--yes"])?.ended(0)?;
    let taken = raw.wait_for_taken(3)?;
    for one in taken {
        ensure!(
            one.body["data_base64"].as_str().is_some_and(|data| data.len() == 12),
            "{one:?}"
        );
    }
    Ok(())
}

fn named(rig: &Rig) -> Result<()> {
    let shop = Shop::open(rig, "named", json!({}))?;
    shop.publish(0..2, |_| String::new())?;
    shop.publish(2..3, |_| "metadata.ttlInSeconds=1".into())?;
    // Whoever may publish may say anything about where an event comes from.
    shop.publish(3..4, |_| "metadata.__topic=payments".into())?;
    shop.wait_for_dead(4)?;
    thread::sleep(Duration::from_secs(1));
    let mut client = shop.sidecar.client()?;
    let path = format!("/v1.0/publish/{PUBSUB}/{}", shop.dead);
    let answer = client.send("POST", &path, &[("content-type", "text/plain")], b"by hand", false)?;
    ensure!(answer.status() == 204, "{answer:?}");
    shop.wait_for_dead(5)?;

    // No cluster says whose they are: then nothing is sent to anybody.
    let unknown = shop.plugin(&["replay", &shop.dead, "--yes"])?.ended(2)?;
    ensure!(unknown.err.contains("--from"), "{unknown:?}");
    shop.take_from_now_on();
    let told = shop.replay(&[])?.ended(1)?;
    println!("{}{}", told.out, told.err);
    for reason in ["expired", "payments", "do not say which topic"] {
        ensure!(told.err.contains(reason), "{reason}: {told:?}");
    }
    let sent = shop.replay(&["--yes", "-o", "json"])?.ended(1)?.json()?;
    ensure!(
        sent["sent"] == 2 && sent["notSent"].as_array().map(Vec::len) == Some(3),
        "{sent}"
    );
    let taken = shop.wait_for_taken(2)?;
    ensure!(taken.len() == 2, "{taken:?}");
    Ok(())
}

fn again(rig: &Rig) -> Result<()> {
    let shop = Shop::open(rig, "again", json!({}))?;
    shop.publish(0..3, |_| String::new())?;
    shop.wait_for_dead(3)?;
    // It is still the same app.
    sent(&shop.replay(&["--yes", "-o", "json"])?, 3, 0)?;
    shop.wait_for_dead(6)?;
    let shown = shop.plugin(&["show", &shop.dead, "-o", "json"])?.json()?;
    let replays = shown["deadLetters"].as_array().into_iter().flatten();
    let replays = replays.filter(|one| one["replayOf"].is_string()).count();
    ensure!(replays == 3, "{shown}");
    shop.take_from_now_on();
    sent(&shop.replay(&["--yes", "-o", "json"])?, 3, 3)?;
    let taken = shop.wait_for_taken(3)?;
    ensure!(taken.len() == 3, "{taken:?}");
    sent(&shop.replay(&["--yes", "-o", "json"])?, 0, 6)
}

fn sent(said: &Said, sent: usize, before: usize) -> Result<()> {
    let report = said.json()?;
    ensure!(
        said.code == 0 && report["sent"] == sent && report["sentBefore"] == before,
        "{said:?}"
    );
    Ok(())
}
