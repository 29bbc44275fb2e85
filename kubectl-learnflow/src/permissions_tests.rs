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
