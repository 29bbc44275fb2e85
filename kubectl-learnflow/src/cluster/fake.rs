//! An API server in memory, just real enough to run whole commands against: it keeps objects by
//! path, merges what is applied, lets workloads become ready at once, and remembers every write.

mod apply;

use self::apply::{merge, own, withdraw};
use super::Cluster;
use crate::objects::{MANAGER, REVISION};
use http::{Method, Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex},
};

#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// `METHOD path`, with `(dry run)` after it where nothing was kept.
    writes: Vec<String>,
    /// `METHOD path` of everything that was asked, reads too.
    asked: Vec<String>,
    /// Permissions that are refused, as `verb resource`.
    refused: BTreeSet<String>,
    /// Names of workloads that never become ready once applied.
    stuck: BTreeSet<String>,
    /// Names of services whose sidecars cannot load the middleware.
    unable: BTreeSet<String>,
    /// Services with an old pod that is ending, and in how many more lists it is.
    lingering: BTreeMap<String, u32>,
    /// Answers that override everything: path → (code, body).
    answers: BTreeMap<String, (u16, Value)>,
    /// How many times a write to a path still fails, and with what.
    failures: BTreeMap<String, (u32, u16)>,
    /// Fields that belong to somebody else: path → (who, field).
    owners: BTreeMap<String, (String, String)>,
    counter: u64,
}

impl Fake {
    /// A cluster with Dapr, Kafka and one service, `cart`, in namespace `shop`.
    pub(crate) fn sound() -> Self {
        let fake = Self::default();
        for app in ["dapr-operator", "dapr-sidecar-injector"] {
            let mut plane = deployment("dapr-system", app);
            plane["metadata"]["labels"] = json!({ "app": app, "app.kubernetes.io/version": "1.18.1" });
            fake.put(
                &format!("/apis/apps/v1/namespaces/dapr-system/deployments/{app}"),
                plane,
            );
        }
        fake.put("/api/v1/namespaces/shop", json!({ "metadata": { "name": "shop" } }));
        fake.put(
            "/apis/dapr.io/v1alpha1/namespaces/shop/components/kafka-pubsub",
            json!({ "metadata": { "name": "kafka-pubsub" }, "spec": { "type": "pubsub.kafka", "metadata": [
                { "name": "brokers", "value": "kafka.kafka:9092" },
                { "name": "authType", "value": "password" },
                { "name": "saslUsername", "value": "shop" },
                { "name": "saslPassword", "value": "secret" },
            ] } }),
        );
        fake.service("cart");
        fake
    }

    pub(crate) fn service(&self, name: &str) {
        self.put(&service_path(name), deployment("shop", name));
    }

    /// Sets annotations of a service's pod template in the name of a field manager.
    pub(crate) fn annotate(&self, name: &str, manager: &str, annotations: Value) {
        let mut service = self.get(&service_path(name)).expect("the service");
        let sent = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
        merge(&mut service, &sent);
        own(&mut service, manager, "Update", &sent);
        self.put(&service_path(name), service);
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.lock(|state| state.objects.insert(path.into(), object));
    }

    /// Merges into what is there.
    pub(crate) fn change(&self, path: &str, change: &Value) {
        let mut object = self.get(path).expect("an object");
        if !change.is_null() {
            merge(&mut object, change);
        }
        self.put(path, object);
    }

    /// Somebody serves what pods take.
    pub(crate) fn measure(&self) {
        let kind = json!({ "name": "pods", "kind": "PodMetrics", "namespaced": true, "singularName": "", "verbs": [] });
        let list = json!({ "groupVersion": "metrics.k8s.io/v1beta1", "resources": [kind] });
        self.answer("/apis/metrics.k8s.io/v1beta1", 200, list);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.lock(|state| state.objects.remove(path));
    }

    pub(crate) fn stick(&self, name: &str) {
        self.lock(|state| state.stuck.insert(name.into()));
    }

    pub(crate) fn disable(&self, name: &str) {
        self.lock(|state| state.unable.insert(name.into()));
    }

    /// A pod from before an enrolment is still ending, for so many more lists of pods.
    pub(crate) fn linger(&self, name: &str, lists: u32) {
        self.lock(|state| state.lingering.insert(name.into(), lists));
    }

    pub(crate) fn answer(&self, path: &str, code: u16, body: Value) {
        self.lock(|state| state.answers.insert(path.into(), (code, body)));
    }

