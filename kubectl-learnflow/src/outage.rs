//! What a failure simulation may take away, what it must leave alone, and the note that it leaves behind. Pure: no cluster.

use crate::{objects::ObjectRef, problem::Problem};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The note that something is broken on purpose: a ConfigMap in the services' namespace. It is there before anything breaks
/// and goes when all is back, so that nothing is forgotten when the plugin is killed, and two runs cannot meet.
pub(crate) const NOTE: &str = "learnflow-verify";
/// On the workload, for whoever wonders where its pods are.
pub(crate) const BROKEN: &str = "learnflow.dev/scaled-to-zero-by-verify";

/// A workload as a person names it: NAMESPACE/KIND/NAME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named(pub(crate) ObjectRef);

impl Named {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no NAMESPACE/KIND/NAME, like kafka/statefulset/kafka");
        let parts: Vec<&str> = text.split('/').collect();
        let [namespace, kind, name] = parts.as_slice() else {
            return Err(wrong());
        };
        let kind = match kind.to_ascii_lowercase().as_str() {
            "statefulset" | "statefulsets" | "sts" => "StatefulSet",
            "deployment" | "deployments" | "deploy" => "Deployment",
            other => {
                return Err(format!(
                    "`{other}` cannot be scaled here: name a StatefulSet or a Deployment"
                ));
            }
        };
        let namespace = crate::config::label(namespace).map_err(|_| wrong())?;
        let name = crate::config::name(name).map_err(|_| wrong())?;
        Ok(Self(workload(kind, &namespace, &name)))
    }
}

pub(crate) fn workload(kind: &str, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        kind: kind.into(),
        ..ObjectRef::deployment(namespace, name)
    }
}

/// How Kafka is taken away, and how it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Scale { object: ObjectRef, replicas: i64 },
    Commands { breaks: String, restores: String },
}

/// One run that has broken something, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// By which a run knows its own.
    pub(crate) run: String,
    pub(crate) began: String,
    pub(crate) by: String,
    pub(crate) fault: Fault,
}

impl Fault {
    /// What a person types to undo it.
    pub(crate) fn by_hand(&self) -> String {
        match self {
            Self::Scale { object, replicas } => format!(
                "kubectl -n {} scale {}/{} --replicas={replicas}",
                object.namespace.as_deref().unwrap_or_default(),
                object.kind.to_lowercase(),
                object.name
            ),
            Self::Commands { restores, .. } => restores.clone(),
        }
    }

    pub(crate) fn what(&self) -> String {
        match self {
            Self::Scale { object, replicas } => format!("{object} was scaled from {replicas} to 0"),
            Self::Commands { breaks, .. } => format!("the command `{breaks}` was run"),
        }
    }
}

impl Note {
    pub(crate) fn data(&self) -> BTreeMap<String, String> {
        let mut data = BTreeMap::from([
            ("run".to_owned(), self.run.clone()),
            ("began".to_owned(), self.began.clone()),
            ("by".to_owned(), self.by.clone()),
            ("undo".to_owned(), self.fault.by_hand()),
        ]);
        let mut put = |key: &str, value: &str| data.insert(key.to_owned(), value.to_owned());
        match &self.fault {
            Fault::Scale { object, replicas } => {
                put("kind", &object.kind);
                put("namespace", object.namespace.as_deref().unwrap_or_default());
                put("name", &object.name);
                put("replicas", &replicas.to_string());
            }
            Fault::Commands { breaks, .. } => {
                put("break", breaks);
            }
        }
        data
    }

    /// A note that cannot be read is still a note: somebody must look.
    pub(crate) fn read(data: &BTreeMap<String, String>) -> Result<Self, Problem> {
        let text = |key: &str| data.get(key).cloned().unwrap_or_default();
        let replicas = text("replicas").parse::<i64>().ok().filter(|replicas| *replicas > 0);
        let fault = match (text("kind").as_str(), replicas, data.get("break")) {
            (kind @ ("StatefulSet" | "Deployment"), Some(replicas), None) => Fault::Scale {
                object: workload(kind, &text("namespace"), &text("name")),
                replicas,
            },
            (_, _, Some(breaks)) => Fault::Commands {
                breaks: breaks.clone(),
                restores: text("undo"),
            },
            _ => {
                return Err(Problem::new(format!(
                    "ConfigMap {NOTE} says that something was broken, but not what."
                ))
                .next(format!("See whether Kafka runs, then delete the ConfigMap {NOTE}.")));
            }
        };
        Ok(Self {
            run: text("run"),
            began: text("began"),
            by: text("by"),
            fault,
        })
    }

    /// As a sentence for whoever meets it.
    pub(crate) fn sentence(&self) -> String {
        format!(
            "A failure simulation has not been undone: {} on {} by {}",
            self.fault.what(),
            self.began,
            self.by
        )
    }

