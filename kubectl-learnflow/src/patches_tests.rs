use super::*;

fn stack() -> Vec<Object> {
    let objects = Concern::ALL.map(|concern| concern.objects(Profile::Production).expect("manifests"));
    objects.concat()
}

#[test]
fn every_patch_of_a_profile_finds_what_it_changes() {
    let mut stack = stack();
    for patch in PRODUCTION {
        let object = stack.iter_mut().find(|object| patch.is_for(object));
        let object = object.unwrap_or_else(|| panic!("no {} {}", patch.kind, patch.name));
        let before = object.clone();
        assert!(patch.apply(object), "{object} has nothing to change");
        assert_ne!(*object, before, "{object} stays as it was");
    }
    let claim = stack.iter().find(|object| object.kind() == "PersistentVolumeClaim");
    assert_eq!(claim.map(Object::name), Some("prometheus"), "what the volume claims");
}

#[test]
fn no_request_is_above_its_limit() {
    let shape = Shape {
        profile: Profile::Production,
        ..Shape::default()
    };
    let workloads = stack().into_iter().filter(Object::is_workload);
    for object in workloads.map(|object| shaped(object, &shape)) {
        let resources = &object.value()["spec"]["template"]["spec"]["containers"][0]["resources"];
        let memory = |which: &str| crate::config::bytes(resources[which]["memory"].as_str().unwrap_or_default());
        assert!(memory("requests") <= memory("limits"), "{object}: {resources}");
    }
}

#[test]
fn images_move_to_another_registry() {
    for (image, there) in [
        ("otel/collector:1", "r.io/m/otel/collector:1"),
        ("quay.io/prometheus/prometheus:v3", "r.io/m/prometheus/prometheus:v3"),
        ("localhost/x:1", "r.io/m/x:1"),
        ("localhost:5000/x@sha256:0", "r.io/m/x@sha256:0"),
        ("busybox", "r.io/m/busybox"),
    ] {
        assert_eq!(moved(image, "r.io/m"), there);
    }
    let shape = Shape {
        registry: Some("r.io".into()),
        pull_secret: Some("pull".into()),
        ..Shape::default()
    };
    let workloads: Vec<Object> = stack().into_iter().filter(Object::is_workload).collect();
    assert_eq!(workloads.len(), 3);
    for object in workloads.into_iter().map(|object| shaped(object, &shape)) {
        assert!(
            images(&object).iter().all(|image| image.starts_with("r.io/")),
            "{object}"
        );
        let pod = &object.value()["spec"]["template"]["spec"];
        assert_eq!(pod["imagePullSecrets"], json!([{ "name": "pull" }]), "{object}");
    }
}

#[test]
fn spans_go_nowhere_without_a_gateway() {
    let configuration = || {
        let objects = Concern::Middleware.objects(Profile::Dev).expect("manifests");
        let found = objects.into_iter().find(|object| object.kind() == "Configuration");
        found.expect("a Configuration")
    };
    let alone = Shape {
        concerns: Selection::new(&[Concern::Middleware], &[]).expect("a selection"),
        gateway: false,
        sampling: Share::parse("0.25").expect("a share"),
        ..Shape::default()
    };
    let endpoint = |shape: &Shape| {
        let tracing = traced(configuration(), shape).value()["spec"]["tracing"].clone();
        assert_eq!(tracing["samplingRate"], "0.25");
        tracing["otel"]["endpointAddress"].clone()
    };
    assert_eq!(endpoint(&alone), "");
    let beside = Shape { gateway: true, ..alone };
    assert_eq!(endpoint(&beside), "collector-gateway.learnflow-system:4317");
    assert_eq!(
        traced(configuration(), &Shape::default()),
        configuration(),
        "the manifest is the default"
    );
}
