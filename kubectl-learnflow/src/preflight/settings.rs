//! Do the settings fit the cluster?

use super::Check;
use crate::{objects::Object, text::list};

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