    /// Writes that are meant fail so many times.
    pub(crate) fn fail(&self, path: &str, times: u32, code: u16) {
        self.lock(|state| state.failures.insert(path.into(), (times, code)));
    }

    /// Makes a field somebody else's, until it is taken over.
    pub(crate) fn own(&self, path: &str, who: &str, field: &str) {
        self.lock(|state| state.owners.insert(path.into(), (who.into(), field.into())));
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.lock(|state| state.objects.get(path).cloned())
    }

    /// Where there are objects.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.lock(|state| state.objects.keys().cloned().collect())
    }

    /// Writes that were meant, in order.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.lock(|state| {
            state
                .writes
                .iter()
                .filter(|w| !w.ends_with("(dry run)"))
                .cloned()
                .collect()
        })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.lock(|state| state.asked.clone())
    }

    /// Says no when asked whether `verb resource` is allowed.
    pub(crate) fn refuse(&self, what: &str) {
        self.lock(|state| state.refused.insert(what.into()));
    }

    pub(crate) fn all_writes(&self) -> Vec<String> {
        self.lock(|state| state.writes.clone())
    }

    /// Runs a command against it.
    pub(crate) fn run<T>(&self, act: impl AsyncFnOnce(&Cluster) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        runtime
            .expect("a runtime")
            .block_on(async { act(&self.cluster()).await })
    }

    fn cluster(&self) -> Cluster {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap_or_default();
                let sent: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let query = head.uri.query().unwrap_or_default();
                let (code, answer) = fake.lock(|state| state.handle(&head.method, head.uri.path(), query, &sent));
                let answer = Response::builder()
                    .status(code)
                    .body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.expect("a response"))
            }
        });
        let client = Client::new(service, "default");
        Cluster {
            impatient: client.clone(),
            endurance: Arc::default(),
            client,
            context: "fake".into(),
            server: "http://fake".into(),
            namespace: "shop".into(),
            metrics: Default::default(),
        }
    }

    fn lock<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().expect("not poisoned"))
    }
}

impl State {
    fn handle(&mut self, method: &Method, path: &str, query: &str, sent: &Value) -> (u16, Value) {
        if let Some((code, body)) = self
            .answers
            .get(path)
            .filter(|_| method != Method::GET || path != "/version")
        {
            return (*code, body.clone());
        }
        self.asked.push(format!("{method} {path}"));
        let dry = query.contains("dryRun=All");
        if method != Method::GET && !path.contains("/selfsubject") {
            self.writes
                .push(format!("{method} {path}{}", if dry { " (dry run)" } else { "" }));
        }
        match *method {
            Method::POST if path.ends_with("/selfsubjectaccessreviews") => {
                let wanted = &sent["spec"]["resourceAttributes"];
                let text = |field: &str| wanted[field].as_str().unwrap_or_default();
                let what = format!("{} {}", text("verb"), text("resource"));
                let all = text("verb") == "*" && !self.refused.is_empty();
                let allowed = !all && !self.refused.contains(&what);
                (201, json!({ "spec": {}, "status": { "allowed": allowed } }))
            }
            Method::POST if path.ends_with("/configmaps") || path.ends_with("/leases") => {
                let name = sent["metadata"]["name"].as_str().unwrap_or_default();
                let place = format!("{path}/{name}");
                match self.objects.contains_key(&place) {
                    true => (
                        409,
                        json!({ "kind": "Status", "code": 409, "reason": "AlreadyExists", "message": "it exists" }),
                    ),
                    false => {
                        let made = self.versioned(None, sent.clone());
                        self.objects.insert(place, made.clone());
                        (201, made)
                    }
                }
            }
            Method::POST => (201, json!({ "spec": {}, "status": { "allowed": true } })),
            // A patch may say which version it is for.
            Method::PATCH if self.is_outdated(path, sent) => (
                409,
                json!({ "kind": "Status", "code": 409, "reason": "Conflict", "message": "the object has been modified" }),
            ),
            Method::PATCH if !dry && self.fails(path).is_some() => {
                let code = self.failures[path].1;
                (code, json!({ "kind": "Status", "code": code, "message": "not now" }))
            }
            Method::PATCH if self.owners.contains_key(path) && !query.contains("force=true") => {
                let (who, field) = &self.owners[path];
                let cause = json!({ "reason": "FieldManagerConflict", "field": field,
                    "message": format!("conflict with \"{who}\" using v1") });
                (
                    409,
                    json!({ "kind": "Status", "code": 409, "reason": "Conflict", "message": "conflict",
                    "details": { "causes": [cause] } }),
                )
            }
            Method::PATCH => {
                let manager = query.split('&').find_map(|part| part.strip_prefix("fieldManager="));
                let after = self.patched(path, sent, manager.unwrap_or("nobody"));
                if !dry {
                    self.objects.insert(path.into(), after.clone());
                }
                (200, after)
            }
            Method::DELETE => match self.objects.remove(path) {
                Some(gone) => {
                    // As the garbage collector does, by the Secret's owner.
                    let secret = path
                        .replace("/apis/dapr.io/v1alpha1/", "/api/v1/")
                        .replace("/configurations/", "/secrets/");
                    self.objects.remove(&secret);
                    (200, gone)
                }
                None => (404, not_found(path)),
            },
            _ => self.read(path, query),
        }
    }

