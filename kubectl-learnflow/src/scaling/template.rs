//! What a service does, and the object of the manifest that goes with it.

use super::bounds::Range;
use crate::{
    assets,
    model::{Scaling, Served, Service},
    objects::Object,
    problem::Problem,
};
use serde_json::json;

/// One object a service, all made of the two that stand for a role.
pub(super) const MANIFEST: &str = "autoscaling/services.yaml";

/// What makes a service busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Calls, whether of people or of other services; it may publish.
    Called,
    /// Events: it has a subscription.
    Consumer,
}

impl Role {
    pub(crate) fn of(service: &Service, seen: &Scaling) -> Self {
        match service.app_id.as_ref().and_then(|app| seen.consumed.get(app)) {
            Some(topics) if !topics.is_empty() => Self::Consumer,
            _ => Self::Called,
        }
    }

    /// The service of LearnFlow that stands for it in the manifest.
    fn example(self) -> &'static str {
        match self {
            Self::Called => "frontend",
            Self::Consumer => "user-progress",
        }
    }

    pub(super) fn template(self) -> Result<Object, Problem> {
        let mut all = assets::manifest(MANIFEST)?.into_iter();
        let example = |object: &Object| object.name() == self.example() && object.kind() == "HorizontalPodAutoscaler";
        all.find(example).ok_or_else(|| {
            Problem::new(format!(
                "The manifest {MANIFEST} inside this plugin lacks {}.",
                self.example()
            ))
        })
    }
}

/// The autoscaler of a service.
pub(super) fn autoscaler(
    namespace: &str,
    service: &Service,
    role: Role,
    served: &Served,
    range: Range,
) -> Result<Object, Problem> {
    let template = role.template()?;
    let metrics = super::metrics::of(template.value(), service, served);
    let name = service.name.as_str();
    let mut object = template.moved(namespace, name);
    object
        .map("/metadata/labels")
        .insert("app.kubernetes.io/name".into(), json!(name));
    let spec = object.map("/spec");
    spec.insert("minReplicas".into(), json!(range.min));
    spec.insert("maxReplicas".into(), json!(range.max));
    spec.insert("metrics".into(), json!(metrics));
    object.edit()["spec"]["scaleTargetRef"]["name"] = json!(name);
    Ok(object.labelled().versioned())
}
