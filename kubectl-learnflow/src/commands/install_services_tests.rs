//! What `install` does to the services: policies, autoscalers, and Configurations that are theirs.

use super::tests::{CONFIGURATIONS, annotations, configurations, install, position};
use crate::{
    cluster::fake::{Fake, service_path},
    model::Outcome,
    objects::MANAGER,
};
use serde_json::{Value, json};

const RESILIENCY: &str = "/apis/dapr.io/v1alpha1/namespaces/shop/resiliencies/learnflow";

#[test]
fn what_is_there_decides_about_policies_and_autoscalers() {
    let cases = std::fs::read_to_string("../tests/cases/concerns.yaml").expect("the cases");
    let cases: Vec<Value> = serde_saphyr::from_str(&cases).expect("YAML");
    assert!(cases.len() > 20);
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let fake = Fake::sound();
        if case["metrics"] != false {
            fake.measure();
        }
        let web = json!([{ "name": "web", "resources": { "requests": { "cpu": "50m" } } }]);
        fake.change(
            &service_path("cart"),
            &json!({ "spec": { "template": { "spec": { "containers": web } } } }),
        );
        fake.change(&service_path("cart"), &case["deployment"]);
        for (path, object) in case["objects"].as_object().into_iter().flatten() {
            let (group, rest) = path.rsplit_once('/').expect("a name");
            let (group, kind) = group.rsplit_once('/').expect("a kind");
            let mut object = object.clone();
            object["metadata"]["name"] = json!(rest);
            fake.put(&format!("{group}/namespaces/shop/{kind}/{rest}"), object);
        }
        let flags: Vec<&str> = case["flags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let file = std::env::temp_dir().join(format!("learnflow-concerns-{}.yaml", std::process::id()));
        let from = format!("--file={}", file.display());
        let mut flags = [&["--dry-run"], flags.as_slice()].concat();
        if let Some(text) = case["file"].as_str() {
            std::fs::write(&file, text).expect("a file");
            flags.push(&from);
        }
        let ended = install(&fake, &flags);
        let _ = std::fs::remove_file(&file);
        assert_eq!(
            ended.result.is_err(),
            case["refused"] == true,
            "{name}: {:?} {}",
            ended.result,
            ended.err
        );
        assert!(
            ended.err.contains(case["says"].as_str().expect("says")),
            "{name}: {}",
            ended.err
        );
        let kinds = ["Resiliency", "HorizontalPodAutoscaler", "PodDisruptionBudget"];
        let about = |line: &&str| kinds.iter().any(|kind| line.contains(kind));
        let lists: Vec<&str> = ended.out.lines().filter(about).collect();
        assert_eq!(json!(lists), case["lists"], "{name}: {}", ended.err);
    }
}

#[test]
fn policies_come_and_go_while_no_sidecar_reloads() {
    let fake = Fake::sound();
    fake.measure();
    let web = json!([{ "name": "web", "resources": { "requests": { "cpu": "50m" } } }]);
    fake.change(
        &service_path("cart"),
        &json!({ "spec": { "template": { "spec": { "containers": web } } } }),
    );
    let without_waiting = install(&fake, &["--no-wait"]);
    assert_eq!(without_waiting.result, Ok(Outcome::Good), "{}", without_waiting.err);
    let said = "‼ Resiliency shop/learnflow is left for the next `install`";
    assert!(without_waiting.err.contains(said), "{}", without_waiting.err);
    assert!(fake.get(RESILIENCY).is_none());
    let first = annotations(&fake, "cart");

    // Now it is enrolled: one rollout, after the Resiliency.
    let before = fake.writes().len();
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let writes = &fake.writes()[before..];
    assert!(
        position(writes, "resiliencies/learnflow") < position(writes, "deployments/cart"),
        "{writes:#?}"
    );
    assert_eq!(
        writes
            .iter()
            .filter(|write| write.ends_with("deployments/cart"))
            .count(),
        1
    );
    assert_ne!(annotations(&fake, "cart"), first);
    let autoscaler = fake.get("/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/cart");
    assert_eq!(autoscaler.expect("an autoscaler")["spec"]["maxReplicas"], 3);
    let cart = fake.get(&service_path("cart")).expect("cart");
    assert!(
        !cart["metadata"]["managedFields"].to_string().contains("replicas"),
        "never spec.replicas"
    );

    // One that comes up badly is undone, and the Resiliency is not applied for it.
    let fake = Fake::sound();
    fake.stick("cart");
    let ended = install(&fake, &["--timeout=10ms"]);
    assert_eq!(ended.result, Ok(Outcome::Bad), "{}", ended.err);
    assert!(fake.get(RESILIENCY).is_none());
}