    fn is_outdated(&self, path: &str, sent: &Value) -> bool {
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let wanted = version(sent);
        !wanted.is_null() && self.objects.get(path).is_none_or(|there| version(there) != wanted)
    }

    fn fails(&mut self, path: &str) -> Option<()> {
        let (left, _) = self.failures.get_mut(path)?;
        *left = left.checked_sub(1)?;
        Some(())
    }

    fn read(&mut self, path: &str, query: &str) -> (u16, Value) {
        match path {
            "/version" => {
                let version = json!({ "gitVersion": "v1.34.4", "major": "1", "minor": "34", "gitCommit": "",
                    "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "" });
                return (200, version);
            }
            "/apis/dapr.io/v1alpha1" => {
                let kind = |kind: &str| json!({ "name": "", "kind": kind, "namespaced": true, "singularName": "", "verbs": [] });
                let kinds = ["Component", "Configuration"].map(kind);
                return (200, json!({ "groupVersion": "dapr.io/v1alpha1", "resources": kinds }));
            }
            "/api" | "/apis" => return (200, json!({ "items": [] })),
            _ => {}
        }
        if path.contains("/proxy/") && path.ends_with("/api/v1/query") {
            // Every pod is up and has the policies; some cannot load the middleware; there is nothing else to know.
            let sample = |pod: &Value| json!({ "metric": { "pod": pod["metadata"]["name"], "name": "learnflow" }, "value": [0, "1"] });
            let (up, failed) = (query.contains("query=up"), query.contains("init_fail"));
            let up = up || query.contains("resiliency_loaded");
            let unable = |pod: &Value| {
                self.unable
                    .iter()
                    .any(|name| pod["metadata"]["name"] == format!("{name}-pod"))
            };
            let pods = [self.pods("shop"), self.pods("bank")].concat();
            let found = pods.iter().filter(|pod| up || failed && unable(pod));
            let result: Vec<Value> = found.map(sample).collect();
            return (200, json!({ "status": "success", "data": { "result": result } }));
        }
        if let Some(object) = self.objects.get(path) {
            return (200, object.clone());
        }
        if let Some(namespace) = path
            .strip_prefix("/api/v1/namespaces/")
            .and_then(|p| p.strip_suffix("/pods"))
        {
            let mut pods = self.pods(namespace);
            for (name, lists) in self.lingering.iter_mut().filter(|(_, lists)| **lists > 0) {
                *lists -= 1;
                pods.push(json!({
                    "metadata": { "name": format!("{name}-old"), "labels": { "app": name },
                        "deletionTimestamp": "2026-01-01T00:00:00Z" },
                    "status": { "containerStatuses": [container("daprd")] },
                }));
            }
            let chosen = query
                .split("labelSelector=app%3D")
                .nth(1)
                .and_then(|rest| rest.split('&').next());
            pods.retain(|pod| chosen.is_none_or(|app| pod["metadata"]["labels"]["app"] == app));
            return (200, list(pods));
        }
        // A collection ends in a plural and is asked for in a namespace, or in all of them.
        let plural = path.rsplit('/').next().unwrap_or_default();
        let parent = path.rsplit('/').nth(1).unwrap_or_default();
        let everywhere = matches!(parent, "v1" | "v1alpha1");
        if everywhere || path.rsplit('/').nth(2) == Some("namespaces") {
            let below = |key: &str| match everywhere {
                true => key.contains(&format!("/{plural}/")),
                false => key.starts_with(&format!("{path}/")),
            };
            let named = query.contains("metadata.name%3Dlearnflow");
            let set = query
                .split("part-of%3D")
                .nth(1)
                .and_then(|rest| rest.split("%2C").next());
            let labelled = query.contains("labelSelector=app.kubernetes.io%2Fmanaged-by%3D");
            let ours = |object: &Value| object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == MANAGER;
            let items = self.objects.iter().filter(|(key, object)| {
                let member = &object["metadata"]["labels"][crate::applyset::PART_OF];
                below(key)
                    && (!named || object["metadata"]["name"] == "learnflow")
                    && (!labelled || ours(object))
                    && set.is_none_or(|set| member == set)
            });
            return (200, list(items.map(|(_, object)| object.clone()).collect()));
        }
        (404, not_found(path))
    }

    /// What a patch makes of an object: merged, ready, with a version of its own.
    fn patched(&mut self, path: &str, sent: &Value, manager: &str) -> Value {
        let before = self.objects.get(path).cloned();
        let mut after = before.clone().unwrap_or_else(|| json!({}));
        if path.contains("/namespaces/shop/deployments/") {
            if manager == MANAGER {
                withdraw(&mut after);
            }
            merge(&mut after, sent);
            let operation = if manager == MANAGER { "Apply" } else { "Update" };
            own(&mut after, manager, operation, sent);
        } else {
            if path.contains("/configmaps/") {
                // Ours alone: what is no longer applied is gone.
                after["metadata"]["annotations"] = Value::Null;
            }
            merge(&mut after, sent);
        }
        let name = after["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let enrols = !sent["spec"]["template"]["metadata"]["annotations"][REVISION].is_null();
        let stuck = self.stuck.contains(&name) && (enrols || !path.contains("/shop/"));
        after["status"] = match path {
            _ if path.contains("/daemonsets/") => {
                json!({ "observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
                    "updatedNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1, "numberMisscheduled": 0 })
            }
            _ if path.contains("/deployments/") => {
                let ready = i32::from(!stuck);
                json!({ "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": ready })
            }
            _ => return self.versioned(before, after),
        };
        self.versioned(before, after)
    }

    fn versioned(&mut self, before: Option<Value>, mut after: Value) -> Value {
        if before.as_ref() != Some(&after) {
            self.counter += 1;
            after["metadata"]["resourceVersion"] = json!(self.counter.to_string());
        }
        after
    }

    /// One pod a Deployment, with a sidecar where Dapr is asked for one.
    fn pods(&self, namespace: &str) -> Vec<Value> {
        let prefix = format!("/apis/apps/v1/namespaces/{namespace}/deployments/");
        let deployments = self.objects.iter().filter(|(path, _)| path.starts_with(&prefix));
        let pod = |deployment: &Value| {
            let template = &deployment["spec"]["template"];
            let mut containers = vec![container("app")];
            if template["metadata"]["annotations"]["dapr.io/enabled"] == "true" {
                containers.push(container("daprd"));
            }
            json!({
                "metadata": {
                    "name": format!("{}-pod", deployment["metadata"]["name"].as_str().unwrap_or_default()),
                    "labels": template["metadata"]["labels"],
                    "annotations": template["metadata"]["annotations"],
                },
                "spec": { "containers": [], "volumes": template["spec"]["volumes"] },
                "status": {
                    "conditions": [{ "type": "Ready", "status": "True" }],
                    "containerStatuses": containers,
                },
            })
        };
        deployments.map(|(_, deployment)| pod(deployment)).collect()
    }
}

pub(crate) fn service_path(name: &str) -> String {
    format!("/apis/apps/v1/namespaces/shop/deployments/{name}")
}

fn deployment(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace, "generation": 1, "resourceVersion": "1" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": {
                "labels": { "app": name },
                "annotations": { "dapr.io/enabled": "true", "dapr.io/app-id": name },
            }},
        },
        "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 },
    })
}

fn container(name: &str) -> Value {
    json!({ "name": name, "ready": true, "restartCount": 0, "image": "", "imageID": "",
        "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } })
}

fn list(items: Vec<Value>) -> Value {
    json!({ "metadata": {}, "items": items })
}

fn not_found(path: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
        "message": format!("{path} not found") })
}
