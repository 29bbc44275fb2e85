//! Who tells of pods, autoscalers and quotas. One kube-state-metrics is enough: where somebody else's runs that can be
//! read, LearnFlow brings none. Ours that is there stays: nothing is switched because another one came.

use crate::{
    budget::KUBE_STATE_METRICS,
    cluster::Cluster,
    concern::Concern,
    config::Settings,
    model::StateMetrics,
    monitoring::Keeper,
    objects::{MANAGER, ObjectRef, STACK_NAMESPACE},
    preflight::Check,
    problem::{Kind, Problem},
};

/// Leaves ours out of the settings where another one does its work, and says so.
pub(super) async fn leave_out(
    cluster: &Cluster,
    settings: &mut Settings,
    keeper: &Keeper,
) -> Result<Option<Check>, Problem> {
    let concerns = &settings.concerns.value;
    if !concerns.has(Concern::KubeStateMetrics) || concerns.asks_for(Concern::KubeStateMetrics) {
        return Ok(None);
    }
    let ours = ObjectRef::deployment(STACK_NAMESPACE, KUBE_STATE_METRICS);
    let ours = cluster.existing(&ours).await?;
    if ours.is_some_and(|there| there.managed_by.as_deref() == Some(MANAGER)) {
        return Ok(None);
    }
    let found = match cluster.state_metrics().await {
        Err(problem) if problem.kind == Kind::Forbidden => return Ok(None),
        found => found?,
    };
    // Whoever brought another Prometheus has let it read what is beside it.
    let readable = |one: &&StateMetrics| one.readable || *keeper != Keeper::Own;
    if let Some(one) = found.iter().find(readable) {
        settings.concerns.value = concerns.clone().without(Concern::KubeStateMetrics);
        let mut check = Check::good(format!("The kube-state-metrics in namespace {} is used", one.namespace));
        check.next = Some(
            "LearnFlow brings none of its own. To have one all the same, name it: --only kube-state-metrics.".into(),
        );
        return Ok(Some(check));
    }
    Ok(found.first().map(|one| {
        Check::warn(
            format!(
                "The kube-state-metrics in namespace {} has no port http or http-metrics, where LearnFlow's Prometheus \
                 could read it",
                one.namespace
            ),
            "LearnFlow brings one of its own.",
        )
    }))
}

#[cfg(test)]
#[path = "states_tests.rs"]
mod tests;
