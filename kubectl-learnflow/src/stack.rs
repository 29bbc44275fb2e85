//! What goes into our own namespace: the set that it is, and which objects it has.

use crate::{
    applyset, assets,
    concern::{Concern, Profile},
    external,
    grafana::{self, Host},
    monitoring::{self, Keeper},
    objects::{AGENT_NAMESPACE, HOST, KEEPER, NAMESPACES, Object, ObjectRef, PARTS, STACK_NAMESPACE},
    patches::Shape,
    problem::Problem,
    quota,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The kinds that the stack has in any part and profile, whatever is chosen: others of them may be there.
pub(crate) fn kinds() -> Result<BTreeMap<String, ObjectRef>, Problem> {
    let mut kinds = BTreeMap::new();
    let own = assets::manifest("namespaces.yaml")?;
    let members = own.iter().filter(|object| object.kind() != "Namespace");
    kinds.extend(members.map(|object| (applyset::kind(object), object.reference())));
    let of_budget = quota::references().into_iter();
    kinds.extend(of_budget.map(|reference| (reference.kind.clone(), reference)));
    for concern in Concern::ALL.into_iter().filter(|concern| concern.is_of_stack()) {
        for profile in [Profile::Dev, Profile::Production] {
            let objects = concern.objects(profile)?;
            kinds.extend(
                objects
                    .iter()
                    .map(|object| (applyset::kind(object), object.reference())),
            );
        }
    }
    Ok(kinds)
}

/// Kinds that it has in namespaces of others: somebody else's Prometheus and Grafana are told by them.
pub(crate) fn foreign_kinds() -> Result<BTreeMap<String, ObjectRef>, Problem> {
    let mut objects = assets::folder("prometheus/operator")?;
    objects.push(monitoring::rules("", &Value::Null));
    objects.push(grafana::boards());
    let kinds = objects
        .iter()
        .map(|object| (applyset::kind(object), object.reference()));
    Ok(kinds.collect())
}

pub(crate) fn set(stack: &[Object], shape: &Shape) -> Result<Object, Problem> {
    let mut kinds: BTreeSet<String> = kinds()?.into_keys().collect();
    // Kinds that not every cluster has.
    kinds.extend(stack.iter().map(applyset::kind));
    // Agents are in a namespace of their own, and monitors where their Prometheus looks.
    let namespaces = stack.iter().filter_map(Object::namespace);
    let elsewhere: BTreeSet<&str> = namespaces.filter(|name| *name != STACK_NAMESPACE).collect();
    let elsewhere = &elsewhere | &BTreeSet::from([AGENT_NAMESPACE]);
    let elsewhere: Vec<&str> = elsewhere.into_iter().collect();
    let mut set = applyset::parent(STACK_NAMESPACE, &kinds, &elsewhere).map_err(Problem::new)?;
    let annotations = set.map("/metadata/annotations");
    if shape.keeper != Keeper::Own {
        annotations.insert(KEEPER.into(), json!(shape.keeper).to_string().into());
    }
    let parts = shape.concerns.iter().filter(|concern| concern.is_of_stack());
    let parts = parts.chain(shape.before.iter().copied());
    let parts = parts.map(|concern| concern.name().to_owned()).collect();
    annotations.insert(PARTS.into(), applyset::join(&parts).into());
    if !shape.namespaces.is_empty() {
        annotations.insert(NAMESPACES.into(), applyset::join(&shape.namespaces).into());
    }
    if shape.host != Host::Own {
        annotations.insert(HOST.into(), json!(shape.host).to_string().into());
    }
    Ok(set.labelled().versioned())
}

/// Our own namespace, as we make it.
pub(crate) fn home() -> Result<Object, Problem> {
    let all = assets::manifest("namespaces.yaml")?;
    let home = all
        .into_iter()
        .find(|object| object.kind() == "Namespace" && object.name() == STACK_NAMESPACE);
    let home = home.ok_or_else(|| Problem::new("The manifest namespaces.yaml has no namespace of ours."))?;
    Ok(home.labelled().versioned())
}

/// The namespaces that these objects go to; what each has for itself comes to the objects.
pub(crate) fn namespaces(stack: &mut Vec<Object>, keeper: &Keeper) -> Result<Vec<Object>, Problem> {
    let used: BTreeSet<String> = stack
        .iter()
        .filter_map(|object| object.namespace().map(str::to_owned))
        .collect();
    let all = assets::manifest("namespaces.yaml")?;
    let (namespaces, own): (Vec<Object>, Vec<Object>) =
        all.into_iter().partition(|object| object.kind() == "Namespace");
    let own = own
        .into_iter()
        .filter(|object| object.namespace().is_some_and(|namespace| used.contains(namespace)));
    stack.splice(0..0, own);
    let namespaces = namespaces
        .into_iter()
        .filter(|namespace| used.contains(namespace.name()));
    let namespaces = namespaces.map(|namespace| {
        let mut namespace = namespace.labelled().versioned();
        if let (Keeper::Operated(operated), STACK_NAMESPACE) = (keeper, namespace.name()) {
            let labels = operated.namespace_labels.iter();
            let labels = labels.map(|(key, value)| (key.clone(), Value::from(value.clone())));
            namespace.map("/metadata/labels").extend(labels);
        }
        namespace
    });
    Ok(namespaces.collect())
}

/// What a Prometheus needs to find pods.
const ROLE: &str = "learnflow-prometheus";

/// Somebody else's Prometheus is told of us.
fn told(keeper: &Keeper, own: Vec<Object>) -> Result<Vec<Object>, Problem> {
    let Keeper::Operated(operated) = keeper else {
        return Ok(Vec::new());
    };
    let mut objects = own;
    // What lets it find pods. Kubelets it reads in its own right.
    objects.retain(|object| object.kind().starts_with("ClusterRole") && object.name() == ROLE);
    objects.extend(assets::folder("prometheus/operator")?);
    if operated.rules.is_some() {
        for (file, text) in assets::rules() {
            objects.push(monitoring::rules(file, &assets::yaml(file, text)?));
        }
    }
    let fitted = |object| monitoring::fitted(object, operated);
    Ok(objects.into_iter().map(fitted).collect())
}

/// The jobs to add to a Prometheus that nobody operates.
pub(crate) fn scrape_jobs() -> Result<Value, Problem> {
    let objects = assets::folder("prometheus")?;
    let config = objects
        .iter()
        .find_map(|object| object.value()["data"]["prometheus.yml"].as_str());
    let config = assets::yaml("prometheus.yml", config.unwrap_or_default())?;
    Ok(monitoring::scrape_jobs(&config))
}

/// The objects of a part, wherever the metrics are kept.
pub(crate) fn objects(concern: Concern, shape: &Shape) -> Result<Vec<Object>, Problem> {
    let objects = concern.objects(shape.profile)?;
    match concern {
        Concern::Prometheus if shape.keeper != Keeper::Own => told(&shape.keeper, objects),
        Concern::Grafana => grafana::objects(objects, shape),
        Concern::PrometheusAdapter => Ok(external::fitted(objects, &shape.keeper)),
        _ => Ok(objects),
    }
}
