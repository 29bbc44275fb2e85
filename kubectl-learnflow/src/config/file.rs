//! `learnflow.yaml`: its types, and what is said of one that is wrong. The JSON Schema in
//! `docs/learnflow.schema.json` is made of these types.

use super::{
    Boards, Which,
    values::{
        Expected, Image, Memory, Scale, Share, Slow, expected_of, label_of, name_of, needed_label_of, needed_name_of,
        registry_of, scale_of,
    },
};
use crate::{
    concern::{Concern, Profile, Selection},
    problem::Problem,
    remote_write::RemoteWrite,
};
use serde::Deserialize;
use serde_saphyr::{Error, Location, Spanned, UserMessageFormatter};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Read,
    path::Path,
};

/// No such file is longer; what is has been taken for one by mistake.
const LONGEST: u64 = 1 << 20;

/// The settings of `kubectl learnflow install`. Every key may be left out: what is not said is found in
/// the cluster or has a default. Flags win over the file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[cfg_attr(test, schemars(title = "learnflow.yaml"))]
pub(crate) struct File {
    /// The namespaces of the services. Default: that of the kubeconfig's context.
    #[cfg_attr(test, schemars(with = "Vec<Label>"))]
    pub(crate) namespaces: Vec<Spanned<Label>>,
    /// The services to enrol. Default: every Deployment of the namespaces with dapr.io/enabled.
    #[cfg_attr(test, schemars(with = "Vec<Entry>"))]
    pub(crate) services: Vec<Spanned<Entry>>,
    /// Deployments to leave alone.
    pub(crate) exclude: Vec<Name>,
    /// The Dapr pub/sub component for Kafka. Default: the one that is there.
    #[serde(deserialize_with = "name_of")]
    pub(crate) pubsub: Option<String>,
    /// What to install, and what that needs. Default: everything.
    #[cfg_attr(test, schemars(with = "Vec<Concern>"))]
    pub(crate) only: Option<Spanned<Vec<Concern>>>,
    /// What not to install. What of it is there already stays as it is.
    #[cfg_attr(test, schemars(with = "Vec<Concern>"))]
    pub(crate) skip: Option<Spanned<Vec<Concern>>>,
    /// Whose Prometheus keeps the metrics: `own`, NAMESPACE/NAME of an object Prometheus of the Prometheus
    /// Operator, or NAMESPACE/SERVICE:PORT of another one. Default: the one that was chosen before, or else the
    /// only one of an Operator, or else our own.
    #[cfg_attr(
        test,
        schemars(with = "String", regex(pattern = r"^(own|[-a-z0-9]+/[-.a-z0-9]+(:[0-9]+(/.*)?)?)$"))
    )]
    pub(crate) prometheus: Option<Which>,
    /// Where our own Prometheus also sends everything, to be kept for longer. Default: nowhere.
    #[cfg_attr(test, schemars(with = "RemoteWrite"))]
    pub(crate) remote_write: Option<RemoteWrite>,
    /// Which Grafana shows the boards: `own`, `none`, or NAMESPACE/NAME of one whose sidecar reads boards from
    /// ConfigMaps. Default: the one that was chosen before, or else the only one that is there, or else our own.
    #[cfg_attr(
        test,
        schemars(with = "String", regex(pattern = r"^(own|none|[-a-z0-9]+/[-.a-z0-9]+)$"))
    )]
    pub(crate) grafana: Option<Boards>,
    /// The size and the care. Default: dev.
    #[cfg_attr(test, schemars(with = "Profile"))]
    pub(crate) profile: Option<Profile>,
    /// The memory that all we install may take. Sizes, retention, limits and sampling are chosen to fit
    /// it; what cannot fit is refused.
    #[cfg_attr(test, schemars(with = "Memory"))]
    pub(crate) budget: Option<Memory>,
    /// What the budget is for. Default: what is counted in the cluster, with room to grow.
    #[serde(deserialize_with = "expected_of")]
    #[cfg_attr(test, schemars(with = "Expected"))]
    pub(crate) expect: Option<Expected>,
    /// Images to use instead of those that `render --images` lists, for example the same with a digest.
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, Image>"))]
    pub(crate) images: BTreeMap<String, Spanned<Image>>,
    /// A registry that has the images, in place of the public ones.
    #[serde(deserialize_with = "registry_of")]
    pub(crate) registry: Option<String>,
    /// The Secret in namespaces learnflow-system and learnflow-agents to pull the images with.
    #[serde(deserialize_with = "name_of")]
    pub(crate) image_pull_secret: Option<String>,
    /// The share of traces that are kept, of those that neither failed nor were slow: these are all kept. Metrics are
    /// exact at any share. Default: 1, and 0.05 in production.
    #[cfg_attr(test, schemars(with = "Share"))]
    pub(crate) sampling: Option<Share>,
    /// From when on a trace is slow, from its first span's begin to its last one's end. Default: 1s.
    #[cfg_attr(test, schemars(with = "Slow"))]
    pub(crate) slow: Option<Slow>,
}

