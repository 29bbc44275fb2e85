use super::*;
use crate::printer::Mark;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    name: String,
    metadata: Value,
    secret_store: Option<String>,
    settings: Option<Value>,
    /// In a Secret of ours.
    secrets: Option<Value>,
    /// From Secrets of others.
    #[serde(default)]
    variables: BTreeMap<String, Value>,
    ports: Option<BTreeSet<u16>>,
    says: Option<String>,
    next: Option<String>,
}

fn component(name: &str, metadata: &Value, secret_store: Option<&str>) -> Component {
    let object = json!({ "spec": { "metadata": metadata }, "auth": { "secretStore": secret_store } });
    Component::read(name, &object)
}

fn plain(name: &str, brokers: &str) -> Component {
    let metadata = json!([{ "name": "brokers", "value": brokers }, { "name": "authType", "value": "none" }]);
    component(name, &metadata, None)
}

fn with_password(name: &str) -> Component {
    let metadata = json!([
        { "name": "brokers", "value": "kafka:9093" },
        { "name": "authType", "value": "password" },
        { "name": "saslUsername", "secretKeyRef": { "name": "theirs", "key": "user" } },
        { "name": "saslPassword", "value": "sword$fish" },
    ]);
    component(name, &metadata, None)
}

fn planned(components: &[Component]) -> Part {
    plan("shop", components, &Shape::default(), false).expect("a plan")
}

fn object<'a>(part: &'a Part, kind: &str) -> &'a Value {
    let mut objects = part.objects.iter().filter(|object| object.kind() == kind);
    objects.next().unwrap_or_else(|| panic!("{kind}")).value()
}

fn file(part: &Part) -> Value {
    let text = object(part, "ConfigMap").pointer(FILE).and_then(Value::as_str);
    serde_saphyr::from_str(text.expect("a file")).expect("YAML")
}

#[test]
fn each_component_is_followed_or_left_out_with_a_reason() {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("../../tests/cases/pubsub-components.yaml")).expect("cases");
    assert!(cases.len() > 30);
    for case in cases {
        let name = &case.name;
        let receiver = Receiver::of(&component("c", &case.metadata, case.secret_store.as_deref()), 0);
        match (receiver, &case.settings) {
            (Ok(receiver), Some(settings)) => {
                assert_eq!(receiver.settings, *settings, "{name}");
                assert_eq!(receiver.secrets, case.secrets.unwrap_or(json!({})), "{name}");
                assert_eq!(receiver.ports, case.ports, "{name}");
                let variables: BTreeMap<String, Value> = receiver.variables.into_iter().map(shown).collect();
                assert_eq!(variables, case.variables, "{name}");
            }
            (Err(left_out), None) => {
                let (says, next) = (case.says.expect("says"), case.next.expect("next"));
                assert!(left_out.why.contains(&says), "{name}: {}", left_out.why);
                assert!(left_out.next.contains(&next), "{name}: {}", left_out.next);
            }
            (receiver, _) => panic!("{name}: {receiver:?}"),
        }
    }
}

fn shown(variable: receiver::Variable) -> (String, Value) {
    (variable.name, json!({ "name": variable.secret, "key": variable.key }))
}

#[test]
fn each_component_has_a_receiver_and_a_name_of_its_own() {
    let part = planned(&[plain("orders", "b:9094"), with_password("events")]);
    let file = file(&part);
    for name in ["events", "orders"] {
        let receiver = &file["receivers"][format!("kafkametrics/{name}")];
        assert_eq!(receiver["collection_interval"], "10s", "{receiver}");
        let pipeline = &file["service"]["pipelines"][format!("metrics/{name}")];
        assert_eq!(pipeline["receivers"], json!([format!("kafkametrics/{name}")]));
        let named = file["processors"][format!("transform/{name}")].to_string();
        assert!(named.contains(&format!("\\\"{name}\\\"")), "{named}");
    }
    assert_eq!(file["receivers"].as_object().map(Map::len), Some(2));
    assert_eq!(file["receivers"]["kafkametrics/orders"]["brokers"], json!(["b:9094"]));
    assert!(!file.to_string().contains(COMPONENT), "{file}");
    let ports = &object(&part, "NetworkPolicy")["spec"]["egress"];
    let last = ports.as_array().and_then(|rules| rules.last());
    let wanted = json!({ "ports": [{ "protocol": "TCP", "port": 9093 }, { "protocol": "TCP", "port": 9094 }] });
    assert_eq!(last, Some(&wanted));
    assert_eq!(part.checks.len(), 1);
    assert_eq!(part.checks[0].text, "To ask for lag: the Kafka of events, orders");
}

