//! The way of single events among those of the line: each with all its parts, by each of its names.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learnflow_core::{Direction, Record};
use learnflow_tests::{OUR_NAMESPACES, SERVICES_NAMESPACE, Target, records};
use serde_json::Value;

use crate::{expect, rbac};

const TWENTY: usize = 20;
/// What each way has: the part, who did it, what it is called, and who tells of it.
const HOPS: [(&str, &str, &str, &[&str]); 5] = [
    ("request", "frontend", "", &["span"]),
    ("publish", "course-agent", "lesson.generated", &["record", "span"]),
    ("broker", "Kafka", "lesson.generated[", &["Kafka"]),
    ("delivery", "user-progress", "lesson.generated[", &["record", "span"]),
    ("database", "user-progress", "INSERT lessons", &["span"]),
];

pub fn finds_each_of_twenty(target: &Target) -> Result<()> {
    let mut delivered = records(target, "user-progress", Direction::Deliver)?;
    delivered.sort_by_key(|record| (record.partition, record.offset));
    let every = delivered.len() / TWENTY;
    ensure!(every > 0, "{} deliveries", delivered.len());
    let partitions = delivered
        .iter()
        .filter_map(|record| record.partition)
        .max()
        .unwrap_or(0)
        + 1;
    // The newest spans come each five seconds, and are judged after another one.
    let began = Instant::now();
    let last = delivered.last().context("a delivery")?;
    while let Err(error) = whole(target, &place(last)?, last) {
        ensure!(began.elapsed() < Duration::from_secs(40), "{error:?}");
        thread::sleep(Duration::from_secs(2));
    }
    let chosen: Vec<&Record> = delivered.iter().step_by(every).take(TWENTY).collect();
    let mut seen: Vec<u32> = chosen.iter().filter_map(|record| record.partition).collect();
    seen.dedup();
    ensure!(seen.len() == partitions as usize, "partitions {seen:?} of {partitions}");
    for (n, record) in chosen.iter().enumerate() {
        let document = whole(target, &place(record)?, record)?;
        let id = document["events"][0].as_str().context("the id of the event")?;
        let trace = record.trace.context("a trace")?;
        match n % 4 {
            1 => drop(whole(target, trace.as_str(), record)?),
            2 => drop(whole(target, id, record)?),
            _ => {}
        }
    }
    let (printed, _) = expect(target, &["trace", &place(last)?], 0)?;
    println!("{printed}");
    unknown_ones_are_1(target, last)?;
    without_kafka_the_rest_is_shown(target, last)
}

/// As `flow` prints it.
fn place(record: &Record) -> Result<String> {
    let partition = record.partition.context("a partition")?;
    let offset = record.offset.context("an offset")?;
    Ok(format!("{}[{partition}]@{offset}", record.topic.as_str()))
}

fn whole(target: &Target, asked: &str, record: &Record) -> Result<Value> {
    let (printed, said) = expect(target, &["trace", asked, "--output=json"], 0)?;
    let document: Value = serde_json::from_str(&printed).context(said)?;
    let what = || format!("{asked}: {document:#}");
    let empty = document["missing"].as_array().is_some_and(Vec::is_empty);
    ensure!(empty, "something is missing of {}", what());
    ensure!(document["places"][0]["offset"].as_u64() == record.offset, "{}", what());
    ensure!(
        document["trace"].as_str() == record.trace.as_ref().map(|trace| trace.as_str()),
        "{}",
        what()
    );
    let steps = document["steps"].as_array().with_context(what)?;
    for (hop, service, called, sources) in HOPS {
        let fits = |step: &&Value| {
            step["hop"] == hop
                && step["service"] == service
                && step["what"].as_str().is_some_and(|what| what.contains(called))
        };
        let step = steps
            .iter()
            .find(fits)
            .with_context(|| format!("no {hop} of {service} in {}", what()))?;
        let told = sources.iter().all(|source| {
            step["from"]
                .as_array()
                .is_some_and(|from| from.contains(&(*source).into()))
        });
        ensure!(told, "not {sources:?} tell of {step}");
        ensure!(hop == "broker" || step["outcome"] == "success", "{step}");
    }
    // What comes later stands later; a service calls its database within the delivery.
    let order: Vec<usize> = HOPS
        .iter()
        .filter_map(|(hop, ..)| steps.iter().position(|step| step["hop"] == *hop))
        .collect();
    ensure!(order.is_sorted(), "{}", what());
    Ok(document)
}

/// Nothing is made up for them.
fn unknown_ones_are_1(target: &Target, last: &Record) -> Result<()> {
    let far = format!("{}/0/123456789", last.topic.as_str());
    for (asked, why) in [
        (far.as_str(), "the next message will have offset"),
        ("ffffffffffffffffffffffffffffffff", "the trace store has none of trace"),
        ("no-such-id", "it is not among all"),
    ] {
        let (printed, said) = expect(target, &["trace", asked], 1)?;
        ensure!(printed.is_empty() && said.contains(why), "{asked}: {printed}{said}");
    }
    Ok(())
}

/// The role that `rbac trace` prints has nothing of the namespace that Kafka is in.
fn without_kafka_the_rest_is_shown(target: &Target, record: &Record) -> Result<()> {
    let user = rbac::user_of(target, "trace")?;
    let (printed, _) = expect(target, &["trace", &place(record)?, "--output=json", "--as", &user], 0)?;
    let document: Value = serde_json::from_str(&printed)?;
    let missing = document["missing"].as_array().context("what is missing")?;
    ensure!(missing.len() == 1 && missing[0]["what"] == "broker", "{document:#}");
    let has = |hop: &str| {
        document["steps"]
            .as_array()
            .is_some_and(|steps| steps.iter().any(|step| step["hop"] == hop))
    };
    ensure!(has("publish") && has("delivery") && has("database"), "{document:#}");
    for namespace in [&[SERVICES_NAMESPACE][..], &OUR_NAMESPACES].concat() {
        let namespace = format!("--namespace={namespace}");
        let gone = [
            "delete",
            "role,rolebinding",
            "learnflow-test-trace",
            "--ignore-not-found",
            &namespace,
        ];
        target.run_kubectl(&gone)?;
    }
    Ok(())
}