/// It answers calls until it is gone, and would restart in the midst of them.
#[test]
fn policies_wait_for_the_last_pod_that_would_reload() {
    let fake = Fake::sound();
    fake.linger("cart", u32::MAX);
    let ended = install(&fake, &["--timeout=1s"]);
    assert_eq!(ended.result, Ok(Outcome::Bad), "{}", ended.err);
    assert!(ended.err.contains("× not gone after 1s: pod cart-old"), "{}", ended.err);
    assert!(fake.get(RESILIENCY).is_none());

    let without_waiting = install(&fake, &["--no-wait"]);
    assert_eq!(without_waiting.result, Ok(Outcome::Good), "{}", without_waiting.err);
    assert!(fake.get(RESILIENCY).is_none(), "{}", without_waiting.err);

    fake.linger("cart", 5);
    let ended = install(&fake, &["--timeout=10s"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(fake.get(RESILIENCY).is_some());
}

fn with_a_configuration_of_its_own() -> Fake {
    let fake = Fake::sound();
    let theirs = json!({
        "metadata": { "name": "appconfig" },
        "spec": { "httpPipeline": { "handlers": [{ "name": "alias", "type": "middleware.http.routeralias" }] } },
    });
    fake.put(&format!("{CONFIGURATIONS}appconfig"), theirs);
    let set = json!({ "dapr.io/config": "appconfig", "dapr.io/volume-mounts": "certs:/certs" });
    fake.annotate("cart", "kubectl-client-side-apply", set);
    fake
}

#[test]
fn a_configuration_of_its_own_is_copied_and_never_touched() {
    let fake = with_a_configuration_of_its_own();
    let theirs = fake.get(&format!("{CONFIGURATIONS}appconfig"));
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(
        ended
            .err
            .contains("‼ Deployment shop/cart has dapr.io/config: appconfig"),
        "{}",
        ended.err
    );
    assert_eq!(fake.get(&format!("{CONFIGURATIONS}appconfig")), theirs);
    let now = annotations(&fake, "cart");
    let copy = now["dapr.io/config"].as_str().expect("a name");
    assert!(copy.starts_with("learnflow-appconfig-"), "{copy}");
    assert_eq!(
        configurations(&fake),
        ["appconfig", copy],
        "and none that nobody would use"
    );
    assert_eq!(now["dapr.io/volume-mounts"], "certs:/certs,learnflow-wasm:/learnflow");
    assert_eq!(
        now["learnflow.dev/before"],
        r#"{"by":"kubectl-client-side-apply","config":"appconfig","mounts":"certs:/certs"}"#
    );
    let again = install(&fake, &[]);
    assert!(again.err.contains("√ Deployment shop/cart unchanged"), "{}", again.err);
}

#[test]
fn a_configuration_that_has_changed_is_copied_anew_and_the_old_copy_goes() {
    let fake = with_a_configuration_of_its_own();
    assert_eq!(install(&fake, &[]).result, Ok(Outcome::Good));
    let before = configurations(&fake);
    fake.put(
        &format!("{CONFIGURATIONS}appconfig"),
        json!({ "metadata": { "name": "appconfig" }, "spec": {} }),
    );
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let after = configurations(&fake);
    assert_eq!((before.len(), after.len()), (2, 2));
    assert_ne!(before, after);
    assert!(ended.err.contains("nothing uses it any more"), "{}", ended.err);
}

#[test]
fn what_an_earlier_version_left_goes_when_no_pod_has_it() {
    let fake = Fake::sound();
    let old =
        |name: &str| json!({ "metadata": { "name": name, "labels": { "app.kubernetes.io/managed-by": MANAGER } } });
    let maps = "/api/v1/namespaces/shop/configmaps/";
    for name in ["learnflow-wasm-used", "learnflow-wasm-unused"] {
        fake.put(&format!("{maps}{name}"), old(name));
    }
    let set = json!({ "metadata": { "name": "cart-1" }, "spec": { "template": { "spec": {
        "containers": [], "volumes": [{ "name": "learnflow-wasm", "configMap": { "name": "learnflow-wasm-used" } }],
    }}}});
    fake.put("/apis/apps/v1/namespaces/shop/replicasets/cart-1", set);
    assert_eq!(install(&fake, &[]).result, Ok(Outcome::Good));
    assert!(
        fake.get(&format!("{maps}learnflow-wasm-used")).is_some(),
        "a rollback would want it"
    );
    assert!(fake.get(&format!("{maps}learnflow-wasm-unused")).is_none());
}

fn bank(fake: &Fake) {
    for path in [
        "/api/v1/namespaces/shop",
        "/apis/dapr.io/v1alpha1/namespaces/shop/components/kafka-pubsub",
        &service_path("cart"),
    ] {
        let mut object = fake.get(path).expect("an object");
        object["metadata"]["namespace"] = json!("bank");
        fake.put(&path.replace("/shop", "/bank"), object);
    }
}

#[test]
fn several_namespaces_are_one_installation() {
    let fake = Fake::sound();
    bank(&fake);
    let file = std::env::temp_dir().join(format!("learnflow-two-{}.yaml", std::process::id()));
    std::fs::write(&file, "namespaces: [shop, bank]\n").expect("a file");
    let from = format!("--file={}", file.display());
    let ended = install(&fake, &[&from]);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let writes = fake.writes();
    let stack = writes
        .iter()
        .filter(|write| write.ends_with("deployments/collector-gateway"))
        .count();
    assert_eq!(stack, 1, "the stack comes once: {writes:#?}");
    let of_shop = position(&writes, "namespaces/shop/deployments/cart");
    let of_bank = position(&writes, "namespaces/bank/deployments/cart");
    assert!(of_shop < of_bank, "{writes:#?}");
    for namespace in ["shop", "bank"] {
        let component = format!("/apis/dapr.io/v1alpha1/namespaces/{namespace}/components/learnflow");
        assert_eq!(fake.get(&component).expect("a Component")["scopes"], json!(["cart"]));
    }
    assert_eq!(
        ended.err.matches("√ LearnFlow is installed").count(),
        1,
        "{}",
        ended.err
    );
}

#[test]
fn what_does_not_hold_in_one_namespace_stops_all() {
    let fake = Fake::sound();
    bank(&fake);
    fake.remove("/apis/dapr.io/v1alpha1/namespaces/bank/components/kafka-pubsub");
    let file = std::env::temp_dir().join(format!("learnflow-stop-{}.yaml", std::process::id()));
    std::fs::write(&file, "namespaces: [shop, bank]\n").expect("a file");
    let ended = install(&fake, &[&format!("--file={}", file.display())]);
    std::fs::remove_file(&file).expect("removed");
    assert!(ended.result.is_err(), "{}", ended.err);
    assert!(fake.writes().is_empty(), "{:?}", fake.writes());
}

#[test]
fn the_container_that_is_named_is_one_of_the_services() {
    let fake = Fake::sound();
    let containers = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web" },
        { "name": "proxy", "resources": { "requests": { "cpu": "1" } }, "readinessProbe": {} }] } } } });
    fake.measure();
    fake.change(&service_path("cart"), &containers);
    let file = std::env::temp_dir().join(format!("learnflow-container-{}.yaml", std::process::id()));
    let from = format!("--file={}", file.display());
    std::fs::write(&file, "services: [{name: cart, container: daprd}]\n").expect("a file");
    let problem = install(&fake, &[&from]).result.expect_err("no such container");
    assert_eq!(problem.what, "Deployment shop/cart has no container daprd of its own.");
    assert_eq!(
        problem.next.as_deref(),
        Some("There is web, proxy. Nothing was changed.")
    );
    std::fs::write(&file, "services: [{name: cart, container: proxy}]\n").expect("a file");
    let ended = install(&fake, &[&from]);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let scaler = fake.get("/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/cart");
    let metric = &scaler.expect("an autoscaler")["spec"]["metrics"][0];
    assert_eq!(metric["containerResource"]["container"], "proxy", "{metric}");
}
