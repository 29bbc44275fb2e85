//! What must hold before `install` touches anything. Pure: facts in, checks out.

use crate::{
    config::Memory,
    enrolment::{self, Enrolments, Entry},
    model::{Access, Configuration, ControlPlane, Existing, Facts, Gap, Service},
    objects::{MANAGER, Object, Plan, STACK_NAMESPACE},
    printer::Mark,
    text::{count, list},
};
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
        Check::good(format!("Kafka component {}", list(&facts.kafka)))
    };
    checks.push(kafka.id("kafka-component"));
    checks
}

/// Whether this Dapr announces new Configurations to running sidecars, so that ours have to come
/// quietly. One that does not say its version might.
pub(crate) fn announces(dapr: Option<&str>) -> bool {
    dapr.and_then(Version::parse).is_none_or(|version| version >= ANNOUNCES)
}

/// Looks at the services to enrol.
pub(crate) fn services(enrolments: &Enrolments, facts: &Facts, namespace: &str, force: bool) -> Vec<Check> {
    let entries = &enrolments.entries;
    if entries.is_empty() {
        let none = Check::bad(
            format!("No Deployment with a Dapr sidecar in namespace {namespace}"),
            "Annotate the pod template of your services with dapr.io/enabled: \"true\", or name their \
             namespace with -n.",
        );
        return vec![none.id("services")];
    }
    let mut checks: Vec<Check> = Vec::new();
    for entry in entries {
        let check = service(entry, &facts.configurations, namespace, force).id("service");
        let well = check.mark == Mark::Good;
        checks.push(check);
        if well && !entry.is_done() {
            checks.extend(
                merging(entry, namespace)
                    .into_iter()
                    .map(|check| check.id("service-merge")),
            );
        }
    }
    let rolling = || {
        entries
            .iter()
            .filter(|entry| !entry.is_done())
            .map(|entry| &entry.service)
    };
    for gap in [Gap::Recreate, Gap::AllAtOnce, Gap::NoReadinessProbe] {
        let gappy: Vec<&str> = rolling()
            .filter(|s| s.gap == Some(gap))
            .map(|s| s.name.as_str())
            .collect();
        if !gappy.is_empty() {
            checks.push(interrupted(gap, &list(&gappy)).id("service-gap"));
        }
    }
    let restless: Vec<&str> = rolling()
        .filter(|s| !s.rollout.is_settled())
        .map(|s| s.name.as_str())
        .collect();
    if !restless.is_empty() {
        let why = format!("Not all pods are ready yet: {}", list(&restless));
        let next = "If they do not become ready, enrolling them will stop there and be undone.";
        checks.push(Check::warn(why, next).id("services-ready"));
    }
    checks
}

/// A rolling update that some calls will notice. It is the Deployment's own affair; it must be known.
fn interrupted(gap: Gap, names: &str) -> Check {
    match gap {
        Gap::Recreate => Check::warn(
            format!("Its strategy is Recreate, so there is a gap when pods are replaced: {names}"),
            "Calls to it fail meanwhile; its events wait in Kafka. Strategy RollingUpdate has no gap.",
        ),
        Gap::AllAtOnce => Check::warn(
            format!("All its pods may go at once when they are replaced: {names}"),
            "Calls may fail meanwhile. Set strategy.rollingUpdate.maxUnavailable to 0, or run more pods.",
        ),
        Gap::NoReadinessProbe => Check::warn(
            format!("A container without a readinessProbe gets calls before it listens: {names}"),
            "Some calls may fail while pods are replaced.",
        ),
    }
}

