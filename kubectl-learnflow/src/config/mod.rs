//! What is to be installed: flags over `learnflow.yaml` over what the cluster shows over defaults, each
//! value with where it comes from.

mod choices;
mod file;
mod show;
mod values;

use crate::{
    cli::{Choice, Global},
    concern::{Profile, Selection},
    grafana::Host,
    model::Facts,
    monitoring::Keeper,
    patches::Shape,
    problem::Problem,
    remote_write::RemoteWrite,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub(crate) use choices::{Boards, Which};
pub(crate) use file::{Entry, File};
pub(crate) use values::{Expected, Memory, Scale, Share, Slow, bytes, label, name, name_of, registry};

/// A value, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) from: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    /// The name of the file.
    File(String),
    Flag(&'static str),
    Kubeconfig,
    /// What it was found in.
    Cluster,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Kubeconfig => f.write_str("kubeconfig"),
            Self::Cluster => f.write_str("found in the cluster"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// None: that of the kubeconfig.
    pub(crate) namespaces: Setting<Vec<String>>,
    /// None: all that the cluster has.
    pub(crate) services: Setting<Vec<Entry>>,
    pub(crate) exclude: Setting<Vec<String>>,
    pub(crate) pubsub: Setting<Option<String>>,
    pub(crate) concerns: Setting<Selection>,
    /// None: see [`crate::commands`], where it is chosen.
    pub(crate) prometheus: Setting<Option<Which>>,
    pub(crate) remote_write: Setting<Option<RemoteWrite>>,
    /// The same.
    pub(crate) grafana: Setting<Option<Boards>>,
    pub(crate) profile: Setting<Profile>,
    pub(crate) budget: Setting<Option<Memory>>,
    /// What the budget is for, where that is said and not counted.
    pub(crate) expected: Setting<Expected>,
    pub(crate) images: Setting<BTreeMap<String, String>>,
    pub(crate) registry: Setting<Option<String>>,
    pub(crate) pull_secret: Setting<Option<String>>,
    pub(crate) sampling: Setting<Share>,
    pub(crate) slow: Setting<Slow>,
}

impl Settings {
    /// From the command line and the file it names; no cluster is asked.
    pub(crate) fn read(choice: &Choice, global: &Global) -> Result<Self, Problem> {
        let file = choice.file.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let name = choice.file.as_ref().map(|path| path.display().to_string());
        Self::merge(choice, global, file, &name.unwrap_or_default())
    }

    fn merge(choice: &Choice, global: &Global, file: File, file_name: &str) -> Result<Self, Problem> {
        let from = Layers { file_name };
        let File { only, skip, .. } = file;
        let concerns = if choice.only.is_empty() && choice.skip.is_empty() {
            let in_file = only.is_some() || skip.is_some();
            let only = only.map(|only| only.value).unwrap_or_default();
            let skip = skip.map(|skip| skip.value).unwrap_or_default();
            // The file was checked for itself.
            let selection = Selection::new(&only, &skip).map_err(|why| usage(&why))?;
            from.either(None, "", in_file.then_some(selection), Selection::all())
        } else {
            let flag = if choice.only.is_empty() { "--skip" } else { "--only" };
            let selection = Selection::new(&choice.only, &choice.skip).map_err(|why| usage(&why))?;
            from.either(Some(selection), flag, None, Selection::all())
        };
        let images: BTreeMap<String, String> = file
            .images
            .into_iter()
            .map(|(key, image)| (key, image.value.0))
            .collect();
        let images = (!images.is_empty()).then_some(images);
        let namespaces = file.namespaces.into_iter().map(|name| name.value.0).collect();
        let services = file.services.into_iter().map(|service| service.value).collect();
        let exclude = file.exclude.into_iter().map(|name| name.0).collect();
        let mut settings = Self {
            namespaces: from.list(global.namespace.as_slice(), "-n", namespaces),
            services: from.list(&choice.service, "--service", services),
            exclude: from.list(&choice.exclude, "--exclude", exclude),
            pubsub: from.maybe(None, "", file.pubsub),
            concerns,
            prometheus: from.maybe(choice.prometheus.clone(), "--prometheus", file.prometheus),
            remote_write: from.maybe(None, "", file.remote_write),
            grafana: from.maybe(choice.grafana.clone(), "--grafana", file.grafana),
            profile: from.either(choice.profile, "--profile", file.profile, Profile::default()),
            budget: from.maybe(choice.budget.clone(), "--budget", file.budget),
            expected: from.either(choice.expect.clone(), "--expect", file.expect, Expected::default()),
            images: from.either(None, "", images, BTreeMap::new()),
            registry: from.maybe(choice.registry.clone(), "--registry", file.registry),
            pull_secret: from.maybe(
                choice.image_pull_secret.clone(),
                "--image-pull-secret",
                file.image_pull_secret,
            ),
            // By the profile, below.
            sampling: from.either(choice.sampling, "--sampling", file.sampling, Share::ALL),
            slow: from.either(choice.slow, "--slow", file.slow, Slow::default()),
        };
        if settings.sampling.from == Source::Default && settings.profile.value == Profile::Production {
            settings.sampling.value = Share::PRODUCTION;
        }
        // Each may come from another layer.
        let services = &mut settings.services.value;
        match settings.namespaces.value.as_slice() {
            // What is said of others is not meant now.
            [only] => {
                let all = services.len();
                services.retain(|entry| entry.namespace.as_ref().is_none_or(|namespace| namespace == only));
                if services.is_empty() && all > 0 {
                    return Err(usage(&format!(
                        "no service of namespace {only} is named, but of another one"
                    )));
                }
                services.iter_mut().for_each(|entry| entry.namespace = None);
            }
            _ => {
                if let Some(entry) = services.iter().find(|entry| entry.namespace.is_none())
                    && settings.namespaces.value.len() > 1
                {
                    let why = format!("service {} is named, and there are several namespaces", entry.name);
                    return Err(usage(&why));
                }
            }
        }
        let named = &settings.services.value;
        for (n, entry) in named.iter().enumerate() {
            let name = &entry.name;
            if named[..n].iter().any(|other| other.is_same(entry)) {
                return Err(usage(&format!("service {name} is named twice")));
            }
            if settings.exclude.value.contains(name) {
                return Err(usage(&format!("service {name} is both named and excluded")));
            }
        }
        Ok(settings)
    }

    /// What of it is for one of the namespaces.
    pub(crate) fn within(&self, namespace: &str) -> Self {
        let mut settings = self.clone();
        if self.namespaces.value.len() > 1 {
            settings.namespaces.value = vec![namespace.to_owned()];
            let services = &mut settings.services.value;
            services.retain(|entry| entry.namespace.as_deref() == Some(namespace));
        }
        settings
    }

    /// Fills in what the cluster shows of each namespace; what is said stays.
    pub(crate) fn found(mut self, all: &[(String, Facts)]) -> Self {
        if self.namespaces.value.is_empty() {
            self.namespaces = Setting {
                value: all.iter().map(|(namespace, _)| namespace.clone()).collect(),
                from: Source::Kubeconfig,
            };
        }
        let several = all.len() > 1;
        if self.services.value.is_empty() {
            let each = |(namespace, facts): &(String, Facts)| {
                let found = facts.services.iter().map(|service| Entry {
                    name: service.name.clone(),
                    namespace: several.then(|| namespace.clone()),
                    app_id: service.app_id.clone(),
                    container: service.container.clone(),
                    scaling: Scale::default(),
                });
                found.collect::<Vec<_>>()
            };
            let value = all
                .iter()
                .flat_map(each)
                .filter(|entry| !self.exclude.value.contains(&entry.name))
                .collect();
            self.services = Setting {
                value,
                from: Source::Cluster,
            };
        } else {
            for entry in &mut self.services.value {
                let place =
                    |(namespace, _): &&(String, Facts)| entry.namespace.as_ref().is_none_or(|ns| ns == namespace);
                let facts = all.iter().find(place).map(|(_, facts)| facts);
                let known = facts.and_then(|facts| facts.services.iter().find(|service| service.name == entry.name));
                let Some(known) = known else { continue };
                entry.app_id = entry.app_id.take().or_else(|| known.app_id.clone());
                entry.container = entry.container.take().or_else(|| known.container.clone());
            }
        }
        let mut kafka = all.iter().flat_map(|(_, facts)| facts.pubsubs());
        if let (None, Some(first)) = (&self.pubsub.value, kafka.next())
            // Where each namespace has another one, each has its own.
            && kafka.all(|other| other == first || !several)
        {
            self.pubsub = Setting {
                value: Some(first),
                from: Source::Cluster,
            };
        }
        self
    }

    /// What the objects depend on, where it is known whether a gateway and a trace store are there.
    pub(crate) fn shape(&self, gateway: bool, store: bool) -> Shape {
        Shape {
            concerns: self.concerns.value.clone(),
            profile: self.profile.value,
            images: self.images.value.clone(),
            registry: self.registry.value.clone(),
            pull_secret: self.pull_secret.value.clone(),
            sampling: self.sampling.value,
            slow: self.slow.value,
            begun: Share::ALL,
            keeper: Keeper::Own,
            namespaces: self.namespaces.value.iter().cloned().collect(),
            before: BTreeSet::new(),
            remote_write: self.remote_write.value.clone(),
            host: Host::Own,
            gateway,
            store,
            fit: None,
        }
    }
}

/// Flags over a file over a default.
struct Layers<'a> {
    file_name: &'a str,
}

impl Layers<'_> {
    fn either<T>(&self, flag: Option<T>, flag_name: &'static str, file: Option<T>, default: T) -> Setting<T> {
        let (value, from) = match (flag, file) {
            (Some(value), _) => (value, Source::Flag(flag_name)),
            (None, Some(value)) => (value, Source::File(self.file_name.to_owned())),
            (None, None) => (default, Source::Default),
        };
        Setting { value, from }
    }

    fn maybe<T>(&self, flag: Option<T>, flag_name: &'static str, file: Option<T>) -> Setting<Option<T>> {
        self.either(flag.map(Some), flag_name, file.map(Some), None)
    }

    fn list<T: Clone>(&self, flag: &[T], flag_name: &'static str, file: Vec<T>) -> Setting<Vec<T>> {
        let flag = (!flag.is_empty()).then(|| flag.to_vec());
        self.either(flag, flag_name, (!file.is_empty()).then_some(file), Vec::new())
    }
}

fn usage(why: &str) -> Problem {
    Problem::new(format!("The settings contradict each other: {why}.")).next("Nothing was changed.")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