/// A service to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Entry {
    /// The name of its Deployment.
    #[serde(deserialize_with = "needed_name_of")]
    pub(crate) name: String,
    /// Its namespace. Needed where there are several.
    #[serde(default, deserialize_with = "label_of")]
    pub(crate) namespace: Option<String>,
    /// Its Dapr app id. Default: the annotation dapr.io/app-id, or else the name.
    #[serde(default, deserialize_with = "label_of")]
    pub(crate) app_id: Option<String>,
    /// The container of the app itself. Default: the first that is not the sidecar.
    #[serde(default, deserialize_with = "label_of")]
    pub(crate) container: Option<String>,
    /// The bounds of its autoscaler.
    #[serde(default, deserialize_with = "scale_of")]
    pub(crate) scaling: Scale,
}

/// The name of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub(crate) struct Label(
    #[serde(deserialize_with = "needed_label_of")]
    #[cfg_attr(test, schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")))]
    pub(crate) String,
);

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub(crate) struct Name(#[serde(deserialize_with = "needed_name_of")] pub(crate) String);

impl File {
    /// Reads a file; `-` is standard input.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let shown = match path.display().to_string() {
            name if name == "-" => "standard input".to_owned(),
            name => name,
        };
        let mut text = String::new();
        let read = |from: &mut dyn Read, text: &mut String| from.take(LONGEST + 1).read_to_string(text);
        let length = if path == Path::new("-") {
            read(&mut io::stdin().lock(), &mut text)
        } else {
            fs::File::open(path).and_then(|mut file| read(&mut file, &mut text))
        };
        match length {
            Ok(length) if length as u64 > LONGEST => {
                Err(Problem::new(format!("{shown} is longer than 1 MiB.")).next("Name a learnflow.yaml with -f."))
            }
            Ok(_) => Self::parse(&text, &shown),
            Err(e) => Err(Problem::new(format!("Cannot read {shown}: {e}."))
                .next("Name a learnflow.yaml with -f; without one, defaults are used.")),
        }
    }

    pub(crate) fn parse(text: &str, name: &str) -> Result<Self, Problem> {
        // An empty file is one that says nothing.
        let file = serde_saphyr::from_str::<Option<Self>>(text).map(Option::unwrap_or_default);
        let file = file.map_err(|error| {
            let (place, what) = explain(error.without_snippet());
            at(name, place, &what)
        })?;
        file.check().map_err(|(place, what)| at(name, Some(place), &what))?;
        Ok(file)
    }

    /// What no single value shows.
    fn check(&self) -> Result<(), (Location, String)> {
        let none = Vec::new();
        let only = self.only.as_ref();
        let skip = self.skip.as_ref();
        let place = skip.or(only).map(|list| list.referenced);
        let selection = Selection::new(
            only.map_or(&none, |list| &list.value),
            skip.map_or(&none, |list| &list.value),
        );
        if let (Some(place), Err(why)) = (place, selection) {
            return Err((place, why));
        }
        if let Some((wrong, place)) = self.images.iter().find(|(name, _)| !known_images().contains(*name)) {
            let known: Vec<String> = known_images().into_iter().collect();
            let what = format!("there is no image {wrong}; there is {}", crate::text::list(&known));
            return Err((place.referenced, what));
        }
        for (n, service) in self.services.iter().enumerate() {
            let Entry { name, namespace, .. } = &service.value;
            if self.services[..n]
                .iter()
                .any(|other| other.value.is_same(&service.value))
            {
                return Err((service.referenced, format!("service {name} is named twice")));
            }
            let named = |namespace: &str| self.namespaces.iter().any(|other| other.value.0 == namespace);
            match namespace {
                Some(namespace) if !named(namespace) => {
                    let what = format!("namespace {namespace} of service {name} is not among the namespaces");
                    return Err((service.referenced, what));
                }
                None if self.namespaces.len() > 1 => {
                    let what = format!("service {name} needs its namespace, as there are several");
                    return Err((service.referenced, what));
                }
                _ => {}
            }
            if self.exclude.iter().any(|other| other.0 == *name) {
                return Err((service.referenced, format!("service {name} is excluded as well")));
            }
        }
        for (
            n,
            Spanned {
                value: Label(name),
                referenced,
                ..
            },
        ) in self.namespaces.iter().enumerate()
        {
            if self.namespaces[..n].iter().any(|other| other.value.0 == *name) {
                return Err((*referenced, format!("namespace {name} is named twice")));
            }
            let has = |service: &Spanned<Entry>| service.value.namespace.as_ref() == Some(name);
            if self.namespaces.len() > 1 && !self.services.is_empty() && !self.services.iter().any(has) {
                let what = format!("no service of namespace {name} is named, but of another one");
                return Err((*referenced, what));
            }
        }
        Ok(())
    }
}

