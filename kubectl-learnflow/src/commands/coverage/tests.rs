use super::*;
use crate::{
    cli::{Cli, Verb},
    cluster::fake::Fake,
    coverage::Why,
    printer::tests::captured,
};
use clap::Parser;
use learnflow_core::Direction;
use serde_json::{Value, json};

fn args(line: &[&str]) -> Coverage {
    let cli = Cli::try_parse_from([&["x", "coverage"], line].concat()).expect("good flags");
    match cli.verb {
        Verb::Coverage(args) => args,
        _ => panic!("another verb"),
    }
}

fn row(service: &str, topic: &str, covered: Option<f64>, why: Vec<Why>) -> Row {
    Row {
        service: service.into(),
        pubsub: "kafka-pubsub".into(),
        topic: topic.into(),
        dir: Direction::Publish,
        broker: None,
        sidecar: Some(10),
        records: Some(9),
        spans: None,
        covered,
        why,
    }
}

#[test]
fn what_cannot_be_asked_is_named_and_is_no_zero() {
    let fake = Fake::sound();
    let (evidence, notes) = fake.run(async |cluster| {
        let mut scene = Scene::open(cluster, Duration::from_secs(1)).await.expect("a scene");
        let first = scene.look().await.expect("a look");
        let second = scene.look().await.expect("a look");
        (scene.evidence(&first, &second), scene.notes)
    });
    let named = |what: &str| notes.iter().any(|note| note.contains(what));
    assert!(named("The Kafka of Component kafka-pubsub is not seen: "), "{notes:?}");
    assert!(named(" subscribes to is not known: "), "{notes:?}");
    assert!(named("Pod cart-pod is not counted: "), "{notes:?}");
    assert!(evidence.grown.is_empty());
    assert!(evidence.sidecars.iter().all(|one| one.counted.is_none()));
    assert_eq!(evidence.rows(), []);
}

#[test]
fn without_a_kafka_there_is_nothing_to_look_at() {
    let fake = Fake::sound();
    fake.remove("/apis/dapr.io/v1alpha1/namespaces/shop/components/kafka-pubsub");
    let opened = fake.run(async |cluster| Scene::open(cluster, Duration::from_secs(1)).await.map(|_| ()));
    let problem = opened.expect_err("no Kafka");
    assert_eq!(problem.what, "Namespace shop has no Component of type pubsub.kafka.");
}

#[test]
fn the_least_share_decides_about_the_exit_code() {
    let (printer, _, err) = captured();
    let rows = [
        row("a", "t", Some(1.0), vec![]),
        row("b", "t", Some(0.985), vec![]),
        row("c", "t", None, vec![]),
    ];
    let ended = |rows: &[Row], line: &[&str]| verdict(rows, &args(line), &printer);
    assert_eq!(ended(&rows, &[]), Ok(Outcome::Good));
    assert_eq!(ended(&rows, &["--min=98%"]), Ok(Outcome::Good));
    assert_eq!(ended(&rows, &["--min=0.99"]), Ok(Outcome::Bad));
    assert_eq!(
        err.text(),
        "√ 2 rows, each with at least 98%\n× 1 of 2 rows with less than 99%\n"
    );
    assert!(ended(&rows[2..], &["--min=98%"]).is_err(), "nothing is known");
    assert!(ended(&[], &["--min=98%"]).is_err(), "nothing happened");
    assert_eq!(ended(&[], &[]), Ok(Outcome::Good));
}

#[test]
fn rows_are_chosen_by_service_and_topic() {
    let meant = |line: &[&str]| is_meant(&row("cart", "orders.new", None, vec![]), &args(line));
    assert!(meant(&[]));
    assert!(meant(&["--topic=orders.*", "--service=cart"]));
    assert!(!meant(&["--topic=orders"]));
    assert!(!meant(&["--service=web"]));
}

#[test]
fn a_reason_stands_in_the_row_and_what_to_do_below() {
    let rows = [
        row("cart", "t\u{1b}[2J", Some(0.9), vec![Why::GrpcPublish(1)]),
        row("web", "t", Some(0.9), vec![Why::GrpcPublish(1)]),
    ];
    let (printer, out, err) = captured();
    show::rows(&rows, &[], &args(&[]), &printer).expect("printed");
    assert_eq!(
        out.text(),
        "SERVICE   TOPIC        DIR       BROKER   SIDECAR   RECORDS   SPANS   COVERED   WHY\n\
         cart      t\\u{1b}[2J   publish   -        10        9         -       90.00%    1 published over gRPC\n\
         web       t            publish   -        10        9         -       90.00%    1 published over gRPC\n"
    );
    let said = err.text();
    assert!(
        said.starts_with("‼ cart → t\\u{1b}[2J: 1 published over gRPC\n    A publish over gRPC "),
        "{said}"
    );
    assert_eq!(said.lines().count(), 2, "the same advice once: {said}");

    let (printer, out, _) = captured();
    show::rows(
        &rows[1..],
        &["no spans".into()],
        &args(&["-o", "json", "--min=99%"]),
        &printer,
    )
    .expect("printed");
    let document: Value = serde_json::from_str(&out.text()).expect("JSON");
    assert_eq!(document["rows"][0]["why"][0]["code"], "grpc-publish");
    assert_eq!(document["rows"][0].get("broker"), None, "not known is absent");
    assert_eq!(
        (&document["min"], &document["notes"][0]),
        (&json!(0.99), &json!("no spans"))
    );
}
