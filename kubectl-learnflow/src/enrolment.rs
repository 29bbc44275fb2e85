//! What a service needs to be enrolled, and how it gets back what it had. Pure: no cluster.
//!
//! Nothing that a running sidecar has read is ever changed. The guest's ConfigMap and the Configuration
//! are named after what they hold; something new comes under a new name, and the Deployment's rolling
//! update moves its pods there. A service with a Configuration of its own gets a copy with our part in
//! it; the original stays as it is.

use crate::{
    model::{Before, Configuration, Service},
    objects::{
        BEFORE, GUEST, GUEST_MOUNT, MANAGER, MIDDLEWARE, Object, ObjectRef, Plan, RESTARTED, REVISION, revision,
    },
    resilience,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Names longer than this are cut: an object's may have 253 characters.
const LONGEST: usize = 200;
/// The key of the Secret that goes with a Configuration.
const SECRET_KEY: &str = "source";

/// What an enrolled Deployment carries, all of it on its pod template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enrolment {
    /// The Configuration that its sidecars read.
    pub(crate) config: String,
    pub(crate) mounts: String,
    /// The ConfigMap with the guest.
    pub(crate) guest: String,
    pub(crate) revision: String,
    pub(crate) before: Before,
}

/// A service with what it is to carry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) service: Service,
    pub(crate) enrolment: Enrolment,
    /// Where its spans go when that is not to us: a sidecar has one exporter, and this had one already.
    pub(crate) spans_elsewhere: Option<String>,
    configuration: Object,
    secret: Option<Object>,
    /// The same without the Resiliency, when it is to have one.
    plain: Option<Enrolment>,
    /// Its sidecars may restart in place when a Resiliency comes: it is enrolled plainly first.
    reloads: bool,
}

/// Services to enrol, and all that has to be there before the first of them is.
#[derive(Debug, Clone)]
pub(crate) struct Enrolments {
    pub(crate) entries: Vec<Entry>,
    pub(crate) guest: Object,
    pub(crate) component: Object,
    /// To be applied when none of the services reloads any more.
    pub(crate) resiliency: Option<Object>,
}

/// How a service is let go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Release {
    /// Nothing was replaced: taking our fields back is enough.
    Withdraw(Value),
    /// What was replaced is put back in the name of whoever had set it, in one write: pods roll once.
    Restore { manager: String, patch: Value },
}

impl Enrolments {
    /// `quiet`: see [`hushed`].
    pub(crate) fn new(plan: &Plan, services: &[Service], known: &[Configuration], quiet: bool) -> Self {
        let entries = services
            .iter()
            .map(|service| Entry::new(plan, service, known, quiet))
            .collect();
        Self {
            entries,
            guest: plan.guest.clone(),
            component: plan.component.clone(),
            resiliency: plan.resiliency.clone().filter(|_| plan.polices),
        }
    }

    /// The same for one service alone.
    pub(crate) fn only(&self, entry: &Entry) -> Self {
        Self {
            entries: vec![entry.clone()],
            ..self.clone()
        }
    }

    /// The Configurations, each once.
    pub(crate) fn configurations(&self) -> Vec<&Object> {
        once(self.entries.iter().map(|entry| &entry.configuration))
    }

    /// The Secrets that the Configurations refer to, each once and with its Configuration.
    pub(crate) fn secrets(&self) -> Vec<(&Object, &Object)> {
        let secrets = once(self.entries.iter().filter_map(|entry| entry.secret.as_ref()));
        let configurations = self.configurations();
        secrets.into_iter().zip(configurations).collect()
    }

    /// Everything but the Deployments.
    pub(crate) fn objects(&self) -> Vec<&Object> {
        let mut objects = vec![&self.guest, &self.component];
        objects.extend(self.configurations());
        objects.extend(self.secrets().into_iter().map(|(secret, _)| secret));
        objects.extend(&self.resiliency);
        objects
    }
}

fn once<'a>(objects: impl Iterator<Item = &'a Object>) -> Vec<&'a Object> {
    let mut seen = BTreeSet::new();
    objects.filter(|object| seen.insert(object.name())).collect()
}

