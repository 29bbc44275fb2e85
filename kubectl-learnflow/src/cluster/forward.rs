//! Into a pod: streams to its ports, and what its Dapr sidecar says of itself there.

use super::Cluster;
use crate::{
    model::{Probe, SidecarPod, Subscribed},
    monitoring::Address,
    objects::{REVISION, STACK_NAMESPACE},
    problem::{Kind, Problem},
};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{Pod, Service},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{Api, ResourceExt, api::ListParams};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// The sidecar's own API, on the pod's loopback device.
pub(super) const API: u16 = 3500;
/// Where the injector puts the metrics unless told otherwise.
const METRICS: u16 = 9090;
/// A sidecar answers about itself at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any answer that is looked at here.
const ANSWER: usize = 4 << 20;

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    components: Vec<Component>,
    #[serde(default)]
    subscriptions: Vec<Subscription>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
}

#[derive(Deserialize)]
struct Subscription {
    #[serde(rename = "pubsubname")]
    pubsub: String,
    topic: String,
    #[serde(default, rename = "deadLetterTopic")]
    dead_letters: String,
}

impl Metadata {
    fn read(body: &[u8]) -> Result<(Vec<String>, Vec<Subscribed>), String> {
        let read: Self = serde_json::from_slice(body).map_err(|e| format!("its metadata cannot be read ({e})"))?;
        let components = read.components.into_iter().map(|component| component.name);
        let subscriptions = read.subscriptions.into_iter().map(|one| Subscribed {
            pubsub: one.pubsub,
            topic: one.topic,
            dead_letters: Some(one.dead_letters).filter(|topic| !topic.is_empty()),
        });
        Ok((components.collect(), subscriptions.collect()))
    }
}

