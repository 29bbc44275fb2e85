use crate::{
    cluster::fake::Fake,
    commands::install::tests::{install, installed},
    model::Outcome,
};
use serde_json::json;

const KAFKA: &str = "/apis/dapr.io/v1alpha1/namespaces/shop/components/kafka-pubsub";

#[test]
fn the_collector_that_asks_kafka_follows_the_component() {
    let fake = installed();
    let collector = "/apis/apps/v1/namespaces/shop/deployments/collector-kafka";
    let secret = "/api/v1/namespaces/shop/secrets/collector-kafka";
    assert!(fake.get(collector).is_some() && fake.get(secret).is_some());
    // The password moves to a Secret of theirs.
    let theirs = json!([
        { "name": "brokers", "value": "kafka.kafka:9092" }, { "name": "authType", "value": "password" },
        { "name": "saslUsername", "value": "shop" },
        { "name": "saslPassword", "secretKeyRef": { "name": "kafka", "key": "password" } },
    ]);
    fake.change(KAFKA, &json!({ "spec": { "metadata": theirs } }));
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(fake.get(secret).is_none(), "{}", ended.err);
    assert!(
        ended.err.contains("removed Secret shop/collector-kafka"),
        "{}",
        ended.err
    );
    // And then there is a login that it does not know.
    let oidc = json!([{ "name": "brokers", "value": "kafka.kafka:9092" }, { "name": "authType", "value": "oidc" }]);
    fake.change(KAFKA, &json!({ "spec": { "metadata": oidc } }));
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let why = "The Kafka of Component shop/kafka-pubsub is not asked for lag: its authType is oidc";
    assert!(ended.err.contains(why), "{}", ended.err);
    assert!(
        fake.paths().iter().all(|path| !path.contains("collector-kafka")),
        "{}",
        ended.err
    );
    // Whoever asks for nothing else is told that there is nothing.
    let ended = install(&fake, &["--only=kafka"]);
    assert!(ended.result.is_err(), "{}", ended.err);
}

#[test]
fn it_needs_nothing_else_and_a_deployment_of_that_name_is_left_alone() {
    let fake = Fake::sound();
    let ended = install(&fake, &["--only=kafka"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(
        fake.writes().iter().all(|write| write.contains("collector-kafka")),
        "{:#?}",
        fake.writes()
    );
    let fake = Fake::sound();
    fake.service("collector-kafka");
    let ended = install(&fake, &["--only=kafka"]);
    assert!(ended.result.is_err());
    assert!(
        ended
            .err
            .contains("Deployment shop/collector-kafka exists already and is not LearnFlow's"),
        "{}",
        ended.err
    );
}