#[test]
fn a_secret_of_theirs_is_referred_to_and_what_is_secret_in_the_component_is_in_one_of_ours() {
    let part = planned(&[with_password("events")]);
    let secret = object(&part, "Secret")["data"][SECRETS].as_str().expect("a file");
    let secret = String::from_utf8(STANDARD.decode(secret).expect("base64")).expect("a text");
    let secret: Value = serde_saphyr::from_str(&secret).expect("YAML");
    assert_eq!(
        secret,
        json!({ "receivers": { "kafkametrics/events": { "auth": { "sasl": { "password": "sword$$fish" } } } } })
    );
    let pod = &object(&part, "Deployment")["spec"]["template"]["spec"];
    let last = |list: &Value| list.as_array().and_then(|list| list.last()).cloned();
    let argument = format!("--config={MOUNT}/{SECRETS}");
    assert_eq!(last(&pod["containers"][0]["args"]), Some(argument.into()));
    assert_eq!(
        last(&pod["volumes"]),
        Some(json!({ "name": "secrets", "secret": { "secretName": COLLECTOR } }))
    );
    let theirs = json!({ "secretKeyRef": { "name": "theirs", "key": "user" } });
    let wanted = json!({ "name": "KAFKA_0_USERNAME", "valueFrom": theirs });
    assert_eq!(last(&pod["containers"][0]["env"]), Some(wanted));
    for object in part.objects.iter().filter(|object| object.kind() != "Secret") {
        assert!(!object.value().to_string().contains("fish"), "{object}");
    }
    let open = planned(&[plain("events", "kafka:9092")]);
    assert!(open.objects.iter().all(|object| object.kind() != "Secret"));
}

#[test]
fn its_pod_rolls_when_what_it_reads_changes_and_only_then() {
    let revision = |components: &[Component]| {
        let part = planned(components);
        object(&part, "Deployment")["spec"]["template"]["metadata"]["annotations"][CONFIG_REVISION].clone()
    };
    let one = revision(&[plain("a", "kafka:9092"), plain("b", "kafka:9092")]);
    assert!(one.is_string());
    assert_eq!(one, revision(&[plain("b", "kafka:9092"), plain("a", "kafka:9092")]));
    assert_ne!(one, revision(&[plain("a", "kafka:9092")]));
    let mut metadata = json!([
        { "name": "brokers", "value": "kafka:9093" }, { "name": "authType", "value": "password" },
        { "name": "saslUsername", "value": "u" }, { "name": "saslPassword", "value": "old" },
    ]);
    let old = revision(&[component("a", &metadata, None)]);
    metadata[3]["value"] = json!("new");
    assert_ne!(old, revision(&[component("a", &metadata, None)]));
}

#[test]
fn its_objects_are_those_that_are_removed_and_are_ours() {
    let part = planned(&[with_password("events")]);
    let found: Vec<ObjectRef> = part.objects.iter().map(Object::reference).collect();
    assert_eq!(found, references("shop"));
    for object in &part.objects {
        let labels = &object.value()["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/managed-by"], "kubectl-learnflow", "{object}");
        assert_eq!(labels["app.kubernetes.io/part-of"], "learnflow", "{object}");
    }
}

#[test]
fn a_namespace_whose_kafka_cannot_be_asked_gets_nothing_and_is_told() {
    let oidc = component(
        "kafka-pubsub",
        &json!([{ "name": "brokers", "value": "k:1" }, { "name": "authType", "value": "oidc" }]),
        None,
    );
    let part = planned(std::slice::from_ref(&oidc));
    assert!(part.objects.is_empty());
    let marks: Vec<Mark> = part.checks.iter().map(|check| check.mark).collect();
    assert_eq!(marks, [Mark::Warn]);
    assert!(
        part.checks[0].text.contains("Component shop/kafka-pubsub"),
        "{:?}",
        part.checks
    );
    let asked = plan("shop", &[oidc], &Shape::default(), true).expect("a plan");
    assert!(asked.checks.iter().any(|check| check.mark == Mark::Bad));
    assert!(planned(&[]).checks.is_empty(), "others say that there is none");
}

/// Written anew by `UPDATE_EXPECT=1`. A real Collector runs it against a real Kafka: tests/stack/kafka.rs.
#[test]
fn what_each_way_to_log_in_becomes_is_as_it_was() {
    let cases = include_str!("../../tests/cases/kafka-collector.components.yaml");
    let cases: Vec<Value> = serde_saphyr::from_str(cases).expect("cases");
    let components: Vec<Component> = cases
        .iter()
        .map(|case| component(case["name"].as_str().expect("a name"), &case["metadata"], None))
        .collect();
    let part = planned(&components);
    let documents = part
        .objects
        .iter()
        .map(|object| yaml::write(object.value()).expect("YAML"));
    let text: String = documents.map(|document| format!("---\n{document}")).collect();
    crate::testing::same_as_file("tests/cases/kafka-collector.yaml", &text);
}