impl Cluster {
    /// A stream to a port of a pod.
    pub(crate) async fn open(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>, Problem> {
        let doing = format!("forward a port to Pod {namespace}/{pod}");
        let client = self.for_ports().map_err(self.explain(&doing))?;
        let api: Api<Pod> = Api::namespaced(client, namespace);
        let mut forward = api.portforward(pod, &[port]).await.map_err(self.explain(&doing))?;
        let closed = || Problem::new(format!("Cannot {doing}: the connection closed."));
        forward.take_stream(port).ok_or_else(closed)
    }

    /// A ready pod of a part of the stack, with the port that has this name.
    pub(crate) async fn ready_pod(&self, app: &str, port: &str) -> Result<Option<(String, u16)>, Problem> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), STACK_NAMESPACE);
        let labels = format!("app.kubernetes.io/part-of=learnflow,app.kubernetes.io/name={app}");
        let list = api.list(&ListParams::default().labels(&labels)).await;
        let list = list.map_err(self.list_of("Pods", Some(STACK_NAMESPACE)))?;
        Ok(list.into_iter().filter(serves).find_map(|pod| {
            let number = port_named(&pod, port)?;
            Some((pod.name_any(), number))
        }))
    }

    /// A ready pod behind an address, with its port.
    pub(crate) async fn ready_pod_at(&self, address: &Address) -> Result<Option<(String, u16)>, Problem> {
        let (namespace, name) = (&*address.namespace, &*address.name);
        if address.resource == "pods" {
            let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            let pod = api.get_opt(name).await;
            let pod = pod.map_err(self.explain(&format!("read Pod {address}")))?;
            return Ok(pod.filter(serves).map(|pod| (pod.name_any(), address.port)));
        }
        let api: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let service = api.get_opt(name).await;
        let service = service.map_err(self.explain(&format!("read Service {address}")))?;
        let Some(spec) = service.and_then(|service| service.spec) else {
            return Ok(None);
        };
        let selector = spec.selector.unwrap_or_default();
        let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if labels.is_empty() {
            // It leads to no pods, or to all.
            return Ok(None);
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let list = api.list(&ListParams::default().labels(&labels.join(","))).await;
        let list = list.map_err(self.list_of("Pods", Some(namespace)))?;
        let mut ports = spec.ports.into_iter().flatten();
        let port = ports.find(|port| port.port == i32::from(address.port));
        let number = |pod: &Pod| match port.as_ref()?.target_port.as_ref() {
            Some(IntOrString::String(name)) => port_named(pod, name),
            Some(IntOrString::Int(number)) => (*number).try_into().ok(),
            None => Some(address.port),
        };
        let mut ready = list.into_iter().filter(serves);
        Ok(ready.find_map(|pod| Some((pod.name_any(), number(&pod)?))))
    }

    /// Running pods of the services' namespace that have a Dapr sidecar.
    pub(crate) async fn sidecars(&self) -> Result<Vec<SidecarPod>, Problem> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let wanted = ListParams::default()
            .labels("dapr.io/sidecar-injected=true")
            .fields("status.phase=Running");
        let list = api.list(&wanted).await;
        let list = list.map_err(self.list_of("Pods", Some(self.namespace.as_str())))?;
        let staying = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
        Ok(list
            .into_iter()
            .filter(staying)
            .map(|pod| SidecarPod {
                app_id: pod.labels().get("dapr.io/app-id").cloned().unwrap_or_default(),
                metrics: match pod.labels().get("dapr.io/metrics-enabled").map(String::as_str) {
                    Some("false") => None,
                    _ => Some(port_named(&pod, "dapr-metrics").unwrap_or(METRICS)),
                },
                enrolled: pod.annotations().contains_key(REVISION),
                name: pod.name_any(),
            })
            .collect())
    }

    /// Asks a sidecar about itself. No event is sent.
    pub(crate) async fn probe(&self, pod: &SidecarPod) -> Result<Probe, Problem> {
        let outbound = self.get_from(&pod.name, API, "/v1.0/healthz/outbound").await?;
        let metadata = self.get_from(&pod.name, API, "/v1.0/metadata").await?;
        let said = match metadata {
            Ok((StatusCode::OK, body)) => Metadata::read(&body),
            Ok((code, _)) => Err(format!("its metadata answers {}", code.as_u16())),
            Err(why) => Err(why),
        };
        let (components, subscriptions) = match said {
            Ok((components, subscriptions)) => (Ok(components), subscriptions),
            Err(why) => (Err(why), Vec::new()),
        };
        let metrics = match pod.metrics {
            Some(port) => Some(
                self.get_from(&pod.name, port, "/metrics")
                    .await?
                    .map(|(code, _)| code.as_u16()),
            ),
            None => None,
        };
        Ok(Probe {
            outbound: match outbound {
                Ok((code, _)) if code.is_success() => Ok(()),
                Ok((code, _)) => Err(format!("its outbound health is {}", code.as_u16())),
                Err(why) => Err(why),
            },
            components,
            subscriptions,
            metrics,
        })
    }

    /// What a sidecar says of itself, or why it does not.
    pub(crate) async fn sidecar_metadata(&self, pod: &str) -> Result<Value, String> {
        match self.get_from(pod, API, "/v1.0/metadata").await {
            Err(problem) => Err(problem.what),
            Ok(Err(why)) => Err(why),
            Ok(Ok((StatusCode::OK, body))) => serde_json::from_slice(&body).map_err(|e| e.to_string()),
            Ok(Ok((code, _))) => Err(format!("its metadata answers {}", code.as_u16())),
        }
    }

    /// What a port of a pod answers to a GET; the inner error is the pod's silence.
    pub(super) async fn get_from(
        &self,
        pod: &str,
        port: u16,
        path: &str,
    ) -> Result<Result<(StatusCode, Bytes), String>, Problem> {
        let silent = || Ok(Err(format!("port {port} does not answer")));
        match timeout(PATIENCE, self.open(&self.namespace, pod, port)).await {
            Err(_) => silent(),
            // Forbidden is about us; everything else is about the pod.
            Ok(Err(problem)) if problem.kind != Kind::Forbidden => Ok(Err(problem.what)),
            Ok(stream) => match timeout(PATIENCE, get(stream?, path)).await {
                Ok(Ok(answer)) => Ok(Ok(answer)),
                _ => silent(),
            },
        }
    }
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER).collect().await?.to_bytes();
    connection.abort();
    Ok((code, body))
}

fn serves(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

fn port_named(pod: &Pod, name: &str) -> Option<u16> {
    let containers = &pod.spec.as_ref()?.containers;
    let native = pod.spec.as_ref()?.init_containers.iter().flatten();
    let mut ports = containers.iter().chain(native).flat_map(|c| c.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some(name))?;
    port.container_port.try_into().ok()
}