impl Entry {
    fn new(plan: &Plan, service: &Service, known: &[Configuration], quiet: bool) -> Self {
        let before = before(service);
        let original = before.config.as_deref().and_then(|name| find(known, name));
        let configuration = match original {
            Some(original) => copy(&plan.configuration, original),
            None => plan.configuration.clone(),
        };
        let (configuration, secret) = if quiet {
            let (configuration, secret) = hushed(configuration, original.map(|original| original.name.as_str()));
            (configuration, Some(secret))
        } else {
            (configuration, None)
        };
        let component = plan.component.value()["spec"].to_string();
        let parts = [plan.guest.name(), &component, configuration.name()].map(str::as_bytes);
        let mut enrolment = Enrolment {
            config: configuration.name().to_owned(),
            mounts: with_ours(before.mounts.as_deref()),
            guest: plan.guest.name().to_owned(),
            revision: revision(&parts),
            before,
        };
        let resiliency = plan.resiliency.as_ref();
        let plain = resiliency
            .filter(|policies| resilience::is_for(policies, service))
            .map(|policies| {
                let spec = policies.value()["spec"].to_string();
                let plain = enrolment.clone();
                enrolment.revision = revision(&[&parts[..], &[spec.as_bytes()]].concat());
                plain
            });
        let endpoint = endpoint(configuration.value());
        Self {
            service: service.clone(),
            enrolment,
            spans_elsewhere: endpoint
                .filter(|theirs| Some(theirs) != self::endpoint(plan.configuration.value()).as_ref()),
            configuration,
            secret,
            reloads: quiet && plain.is_some() && Enrolment::of(service).is_none(),
            plain,
        }
    }

    /// How it is enrolled while the Resiliency cannot come yet.
    pub(crate) fn plainly(&self) -> Self {
        let enrolment = self.plain.as_ref().unwrap_or(&self.enrolment).clone();
        Self {
            enrolment,
            ..self.clone()
        }
    }

    /// Two rollouts: the first ends the sidecars that would restart in place when the Resiliency comes.
    pub(crate) fn reloads(&self) -> bool {
        self.reloads
    }

    /// Nothing of it would change.
    pub(crate) fn is_done(&self) -> bool {
        Enrolment::of(&self.service).as_ref() == Some(&self.enrolment)
    }

    /// Values that somebody else has set and that enrolling replaces, as (annotation, value, owners).
    pub(crate) fn replaces(&self) -> Vec<(&'static str, &str, &[String])> {
        let settings = [
            ("dapr.io/config", &self.service.config, &self.enrolment.config),
            ("dapr.io/volume-mounts", &self.service.mounts, &self.enrolment.mounts),
        ];
        settings
            .into_iter()
            .filter_map(|(name, setting, wanted)| Some((name, setting.as_ref()?, wanted)))
            .filter(|(_, setting, wanted)| !setting.is_ours() && setting.value != **wanted)
            .map(|(name, setting, _)| (name, setting.value.as_str(), setting.owners.as_slice()))
            .collect()
    }
}

impl Enrolment {
    /// What a service carries now, when what decides is ours.
    pub(crate) fn of(service: &Service) -> Option<Self> {
        let config = service.config.as_ref().filter(|config| config.is_ours())?;
        Some(Self {
            config: config.value.clone(),
            mounts: service.mounts.as_ref()?.value.clone(),
            guest: service.guest.clone()?,
            revision: service.revision.clone()?,
            before: service.before.clone(),
        })
    }

    /// Exactly these fields, and none that anybody else may own. Above all no `replicas`: an
    /// autoscaler may own those.
    pub(crate) fn patch(&self, namespace: &str, service: &Service) -> Value {
        let mut annotations = json!({
            "dapr.io/config": self.config,
            "dapr.io/volume-mounts": self.mounts,
            REVISION: self.revision,
        });
        if !self.before.is_nothing() {
            annotations[BEFORE] = json!(json!(self.before).to_string());
        }
        // Kept once it is there: without it the pods would roll again.
        if let Some(restarted) = &service.restarted {
            annotations[RESTARTED] = json!(restarted);
        }
        let mut patch = withdrawn(namespace, &service.name);
        patch["spec"] = json!({ "template": {
            "metadata": { "annotations": annotations },
            "spec": { "volumes": [
                // Optional: a pod whose ConfigMap is gone would never start.
                { "name": GUEST, "configMap": { "name": self.guest, "optional": true } },
            ]},
        }});
        patch
    }
}

