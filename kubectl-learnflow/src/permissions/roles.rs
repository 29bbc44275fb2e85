//! Permissions as roles: what `rbac` prints.

use super::{Permissions, Task};
use crate::{model::Access, objects::MIDDLEWARE};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// ClusterRole and Roles that give exactly this.
pub(crate) fn roles(task: Task, permissions: &Permissions) -> Vec<Value> {
    let mut places: BTreeMap<Option<&str>, Vec<&Access>> = BTreeMap::new();
    // Who may do it everywhere needs not be told that he may here.
    let everywhere = |access: &Access| {
        let anywhere = Access {
            namespace: None,
            name: None,
            ..access.clone()
        };
        access.namespace.is_some() && permissions.all().any(|other| *other == anywhere)
    };
    for access in permissions.all().filter(|access| !everywhere(access)) {
        places.entry(access.namespace.as_deref()).or_default().push(access);
    }
    let role = |(namespace, accesses): (Option<&str>, Vec<&Access>)| {
        let mut metadata = serde_json::json!({
            "name": format!("{MIDDLEWARE}-{}", task.name()),
            "labels": { "app.kubernetes.io/part-of": MIDDLEWARE },
        });
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        serde_json::json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": if namespace.is_some() { "Role" } else { "ClusterRole" },
            "metadata": metadata,
            "rules": rules(&accesses),
        })
    };
    places.into_iter().map(role).collect()
}

/// As few rules as it takes: same names and verbs, one rule.
fn rules(accesses: &[&Access]) -> Vec<Value> {
    type Verbs<'a> = BTreeSet<&'a str>;
    let free: BTreeSet<_> = accesses
        .iter()
        .filter(|access| access.name.is_none())
        .map(|access| (&access.group, &access.resource, &access.verb))
        .collect();
    // (group, resource, name) → verbs, without names that are covered by "all of them".
    let mut single: BTreeMap<(&str, &str, Option<&str>), Verbs<'_>> = BTreeMap::new();
    for access in accesses {
        if access.name.is_some() && free.contains(&(&access.group, &access.resource, &access.verb)) {
            continue;
        }
        let key = (access.group.as_str(), access.resource.as_str(), access.name.as_deref());
        single.entry(key).or_default().insert(&access.verb);
    }
    // (group, resource, verbs) → names, then (group, names, verbs) → resources.
    let mut names: BTreeMap<(&str, &str, Verbs<'_>), BTreeSet<&str>> = BTreeMap::new();
    for ((group, resource, name), verbs) in single {
        // Named and unnamed never meet: what all have in common was taken out above.
        let key = (group, resource, verbs);
        names.entry(key).or_default().extend(name);
    }
    let mut resources: BTreeMap<(&str, BTreeSet<&str>, Verbs<'_>), BTreeSet<&str>> = BTreeMap::new();
    for ((group, resource, verbs), names) in names {
        resources.entry((group, names, verbs)).or_default().insert(resource);
    }
    let rule = |((group, names, verbs), resources): ((&str, BTreeSet<&str>, Verbs<'_>), BTreeSet<&str>)| {
        let mut rule = serde_json::json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
        if !names.is_empty() {
            rule["resourceNames"] = serde_json::json!(names);
        }
        rule
    };
    resources.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{access, named, to},
        *,
    };

    const SHOP: &str = "shop";

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
    fn what_is_given_everywhere_is_not_given_again() {
        let permissions = Permissions::default()
            .need(to("list", "", "pods", Some(SHOP)))
            .need(to("list", "", "pods", None))
            .need(to("get", "", "pods", Some(SHOP)));
        let roles = roles(Task::Install, &permissions);
        let verbs: Vec<&Value> = roles.iter().map(|role| &role["rules"][0]["verbs"]).collect();
        assert_eq!(verbs, [&serde_json::json!(["list"]), &serde_json::json!(["get"])]);
    }
}
