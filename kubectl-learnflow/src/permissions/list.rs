//! Permissions, one by one and many at once.

use crate::{
    cluster::accesses,
    model::Access,
    objects::{OUR_NAMESPACES, Object},
};
use serde_json::Value;

pub(crate) fn access(verb: &str, group: &str, resource: &str, namespace: Option<&str>) -> Access {
    Access {
        verb: verb.into(),
        group: group.into(),
        resource: resource.into(),
        namespace: namespace.map(str::to_owned),
        name: None,
    }
}

pub(super) fn named(access: Access, name: &str) -> Access {
    Access {
        name: Some(name.into()),
        ..access
    }
}

/// Each of `verbs` on each of `resources`, both with commas between.
pub(crate) fn to(verbs: &str, group: &str, resources: &str, namespace: Option<&str>) -> Vec<Access> {
    verbs
        .split(',')
        .flat_map(|verb| {
            resources
                .split(',')
                .map(move |resource| access(verb, group, resource, namespace))
        })
        .collect()
}

/// The same in the services' namespace and in ours.
pub(super) fn both(namespace: &str, verbs: &str, group: &str, resources: &str) -> Vec<Access> {
    let mut all = to(verbs, group, resources, Some(namespace));
    all.extend(ours(verbs, group, resources));
    all
}

/// The same in each namespace of ours.
pub(super) fn ours(verbs: &str, group: &str, resources: &str) -> Vec<Access> {
    let each = OUR_NAMESPACES.into_iter();
    each.flat_map(|namespace| to(verbs, group, resources, Some(namespace)))
        .collect()
}

/// What it takes to give out a Role or ClusterRole of ours: all that it gives, and to bind it, which a dry
/// run is asked for while the role itself is not there yet.
pub(crate) fn granted(object: &Object) -> Vec<Access> {
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule[field].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut given = Vec::new();
    if matches!(object.kind(), "Role" | "ClusterRole") {
        given.extend(accesses(std::iter::once(&object.reference()), &["bind"]));
    }
    for rule in object.value()["rules"].as_array().into_iter().flatten() {
        let names = texts(rule, "resourceNames");
        let names: Vec<Option<String>> = match names.is_empty() {
            true => vec![None],
            false => names.into_iter().map(Some).collect(),
        };
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                for verb in texts(rule, "verbs") {
                    given.extend(names.iter().map(|name| Access {
                        name: name.clone(),
                        ..access(&verb, &group, &resource, object.namespace())
                    }));
                }
            }
        }
    }
    given
}
