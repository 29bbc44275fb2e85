//! Why a service has fewer pods than its autoscaler wants, as it happens. Pure.

use crate::model::{Pod, Scaler, Service};
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Shortfall {
    pub(crate) wants: i32,
    /// Pods that serve.
    pub(crate) has: i32,
    pub(crate) because: String,
}

/// None while it has them all, or nothing says why not: a pod that is just starting is no shortfall.
pub(crate) fn of(scaler: &Scaler, service: &Service, pods: &[Pod]) -> Option<Shortfall> {
    let (wants, has) = (scaler.desired, service.rollout.ready);
    if has >= wants {
        return None;
    }
    let mut waiting = pods.iter().filter(|pod| !pod.ready && !pod.leaving);
    let unplaced = waiting.find_map(|pod| pod.reason.as_ref()?.strip_prefix(UNPLACED));
    // A pod that was refused is not there at all.
    let because = match service.refused.as_deref().filter(|_| service.rollout.total < wants) {
        Some(message) => refusal(message),
        None => format!("no node has room: {}", unplaced?.trim_end_matches('.')),
    };
    Some(Shortfall { wants, has, because })
}

/// How [`Pod::reason`] begins where no node takes it.
pub(crate) const UNPLACED: &str = "no node takes it: ";

/// What the server means by its message: `pods "cart-x" is forbidden: exceeded quota: team, requested: requests.cpu=50m,
/// used: …, limited: …`, where only what is exceeded is listed.
fn refusal(message: &str) -> String {
    let message = message.trim();
    let message = message.split_once("is forbidden: ").map_or(message, |(_, why)| why);
    if let Some(rest) = message.strip_prefix("exceeded quota: ")
        && let Some((quota, rest)) = rest.split_once(", requested: ")
    {
        let requested = rest.split(", used: ").next().unwrap_or(rest);
        let keys = requested.split(',').filter_map(|pair| pair.split('=').next());
        let names: Vec<String> = keys.map(in_words).collect();
        return format!("quota \"{quota}\" is out of {}", names.join(", "));
    }
    if let Some(rest) = message.strip_prefix("failed quota: ")
        && let Some((quota, rest)) = rest.split_once(": must specify ")
    {
        return format!("quota \"{quota}\" demands {}", rest.replace(" for: ", " of container "));
    }
    message.trim_end_matches('.').to_owned()
}

/// `requests.cpu` is cpu, `limits.memory` is memory limits.
fn in_words(key: &str) -> String {
    let key = key.trim();
    match key.split_once('.') {
        Some(("requests", resource)) => resource.to_owned(),
        Some(("limits", resource)) => format!("{resource} limits"),
        _ => key.trim_start_matches("count/").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rollout;

    fn short(refused: Option<&str>, total: i32, pods: &[Pod]) -> Option<String> {
        let scaler = Scaler {
            desired: 6,
            ..Scaler::default()
        };
        let rollout = Rollout {
            desired: 6,
            total,
            ready: 4,
            ..Rollout::default()
        };
        let service = Service {
            refused: refused.map(str::to_owned),
            rollout,
            ..Service::default()
        };
        of(&scaler, &service, pods).map(|short| format!("wants {}, has {}: {}", short.wants, short.has, short.because))
    }

    #[test]
    fn what_the_server_said_is_put_in_words() {
        let cases = [
            (
                "pods \"cart-7d9-\" is forbidden: exceeded quota: team, requested: requests.cpu=50m, used: requests.cpu=400m, limited: requests.cpu=400m",
                "wants 6, has 4: quota \"team\" is out of cpu",
            ),
            (
                "pods \"c\" is forbidden: exceeded quota: team, requested: limits.memory=1Gi,pods=1, used: limits.memory=4Gi,pods=4, limited: limits.memory=4Gi,pods=4",
                "wants 6, has 4: quota \"team\" is out of memory limits, pods",
            ),
            (
                "pods \"c\" is forbidden: failed quota: team: must specify limits.cpu for: daprd",
                "wants 6, has 4: quota \"team\" demands limits.cpu of container daprd",
            ),
            (
                "pods \"c\" is forbidden: maximum cpu usage per Container is 100m, but limit is 500m",
                "wants 6, has 4: maximum cpu usage per Container is 100m, but limit is 500m",
            ),
        ];
        for (message, says) in cases {
            assert_eq!(short(Some(message), 4, &[]).as_deref(), Some(says));
        }
    }

    #[test]
    fn pods_that_wait_for_a_node_say_so_and_those_that_start_say_nothing() {
        let pod = |reason: Option<&str>| Pod {
            reason: reason.map(str::to_owned),
            ..Pod::default()
        };
        let unplaced = pod(Some("no node takes it: 0/1 nodes are available: 1 Insufficient cpu."));
        let says = "wants 6, has 4: no node has room: 0/1 nodes are available: 1 Insufficient cpu";
        assert_eq!(short(None, 6, &[pod(None), unplaced]).as_deref(), Some(says));
        assert_eq!(short(None, 6, &[pod(None)]), None);
        // A refusal from before, when all pods are there.
        assert_eq!(
            short(
                Some("pods \"c\" is forbidden: exceeded quota: a, requested: pods=1, used: pods=1, limited: pods=1"),
                6,
                &[]
            ),
            None
        );
    }
}
