//! Dapr's objects as they are written, and which policy is in force for a call: the rules of daprd 1.18.
//!
//! Sources: `pkg/resiliency/resiliency.go`, `pkg/apis/{resiliency,subscriptions,components}`, `dapr/kit` (`retry`,
//! `config`), and `common/component/kafka` of `components-contrib`.

mod component;
mod duration;
mod force;
mod merge;
mod node;
mod resiliency;
mod subscription;

pub use component::{Component, ComponentKind, Kafka};
pub use duration::parse as parse_duration;
pub use force::{Direction, InForce, Missing, Origin, Part, Target, policy_of};
pub use merge::{Contradiction, contradictions};
pub use node::{Place, Written, Wrong};
pub use resiliency::{Names, Resiliency, RetryText, TargetNames};
pub use subscription::Subscription;

use node::{At, Node, Source};

/// What was read. In the order it was given in, which for Dapr is the order in which objects are merged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    pub components: Vec<Component>,
    pub resiliencies: Vec<Resiliency>,
    pub subscriptions: Vec<Subscription>,
    /// Fields that Dapr does not read.
    pub ignored: Vec<Place>,
}

/// Who an object is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub name: String,
    pub namespace: Option<String>,
    /// None at all: every app.
    pub scopes: Vec<String>,
    pub place: Place,
}

impl Meta {
    pub fn is_for(&self, app_id: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|scope| scope == app_id)
    }
}

impl Objects {
    /// Reads files: YAML of one or more documents, or JSON. Objects of other kinds are passed over.
    /// What Dapr would refuse is told, and not among the objects.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, Vec<Wrong>) {
        let (mut objects, mut wrong) = (Self::default(), Vec::new());
        for (file, text) in files {
            match Node::documents(file, text) {
                Ok(documents) => {
                    for document in &documents {
                        objects.add(document, Some(file), &mut wrong);
                    }
                }
                Err(e) => wrong.push(*e),
            }
        }
        objects.twice(&mut wrong);
        (objects, wrong)
    }

    /// The same for objects of an API server, which have no lines.
    pub fn of_cluster<'a>(values: impl IntoIterator<Item = &'a serde_json::Value>) -> (Self, Vec<Wrong>) {
        let (mut objects, mut wrong) = (Self::default(), Vec::new());
        for value in values {
            objects.add(&Node::of_json(value), None, &mut wrong);
        }
        (objects, wrong)
    }

    /// No more than those of a namespace, and those that do not say theirs.
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        let there = |meta: &Meta| meta.namespace.as_deref().is_none_or(|named| named == namespace);
        self.components.retain(|object| there(&object.meta));
        self.resiliencies.retain(|object| there(&object.meta));
        self.subscriptions.retain(|object| there(&object.meta));
        self
    }

    pub fn metas(&self) -> impl Iterator<Item = &Meta> {
        let components = self.components.iter().map(|object| &object.meta);
        let resiliencies = self.resiliencies.iter().map(|object| &object.meta);
        let subscriptions = self.subscriptions.iter().map(|object| &object.meta);
        components.chain(resiliencies).chain(subscriptions)
    }

    fn add(&mut self, node: &Node, file: Option<&str>, wrong: &mut Vec<Wrong>) {
        let text = |key: &str| node.get(key).and_then(Node::as_text);
        let kind = text("kind").unwrap_or_default();
        if kind.ends_with("List") {
            for item in node.get("items").into_iter().flat_map(Node::items) {
                self.add(item, file, wrong);
            }
            return;
        }
        if !text("apiVersion").is_some_and(|version| version.starts_with("dapr.io/")) {
            return;
        }
        let metadata = |key: &str| node.get("metadata")?.get(key)?.as_text();
        let name = metadata("name").unwrap_or_default();
        let source = Source {
            file: file.map(str::to_owned),
            object: match metadata("namespace") {
                Some(namespace) => format!("{kind} {namespace}/{name}"),
                None => format!("{kind} {name}"),
            },
        };
        let at = At::new(node, &source);
        let scopes = at.get("scopes");
        let read = || {
            if name.is_empty() {
                wrong.push(at.wrong("it has no name", "Give it metadata.name."));
            }
            Meta {
                name: name.to_owned(),
                namespace: metadata("namespace").map(str::to_owned),
                scopes: scopes.map_or_else(Vec::new, |scopes| scopes.texts(wrong)),
                place: at.place(),
            }
        };
        match kind {
            "Component" => {
                let meta = read();
                self.components.extend(Component::read(meta, &at, wrong));
            }
            "Resiliency" => {
                let meta = read();
                self.resiliencies
                    .extend(Resiliency::read(meta, &at, &mut self.ignored, wrong));
            }
            "Subscription" => {
                let meta = read();
                self.subscriptions.extend(Subscription::read(meta, &at, wrong));
            }
            _ => {}
        }
    }

    /// Two files that say two things of one object cannot both be meant.
    fn twice(&self, wrong: &mut Vec<Wrong>) {
        let metas: Vec<&Meta> = self.metas().collect();
        for (n, meta) in metas.iter().enumerate() {
            let same = |other: &&&Meta| other.place.object == meta.place.object;
            if let Some(first) = metas[..n].iter().find(same) {
                wrong.push(Wrong {
                    place: meta.place.clone(),
                    what: format!("{} is there already, at {}", meta.place.object, first.place.short()),
                    next: "Keep one of the two.".into(),
                });
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