/// The images of the manifests, as these call them.
fn known_images() -> BTreeSet<String> {
    let objects = Concern::ALL
        .into_iter()
        .flat_map(|concern| concern.objects(Profile::Production).unwrap_or_default());
    objects.flat_map(|object| crate::patches::images(&object)).collect()
}

impl Entry {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.namespace) == (&other.name, &other.namespace)
    }
}

/// `learnflow.yaml:3:5: unknown key …`, which editors can follow.
fn at(name: &str, place: Option<Location>, what: &str) -> Problem {
    let place = place.filter(|place| *place != Location::UNKNOWN);
    let place = place.map_or_else(String::new, |place| format!(":{}:{}", place.line(), place.column()));
    Problem::new(format!("{name}{place}: {what}."))
        .next("Every key is described in docs/install.md and docs/learnflow.schema.json.")
}

fn explain(error: &Error) -> (Option<Location>, String) {
    let known = |expected: &[&str]| expected.join(", ");
    let text = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key {field}; allowed are {}", known(expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("{variant} is not known here; allowed are {}", known(expected))
        }
        Error::SerdeMissingField { field, .. } => format!("the key {field} is missing"),
        Error::SerdeInvalidType {
            unexpected, expected, ..
        } => format!("expected {expected}, found {unexpected}"),
        Error::Unexpected { expected, .. } => format!("expected {}", plain(expected)),
        Error::SerdeVariantId { .. } | Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            "expected one word".to_owned()
        }
        Error::NullIntoString { .. } => "there is no value; write one, or leave the key out".to_owned(),
        Error::MultipleDocuments { .. } => "one document is enough; take the `---` out".to_owned(),
        Error::DuplicateMappingKey { key, .. } => {
            format!("the key {} is there twice", key.as_deref().unwrap_or("again"))
        }
        Error::Message { msg, .. } => msg.clone(),
        other => {
            let text = other.render_with_formatter(&UserMessageFormatter);
            // The place is told in front.
            let text = text.split(" at line ").next().unwrap_or(&text);
            text.lines().next().unwrap_or_default().to_owned()
        }
    };
    (error.location(), text.trim_end_matches('.').to_owned())
}

/// What YAML's own words mean to somebody who writes a file.
fn plain(expected: &str) -> &str {
    match expected {
        "mapping start" => "keys with values (`key: value`)",
        "sequence start" => "a list (`[a, b]`)",
        "string scalar" => "a text",
        other => other,
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
