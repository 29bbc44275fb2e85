use super::template::MANIFEST;
use super::*;
use crate::{
    assets,
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

fn planned(services: &[Service], profile: Profile) -> Autoscalers {
    let seen = Scaling {
        served: Served { resources: true },
        ..Scaling::default()
    };
    plan("learnflow", services, services, &seen, profile, false).expect("a plan")
}

#[test]
fn the_manifest_is_what_is_made_for_its_services() {
    let manifest = assets::manifest(MANIFEST).expect("the manifest");
    let services = ["frontend", "course-agent", "user-progress"].map(service);
    let made = planned(&services, Profile::Dev).objects;
    let manifest: Vec<Object> = manifest
        .into_iter()
        .map(|object| object.in_namespace("learnflow").versioned())
        .collect();
    assert_eq!(made, manifest);
}

#[test]
fn nothing_but_the_deployment_and_the_container_is_named() {
    let mut cart = service("cart");
    cart.container = Some("web".into());
    cart.requesting = requesting("web", &["cpu"]);
    let objects = planned(&[cart], Profile::Production).objects;
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