    pub(crate) fn next(&self, namespace: &str) -> String {
        match &self.fault {
            Fault::Scale { .. } => format!(
                "If it does not run any more, undo it with `kubectl learnflow verify resilience --restore -n {namespace}`."
            ),
            // Commands that stand in a cluster are never run: whoever can write there is not who runs this.
            Fault::Commands { restores, .. } => format!(
                "If it does not run any more, read this command, which is not run by itself, and undo it with \
                 `kubectl learnflow verify resilience -n {namespace} --restore '{restores}'`."
            ),
        }
    }
}

/// What is around a workload that may be scaled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    /// Autoscalers of the namespace, as kind, name, and kind and name of what they scale.
    pub(crate) scalers: Vec<(String, String, String, String)>,
    /// PodDisruptionBudgets that choose its pods.
    pub(crate) budgets: Vec<String>,
}

/// Whether a workload may be scaled to 0 and back, and from how many.
pub(crate) fn may_be_scaled(
    object: &ObjectRef,
    found: &Value,
    around: &Around,
    discard_data: bool,
) -> Result<Fault, Problem> {
    let yourself = "Take Kafka away in a way that its owner allows, with --break COMMAND and --restore COMMAND.";
    let owners = found["metadata"]["ownerReferences"].as_array();
    if let Some(owner) = owners.into_iter().flatten().find(|owner| owner["controller"] == true) {
        let text = |key: &str| owner[key].as_str().unwrap_or_default().to_owned();
        return Err(refused(
            object,
            &format!("{} {} owns it and would put it back", text("kind"), text("name")),
        )
        .next(yourself));
    }
    for (kind, name, of, target) in &around.scalers {
        if *of == object.kind && *target == object.name {
            return Err(refused(object, &format!("{kind} {name} decides about its pods")).next(yourself));
        }
    }
    if let Some(budget) = around.budgets.first() {
        return Err(refused(
            object,
            &format!("PodDisruptionBudget {budget} says that its pods must stay"),
        )
        .next(yourself));
    }
    let replicas = found["spec"]["replicas"].as_i64().unwrap_or(1);
    let ready = found["status"]["readyReplicas"].as_i64().unwrap_or(0);
    if replicas < 1 || ready < replicas {
        return Err(refused(
            object,
            &format!("{ready} of its {replicas} pods are ready, so it is down already"),
        )
        .next("Verify when Kafka is well."));
    }
    if let Some(why) = loses_data(found).filter(|_| !discard_data) {
        return Err(refused(
            object,
            &format!("{why}, so all that is in Kafka would be gone for good"),
        )
        .next("If that does no harm, as on a Kafka for tests, add --discard-data."));
    }
    Ok(Fault::Scale {
        object: object.clone(),
        replicas,
    })
}

fn refused(object: &ObjectRef, why: &str) -> Problem {
    Problem::new(format!("{object} is not taken away: {why}."))
}

/// Why the data of a workload does not outlive its pods.
pub(crate) fn loses_data(found: &Value) -> Option<&'static str> {
    let spec = &found["spec"];
    if spec["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete" {
        return Some("its volumes are deleted when it is scaled down");
    }
    let claims = spec["volumeClaimTemplates"]
        .as_array()
        .is_some_and(|all| !all.is_empty());
    let volumes = spec["template"]["spec"]["volumes"].as_array();
    let lasting = |volume: &Value| {
        ["persistentVolumeClaim", "hostPath", "nfs", "iscsi"]
            .iter()
            .any(|kind| !volume[*kind].is_null())
    };
    let lasts = claims || volumes.into_iter().flatten().any(lasting);
    (!lasts).then_some("it has no volume that outlives its pods")
}

/// The Service that a broker's address leads to, as namespace and name, where it is one of this cluster.
pub(crate) fn service_of(broker: &str, namespace: &str) -> Option<(String, String)> {
    let (host, _) = broker.trim().rsplit_once(':')?;
    if host.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let inside = host.split(".svc").next().unwrap_or(host);
    let parts: Vec<&str> = inside.split('.').collect();
    match parts.as_slice() {
        [name] => Some((namespace.to_owned(), (*name).to_owned())),
        [name, there] => Some(((*there).to_owned(), (*name).to_owned())),
        // POD.SERVICE.NAMESPACE of a StatefulSet.
        [_, name, there] => Some(((*there).to_owned(), (*name).to_owned())),
        _ => None,
    }
}

/// Takes it away, in one write with the word why.
pub(crate) fn away(note: &Note) -> Value {
    json!({ "metadata": { "annotations": { BROKEN: format!("on {} by {}; undo: {}", note.began, note.by, note.fault.by_hand()) } },
        "spec": { "replicas": 0 } })
}

/// Brings it back; `replicas`: unless somebody has done so.
pub(crate) fn back(replicas: Option<i64>) -> Value {
    let mut patch = json!({ "metadata": { "annotations": { BROKEN: null } } });
    if let Some(replicas) = replicas {
        patch["spec"]["replicas"] = replicas.into();
    }
    patch
}

#[cfg(test)]
#[path = "outage_tests.rs"]
mod tests;
