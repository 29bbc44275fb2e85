use super::*;
use crate::{
    concern::{Concern, Selection},
    objects::Plan,
};
use std::collections::BTreeSet;

fn plan(shape: &Shape) -> Plan {
    Plan::shaped("shop", &BTreeSet::new(), shape).expect("a plan")
}

fn object<'a>(plan: &'a Plan, kind: &str, name: &str) -> &'a Object {
    let mut found = plan
        .stack
        .iter()
        .filter(|object| object.kind() == kind && object.name() == name);
    found.next().unwrap_or_else(|| panic!("{kind} {name}"))
}

fn sources_of(plan: &Plan) -> Value {
    let text = &object(plan, "ConfigMap", "grafana").value()["data"]["datasources.yaml"];
    serde_saphyr::from_str(text.as_str().expect("a text")).expect("YAML")
}

fn elsewhere(tls: bool) -> Shape {
    let mut address = Address::service("monitoring", "prom", 9091);
    address.path = "/p".into();
    address.tls = tls;
    Shape {
        keeper: Keeper::Plain(address),
        ..Shape::default()
    }
}

#[test]
fn a_config_map_has_room_for_the_boards() {
    let boards = boards();
    let all = boards.value()["data"].as_object().expect("data");
    assert!(all.len() >= 5 && all.contains_key("learnflow-overview.json"));
    // What it is over 1 MiB no API server takes.
    assert!(boards.value().to_string().len() < 900_000);
}

#[test]
fn what_is_mounted_is_there() {
    let plan = plan(&Shape::default());
    let grafana = object(&plan, "Deployment", "grafana").value();
    let pod = &grafana["spec"]["template"]["spec"];
    let config = object(&plan, "ConfigMap", "grafana").value();
    let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts");
    for file in mounts.iter().filter_map(|mount| mount["subPath"].as_str()) {
        assert!(config["data"][file].is_string(), "{file}");
    }
    let text = |name: &str| config["data"][name].as_str().expect("a text");
    let boards: Value = serde_saphyr::from_str(text("boards.yaml")).expect("YAML");
    let path = boards["providers"][0]["options"]["path"].as_str().expect("a path");
    assert!(
        mounts
            .iter()
            .any(|mount| mount["name"] == "boards" && mount["mountPath"] == path)
    );
    let home = format!("default_home_dashboard_path = {path}/learnflow-overview.json");
    assert!(text("grafana.ini").contains(&home));
    let (secret, key) = PASSWORD;
    let volumes = pod["volumes"].as_array().expect("volumes");
    let password = volumes.iter().find(|volume| volume["name"] == "password").expect("it");
    assert_eq!(password["secret"]["secretName"], secret);
    let file = password["secret"]["items"][0]["path"].as_str().expect("a path");
    assert_eq!(password["secret"]["items"][0]["key"], key);
    let there = mounts.iter().find(|mount| mount["name"] == "password").expect("it");
    let place = there["mountPath"].as_str().expect("a path");
    assert!(text("grafana.ini").contains(&format!("admin_password = $__file{{{place}/{file}}}")));
}

#[test]
fn a_changed_board_restarts_nothing_and_a_changed_source_does() {
    let roll = |shape: &Shape| {
        let plan = plan(shape);
        let template = &object(&plan, "Deployment", "grafana").value()["spec"]["template"]["metadata"];
        template["annotations"]["learnflow.dev/config"]
            .as_str()
            .map(str::to_owned)
    };
    let ours = roll(&Shape::default()).expect("a revision");
    assert!(!ours.contains('-'), "of one ConfigMap: {ours}");
    assert_ne!(roll(&elsewhere(false)).as_deref(), Some(ours.as_str()));
}

