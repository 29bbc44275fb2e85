//! Which services are scaled, and why the others are not: only where more pods are surely meant and surely work.

use super::bounds::most;
use crate::{
    config::Scale,
    model::{Gap, Scaler, Scaling, Service},
};

/// Why a service is not scaled.
pub(super) struct LeftOut {
    pub(super) why: String,
    pub(super) next: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something is missing that every autoscaler needs.
    Lacks,
    /// Somebody else scales it, or it is not made to be scaled.
    Unfit,
    /// It may pass: ours stays where there is one.
    Passes,
}

/// `said`: the bounds that the settings give it.
pub(super) fn left_out(
    namespace: &str,
    service: &Service,
    seen: &Scaling,
    ours: Option<&Scaler>,
    said: Scale,
) -> Option<LeftOut> {
    let name = &service.name;
    let because = |kind: Kind, why: String, next: &str| LeftOut {
        why,
        next: next.into(),
        kind,
    };
    let unfit = |why: String, next: &str| Some(because(Kind::Unfit, why, next));
    let lacks = |why: String, next: &str| Some(because(Kind::Lacks, why, next));
    // A ScaledObject has a HorizontalPodAutoscaler of its own; it is the one to speak of.
    let mut rivals = seen
        .scalers
        .iter()
        .filter(|scaler| !scaler.ours && scaler.target == *name)
        .rev();
    let rival = rivals
        .clone()
        .find(|scaler| scaler.kind == "ScaledObject")
        .or_else(|| rivals.next());
    if let Some(Scaler { kind, name, .. }) = rival {
        return unfit(
            format!("{kind} {namespace}/{name} does that already"),
            "Two of them would fight. Delete that one and run this again if LearnFlow's is to take over.",
        );
    }
    let taken = |scaler: &&Scaler| !scaler.ours && scaler.kind == "HorizontalPodAutoscaler" && scaler.name == *name;
    if let Some(taken) = seen.scalers.iter().find(taken) {
        return unfit(
            format!(
                "HorizontalPodAutoscaler {namespace}/{name} is for {} and not LearnFlow's",
                taken.target
            ),
            "Rename that one and run this again.",
        );
    }
    if service.gap == Some(Gap::Recreate) {
        return unfit(
            "its strategy is Recreate, as for one that must run alone".into(),
            "If several pods of it may run at once, set strategy RollingUpdate and run this again.",
        );
    }
    if let Some((claim, why)) = service
        .claims
        .iter()
        .find_map(|claim| seen.unshared.get_key_value(claim))
    {
        return unfit(
            format!("its pods would share PersistentVolumeClaim {claim}, {why}"),
            "Use a volume that several nodes can mount (ReadWriteMany), or a StatefulSet with a claim for each pod.",
        );
    }
    let Some(container) = &service.container else {
        return lacks(
            "which container is the app's own cannot be told".into(),
            "Name it as `container` of this service in learnflow.yaml.",
        );
    };
    if !service.requests("cpu") {
        return lacks(
            format!("container {container} requests no CPU, so that nothing says how much is a lot"),
            "Set resources.requests.cpu of that container and run this again.",
        );
    }
    if service.paused {
        let next =
            format!("Resume it with `kubectl -n {namespace} rollout resume deployment/{name}` and run this again.");
        return Some(because(Kind::Passes, "it is paused".into(), &next));
    }
    match service.rollout.desired {
        0 => {
            let why = "it is scaled to no pod at all, and an autoscaler does not begin at zero".into();
            let next = format!(
                "Start it with `kubectl -n {namespace} scale deployment/{name} --replicas=1` and run this again."
            );
            Some(because(Kind::Passes, why, &next))
        }
        pods if ours.is_none() && said.max.is_none() && pods >= most().unwrap_or(i32::MAX) => unfit(
            format!(
                "it runs {pods} pods already, and LearnFlow's default maximum is {}",
                most().unwrap_or(pods)
            ),
            "An autoscaler would take pods away. Say how many it may have as `scaling: {max: …}` of this service in learnflow.yaml.",
        ),
        _ => None,
    }
}
