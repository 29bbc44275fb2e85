use crate::{
    cluster::fake::Fake,
    commands::{
        install::tests::{Ended, install},
        uninstall::tests::uninstall,
    },
    model::Outcome,
};
use serde_json::{Value, json};

const OURS: &str = "/apis/apps/v1/namespaces/learnflow-system/deployments/prometheus-adapter";
const PLACE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";
const AUTOSCALER: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/cart";
const SCALED_OBJECT: &str = "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/cart";

/// A cluster whose service `cart` can be scaled, and is sent events.
fn consuming() -> Fake {
    let fake = Fake::sound();
    fake.measure();
    let requests = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "cart", "resources": { "requests": { "cpu": "100m" } } }] } } } });
    fake.change("/apis/apps/v1/namespaces/shop/deployments/cart", &requests);
    fake.put(
        "/apis/dapr.io/v2alpha1/namespaces/shop/subscriptions/orders",
        json!({ "metadata": { "name": "orders" }, "spec": { "pubsubname": "kafka-pubsub", "topic": "orders" } }),
    );
    fake
}

/// Somebody has the place.
fn taken_by(fake: &Fake, namespace: &str, service: &str) {
    let spec = json!({ "service": { "namespace": namespace, "name": service } });
    fake.put(
        PLACE,
        json!({ "metadata": { "name": "v1beta1.external.metrics.k8s.io" }, "spec": spec }),
    );
}

fn serve(fake: &Fake, metric: &str) {
    let kind = json!({ "name": metric, "kind": "ExternalMetricValueList", "namespaced": true, "singularName": "", "verbs": ["get"] });
    let list = json!({ "groupVersion": "external.metrics.k8s.io/v1beta1", "resources": [kind] });
    fake.answer("/apis/external.metrics.k8s.io/v1beta1", 200, list);
}

fn keda(fake: &Fake) {
    let version = json!({ "groupVersion": "keda.sh/v1alpha1", "version": "v1alpha1" });
    let group = json!({ "name": "keda.sh", "versions": [version], "preferredVersion": version });
    fake.answer("/apis/keda.sh", 200, group);
    taken_by(fake, "keda", "keda-operator-metrics-apiserver");
}

#[track_caller]
fn installed(fake: &Fake, flags: &[&str]) -> Ended {
    let ended = install(fake, flags);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    ended
}

