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
    let claims = stack.iter().filter(|object| object.kind() == "PersistentVolumeClaim");
    let claims: Vec<&str> = claims.map(Object::name).collect();
    assert_eq!(
        claims,
        ["traces", "prometheus", crate::replicas::OTHER],
        "what the volumes claim"
    );
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
    assert_eq!(workloads.len(), 9);
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
        begun: Share::parse("0.25").expect("a share"),
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

/// A budget as it comes out for a small cluster.
fn fit() -> Fit {
    let one = |name: &str, pods, limit| crate::budget::Workload {
        namespace: "n".into(),
        name: name.into(),
        pods,
        limit,
        stays: false,
    };
    let workloads = [
        one(AGENT, None, 200),
        one(GATEWAY, Some(1), 400),
        one(PROMETHEUS, Some(1), 1024),
    ];
    let load = crate::budget::Load {
        nodes: 3,
        pods: 10,
        topics: 50,
    };
    let shipped = crate::budget::Shipped {
        hours: 24,
        megabytes: 1000,
        production: false,
        wait: 1,
    };
    let budget = crate::config::Memory::parse("1Gi").expect("memory");
    crate::budget::fit(&budget, load, &workloads, shipped).expect("enough")
}

#[test]
fn every_patch_of_a_budget_finds_what_it_changes() {
    let mut stack = stack();
    let patches = of_budget(&fit());
    assert!(patches.len() > 10, "{}", patches.len());
    for patch in patches {
        let object = stack.iter_mut().find(|object| patch.is_for(object));
        let object = object.unwrap_or_else(|| panic!("no {} {}", patch.kind, patch.name));
        let before = object.clone();
        assert!(patch.apply(object), "{object} has nothing to change");
        // What is shipped may be right.
        let retention = matches!(&patch.change, Change::Argument(RETENTION_TIME, _));
        assert!(retention || *object != before, "{object} stays as it was");
    }
}

#[test]
fn a_budget_reaches_into_configurations_and_leaves_the_rest_of_them() {
    let gateway = stack()
        .into_iter()
        .find(|object| object.kind() == "ConfigMap" && object.name() == GATEWAY);
    let before = gateway.expect("a ConfigMap");
    let fit = fit();
    let shape = Shape {
        fit: Some(fit.clone()),
        ..Shape::default()
    };
    let after = shaped(before.clone(), &shape);
    let lines = |object: &Object| -> Vec<String> {
        let files = [CONFIG, "spans.yaml"].map(|file| object.value()["data"][file].as_str().expect("a text"));
        files.into_iter().flat_map(str::lines).map(str::to_owned).collect()
    };
    let (before, after) = (lines(&before), lines(&after));
    assert_eq!(before.len(), after.len());
    let changed: Vec<&str> = before
        .iter()
        .zip(&after)
        .filter(|(old, new)| old != new)
        .map(|(_, new)| new.trim())
        .collect();
    let (limit, spike) = fit.size(GATEWAY).expect("a size").limiter();
    assert_eq!(
        changed,
        [
            format!("limit_mib: {limit}"),
            format!("spike_limit_mib: {spike}"),
            format!("max_streams: {}", fit.streams),
            format!("num_traces: {}", fit.traces.expect("a number")),
        ],
        "the limit of the totals is not for callers, and stays"
    );
}

/// The settings of the pipeline of spans that the gateway has in this shape.
fn sampling(shape: &Shape) -> [String; 4] {
    let gateway = stack()
        .into_iter()
        .find(|object| object.kind() == "ConfigMap" && object.name() == GATEWAY);
    let gateway = shaped(gateway.expect("a ConfigMap"), shape);
    let text = gateway.value()["data"]["spans.yaml"]
        .as_str()
        .expect("a text")
        .to_owned();
    ["decision_wait", "num_traces", "threshold_ms", "sampling_percentage"].map(|key| {
        let mut lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&format!("{key}: ")));
        lines.next().expect(key).to_owned()
    })
}

#[test]
fn the_sampling_decides_what_is_kept_and_how_long_that_takes() {
    let dev = Shape::default();
    assert_eq!(
        sampling(&dev),
        ["1s", "5000", "1000", "100"],
        "the manifest is the default"
    );
    let some = Shape {
        sampling: Share::parse("0.07").expect("a share"),
        slow: Slow::parse("250ms").expect("a time"),
        ..Shape::default()
    };
    assert_eq!(sampling(&some), ["10s", "5000", "250", "7"]);
    let production = Shape {
        profile: Profile::Production,
        sampling: Share::PRODUCTION,
        ..Shape::default()
    };
    assert_eq!(sampling(&production), ["10s", "20000", "1000", "5"]);
}

#[test]
fn in_production_the_gateway_passes_spans_on() {
    let shape = Shape {
        profile: Profile::Production,
        ..Shape::default()
    };
    let first = |name: &str, shape: &Shape| {
        let found = stack()
            .into_iter()
            .find(|object| object.is_workload() && object.name() == name);
        let object = shaped(found.expect("a workload"), shape);
        let path = "/spec/template/spec/containers/0/args/0";
        object
            .value()
            .pointer(path)
            .and_then(Value::as_str)
            .expect("arguments")
            .to_owned()
    };
    assert_eq!(first(GATEWAY, &Shape::default()), "--config=/etc/otelcol/spans.yaml");
    assert_eq!(first(GATEWAY, &shape), "--config=/etc/otelcol/balance.yaml");
    assert_eq!(first("collector-spans", &shape), "--config=/etc/spans/spans.yaml");
}

#[test]
fn without_a_budget_nothing_is_touched() {
    for object in stack() {
        assert_eq!(shaped(object.clone(), &Shape::default()), object);
    }
}

#[test]
fn other_images_are_used_and_digests_stay() {
    let digest = format!("@sha256:{}", "0123456789abcdef".repeat(4));
    let theirs = stack()
        .iter()
        .flat_map(images)
        .find(|image| image.contains("prometheus"))
        .expect("an image");
    let shape = |registry: Option<&str>| Shape {
        images: BTreeMap::from([(theirs.clone(), format!("{theirs}{digest}"))]),
        registry: registry.map(str::to_owned),
        ..Shape::default()
    };
    let used = |shape: &Shape| -> Vec<String> {
        stack()
            .into_iter()
            .flat_map(|object| images(&shaped(object, shape)))
            .collect()
    };
    let all = used(&shape(None));
    assert!(all.contains(&format!("{theirs}{digest}")), "{all:?}");
    assert_eq!(all.iter().filter(|image| image.contains('@')).count(), 1, "{all:?}");
    let mirrored = used(&shape(Some("r.io:5000/m")));
    let path = theirs.trim_start_matches("quay.io/");
    assert!(
        mirrored.contains(&format!("r.io:5000/m/{path}{digest}")),
        "{mirrored:?}"
    );
}
