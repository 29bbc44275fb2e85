//! `trace` of what a real daprd wrote down and a real Kafka has, without a cluster.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use learnflow_tests::sidecar::Rig;
use serde_json::{Value, json};

use crate::{
    Test,
    bench::{Said, Shop, plugin},
};

pub const TESTS: &[(&str, Test)] = &[("trace::by_each_of_its_names", by_each_name)];

fn by_each_name(rig: &Rig) -> Result<()> {
    let shop = Shop::open(rig, "traced", json!({}))?;
    // No caller sends a traceparent: what was published when tells which is which.
    for n in 0..5 {
        shop.publish(n..n + 1, |_| String::new())?;
        thread::sleep(Duration::from_millis(50));
    }
    shop.wait_for_dead(5)?;
    let log = shop.sidecar.log_file();
    let server = rig.kafka().address().to_string();
    let trace = |asked: &str| traced(asked, log, &server);

    let delivered = deliveries(log)?;
    ensure!(delivered.len() >= 5, "{delivered:?}");
    let place = &delivered[0];
    let found = trace(place)?.ended(0)?.json()?;
    let of = |hop: &str| -> Vec<Value> {
        let steps = found["steps"].as_array().cloned().unwrap_or_default();
        steps.into_iter().filter(|step| step["hop"] == hop).collect()
    };
    println!("{found:#}");
    ensure!(of("broker").len() == 1, "{found:#}");
    ensure!(
        of("publish").len() == 1 && of("publish")[0]["likely"] == true,
        "{found:#}"
    );
    let refused = of("delivery");
    ensure!(
        !refused.is_empty() && refused.iter().all(|step| step["status"] == 500),
        "{found:#}"
    );
    // Its id and its trace lead to the same message.
    let id = found["events"][0].as_str().context("an id")?;
    let by_id = trace(id)?.ended(0)?.json()?;
    ensure!(by_id["places"] == found["places"], "{by_id:#}");
    if let Some(id) = found["trace"].as_str() {
        let by_trace = trace(id)?.ended(0)?.json()?;
        ensure!(by_trace["places"] == found["places"], "{by_trace:#}");
    }

    let far = format!("{}/0/4711", shop.topic);
    for (asked, why) in [
        (far.as_str(), "the next message will have offset"),
        ("traced.never/0/0", "Kafka has no topic traced.never"),
        ("no-such-id", "it is not among all"),
    ] {
        let said = trace(asked)?.ended(1)?;
        ensure!(said.out.contains(why), "{said:?}");
    }
    Ok(())
}

/// Places as `flow` prints them.
fn deliveries(log: &Path) -> Result<Vec<String>> {
    let mut command = plugin()?;
    command.args(["flow", "-o", "jsonl", "--file"]).arg(log);
    let said = Said::of(command.output()?)?.ended(0)?;
    let events = said.out.lines().map(serde_json::from_str::<Value>);
    let events: Vec<Value> = events.collect::<Result<_, _>>()?;
    let delivered = events.iter().filter(|event| event["dir"] == "deliver");
    Ok(delivered
        .map(|event| {
            let topic = event["topic"].as_str().unwrap_or_default();
            format!("{topic}[{}]@{}", event["partition"], event["offset"])
        })
        .collect())
}

fn traced(asked: &str, log: &Path, server: &str) -> Result<Said> {
    let mut command = plugin()?;
    command
        .args(["trace", asked, "-o", "json", "--bootstrap", server, "--file"])
        .arg(log);
    Said::of(command.output()?)
}
