//! In `production` two Prometheus scrape the same, each with a volume of its own: one may be away and nothing is missing.

use crate::{budget::PROMETHEUS, concern::Profile, objects::Object, patches::Shape};
use serde_json::{Value, json};

/// The other one. Not a StatefulSet: the first keeps its name and its volume, whatever the profile.
pub(crate) const OTHER: &str = "prometheus-b";
const INSTANCE: &str = "app.kubernetes.io/instance";

/// A shaped object, and its other one where there are two.
pub(crate) fn of(object: Object, shape: &Shape) -> Vec<Object> {
    let twice = shape.profile == Profile::Production && object.kind() == "Deployment" && object.name() == PROMETHEUS;
    let other = twice.then(|| other(&object));
    std::iter::once(object).chain(other).collect()
}

fn other(first: &Object) -> Object {
    let mut other = first.clone().renamed(OTHER.into());
    // Whose pods they are. The Service and the policies know both by the labels that they share.
    for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        other.map(labels).insert(INSTANCE.into(), OTHER.into());
    }
    let first_has_name = json!({ "matchLabels": { "app.kubernetes.io/name": PROMETHEUS } });
    let away = json!({ "weight": 100, "podAffinityTerm": {
        "topologyKey": "kubernetes.io/hostname", "labelSelector": first_has_name } });
    let pod = other.map("/spec/template/spec");
    let preferred = json!({ "preferredDuringSchedulingIgnoredDuringExecution": [away] });
    pod.insert("affinity".into(), json!({ "podAntiAffinity": preferred }));
    for volume in pod
        .get_mut("volumes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(claim) = volume.pointer_mut("/persistentVolumeClaim/claimName") {
            *claim = OTHER.into();
        }
    }
    if let Some(Value::Array(variables)) = other.edit().pointer_mut("/spec/template/spec/containers/0/env") {
        for variable in variables.iter_mut().filter(|variable| variable["name"] == "REPLICA") {
            variable["value"] = OTHER.into();
        }
    }
    other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Plan;
    use std::collections::BTreeSet;

    fn plan(profile: Profile) -> Plan {
        let shape = Shape {
            profile,
            ..Shape::default()
        };
        Plan::shaped("shop", &BTreeSet::new(), &shape).expect("a plan")
    }

    #[test]
    fn in_production_there_are_two_and_each_has_a_volume() {
        let plan = plan(Profile::Production);
        let both = plan.stack.iter().filter(|object| object.kind() == "Deployment");
        let both: Vec<_> = both
            .filter(|object| [PROMETHEUS, OTHER].contains(&object.name()))
            .collect();
        let names: Vec<_> = both.iter().map(|object| object.name()).collect();
        assert_eq!(names, [PROMETHEUS, OTHER]);
        for object in both {
            let pod = &object.value()["spec"]["template"];
            let selector = object.value()["spec"]["selector"]["matchLabels"]
                .as_object()
                .expect("labels");
            assert!(
                selector
                    .iter()
                    .all(|(key, value)| pod["metadata"]["labels"][key] == *value)
            );
            let claims = pod["spec"]["volumes"].as_array().expect("volumes").iter();
            let claims: Vec<_> = claims
                .filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName"))
                .collect();
            assert_eq!(claims, [object.name()]);
            let is_there = |other: &&Object| other.kind() == "PersistentVolumeClaim" && other.name() == object.name();
            assert!(plan.stack.iter().any(|other| is_there(&other)), "{}", object.name());
            let variables = pod["spec"]["containers"][0]["env"].to_string();
            assert!(
                variables.contains(&format!("\"value\":\"{}\"", object.name())),
                "{variables}"
            );
        }
    }

    #[test]
    fn in_dev_there_is_one() {
        assert!(!plan(Profile::Dev).stack.iter().any(|object| object.name() == OTHER));
    }
}
