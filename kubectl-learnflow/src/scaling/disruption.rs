//! What keeps a drained node from taking all pods of a service at once.

use super::bounds::Range;
use crate::{
    model::{Disruption, Service},
    objects::Object,
    preflight::Check,
    problem::Problem,
};
use serde_json::json;

const MANIFEST: &str = "autoscaling/disruption.yaml";

/// The PodDisruptionBudget of a service, where it is of use, and what there is to say.
pub(super) fn of(
    namespace: &str,
    service: &Service,
    range: Range,
    seen: &[Disruption],
) -> Result<(Option<Object>, Option<Check>), Problem> {
    // With a single pod it would block every drain for ever, or hold nothing.
    if range.min < 2 {
        return Ok((None, None));
    }
    let name = service.name.as_str();
    let theirs = |budget: &&Disruption| !budget.ours && (budget.covers.contains(name) || budget.name == name);
    if let Some(Disruption {
        name: theirs, covers, ..
    }) = seen.iter().find(theirs)
    {
        let object = format!("PodDisruptionBudget {namespace}/{theirs}");
        let check = match covers.contains(name) {
            true => Check::good(format!(
                "{object} is for pods of {name} already, and LearnFlow's is left out"
            )),
            false => Check::warn(
                format!("{object} has the name of LearnFlow's for {name}, which is left out"),
                "Rename that one and run this again.",
            ),
        };
        return Ok((None, Some(check)));
    }
    let mut object = crate::objects::only(MANIFEST)?.moved(namespace, name);
    object
        .map("/metadata/labels")
        .insert("app.kubernetes.io/name".into(), json!(name));
    object.map("/spec").insert("selector".into(), service.selector.clone());
    Ok((Some(object.labelled().versioned()), None))
}