impl Release {
    pub(crate) fn of(namespace: &str, service: &Service) -> Self {
        let withdraw = Self::Withdraw(withdrawn(namespace, &service.name));
        if service.before.is_nothing() {
            return withdraw;
        }
        let manager = service.before.by.clone().unwrap_or_else(|| "kubectl".into());
        let mut annotations = Map::new();
        for ours in [REVISION, BEFORE, RESTARTED] {
            annotations.insert(ours.into(), Value::Null);
        }
        // What somebody has set since is theirs.
        let settings = [
            ("dapr.io/config", &service.config, &service.before.config),
            ("dapr.io/volume-mounts", &service.mounts, &service.before.mounts),
        ];
        for (name, setting, before) in settings {
            if setting.as_ref().is_some_and(|setting| setting.is_ours()) {
                annotations.insert(name.into(), json!(before));
            }
        }
        let patch = json!({ "spec": { "template": {
            "metadata": { "annotations": annotations },
            "spec": { "volumes": [{ "name": GUEST, "$patch": "delete" }] },
        }}});
        Self::Restore { manager, patch }
    }
}

/// With no field: server-side apply then takes back what we own, and only that.
fn withdrawn(namespace: &str, deployment: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": deployment, "namespace": namespace },
    })
}

/// What a service had before it was enrolled, or has now when it is not.
pub(crate) fn before(service: &Service) -> Before {
    let had = |setting: &Option<crate::model::Setting>, remembered: &Option<String>| match setting {
        Some(setting) if !setting.is_ours() => (Some(setting.value.clone()), setting.owners.first().cloned()),
        _ => (remembered.clone(), service.before.by.clone()),
    };
    let (config, config_by) = had(&service.config, &service.before.config);
    let (mounts, mounts_by) = had(&service.mounts, &service.before.mounts);
    let mounts = mounts.and_then(|mounts| without_ours(&mounts));
    let by = config_by
        .filter(|_| config.is_some())
        .or(mounts_by.filter(|_| mounts.is_some()));
    Before { config, mounts, by }
}

/// What the pods of enrolled services read now, whichever version has enrolled them.
pub(crate) fn in_use(namespace: &str, enrolled: &[Service], known: &[Configuration]) -> BTreeSet<ObjectRef> {
    let reference = |api_version: &str, kind: &str, name: &str| ObjectRef {
        api_version: api_version.into(),
        kind: kind.into(),
        namespace: Some(namespace.into()),
        name: name.into(),
    };
    let mut objects = BTreeSet::new();
    for current in enrolled.iter().filter_map(Enrolment::of) {
        let name = &current.config;
        objects.insert(reference("v1", "ConfigMap", &current.guest));
        objects.insert(reference("dapr.io/v1alpha1", "Configuration", name));
        let spec = find(known, name).map(|configuration| &configuration.spec);
        let headers = spec.map(|spec| list(spec, "/tracing/otel/headers")).unwrap_or_default();
        if headers.iter().any(|header| header["secretKeyRef"]["name"] == **name) {
            objects.insert(reference("v1", "Secret", name));
        }
    }
    objects
}

pub(crate) fn find<'a>(known: &'a [Configuration], name: &str) -> Option<&'a Configuration> {
    known.iter().find(|configuration| configuration.name == name)
}

/// Another volume that the sidecar is to have at the place of ours.
pub(crate) fn in_the_way(service: &Service) -> Option<&str> {
    let folder = GUEST_MOUNT.split_once(':')?.1;
    let mounts = service.mounts.as_ref()?.value.split(',').map(str::trim);
    mounts.filter(|mount| *mount != GUEST_MOUNT).find(|mount| {
        mount
            .split_once(':')
            .is_some_and(|(_, path)| path.trim_end_matches('/') == folder)
    })
}

fn with_ours(mounts: Option<&str>) -> String {
    mounts.map_or_else(|| GUEST_MOUNT.into(), |theirs| format!("{theirs},{GUEST_MOUNT}"))
}

fn without_ours(mounts: &str) -> Option<String> {
    let theirs: Vec<&str> = mounts.split(',').filter(|mount| mount.trim() != GUEST_MOUNT).collect();
    let theirs = theirs.join(",");
    (!theirs.trim().is_empty()).then_some(theirs)
}