#[test]
fn it_asks_whoever_keeps_the_metrics() {
    let shape = elsewhere(false);
    let sources = sources_of(&plan(&shape));
    assert_eq!(sources["datasources"][0]["url"], "http://prom.monitoring:9091/p");
    assert_eq!(sources["datasources"][0]["uid"], "prometheus");
    let plan_there = plan(&shape);
    let policy = object(&plan_there, "NetworkPolicy", "grafana").value()["spec"]["egress"].to_string();
    assert!(
        policy
            .contains(r#"{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}]}"#),
        "{policy}"
    );
    let sources = sources_of(&plan(&elsewhere(true)));
    assert_eq!(sources["datasources"][0]["url"], "https://prom.monitoring:9091/p");
    assert_eq!(sources["datasources"][0]["jsonData"]["tlsSkipVerify"], true);
}

#[test]
fn where_no_traces_are_kept_none_are_linked() {
    let both = sources_of(&plan(&Shape::default()));
    let names = |sources: &Value| -> Vec<String> {
        let all = sources["datasources"].as_array().expect("a list");
        all.iter()
            .map(|source| source["uid"].as_str().expect("a text").to_owned())
            .collect()
    };
    assert_eq!(names(&both), ["prometheus", "jaeger"]);
    assert_eq!(
        both["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"],
        "jaeger"
    );
    let without = Shape {
        concerns: Selection::new(&[], &[Concern::Tracing]).expect("a selection"),
        store: false,
        ..Shape::default()
    };
    let without = sources_of(&plan(&without));
    assert_eq!(names(&without), ["prometheus"]);
    assert!(without["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"].is_null());
}

#[test]
fn another_grafana_gets_boards_and_sources_under_names_of_ours() {
    let theirs = Theirs::assumed("monitoring", "main", "monitoring");
    let shape = Shape {
        host: Host::Existing(Box::new(theirs)),
        ..Shape::default()
    };
    let plan = plan(&shape);
    assert!(!plan.stack.iter().any(|object| object.name() == "grafana"));
    let boards = object(&plan, "ConfigMap", BOARDS);
    assert_eq!(boards.namespace(), Some("monitoring"));
    let text = object(&plan, "ConfigMap", SOURCES).value()["data"]["learnflow-datasources.yaml"].clone();
    let file: Value = serde_saphyr::from_str(text.as_str().expect("a text")).expect("YAML");
    assert!(file["prune"].is_null());
    let first = &file["datasources"][0];
    assert_eq!(first["uid"], "learnflow-prometheus");
    assert_eq!(first["isDefault"], false);
    assert_eq!(
        first["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"],
        "learnflow-jaeger"
    );
    assert_eq!(file["datasources"][1]["url"], "http://traces.learnflow-system:16686");
    assert!(plan.set().expect("a set").value()["metadata"]["annotations"]["learnflow.dev/grafana"].is_string());
}

#[test]
fn a_sidecar_says_where_it_looks() {
    let candidate = |env: Value| Candidate {
        namespace: "monitoring".into(),
        name: "main".into(),
        containers: vec![json!({ "name": "grafana" }), json!({ "name": "sidecar", "env": env })],
    };
    let label = json!({ "name": "LABEL", "value": "grafana_dashboard" });
    let judged = |more: &[(&str, &str)]| {
        let more = more.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        candidate(std::iter::once(label.clone()).chain(more).collect()).judge()
    };
    for (env, namespace, value) in [
        (&[] as &[(&str, &str)], "monitoring", "1"),
        (&[("NAMESPACE", "")], "monitoring", "1"),
        (&[("NAMESPACE", "ALL"), ("LABEL_VALUE", "yes")], STACK_NAMESPACE, "yes"),
        (&[("NAMESPACE", "boards, other")], "boards", "1"),
        (&[("NAMESPACE", "boards,learnflow-system")], STACK_NAMESPACE, "1"),
    ] {
        let spot = judged(env).expect("usable").boards;
        assert_eq!(spot.namespace, namespace, "{env:?}");
        assert_eq!(spot.labels, Labels::from([("grafana_dashboard".into(), value.into())]));
    }
    assert!(
        judged(&[("RESOURCE", "secret")])
            .expect_err("refused")
            .contains("RESOURCE")
    );
    // A label that comes from somewhere else cannot be read.
    let unknown = candidate(json!([{ "name": "LABEL", "valueFrom": {} }])).judge();
    assert!(unknown.expect_err("refused").contains("k8s-sidecar"));
}
