use super::template::MANIFEST;
use super::*;
use crate::{
    assets,
    kafka::Component,
    model::{Rollout, Served},
};
use serde_json::json;

fn requesting(container: &str, resources: &[&str]) -> std::collections::BTreeSet<(String, String)> {
    let each = resources.iter();
    each.map(|resource| (container.to_owned(), (*resource).to_owned()))
        .collect()
}

fn service(name: &str) -> Service {
    Service {
        name: name.into(),
        container: Some(name.into()),
        requesting: requesting(name, &["cpu"]),
        rollout: Rollout {
            desired: 1,
            ..Rollout::default()
        },
        ..Service::default()
    }
}

fn planned(services: &[Service], seen: &Scaling, profile: Profile) -> Autoscalers {
    plan(&Wish {
        namespace: "learnflow",
        all: services,
        services,
        seen,
        profile,
        asked: false,
        named: false,
        said: BTreeMap::new(),
    })
    .expect("a plan")
}

fn measured() -> Scaling {
    Scaling {
        served: Served { resources: true },
        ..Scaling::default()
    }
}

#[test]
fn the_manifest_is_what_is_made_for_its_services() {
    let manifest = assets::manifest(MANIFEST).expect("the manifest");
    let mut services = ["frontend", "course-agent", "user-progress"].map(service);
    for service in &mut services {
        service.requesting = requesting(&service.name, &["cpu", "memory"]);
        service.app_id = Some(format!("{}-app", service.name));
    }
    let mut seen = measured();
    let topic = ("kafka-pubsub".to_owned(), "lesson.generated".to_owned());
    seen.consumed.insert("user-progress-app".into(), [topic].into());
    let metadata = json!([
        { "name": "brokers", "value": "kafka:9092" },
        { "name": "authType", "value": "none" },
        { "name": "consumerGroup", "value": "user-progress" },
    ]);
    let component = Component::read("kafka-pubsub", &json!({ "spec": { "metadata": metadata } }));
    seen.lag = Lag {
        told: Told::Metric,
        components: vec![component],
        ..Lag::default()
    };
    let made = planned(&services, &seen, Profile::Dev).objects;
    let manifest: Vec<Object> = manifest
        .into_iter()
        .map(|object| object.in_namespace("learnflow").versioned())
        .collect();
    assert_eq!(made, manifest);
}

#[test]
fn two_pods_get_a_budget_with_the_selector_of_their_deployment() {
    let mut cart = service("cart");
    cart.selector = json!({ "matchLabels": { "app": "cart" } });
    let made = planned(&[cart], &measured(), Profile::Production).objects;
    let budget = made[1].value();
    assert_eq!(
        (budget["kind"].as_str(), budget["metadata"]["namespace"].as_str()),
        (Some("PodDisruptionBudget"), Some("learnflow"))
    );
    assert_eq!(budget["metadata"]["labels"]["app.kubernetes.io/name"], "cart");
    assert_eq!(budget["spec"]["selector"], json!({ "matchLabels": { "app": "cart" } }));
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
}

#[test]
fn nothing_but_the_deployment_and_the_container_is_named() {
    let mut cart = service("cart");
    cart.container = Some("web".into());
    cart.requesting = requesting("web", &["cpu"]);
    let objects = planned(&[cart], &measured(), Profile::Production).objects;
    let spec = &objects[0].value()["spec"];
    assert_eq!(
        spec["scaleTargetRef"],
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "cart" })
    );
    let metric = &spec["metrics"][0];
    assert_eq!(
        (
            metric["type"].as_str(),
            metric["containerResource"]["container"].as_str()
        ),
        (Some("ContainerResource"), Some("web"))
    );
    assert_eq!(
        (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64()),
        (Some(2), Some(3))
    );
    assert!(
        !objects[0].value().to_string().contains("frontend"),
        "{}",
        objects[0].value()
    );
}