/// Under a name that says what it holds: the same again is the same object, and something else never
/// replaces it.
pub(crate) fn named(configuration: Object, original: Option<&str>) -> Object {
    let revision = revision(&[configuration.value()["spec"].to_string().as_bytes()]);
    let name = match original {
        Some(original) => {
            let original: String = original.chars().take(LONGEST).collect();
            format!("{MIDDLEWARE}-{original}-{revision}")
        }
        None => format!("{MIDDLEWARE}-{revision}"),
    };
    configuration.renamed(name)
}

/// Theirs with ours in it.
fn copy(ours: &Object, original: &Configuration) -> Object {
    let mut copy = ours.clone();
    let spec = merged(&original.spec, &ours.value()["spec"]);
    *copy.map("/spec") = into_map(spec);
    named(copy, Some(&original.name))
}

fn merged(theirs: &Value, ours: &Value) -> Value {
    let mut spec = into_map(theirs.clone());
    // Theirs first, so that ours stands next to the API: it sees a call as theirs leave it, and none
    // that theirs refuse.
    for pipeline in ["httpPipeline", "appHttpPipeline"] {
        let mut handlers = list(theirs, &format!("/{pipeline}/handlers"));
        let missing = list(ours, &format!("/{pipeline}/handlers"));
        handlers.retain(|handler| !missing.contains(handler));
        handlers.extend(missing);
        spec.insert(pipeline.into(), json!({ "handlers": handlers }));
    }
    let mut tracing = into_map(theirs["tracing"].clone());
    if endpoint(&json!({ "spec": theirs })).is_none() {
        tracing.insert("otel".into(), ours["tracing"]["otel"].clone());
        tracing
            .entry("samplingRate")
            .or_insert_with(|| ours["tracing"]["samplingRate"].clone());
    }
    spec.insert("tracing".into(), Value::Object(tracing));
    let mut metric = into_map(theirs["metric"].clone());
    metric.insert("enabled".into(), json!(true));
    spec.insert("metric".into(), Value::Object(metric));
    let wanted = list(ours, "/features");
    let mut features = list(theirs, "/features");
    features.retain(|feature| !wanted.iter().any(|other| other["name"] == feature["name"]));
    features.extend(wanted);
    spec.insert("features".into(), Value::Array(features));
    Value::Object(spec)
}

/// A Configuration that Dapr's operator does not announce when it is created.
///
/// Dapr 1.18 tells every sidecar of the namespace about a new Configuration, and each that has hot
/// reload on, whether it will ever use that Configuration or not, restarts its runtime in place: calls
/// fail meanwhile, and its metrics are broken afterwards. The operator fills in Secrets first, and
/// while one is missing it tells nobody. So the Configuration asks for a header whose value is in a
/// Secret, and that Secret comes a moment after it, before the first pod that uses it.
fn hushed(mut configuration: Object, original: Option<&str>) -> (Object, Object) {
    let mut headers = list(configuration.value(), "/spec/tracing/otel/headers");
    let at = headers.len();
    headers.push(json!({ "name": MIDDLEWARE }));
    configuration
        .map("/spec/tracing/otel")
        .insert("headers".into(), json!(headers));
    // The Secret has the Configuration's name, which says what the Configuration holds but for that.
    let mut configuration = named(configuration, original);
    let name = configuration.name().to_owned();
    headers[at]["secretKeyRef"] = json!({ "name": name, "key": SECRET_KEY });
    configuration
        .map("/spec/tracing/otel")
        .insert("headers".into(), json!(headers));
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": configuration.namespace(),
            "labels": configuration.value()["metadata"]["labels"],
        },
        "immutable": true,
        "data": { SECRET_KEY: STANDARD.encode(MANAGER) },
    });
    (configuration, Object::known(secret))
}

/// The Secret as it goes with a Configuration that is there: it goes when that goes.
pub(crate) fn owned(secret: &Object, configuration: &Object, uid: &str) -> Object {
    let mut owned = secret.clone();
    let reference = configuration.reference();
    let owner = json!([{
        "apiVersion": reference.api_version, "kind": reference.kind, "name": reference.name, "uid": uid,
    }]);
    owned.map("/metadata").insert("ownerReferences".into(), owner);
    owned
}

fn endpoint(configuration: &Value) -> Option<String> {
    let endpoint = configuration.pointer("/spec/tracing/otel/endpointAddress")?.as_str()?;
    (!endpoint.is_empty()).then(|| endpoint.to_owned())
}

fn list(value: &Value, pointer: &str) -> Vec<Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
#[path = "enrolment_tests.rs"]
mod tests;
