//! How few and how many pods.

use super::template::Role;
use crate::{
    concern::Profile,
    model::{Scaler, Service},
    problem::Problem,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) min: i32,
    pub(crate) max: i32,
}

/// Never fewer pods than a service ran when it had no autoscaler yet; what ours says now is as much.
pub(super) fn of(service: &Service, ours: Option<&Scaler>, profile: Profile) -> Result<Range, Problem> {
    let least = match profile {
        Profile::Dev => 1,
        // A lost node, or a drained one, is not an outage.
        Profile::Production => 2,
    };
    let (min, max) = ours.map_or((service.rollout.desired, 0), |ours| (ours.min, ours.max));
    let min = min.max(least);
    Ok(Range {
        min,
        max: max.max(most()?).max(min),
    })
}

/// The maximum of a service that nothing else is known of.
pub(super) fn most() -> Result<i32, Problem> {
    let max = Role::Called.template()?.value()["spec"]["maxReplicas"].as_i64();
    Ok(max.and_then(|max| i32::try_from(max).ok()).unwrap_or(1))
}
