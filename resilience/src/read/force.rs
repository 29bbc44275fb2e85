//! Which policy is in force for one app, target and direction.

use super::{
    ComponentKind, Names, Objects, Place, Written,
    merge::{Merged, SERVICE_RETRIES},
};
use crate::policy::{Policy, Retry};

/// What is called, or what calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Component { name: String, kind: ComponentKind },
    App(String),
    Actor(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The app calls.
    Outbound,
    /// The app is called.
    Inbound,
}

/// One of the three parts of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Timeout,
    Retry,
    Breaker,
}

/// Where a part comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    pub name: String,
    /// `None`: it is built into Dapr.
    pub place: Option<Place>,
}

/// A name that a target gives and no object in scope defines.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    pub part: Part,
    pub name: Written<String>,
    /// What there is instead.
    pub known: Vec<String>,
}

/// The policy in force, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InForce {
    pub policy: Policy,
    pub timeout: Option<Origin>,
    pub retry: Option<Origin>,
    pub breaker: Option<Origin>,
    /// The entry of `targets` that decides. Without one, default policies do, or what is built in.
    pub target: Option<Place>,
    pub missing: Vec<Missing>,
    /// The component's own retries around each call: each of their attempts is all of `policy` once more.
    pub around: Option<Retry>,
    /// Dapr's own retries beneath: each attempt of `policy` is all of these.
    pub within: Option<Retry>,
    /// The failures that are retried, where they are limited.
    pub http_codes: Option<String>,
    pub grpc_codes: Option<String>,
}

/// What holds for the calls of one app, merged of all objects in its scope.
pub fn policy_of(objects: &Objects, app_id: &str, target: &Target, direction: Direction) -> InForce {
    let merged = Merged::of(objects, app_id);
    let mut found = match target {
        Target::Component { name, kind } => match merged.components.get(name.as_str()) {
            Some(entry) => {
                let names = match direction {
                    Direction::Outbound => &entry.value.outbound,
                    Direction::Inbound => &entry.value.inbound,
                };
                merged.named(names, &entry.place)
            }
            None => {
                let side = match direction {
                    Direction::Outbound => "Outbound",
                    Direction::Inbound => "Inbound",
                };
                merged.default(&[
                    format!("{}Component{side}", kind.name()),
                    format!("Component{side}"),
                    "Component".into(),
                    String::new(),
                ])
            }
        },
        Target::Actor(name) => match merged.actors.get(name.as_str()) {
            Some(entry) => merged.named(&entry.value, &entry.place),
            None => merged.default(&["Actor".into(), String::new()]),
        },
        Target::App(name) => match merged.apps.get(name.as_str()) {
            // An entry, whatever it says, takes the place of Dapr's own retries.
            Some(entry) => merged.named(&entry.value, &entry.place),
            None => {
                let found = merged.default(&["App".into(), String::new()]);
                merged.above_built_in(found)
            }
        },
    };
    if direction == Direction::Inbound {
        found.around = around(objects, app_id, target);
    }
    found
}

/// A Kafka component repeats a delivery by itself.
fn around(objects: &Objects, app_id: &str, target: &Target) -> Option<Retry> {
    let Target::Component { name, .. } = target else {
        return None;
    };
    let mut components = objects.components.iter();
    let component = components.find(|component| component.meta.name == *name && component.meta.is_for(app_id))?;
    component.kafka.as_ref()?.around()
}

impl Merged<'_> {
    fn named(&self, names: &Names, target: &Place) -> InForce {
        let mut found = InForce {
            target: Some(target.clone()),
            ..InForce::default()
        };
        let name = |written: &Option<Written<String>>| written.as_ref().map(|name| name.value.clone());
        self.fill(
            &mut found,
            name(&names.timeout),
            name(&names.retry),
            name(&names.breaker),
        );
        let mut miss = |part: Part, there: bool, name: &Option<Written<String>>, known: Vec<String>| {
            if let (false, Some(name)) = (there, name) {
                let name = name.clone();
                found.missing.push(Missing { part, name, known });
            }
        };
        let own = |name: &str| !name.starts_with("DaprBuiltIn");
        let texts = |names: Vec<&&str>| {
            names
                .into_iter()
                .filter(|name| own(name))
                .map(|name| (*name).to_owned())
                .collect()
        };
        let (timeout, retry, breaker) = (found.timeout.is_some(), found.retry.is_some(), found.breaker.is_some());
        miss(
            Part::Timeout,
            timeout,
            &names.timeout,
            texts(self.timeouts.keys().collect()),
        );
        miss(Part::Retry, retry, &names.retry, texts(self.retries.keys().collect()));
        miss(
            Part::Breaker,
            breaker,
            &names.breaker,
            texts(self.breakers.keys().collect()),
        );
        found
    }

    /// Policies that apply to whatever has no entry, by their names: the most special one first.
    fn default(&self, levels: &[String]) -> InForce {
        let mut found = InForce::default();
        let find = |kind: &str, there: &dyn Fn(&str) -> bool| {
            let names = levels.iter().map(|level| format!("Default{level}{kind}Policy"));
            names.into_iter().find(|name| there(name))
        };
        let timeout = find("Timeout", &|name| self.timeouts.contains_key(name));
        let retry = find("Retry", &|name| self.retries.contains_key(name));
        let breaker = find("CircuitBreaker", &|name| self.breakers.contains_key(name));
        self.fill(&mut found, timeout, retry, breaker);
        found
    }

    fn fill(&self, found: &mut InForce, timeout: Option<String>, retry: Option<String>, breaker: Option<String>) {
        if let Some((name, written)) = timeout
            .and_then(|name| Some((self.timeouts.get(name.as_str())?, name)))
            .map(|(written, name)| (name, *written))
        {
            // A timeout of 0 is none.
            found.policy.timeout = Some(written.value).filter(|duration| !duration.is_zero());
            found.timeout = Some(origin(name, Some(&written.place)));
        }
        if let Some(name) = retry
            && let Some(known) = self.retries.get(name.as_str())
        {
            found.policy.retry = Some(known.text.retry);
            found.http_codes.clone_from(&known.text.http_codes);
            found.grpc_codes.clone_from(&known.text.grpc_codes);
            found.retry = Some(origin(name, known.place.as_ref()));
        }
        if let Some(name) = breaker
            && let Some(written) = self.breakers.get(name.as_str())
        {
            found.policy.breaker = Some(written.value.clone());
            found.breaker = Some(origin(name, Some(&written.place)));
        }
    }

    /// Calls to apps without an entry are repeated by Dapr, beneath default policies if there are any.
    fn above_built_in(&self, mut found: InForce) -> InForce {
        let Some(known) = self.retries.get(SERVICE_RETRIES) else {
            return found;
        };
        let nothing = found.timeout.is_none() && found.retry.is_none() && found.breaker.is_none();
        if nothing {
            found.policy.retry = Some(known.text.retry);
            found.retry = Some(origin(SERVICE_RETRIES.into(), known.place.as_ref()));
        } else {
            found.within = Some(known.text.retry);
        }
        found
    }
}

fn origin(name: String, place: Option<&Place>) -> Origin {
    Origin {
        name,
        place: place.cloned(),
    }
}
