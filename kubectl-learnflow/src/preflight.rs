//! What must hold before `install` touches anything. Pure: facts in, checks out.

mod services;
mod settings;

use crate::{
    model::{Access, ControlPlane, Existing, Facts},
    objects::{MANAGER, Object, STACK_NAMESPACE},
    printer::Mark,
    text::list,
};
pub(crate) use services::services;
pub(crate) use settings::{budget, pubsub, storage};
use std::collections::BTreeMap;

/// Strict field validation on apply, which guards every write here, is final since 1.27; the rest is
/// margin.
const OLDEST_KUBERNETES: Version = Version(1, 29, 0);
/// What the middleware needs is older, but Dapr mends only its newest three minors, of which this was
/// the last when LearnFlow was written for 1.18.
const OLDEST_DAPR: Version = Version(1, 16, 0);

/// From here on Dapr announces Configurations to running sidecars: see [`crate::enrolment`].
const ANNOUNCES: Version = Version(1, 18, 0);

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) mark: Mark,
    pub(crate) text: String,
    pub(crate) next: Option<String>,
}

impl Check {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self {
            mark: Mark::Good,
            text: text.into(),
            next: None,
        }
    }

    pub(crate) fn warn(text: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            mark: Mark::Warn,
            text: text.into(),
            next: Some(next.into()),
        }
    }

    pub(crate) fn bad(text: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            mark: Mark::Bad,
            text: text.into(),
            next: Some(next.into()),
        }
    }
}

/// Looks at the cluster and its Dapr.
pub(crate) fn cluster(facts: &Facts, namespace: &str) -> Vec<Check> {
    let mut checks = vec![kubernetes(facts)];
    checks.push(dapr_kinds(facts));
    checks.push(plane("operator", facts.operator.as_ref()));
    checks.push(plane("sidecar injector", facts.injector.as_ref()));
    if let Some(version) = facts.operator.as_ref().map(|operator| operator.version.as_deref()) {
        checks.push(dapr_version(version));
    }
    if !facts.namespace_exists {
        checks.push(Check::bad(
            format!("Namespace {namespace} does not exist"),
            "Name the namespace of your services with -n.",
        ));
        return checks;
    }
    checks.push(if facts.kafka.is_empty() {
        Check::bad(
            format!("No Component of type pubsub.kafka in namespace {namespace}"),
            "Create the Dapr Component for your Kafka, or name the namespace that has it with -n.",
        )
    } else {
        Check::good(format!("Kafka component {}", list(&facts.kafka)))
    });
    checks
}

/// Whether this Dapr announces new Configurations to running sidecars, so that ours have to come
/// quietly. One that does not say its version might.
pub(crate) fn announces(dapr: Option<&str>) -> bool {
    dapr.and_then(Version::parse).is_none_or(|version| version >= ANNOUNCES)
}

/// Names the permissions that are missing, one kind of object a line.
pub(crate) fn permissions(refused: &[Access], caller: Option<&str>) -> Vec<Check> {
    let who = caller.unwrap_or("you");
    let mut verbs: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for access in refused {
        verbs.entry(access.place()).or_default().push(access.verb);
    }
    let ask = format!(
        "Ask whoever administers the cluster to give {who} these permissions, or use another context with --context."
    );
    let last = verbs.len().saturating_sub(1);
    let line = |(n, (place, verbs)): (usize, (String, Vec<&str>))| Check {
        mark: Mark::Bad,
        text: format!("No permission to {} {place}", verbs.join(", ")),
        next: (n == last).then(|| ask.clone()),
    };
    verbs.into_iter().enumerate().map(line).collect()
}

