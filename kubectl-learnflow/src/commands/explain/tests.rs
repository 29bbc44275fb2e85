use super::*;
use crate::{cli::Cli, cli::Verb, cluster::fake::Fake, printer::tests::captured};
use clap::Parser;
use serde_json::{Value, json};

fn explained(fake: &Fake, more: &[&str]) -> (Result<Outcome, Problem>, String) {
    let cli = Cli::try_parse_from([&["x", "explain"], more].concat()).expect("good flags");
    let Verb::Explain(args) = cli.verb else {
        panic!("not explain")
    };
    let (printer, out, _) = captured();
    let ended = fake.run(async |cluster| of_cluster(cluster, &args, &printer).await);
    (ended, out.text())
}

fn codes(fake: &Fake) -> (Outcome, Vec<String>) {
    let (ended, out) = explained(fake, &["-o", "json"]);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    let findings = document["findings"].as_array().expect("findings");
    let codes = findings
        .iter()
        .filter_map(|finding| Some(finding["code"].as_str()?.to_owned()));
    (ended.expect("explained"), codes.collect())
}

fn put(fake: &Fake, name: &str, policies: Value, targets: Value) {
    let path = format!("/apis/dapr.io/v1alpha1/namespaces/shop/resiliencies/{name}");
    let spec = json!({ "policies": policies, "targets": targets });
    fake.put(
        &path,
        json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec }),
    );
}

#[test]
fn a_cluster_without_policies_is_told_so() {
    let fake = Fake::sound();
    assert_eq!(codes(&fake), (Outcome::Good, vec!["LF206".into(), "LF401".into()]));
    let (_, out) = explained(&fake, &[]);
    assert!(out.contains("kafka-pubsub            out   -         -"), "{out}");
    assert!(out.contains("Component kafka-pubsub: A pod that starts"), "{out}");
}

#[test]
fn what_a_cluster_has_is_a_finding_and_the_rest_is_explained() {
    let fake = Fake::sound();
    let good = json!({ "r": { "maxRetries": 20 } });
    let target = json!({ "kafka-pubsub": { "outbound": { "retry": "r" } } });
    put(
        &fake,
        "good",
        json!({ "retries": good }),
        json!({ "components": target }),
    );
    assert_eq!(codes(&fake).0, Outcome::Good);

    put(&fake, "bad", json!({ "timeouts": { "t": "soon" } }), json!({}));
    let (outcome, found) = codes(&fake);
    assert_eq!((outcome, found[0].as_str()), (Outcome::Bad, "LF101"));
    let (_, out) = explained(&fake, &[]);
    assert!(out.contains("Resiliency shop/bad, spec.policies.timeouts.t: "), "{out}");
    assert!(out.contains("20 × 5s"), "the other one is explained: {out}");

    put(
        &fake,
        "bad",
        json!({ "retries": { "r": { "maxRetries": 9 } } }),
        json!({}),
    );
    assert!(codes(&fake).1.contains(&"LF104".into()));

    let names = json!({ "cart": { "retry": "nowhere" }, "nobody": {}, "cart.other": {} });
    put(&fake, "bad", json!({}), json!({ "apps": names }));
    let (outcome, found) = codes(&fake);
    assert_eq!(outcome, Outcome::Bad);
    assert!(found.contains(&"LF103".into()), "{found:?}");
    assert_eq!(found.iter().filter(|code| *code == "LF403").count(), 1, "{found:?}");
}

#[test]
fn an_app_that_ends_before_its_sidecar_makes_dead_letters() {
    let fake = Fake::sound();
    let subscription = json!({ "metadata": { "name": "orders", "namespace": "shop" }, "scopes": ["cart"], "spec": {
        "pubsubname": "kafka-pubsub", "topic": "orders", "routes": { "default": "/" }, "deadLetterTopic": "orders.dead" } });
    fake.put(
        "/apis/dapr.io/v2alpha1/namespaces/shop/subscriptions/orders",
        subscription,
    );
    let path = "/apis/apps/v1/namespaces/shop/deployments/cart";
    let with = |container: Value| {
        let mut service = fake.get(path).expect("the service");
        service["spec"]["template"]["spec"] = json!({ "containers": [container] });
        fake.put(path, service);
    };
    with(json!({ "name": "cart" }));
    let found = |fake: &Fake| codes(fake).1.contains(&"LF308".into());
    assert!(found(&fake));
    let (_, out) = explained(&fake, &[]);
    assert!(
        out.contains("When a pod of cart is replaced, an event of orders"),
        "{out}"
    );

    // One refusal is not enough any more.
    put(
        &fake,
        "patient",
        json!({ "retries": { "in": { "maxRetries": 9 } } }),
        json!({ "components": { "kafka-pubsub": { "inbound": { "retry": "in" } } } }),
    );
    assert!(!found(&fake));
    fake.remove("/apis/dapr.io/v1alpha1/namespaces/shop/resiliencies/patient");
    assert!(found(&fake));

    with(json!({ "name": "cart", "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } } }));
    assert!(!found(&fake));
}

#[test]
fn a_namespace_without_dapr_is_refused() {
    let fake = Fake::sound();
    fake.remove("/apis/dapr.io/v1alpha1/namespaces/shop/components/kafka-pubsub");
    let (ended, out) = explained(&fake, &[]);
    let problem = ended.expect_err("nothing to explain");
    assert!(problem.what.contains("namespace shop"), "{problem}");
    assert_eq!(out, "");
}

#[test]
fn who_may_not_look_is_told_what_is_missing() {
    let fake = Fake::sound();
    fake.refuse("list subscriptions");
    let (ended, _) = explained(&fake, &[]);
    assert!(ended.is_err());
}

#[test]
fn hostile_names_stay_inside_their_format() {
    let fake = Fake::sound();
    let name = "a\"><b>\u{1b}[31m&";
    put(
        &fake,
        "x",
        json!({ "retries": { name: { "maxRetries": 9 } } }),
        json!({}),
    );
    let (_, xml) = explained(&fake, &["-o", "junit"]);
    assert!(!xml.contains("<b>") && !xml.contains('\u{1b}'), "{xml}");
    let (_, json) = explained(&fake, &["-o", "sarif"]);
    assert!(!json.contains('\u{1b}') && serde_json::from_str::<Value>(&json).is_ok());
}