/// What is merged into, and who has set it.
fn merging(entry: &Entry, namespace: &str) -> Vec<Check> {
    let name = format!("Deployment {namespace}/{}", entry.service.name);
    let mut checks = Vec::new();
    for (annotation, value, owners) in entry.replaces() {
        let who = if owners.is_empty() {
            "somebody".into()
        } else {
            list(owners)
        };
        let next = if annotation == "dapr.io/config" {
            format!(
                "It will read {}, a copy with LearnFlow's part in it. {value} itself stays as it is, and the \
                 service goes back to it when it is let go.",
                entry.enrolment.config
            )
        } else {
            "LearnFlow's mount is added behind it, and taken out again when the service is let go.".into()
        };
        checks.push(Check::warn(
            format!("{name} has {annotation}: {value} (set by {who})"),
            next,
        ));
    }
    if let Some(endpoint) = &entry.spans_elsewhere {
        checks.push(Check::warn(
            format!("{name} sends its spans to {endpoint}, and goes on to"),
            "LearnFlow counts its events all the same; only its traces are not in LearnFlow.",
        ));
    }
    checks
}

/// Names the permissions that are missing, one kind of object a line.
pub(crate) fn permissions(refused: &[Access], caller: Option<&str>) -> Vec<Check> {
    // What can be done to the same things is told together.
    let mut names: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for access in refused {
        let key = (access.place(), access.verb.as_str());
        names.entry(key).or_default().extend(access.name.as_deref());
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
    let line = |(n, ((place, names), verbs)): (usize, ((String, Vec<&str>), Vec<&str>))| {
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

fn service(entry: &Entry, configurations: &[Configuration], namespace: &str, force: bool) -> Check {
    let service = &entry.service;
    let name = format!("Deployment {namespace}/{}", service.name);
    let leave = "or leave this one out.";
    if service.app_id.as_deref().unwrap_or_default().is_empty() {
        return Check::bad(
            format!("{name} has no annotation dapr.io/app-id"),
            format!("Give its pod template one, {leave}"),
        );
    }
    if let Some(config) = entry.enrolment.before.config.as_deref()
        && enrolment::find(configurations, config).is_none()
    {
        return Check::bad(
            format!("{name} uses the Dapr Configuration {config}, which does not exist"),
            format!("Create it, or take the annotation dapr.io/config off, {leave}"),
        );
    }
    if let Some(mount) = enrolment::in_the_way(service) {
        return Check::bad(
            format!("{name} already mounts {mount} into its sidecar, where LearnFlow's file must go"),
            format!("Mount that volume elsewhere (annotation dapr.io/volume-mounts), {leave}"),
        );
    }
    if service.foreign_volume {
        return Check::bad(
            format!("{name} has a volume learnflow-wasm that is not LearnFlow's"),
            format!("Rename that volume, {leave}"),
        );
    }
    if let Some((annotation, value, owner)) = fought_over(entry).filter(|_| !force) {
        return Check::bad(
            format!("{name}: {annotation} is {value}, a field that belongs to {owner}"),
            format!(
                "{owner} would put it back. Let it set {annotation} to {} instead, take the field over with \
                 --force-conflicts, {leave}",
                wanted(entry, annotation)
            ),
        );
    }
    if service.paused {
        return Check::bad(
            format!("{name} is paused, so its pods would never roll"),
            format!(
                "Resume it with `kubectl -n {namespace} rollout resume deployment/{}`, {leave}",
                service.name
            ),
        );
    }
    let app_id = service.app_id.as_deref().unwrap_or_default();
    let state = if service.enrolled { "enrolled" } else { "to enrol" };
    Check::good(format!("{name}, app id {app_id}, {} ({state})", count_pods(service)))
}

fn wanted<'a>(entry: &'a Entry, annotation: &str) -> &'a str {
    match annotation {
        "dapr.io/config" => &entry.enrolment.config,
        _ => &entry.enrolment.mounts,
    }
}

/// A value to replace that a tool owns. What a person has set with kubectl is taken over and said; a
/// tool would come back and set it again.
fn fought_over(entry: &Entry) -> Option<(&'static str, String, String)> {
    let tool = |owners: &[String]| owners.iter().find(|owner| !owner.starts_with("kubectl")).cloned();
    let replaced = entry.replaces().into_iter();
    replaced
        .filter_map(|(annotation, value, owners)| Some((annotation, value.to_owned(), tool(owners)?)))
        .next()
}

fn count_pods(service: &Service) -> String {
    count(usize::try_from(service.rollout.desired).unwrap_or(0), "pod")
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