/// What is there under a name we want, and is not ours, is never touched.
pub(crate) fn ownership(object: &Object, existing: &Existing) -> Option<Check> {
    if existing.leaving {
        let why = match existing.held_by.as_slice() {
            [] => String::new(),
            holders => format!(": {}", list(holders)),
        };
        return Some(Check::bad(
            format!("{object} is being deleted{why}"),
            "Wait until it is gone, and run this again.",
        ));
    }
    if existing.managed_by.as_deref() == Some(MANAGER) {
        return None;
    }
    if object.kind() != "Namespace" {
        let owner = existing
            .managed_by
            .as_deref()
            .map_or_else(String::new, |by| format!(" (managed by {by})"));
        return Some(Check::bad(
            format!("{object} exists already and is not LearnFlow's{owner}"),
            "Rename or remove it, and run this again.",
        ));
    }
    // A namespace made beforehand is welcome, as long as the agent can run in it.
    match existing.pod_security.as_deref() {
        Some(level @ ("baseline" | "restricted")) => Some(Check::bad(
            format!("Namespace {STACK_NAMESPACE} enforces the Pod Security level {level}"),
            "The Collector's agent reads sidecar logs from the node, which needs the level privileged: \
             set the label pod-security.kubernetes.io/enforce of that namespace.",
        )),
        _ => Some(Check::good(format!(
            "Namespace {STACK_NAMESPACE} exists and stays as it is"
        ))),
    }
}

pub(crate) fn kubernetes(facts: &Facts) -> Check {
    let text = format!("Kubernetes {} at {}", facts.kubernetes, facts.server);
    match Version::parse(&facts.kubernetes) {
        Some(version) if version < OLDEST_KUBERNETES => Check::bad(
            text,
            format!("LearnFlow needs {OLDEST_KUBERNETES} or newer: upgrade the cluster."),
        ),
        Some(_) => Check::good(text),
        None => Check::warn(
            text,
            format!("Cannot tell whether that is {OLDEST_KUBERNETES} or newer."),
        ),
    }
}

fn dapr_kinds(facts: &Facts) -> Check {
    let missing: Vec<&str> = ["Component", "Configuration"]
        .into_iter()
        .filter(|kind| !facts.dapr_kinds.iter().any(|have| have == kind))
        .collect();
    if missing.is_empty() {
        return Check::good("Dapr's kinds Component and Configuration");
    }
    Check::bad(
        format!("Dapr's kinds are missing: {}", list(&missing)),
        format!(
            "Install Dapr (https://docs.dapr.io/operations/hosting/kubernetes/), or choose another cluster \
             with --context (now {}).",
            facts.context
        ),
    )
}

fn plane(what: &str, plane: Option<&ControlPlane>) -> Check {
    match plane {
        Some(plane) if plane.ready => Check::good(format!("Dapr {what} in {}", plane.namespace)),
        Some(plane) => Check::bad(
            format!("The Dapr {what} in {} has no ready pod", plane.namespace),
            format!("Look at it with `kubectl -n {} get pods`.", plane.namespace),
        ),
        None => Check::bad(
            format!("There is no Dapr {what}"),
            "Install Dapr: https://docs.dapr.io/operations/hosting/kubernetes/",
        ),
    }
}

fn dapr_version(version: Option<&str>) -> Check {
    let Some(text) = version else {
        return Check::warn(
            "Dapr does not say its version",
            format!("LearnFlow needs {OLDEST_DAPR} or newer."),
        );
    };
    match Version::parse(text) {
        Some(version) if version < OLDEST_DAPR => Check::bad(
            format!("Dapr {text} is too old: its sidecars cannot load the middleware safely"),
            format!("Upgrade Dapr to {OLDEST_DAPR} or newer, and restart your services."),
        ),
        Some(_) => Check::good(format!("Dapr {text}")),
        None => Check::warn(
            format!("Dapr {text}"),
            format!("Cannot tell whether that is {OLDEST_DAPR} or newer."),
        ),
    }
}

/// Three numbers; what follows them (`-rc.1`, `+k3s1`, `-mariner`) does not matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32, u32);

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let mut numbers = text[..end].split('.').map(str::parse::<u32>);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        let patch = numbers.next().map_or(Some(0), Result::ok)?;
        Some(Self(major, minor, patch))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
