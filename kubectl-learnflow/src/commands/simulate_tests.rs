use super::*;
use crate::{
    cli::{Cli, Verb},
    cluster::fake::Fake,
    printer::tests::captured,
    testing::same_as_file,
};
use clap::Parser;
use serde_json::{Value, json};

const QUERY: &str = "/api/v1/namespaces/learnflow-system/services/http:prometheus:9090/proxy/api/v1/query";
const RESILIENCIES: &str = "/apis/dapr.io/v1alpha1/namespaces/shop/resiliencies";

fn arguments(line: &[&str]) -> (Simulate, Global) {
    let cli = Cli::try_parse_from([&["x", "simulate"], line].concat()).expect("good flags");
    match cli.verb {
        Verb::Simulate(args) => (args, cli.global),
        _ => panic!("another verb"),
    }
}

/// Without a cluster: how it ended, and what it printed.
fn simulated(line: &[&str]) -> (Result<Outcome, Problem>, String, String) {
    let (printer, out, err) = captured();
    let (args, global) = arguments(line);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let ended = runtime.block_on(run(&args, &global, &printer));
    (ended, out.text(), err.text())
}

/// With the policies of a cluster.
fn in_cluster(fake: &Fake, line: &[&str]) -> (Result<Outcome, Problem>, String, String) {
    let (printer, out, err) = captured();
    let (args, _) = arguments(line);
    let ended = fake.run(async |cluster| of_cluster(cluster, &args, &printer).await);
    (ended, out.text(), err.text())
}

fn resiliency(name: &str, scopes: &[&str], retries: u32) -> Value {
    json!({
        "metadata": { "name": name },
        "scopes": scopes,
        "spec": {
            "policies": { "retries": { "publish": { "policy": "constant", "duration": "1s", "maxRetries": retries } } },
            "targets": { "components": { "kafka-pubsub": { "outbound": { "retry": "publish" } } } },
        },
    })
}

fn rates(of: &[(&str, &str)]) -> Value {
    let series = of
        .iter()
        .map(|(app, rate)| json!({ "metric": { "app_id": app, "component": "kafka-pubsub" }, "value": [1, rate] }));
    json!({ "status": "success", "data": { "result": series.collect::<Vec<_>>() } })
}

#[test]
fn what_is_printed() {
    let textbook = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases/simulate/textbook.yaml");
    for (name, line, outcome) in [
        ("shipped", &["--shipped", "--rate=50/s"][..], Outcome::Good),
        ("textbook", &["-f", textbook, "--rate=5/s"], Outcome::Bad),
        (
            "beyond",
            &["--shipped", "--rate=20/s", "--outage=90s", "--budget=30s"],
            Outcome::Bad,
        ),
        (
            "flap",
            &["-f", textbook, "--rate=20/s", "--mode=flap", "--period=3s", "--runs=5"],
            Outcome::Bad,
        ),
        (
            "hang",
            &["-f", textbook, "--rate=20/s", "--mode=hang", "--outage=10s", "--random"],
            Outcome::Bad,
        ),
        ("fit", &["-f", textbook, "--rate=20/s", "--fit"], Outcome::Good),
    ] {
        let (ended, out, err) = simulated(line);
        assert_eq!(ended, Ok(outcome), "{name}: {err}");
        assert_eq!(err, "");
        same_as_file(&format!("tests/cases/simulate/{name}.txt"), &out);
    }
}

#[test]
fn a_proposal_holds_what_it_promises_and_is_read_by_dapr_rules() {
    let (ended, yaml, _) = simulated(&["--shipped", "--rate=20/s", "--outage=10s", "--fit", "-o", "yaml"]);
    assert_eq!(ended, Ok(Outcome::Good));
    let file = std::env::temp_dir().join(format!("learnflow-proposal-{}.yaml", std::process::id()));
    std::fs::write(&file, &yaml).expect("written");
    let path = file.to_string_lossy().into_owned();
    let (ended, out, err) = simulated(&["-f", &path, "--rate=20/s", "--outage=30s", "--budget=10s", "--seed=77"]);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(ended, Ok(Outcome::Good), "{yaml}{out}{err}");
}

#[test]
fn the_same_seed_prints_the_same_and_json_says_all() {
    let line = ["--shipped", "--rate=20/s", "--outage=5s", "-o", "json", "--seed=3"];
    let (ended, first, _) = simulated(&line);
    assert_eq!(ended, Ok(Outcome::Good));
    assert_eq!(simulated(&line).1, first);
    let said: Value = serde_json::from_str(&first).expect("JSON");
    let run = &said["answers"][0]["run"];
    let number = |field: &str| run[field].as_u64().expect(field);
    assert_eq!(number("accepted") + number("refused"), number("published"));
    assert_eq!(said["holds"], true);
    let timeline = run["timeline"].as_array().expect("a timeline");
    let published: u64 = timeline.iter().filter_map(|slice| slice["published"].as_u64()).sum();
    assert_eq!(published, number("published"));
}

#[test]
fn the_policies_of_the_cluster_and_the_rates_that_prometheus_knows() {
    let fake = Fake::sound();
    fake.service("mail");
    fake.service("quiet");
    fake.put(&format!("{RESILIENCIES}/cart"), resiliency("cart", &["cart"], 60));
    fake.put(&format!("{RESILIENCIES}/mail"), resiliency("mail", &["mail"], 2));
    fake.answer(QUERY, 200, rates(&[("cart", "12.5"), ("mail", "0.5"), ("gone", "3")]));
    let (ended, out, err) = in_cluster(&fake, &[]);
    // The one with two retries refuses.
    assert_eq!(ended, Ok(Outcome::Bad), "{err}");
    for words in [
        "cart → kafka-pubsub\nretries every 1s, 60 times",
        "12.5/s",
        "mail → kafka-pubsub",
        "0.5/s",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(!out.contains("quiet") && !out.contains("gone"), "{out}");
    let (ended, out, _) = in_cluster(&fake, &["--app=cart", "--rate=5/s"]);
    assert_eq!(ended, Ok(Outcome::Good));
    assert!(out.contains("Kafka refuses connections for 30s; 5/s"), "{out}");
    assert!(fake.all_writes().is_empty());
}

#[test]
fn without_a_known_rate_nothing_is_guessed() {
    let fake = Fake::sound();
    fake.answer(QUERY, 200, rates(&[]));
    let (ended, ..) = in_cluster(&fake, &[]);
    let problem = ended.expect_err("no rate");
    assert_eq!(
        problem.what,
        "No sidecar of this namespace has published in the last day."
    );
    assert!(problem.next.is_some_and(|next| next.contains("--rate 5/s")));
    // No policy at all: one attempt, and no breaker.
    let (ended, out, _) = in_cluster(&fake, &["--rate=5/s"]);
    assert_eq!(ended, Ok(Outcome::Bad));
    assert!(out.contains("no policy: one attempt"), "{out}");
}

#[test]
fn a_component_that_is_not_there_is_named() {
    let fake = Fake::sound();
    let (ended, ..) = in_cluster(&fake, &["--component=rabbit", "--rate=5/s"]);
    let problem = ended.expect_err("no component");
    assert_eq!(problem.what, "There is no Kafka component rabbit.");
    assert_eq!(problem.next.as_deref(), Some("There is kafka-pubsub."));
}