fn metrics(fake: &Fake) -> Vec<String> {
    let autoscaler = fake.get(AUTOSCALER).expect("an autoscaler");
    let metrics = autoscaler["spec"]["metrics"].as_array().expect("metrics").clone();
    metrics
        .iter()
        .map(|metric| metric["type"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn it_comes_where_a_consumer_is_scaled_and_registers_when_it_is_ready() {
    let fake = consuming();
    let ended = installed(&fake, &[]);
    assert!(ended.err.contains("by CPU and lag)"), "{}", ended.err);
    let writes = fake.writes();
    let at = |path: &str| {
        writes
            .iter()
            .position(|write| write.contains(path))
            .unwrap_or_else(|| panic!("{path}: {writes:#?}"))
    };
    assert!(at(OURS) < at(PLACE));
    assert!(
        ended.err.find("prometheus-adapter 1/1 ready") < ended.err.find("applied APIService"),
        "{}",
        ended.err
    );
    assert_eq!(metrics(&fake), ["ContainerResource", "External"]);
    // The next time it is there.
    let again = installed(&fake, &[]);
    assert!(
        !again.err.contains("(changed)") && !again.err.contains("(created)"),
        "{}",
        again.err
    );
}

#[test]
fn without_waiting_it_is_not_registered() {
    let fake = consuming();
    let ended = installed(&fake, &["--no-wait"]);
    assert!(
        ended
            .err
            .contains("APIService v1beta1.external.metrics.k8s.io is left for the next"),
        "{}",
        ended.err
    );
    assert!(fake.get(OURS).is_some() && fake.get(PLACE).is_none());
}

#[test]
fn it_does_not_come_where_nothing_is_consumed_or_scaled() {
    let fake = Fake::sound();
    fake.measure();
    installed(&fake, &[]);
    assert!(fake.get(OURS).is_none() && fake.get(PLACE).is_none());
    let alone = consuming();
    alone.change(
        "/apis/apps/v1/namespaces/shop/deployments/cart",
        &json!({ "spec": { "strategy": { "type": "Recreate" } } }),
    );
    installed(&alone, &[]);
    assert!(alone.get(OURS).is_none(), "a service that runs alone is not scaled");
}

#[test]
fn where_keda_is_it_gets_the_consumers() {
    let fake = consuming();
    keda(&fake);
    let ended = installed(&fake, &[]);
    assert!(ended.err.contains("√ KEDA is there"), "{}", ended.err);
    assert!(fake.get(OURS).is_none() && fake.get(AUTOSCALER).is_none());
    let scaled = fake.get(SCALED_OBJECT).expect("a ScaledObject");
    let trigger = &scaled["spec"]["triggers"][1]["metadata"];
    assert_eq!(trigger["serverAddress"], "http://prometheus.learnflow-system.svc:9090");
    assert!(
        trigger["query"]
            .as_str()
            .is_some_and(|query| query.contains("topic=\"orders\"")),
        "{trigger}"
    );
    let again = installed(&fake, &[]);
    assert!(
        !again.err.contains("(changed)") && !again.err.contains("does that already"),
        "{}",
        again.err
    );
    let (ended, _, said) = uninstall(&fake, |_| {});
    assert_eq!(ended, Ok(Outcome::Good), "{said}");
    assert_eq!(fake.get(SCALED_OBJECT), None::<Value>);
    assert!(fake.get(PLACE).is_some(), "the place stays KEDA's");
}

#[test]
fn another_adapter_is_told_of_and_left_alone() {
    let fake = consuming();
    taken_by(&fake, "monitoring", "adapter");
    let ended = installed(&fake, &[]);
    assert!(
        ended.err.contains(
            "‼ Service monitoring/adapter has the API external.metrics.k8s.io and no metric learnflow_consumer_lag"
        ),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("externalRules:"), "{}", ended.err);
    assert!(fake.get(OURS).is_none());
    assert_eq!(
        metrics(&fake),
        ["ContainerResource"],
        "a metric that nobody serves keeps pods from going"
    );
}

#[test]
fn another_adapter_that_serves_the_metric_is_used() {
    let fake = consuming();
    taken_by(&fake, "monitoring", "adapter");
    serve(&fake, "learnflow_consumer_lag");
    let ended = installed(&fake, &[]);
    assert!(
        ended
            .err
            .contains("√ Service monitoring/adapter tells autoscalers about lag"),
        "{}",
        ended.err
    );
    assert!(fake.get(OURS).is_none());
    assert_eq!(metrics(&fake), ["ContainerResource", "External"]);
}

#[test]
fn nobody_is_pushed_out_of_the_place() {
    let fake = consuming();
    keda(&fake);
    let ended = install(&fake, &["--only=prometheus-adapter"]);
    let problem = ended.result.expect_err("refused");
    assert!(
        problem.what.contains("KEDA serves the API external.metrics.k8s.io"),
        "{problem}"
    );
    assert_eq!(fake.writes(), Vec::<String>::new());
}

#[test]
fn a_place_that_somebody_took_over_is_not_taken_from_him() {
    let fake = consuming();
    installed(&fake, &[]);
    // With our labels still on it.
    let service = json!({ "spec": { "service": { "namespace": "keda", "name": "keda-operator-metrics-apiserver" } } });
    fake.change(PLACE, &service);
    let (ended, _, said) = uninstall(&fake, |_| {});
    assert_eq!(ended, Ok(Outcome::Good), "{said}");
    assert!(fake.get(PLACE).is_some());
    assert!(fake.get(OURS).is_none());
}

#[test]
fn it_is_registered_no_longer_than_it_answers() {
    let fake = consuming();
    installed(&fake, &[]);
    let (ended, _, said) = uninstall(&fake, |_| {});
    assert_eq!(ended, Ok(Outcome::Good), "{said}");
    let writes = fake.writes();
    let deleted = |path: &str| writes.iter().position(|write| *write == format!("DELETE {path}"));
    assert!(
        deleted(PLACE).expect("the place") < deleted(OURS).expect("the adapter"),
        "{writes:#?}"
    );
}
