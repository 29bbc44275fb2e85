use super::*;

fn plan(app_ids: &[&str]) -> Plan {
    let app_ids = app_ids.iter().map(|id| (*id).to_owned()).collect();
    Plan::new("shop", &app_ids).expect("the plugin's own manifests")
}

#[test]
fn everything_is_labelled_as_ours() {
    for object in plan(&["cart"]).all() {
        let label = |name: &str| object.value()["metadata"]["labels"][name].as_str().map(str::to_owned);
        assert_eq!(label(MANAGED_BY).as_deref(), Some(MANAGER), "{object}");
        assert_eq!(label(PART_OF).as_deref(), Some("learnflow"), "{object}");
        // A write to a Configuration restarts sidecars: no label of it may change with a version.
        let versioned = object.kind() != "Configuration";
        assert_eq!(label(VERSION_LABEL).is_some(), versioned, "{object}");
    }
}

#[test]
fn the_middleware_goes_to_the_services_and_cannot_harm_others() {
    let plan = plan(&["cart", "user"]);
    assert!(
        plan.middleware()
            .iter()
            .all(|object| object.namespace() == Some("shop"))
    );
    assert_eq!(plan.component.value()["scopes"], json!(["cart", "user"]));
    assert_eq!(plan.component.value()["spec"]["ignoreErrors"], true);
    let features = &plan.configuration.value()["spec"]["features"];
    assert_eq!(features, &json!([{ "name": "HotReload", "enabled": false }]));
    let url = &plan.component.value()["spec"]["metadata"][0]["value"];
    let mounted = GUEST_MOUNT
        .split_once(':')
        .map(|(_, folder)| format!("file://{folder}/learnflow.wasm"));
    assert_eq!(url.as_str(), mounted.as_deref(), "the Component reads what is mounted");
    assert!(plan.guest.value()["binaryData"]["learnflow.wasm"].is_string());
    assert_eq!(plan.guest.value()["immutable"], true);
    assert!(plan.guest.name().starts_with("learnflow-wasm-"), "{}", plan.guest);
}

#[test]
fn the_stack_is_one_set_and_nothing_else_is() {
    let plan = plan(&["cart"]);
    for object in plan.all() {
        let labels = &object.value()["metadata"]["labels"];
        let itself = labels["applyset.kubernetes.io/id"].is_string();
        let member = plan.stack.contains(object) && !itself;
        let set = applyset::id(STACK_NAMESPACE);
        assert_eq!(
            labels[applyset::PART_OF].as_str(),
            member.then_some(set.as_str()),
            "{object}"
        );
        assert_eq!(itself, plan.set() == Some(object), "{object}");
    }
}

#[test]
fn a_part_can_be_installed_alone() {
    let with = |only: &[Concern]| {
        let concerns = crate::concern::Selection::new(only, &[]).expect("a selection");
        let shape = Shape {
            concerns,
            ..Shape::default()
        };
        let plan = Plan::shaped("shop", &BTreeSet::new(), &shape).expect("a plan");
        plan.all().map(ToString::to_string).collect::<Vec<_>>()
    };
    let middleware = with(&[Concern::Middleware]);
    assert_eq!(middleware.len(), 3);
    assert!(
        middleware.iter().all(|name| name.contains(" shop/learnflow")),
        "{middleware:?}"
    );
    let collector = with(&[Concern::Collector]);
    assert_eq!(collector[0], "Namespace learnflow-system");
    assert_eq!(collector[1], "Namespace learnflow-agents");
    assert_eq!(collector[2], "ConfigMap learnflow-system/learnflow");
    assert!(
        !collector
            .iter()
            .any(|name| name.contains("prometheus") || name.contains("shop"))
    );
}

#[test]
fn the_rest_goes_to_the_stack_or_to_the_cluster() {
    for object in &plan(&[]).stack {
        // What an APIService is called says which API it is.
        let api = object.kind() == "APIService";
        let cluster_wide = api || object.kind().starts_with("Cluster");
        let ours = object
            .namespace()
            .is_some_and(|namespace| OUR_NAMESPACES.contains(&namespace));
        assert_eq!(ours, !cluster_wide, "{object}");
        assert!(
            api || !cluster_wide || object.name().starts_with("learnflow-"),
            "{object} needs a name of its own"
        );
    }
}

#[test]
fn prometheus_reads_the_rules_where_they_are_put() {
    let stack = plan(&[]).stack;
    let rules = stack
        .iter()
        .find(|object| object.kind() == "ConfigMap" && object.name() == RULES);
    let data = rules
        .and_then(|rules| rules.value()["data"].as_object())
        .expect("rules");
    assert!(!data.is_empty());
    let prometheus = stack
        .iter()
        .find(|object| object.kind() == "Deployment" && object.name() == "prometheus");
    let mounts = prometheus.expect("a Deployment").value()["spec"]["template"]["spec"]["volumes"].to_string();
    assert!(mounts.contains(&format!("\"name\":\"{RULES}\"")), "{mounts}");
}

#[test]
fn a_revision_is_of_parts_and_not_of_their_sum() {
    assert_ne!(revision(&[b"guest", b"x"]), revision(&[b"guest", b"y"]));
    assert_ne!(revision(&[b"ab", b"c"]), revision(&[b"a", b"bc"]));
    assert_eq!(revision(&[b"a"]).len(), 12);
}

#[test]
fn pods_roll_when_their_configuration_changes_unless_they_watch_it() {
    let object = |value| Object::new(value).expect("an object");
    let map = |text: &str| {
        let metadata = json!({ "name": "conf" });
        object(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "a": text } }))
    };
    let workload = |args: &[&str]| {
        object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "w" },
            "spec": { "template": { "spec": {
                "containers": [{ "args": args }],
                "volumes": [{ "name": "c", "configMap": { "name": "conf" } }],
            }}},
        }))
    };
    let mark = |text: &str, args: &[&str]| {
        let followed = follow_config(workload(args), &config_revisions(&[map(text)]));
        followed.value()["spec"]["template"]["metadata"]["annotations"][CONFIG_REVISION].clone()
    };
    assert!(mark("1", &[]).is_string());
    assert_ne!(mark("1", &[]), mark("2", &[]));
    assert_eq!(mark("1", &["--config.auto-reload"]), Value::Null);
}

#[test]
fn names_of_objects_are_read_well() {
    let plan = plan(&[]);
    assert_eq!(plan.namespaces[0].to_string(), "Namespace learnflow-system");
    assert_eq!(plan.component.to_string(), "Component shop/learnflow");
    assert_eq!(plan.component.moved("a", "b").to_string(), "Component a/b");
}
