//! What must hold before `install` touches anything. Pure: facts in, checks out.

mod services;
mod settings;

use crate::{
    model::{Access, ControlPlane, Existing, Facts},
    objects::{AGENT_NAMESPACE, MANAGER, Object},
    printer::Mark,
    text::list,
};
pub(crate) use services::services;
pub(crate) use settings::{pubsub, storage};
use std::collections::BTreeMap;

/// The gateway hands over while its `preStop` sleeps, which the kubelet itself can do since then.
const OLDEST_KUBERNETES: Version = Version(1, 30, 0);
/// What the middleware needs is older, but Dapr mends only its newest three minors, of which this was
/// the last when LearnFlow was written for 1.18.
const OLDEST_DAPR: Version = Version(1, 16, 0);

/// From here on Dapr announces Configurations to running sidecars: see [`crate::enrolment`].
const ANNOUNCES: Version = Version(1, 18, 0);

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// What was looked at, for programs; it stays the same from version to version.
    pub(crate) id: &'static str,
    pub(crate) mark: Mark,
    pub(crate) text: String,
    pub(crate) next: Option<String>,
}

impl Check {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self {
            id: "",
            mark: Mark::Good,
            text: text.into(),
            next: None,
        }
    }

    pub(crate) fn warn(text: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            id: "",
            mark: Mark::Warn,
            text: text.into(),
            next: Some(next.into()),
        }
    }

    pub(crate) fn bad(text: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            id: "",
            mark: Mark::Bad,
            text: text.into(),
            next: Some(next.into()),
        }
    }

    pub(crate) fn id(self, id: &'static str) -> Self {
        Self { id, ..self }
    }
}

/// Looks at the cluster and its Dapr.
pub(crate) fn cluster(facts: &Facts, namespace: &str) -> Vec<Check> {
    let mut checks = vec![
        kubernetes(facts).id("kubernetes-version"),
        dapr_kinds(facts).id("dapr-kinds"),
        plane("operator", facts.operator.as_ref()).id("dapr-operator"),
        plane("sidecar injector", facts.injector.as_ref()).id("dapr-injector"),
    ];
    if let Some(version) = facts.operator.as_ref().map(|operator| operator.version.as_deref()) {
        checks.push(dapr_version(version).id("dapr-version"));
    }
    if !facts.namespace_exists {
        let why = format!("Namespace {namespace} does not exist");
        checks.push(Check::bad(why, "Name the namespace of your services with -n.").id("namespace"));
        return checks;
    }
    let kafka = if facts.kafka.is_empty() {
        Check::bad(
            format!("No Component of type pubsub.kafka in namespace {namespace}"),
            "Create the Dapr Component for your Kafka, or name the namespace that has it with -n.",
        )
    } else {
        Check::good(format!("Kafka component {}", list(&facts.pubsubs())))
    };
    checks.push(kafka.id("kafka-component"));
    checks
}

/// Whether this Dapr announces new Configurations to running sidecars, so that ours have to come
/// quietly. One that does not say its version might.
pub(crate) fn announces(dapr: Option<&str>) -> bool {
    dapr.and_then(Version::parse).is_none_or(|version| version >= ANNOUNCES)
}

/// Names the permissions that are missing, one kind of object a line.
pub(crate) fn permissions(refused: &[Access], caller: Option<&str>) -> Vec<Check> {
    // What can be done to the same things is told together.
    let mut names: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for access in refused {
        let key = (access.place(), access.verb.as_str());
        names.entry(key).or_default().extend(access.name.as_deref());
    }
    // Who needs it of all things needs not be told of some.
    for access in refused.iter().filter(|access| access.name.is_none()) {
        names.insert((access.place(), access.verb.as_str()), Vec::new());
    }
    let mut verbs: BTreeMap<(String, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((place, verb), names) in names {
        verbs.entry((place, names)).or_default().push(verb);
    }
    let who = caller.unwrap_or("you");
    let ask = format!(
        "Ask whoever administers the cluster to give {who} these permissions (`kubectl learnflow rbac` prints \
         them), or use another context with --context."
    );
    let last = verbs.len().saturating_sub(1);
    type What<'a> = (String, Vec<&'a str>);
    let line = |(n, ((place, names), verbs)): (usize, (What<'_>, Vec<&str>))| {
        let which = if names.is_empty() {
            String::new()
        } else {
            format!(": {}", list(&names))
        };
        Check {
            id: "permissions",
            mark: Mark::Bad,
            text: format!("No permission to {} {place}{which}", verbs.join(", ")),
            next: (n == last).then(|| ask.clone()),
        }
    };
    verbs.into_iter().enumerate().map(line).collect()
}

/// What is there under a name we want, and is not ours, is never touched.
pub(crate) fn ownership(object: &Object, existing: &Existing) -> Option<Check> {
    owner(object, existing).map(|check| check.id("name"))
}

fn owner(object: &Object, existing: &Existing) -> Option<Check> {
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
        Some(level @ ("baseline" | "restricted")) if object.name() == AGENT_NAMESPACE => Some(Check::bad(
            format!("{object} enforces the Pod Security level {level}"),
            "The Collector's agent reads sidecar logs from the node, which needs the level privileged: \
             set the label pod-security.kubernetes.io/enforce of that namespace.",
        )),
        _ => Some(Check::good(format!("{object} exists and stays as it is"))),
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
