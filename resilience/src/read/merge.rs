//! All Resiliency objects in the scope of one app, as its sidecar merges them: by name, and the later one wins.

use super::{
    Names, Objects, Place, TargetNames, Written,
    resiliency::{RetryText, exponential_up_to},
};
use crate::policy::{Backoff, Breaker, Retry};
use std::{collections::BTreeMap, time::Duration};

pub(super) const SERVICE_RETRIES: &str = "DaprBuiltInServiceRetries";
const PROTECTED: &str = "DaprBuiltInActorNotFoundRetries";
const BUILT_IN: [&str; 5] = [
    SERVICE_RETRIES,
    "DaprBuiltInActorRetries",
    "DaprBuiltInActorReminderRetries",
    "DaprBuiltInInitializationRetries",
    PROTECTED,
];
/// One of Dapr's own that is replaced retries at least this often.
const LEAST: u32 = 3;

/// A retry, and where it is written; Dapr's own are written nowhere.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) text: RetryText,
    pub(super) place: Option<Place>,
}

#[derive(Debug, Default)]
pub(super) struct Merged<'a> {
    pub(super) timeouts: BTreeMap<&'a str, &'a Written<Duration>>,
    pub(super) retries: BTreeMap<&'a str, Known>,
    pub(super) breakers: BTreeMap<&'a str, &'a Written<Breaker>>,
    pub(super) apps: BTreeMap<&'a str, &'a Written<Names>>,
    pub(super) actors: BTreeMap<&'a str, &'a Written<Names>>,
    pub(super) components: BTreeMap<&'a str, &'a Written<TargetNames>>,
}

impl<'a> Merged<'a> {
    pub(super) fn of(objects: &'a Objects, app_id: &str) -> Self {
        let mut merged = Self {
            retries: built_in(),
            ..Self::default()
        };
        let in_scope = objects.resiliencies.iter().filter(|object| object.meta.is_for(app_id));
        for object in in_scope {
            merged.timeouts.extend(by_name(&object.timeouts));
            merged.breakers.extend(by_name(&object.breakers));
            merged.apps.extend(by_name(&object.apps));
            merged.actors.extend(by_name(&object.actors));
            merged.components.extend(by_name(&object.components));
            for (name, written) in by_name(&object.retries).filter(|(name, _)| *name != PROTECTED) {
                let mut text = written.value.clone();
                if BUILT_IN.contains(&name) && text.retry.max_retries.is_none_or(|retries| retries < LEAST) {
                    text.retry.max_retries = Some(LEAST);
                }
                let place = Some(written.place.clone());
                merged.retries.insert(name, Known { text, place });
            }
        }
        merged
    }
}

fn by_name<T>(map: &BTreeMap<String, T>) -> impl Iterator<Item = (&str, &T)> {
    map.iter().map(|(name, value)| (name.as_str(), value))
}

fn built_in() -> BTreeMap<&'static str, Known> {
    let constant = |max_retries: u32| Retry {
        backoff: Backoff::Constant {
            interval: Duration::from_secs(1),
        },
        max_retries: Some(max_retries),
    };
    let reminder = Retry {
        backoff: exponential_up_to(Duration::from_secs(60)),
        max_retries: Some(0),
    };
    let mut start = Retry {
        backoff: exponential_up_to(Duration::from_secs(1)),
        max_retries: Some(3),
    };
    if let Backoff::Exponential { max_elapsed, .. } = &mut start.backoff {
        *max_elapsed = Some(Duration::from_secs(10));
    }
    let all = [constant(3), constant(3), reminder, start, constant(5)];
    let known = |retry| Known {
        text: RetryText {
            retry,
            http_codes: None,
            grpc_codes: None,
        },
        place: None,
    };
    BUILT_IN.into_iter().zip(all.map(known)).collect()
}

/// Two objects in the scope of one app that say two things of one name. An API server's objects come to a sidecar in no
/// order that holds, so either may win.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contradiction {
    pub first: Place,
    pub second: Place,
}

/// All of them, whichever app they are for.
pub fn contradictions(objects: &Objects) -> Vec<Contradiction> {
    let mut all = Vec::new();
    for (n, second) in objects.resiliencies.iter().enumerate() {
        for first in &objects.resiliencies[..n] {
            let (one, other) = (&first.meta.scopes, &second.meta.scopes);
            let common = one.is_empty() || other.is_empty() || one.iter().any(|scope| other.contains(scope));
            if common {
                differ(&first.timeouts, &second.timeouts, PartialEq::eq, &mut all);
                differ(&first.retries, &second.retries, PartialEq::eq, &mut all);
                differ(&first.breakers, &second.breakers, PartialEq::eq, &mut all);
                differ(&first.apps, &second.apps, same, &mut all);
                differ(&first.actors, &second.actors, same, &mut all);
                let both =
                    |a: &TargetNames, b: &TargetNames| same(&a.outbound, &b.outbound) && same(&a.inbound, &b.inbound);
                differ(&first.components, &second.components, both, &mut all);
            }
        }
    }
    all
}

fn same(a: &Names, b: &Names) -> bool {
    let equal = |a: &Option<Written<String>>, b: &Option<Written<String>>| {
        a.as_ref().map(|name| &name.value) == b.as_ref().map(|name| &name.value)
    };
    equal(&a.timeout, &b.timeout) && equal(&a.retry, &b.retry) && equal(&a.breaker, &b.breaker)
}

fn differ<T>(
    first: &BTreeMap<String, Written<T>>,
    second: &BTreeMap<String, Written<T>>,
    equal: impl Fn(&T, &T) -> bool,
    all: &mut Vec<Contradiction>,
) {
    let both = first.iter().filter_map(|(name, one)| Some((one, second.get(name)?)));
    let different = both.filter(|(one, other)| !equal(&one.value, &other.value));
    all.extend(different.map(|(one, other)| Contradiction {
        first: one.place.clone(),
        second: other.place.clone(),
    }));
}
