use super::*;

const SHOP: &str = "shop";

fn plan() -> Plan {
    Plan::new(SHOP, &BTreeSet::new()).expect("the plugin's own manifests")
}

#[test]
fn whoever_installs_must_have_what_our_roles_give() {
    let permissions = of(Task::Install, &plan(), SHOP);
    let watch = access("watch", "", "pods", None);
    assert!(
        permissions.required.contains(&watch),
        "Prometheus and the agent watch pods"
    );
}

#[test]
fn rules_are_few_and_exact() {
    let accesses = [
        access("list", "", "pods", Some(SHOP)),
        access("list", "", "events", Some(SHOP)),
        named(access("get", "", "pods", Some(SHOP)), "a"),
        named(access("list", "", "pods", Some(SHOP)), "a"),
        named(access("get", "", "configmaps", Some(SHOP)), "b"),
        named(access("patch", "", "configmaps", Some(SHOP)), "b"),
        named(access("get", "", "configmaps", Some(SHOP)), "c"),
        named(access("patch", "", "configmaps", Some(SHOP)), "c"),
    ];
    let rules = rules(&accesses.iter().collect::<Vec<_>>());
    let expected = serde_json::json!([
        { "apiGroups": [""], "resources": ["events", "pods"], "verbs": ["list"] },
        { "apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"] },
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"], "resourceNames": ["b", "c"] },
    ]);
    assert_eq!(Value::Array(rules), expected);
}

#[test]
fn nothing_is_given_beyond_our_own_names_that_could_change_the_cluster() {
    for task in Task::value_variants() {
        for access in of(*task, &plan(), SHOP)
            .all()
            .filter(|access| access.namespace.is_none())
        {
            let reads = matches!(access.verb.as_str(), "get" | "list" | "watch" | "create");
            assert!(reads || access.name.is_some(), "{task:?}: {access:?}");
        }
    }
}

#[test]
fn what_is_given_everywhere_is_not_given_again() {
    let permissions = Permissions::default()
        .need(to("list", "", "pods", Some(SHOP)))
        .need(to("list", "", "pods", None))
        .need(to("get", "", "pods", Some(SHOP)));
    let roles = roles(Task::Install, &permissions);
    let verbs: Vec<&Value> = roles.iter().map(|role| &role["rules"][0]["verbs"]).collect();
    assert_eq!(verbs, [&serde_json::json!(["list"]), &serde_json::json!(["get"])]);
}
