use super::*;
use crate::model::Service;

fn component(metadata: Value) -> Component {
    let mut all = json!([{ "name": "brokers", "value": "kafka:9092" }, { "name": "authType", "value": "none" }]);
    if let (Some(all), Value::Array(more)) = (all.as_array_mut(), metadata) {
        all.extend(more);
    }
    Component::read("events", &json!({ "spec": { "metadata": all } }))
}

/// A service `cart` that is sent these topics, of which Kafka has so many partitions each.
fn seen(metadata: Value, topics: &[&str], partitions: &[(&str, usize)]) -> (Service, Scaling) {
    let service = Service {
        name: "cart".into(),
        app_id: Some("cart-app".into()),
        ..Service::default()
    };
    let topics = topics.iter().map(|topic| ("events".to_owned(), (*topic).to_owned()));
    let partitions = partitions
        .iter()
        .map(|(topic, count)| (("events".to_owned(), (*topic).to_owned()), *count));
    let seen = Scaling {
        consumed: BTreeMap::from([("cart-app".to_owned(), topics.collect())]),
        lag: Lag {
            told: Told::Metric,
            components: vec![component(metadata)],
            partitions: partitions.collect(),
        },
        ..Scaling::default()
    };
    (service, seen)
}

fn consumer(metadata: Value, topics: &[&str], partitions: &[(&str, usize)]) -> Consumer {
    let (service, seen) = seen(metadata, topics, partitions);
    Consumer::of("shop", &service, &seen).expect("a consumer")
}

fn said(consumer: &Consumer, range: Range) -> Vec<String> {
    let checks = consumer.checks("Deployment shop/cart", range, None, &Told::Metric);
    checks.into_iter().map(|check| check.text).collect()
}

const WANTED: Range = Range { min: 1, max: 3 };

#[test]
fn the_group_is_what_dapr_makes_of_the_component() {
    let group = |metadata: Value| {
        let consumer = consumer(metadata, &["orders"], &[]);
        consumer.readings.first().map(|reading| reading.group.clone())
    };
    let setting = |name: &str, value: &str| json!([{ "name": name, "value": value }]);
    for (metadata, expected) in [
        (json!([]), Some("cart-app")),
        (setting("consumerID", "one"), Some("one")),
        (setting("consumerGroup", "{appID}"), Some("cart-app")),
        (setting("consumergroup", "{namespace}.{appID}"), Some("shop.cart-app")),
        (
            json!([{ "name": "consumerID", "value": "a" }, { "name": "consumerGroup", "value": "b" }]),
            Some("b"),
        ),
        // Each pod has its own, or nobody can say.
        (setting("consumerID", "{uuid}"), None),
        (setting("consumerGroup", "{podName}"), None),
        (
            json!([{ "name": "consumerGroup", "secretKeyRef": { "name": "s", "key": "k" } }]),
            None,
        ),
        // Longer than a label's value may be.
        (setting("consumerGroup", &"g".repeat(64)), None),
        (setting("consumerGroup", "a group"), None),
    ] {
        assert_eq!(group(metadata.clone()).as_deref(), expected, "{metadata}");
    }
}

#[test]
fn who_cannot_be_followed_is_told_why() {
    let consumer = consumer(
        json!([{ "name": "consumerID", "value": "{uuid}" }]),
        &["orders"],
        &[("orders", 3)],
    );
    let said = said(&consumer, WANTED).join("\n");
    assert!(
        said.contains("is not scaled by the lag of Component events: its consumerID has {uuid}"),
        "{said}"
    );
    // The bound holds all the same.
    assert_eq!(consumer.bounded(Range { min: 1, max: 9 }).max, 3);
}

#[test]
fn a_topic_with_most_partitions_bounds_the_pods() {
    let consumer = consumer(json!([]), &["orders", "refunds"], &[("orders", 2), ("refunds", 6)]);
    assert_eq!(consumer.bounded(Range { min: 1, max: 9 }), Range { min: 1, max: 6 });
    assert_eq!(consumer.bounded(WANTED), WANTED);
    assert_eq!(said(&consumer, WANTED), Vec::<String>::new());
    let nine = said(&consumer, Range { min: 1, max: 9 });
    assert_eq!(
        nine,
        ["Deployment shop/cart gets at most 6 pods and not 9: topic refunds has 6 partitions"]
    );
    let asked = consumer.checks("Deployment shop/cart", Range { min: 1, max: 9 }, Some(9), &Told::Metric);
    assert_eq!(
        (asked.len(), asked[0].mark),
        (1, crate::printer::Mark::Bad),
        "what was asked for is refused"
    );
    assert!(
        asked[0]
            .text
            .contains("9 pods at the most are more than topic refunds has partitions, which is 6")
    );
    // What runs is never taken away.
    let eight = Range { min: 8, max: 8 };
    assert_eq!(consumer.bounded(eight), eight);
    assert_eq!(
        said(&consumer, eight),
        ["Deployment shop/cart runs 8 pods, and topic refunds has 6 partitions: 2 idle"]
    );
}

#[test]
fn what_is_not_known_bounds_nothing_and_is_said() {
    let consumer = consumer(json!([]), &["orders", "refunds"], &[("orders", 2)]);
    assert_eq!(consumer.bounded(Range { min: 1, max: 9 }).max, 9);
    assert!(said(&consumer, WANTED)[0].ends_with("how many partitions there are is not known yet of refunds"));
}

#[test]
fn one_partition_is_for_one_pod() {
    let one = consumer(json!([]), &["orders"], &[("orders", 1)]);
    assert!(one.alone().expect("alone").0.contains("topic orders has 1 partition"));
    assert_eq!(consumer(json!([]), &["orders"], &[("orders", 2)]).alone(), None);
    assert_eq!(consumer(json!([]), &["orders"], &[]).alone(), None);
}

#[test]
fn a_metric_names_the_group_and_the_topics_that_are_read() {
    let template = super::super::template::Role::Consumer.template().expect("the manifest");
    let one = consumer(json!([]), &["orders"], &[]).metrics(template.value());
    let selector = |metrics: &[Value]| metrics[0]["external"]["metric"]["selector"].clone();
    assert_eq!(one.len(), 1);
    assert_eq!(
        selector(&one),
        json!({ "matchLabels": { "group": "cart-app", "learnflow_pubsub_name": "events", "topic": "orders" } })
    );
    let two = consumer(json!([]), &["orders", "refunds"], &[]).metrics(template.value());
    assert_eq!(two.len(), 1, "lag adds up: the same pods work it off");
    assert_eq!(
        selector(&two)["matchExpressions"][0]["values"],
        json!(["orders", "refunds"])
    );
}

/// With `{namespace}` in it, Dapr puts the namespace in front of topics.
#[test]
fn topics_are_called_as_kafka_calls_them() {
    let metadata = json!([{ "name": "consumerID", "value": "{namespace}" }]);
    let consumer = consumer(metadata, &["orders"], &[("shoporders", 4)]);
    assert!(consumer.readings[0].topics.contains("shoporders"));
    assert_eq!(consumer.bounded(Range { min: 1, max: 9 }).max, 4);
}

#[test]
fn who_reads_nothing_of_kafka_is_no_consumer() {
    let (service, mut seen) = seen(json!([]), &["orders"], &[]);
    seen.lag.components.clear();
    assert_eq!(Consumer::of("shop", &service, &seen), None);
    let called = Service::default();
    assert_eq!(Consumer::of("shop", &called, &seen), None);
}
