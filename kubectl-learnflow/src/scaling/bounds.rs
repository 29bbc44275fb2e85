//! How few and how many pods.

use super::template::Role;
use crate::{
    concern::Profile,
    config::Scale,
    model::{Scaler, Service},
    problem::Problem,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) min: i32,
    pub(crate) max: i32,
}

/// What is said counts. Else never fewer pods than a service ran when it had no autoscaler yet; what ours says now is as
/// much. The inner error says what contradicts what.
pub(super) fn of(
    service: &Service,
    ours: Option<&Scaler>,
    said: Scale,
    profile: Profile,
) -> Result<Result<Range, String>, Problem> {
    let least = match profile {
        Profile::Dev => 1,
        // A lost node, or a drained one, is not an outage.
        Profile::Production => 2,
    };
    let (had, may) = ours.map_or((service.rollout.desired, 0), |ours| (ours.min, ours.max));
    let min = said.min.unwrap_or(had.max(least));
    let max = said.max.unwrap_or(may.max(most()?).max(min));
    if min <= max {
        return Ok(Ok(Range { min, max }));
    }
    Ok(Err(match (said.min, ours) {
        (Some(min), _) => format!("{min} pods at the least are more than {max} at the most"),
        (None, _) if had < least => {
            format!("{max} pod at the most is fewer than the {least} that the profile {profile} runs at the least")
        }
        (None, Some(_)) => format!("{max} at the most is fewer than the minimum of its autoscaler, which is {min}"),
        (None, None) => format!("{max} at the most is fewer than the {min} pods that it runs"),
    }))
}

/// The maximum of a service that nothing else is known of.
pub(super) fn most() -> Result<i32, Problem> {
    let max = Role::Called.template()?.value()["spec"]["maxReplicas"].as_i64();
    Ok(max.and_then(|max| i32::try_from(max).ok()).unwrap_or(1))
}
