//! Do the settings fit the cluster?

use super::Check;
use crate::{
    config::Memory,
    objects::{Object, Plan},
    text::{count, list},
};

/// The pub/sub component that the settings name.
pub(crate) fn pubsub(wanted: Option<&str>, there: &[String]) -> Option<Check> {
    let wanted = wanted.filter(|wanted| !there.iter().any(|name| name == wanted))?;
    Some(Check::bad(
        format!("No Component {wanted} of type pubsub.kafka"),
        match there {
            [] => "Create it, or take `pubsub` out of the settings.".to_owned(),
            there => format!("There is {}: correct `pubsub` in the settings.", list(there)),
        },
    ))
}

/// Is there something that gives a new claim its volume? `None`: we may not look.
pub(crate) fn storage(claim: &Object, default_class: Option<bool>) -> Option<Check> {
    (default_class == Some(false)).then(|| {
        Check::bad(
            format!("{claim} would wait for ever: the cluster has no default StorageClass"),
            "Make one the default, create that claim yourself, or use --profile dev.",
        )
    })
}

/// Does all that we install stay within the budget, by its limits?
pub(crate) fn budget(plan: &Plan, budget: &Memory, nodes: usize) -> Check {
    let mut sum = 0;
    let mut parts = Vec::new();
    for object in plan.outside().filter(|object| object.is_workload()) {
        let (pods, each) = match object.kind() {
            "DaemonSet" => (nodes as u64, format!(" on each of {}", count(nodes, "node"))),
            _ => (object.replicas(), String::new()),
        };
        let memory = object.memory_limit();
        sum += pods * memory;
        parts.push(format!("{} {}{each}", object.name(), mebibytes(memory)));
    }
    let text = format!(
        "Memory by limits: {} of the budget of {budget} ({})",
        mebibytes(sum),
        list(&parts)
    );
    if sum <= budget.bytes() {
        return Check::good(text);
    }
    Check::bad(
        text,
        "Raise the budget, or leave parts out with --skip (prometheus takes the most).",
    )
}

fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes.div_ceil(1 << 20))
}
