//! A cluster's Kafka: what its Components and Subscriptions say, and streams to the pods behind the brokers' names.

use super::{Cluster, is_absent, resource};
use crate::{
    broker::{Credentials, Duplex, Open, Sasl, Tls, brokers},
    kafka::{Component, Login, Source},
    model::{SidecarPod, Subscription},
    monitoring::Address,
    objects::ObjectRef,
    problem::{Kind, Problem},
    text,
};
use futures::{StreamExt, future::BoxFuture, stream};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, ResourceExt, api::ListParams};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// A pod that is there answers sooner.
const OPEN: Duration = Duration::from_secs(15);
const OTHERWISE: &str = "If it is none of this cluster's, reach it from here with --bootstrap HOST:PORT.";

/// What a broker's name stands for.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Service { namespace: String, name: String },
    Pod { namespace: String, name: String },
    Address(IpAddr),
}

impl Cluster {
    /// The Component of a Kafka, by its name, or the only one there is.
    pub(crate) async fn kafka_component(&self, name: Option<&str>) -> Result<Component, Problem> {
        let mut all = self.kafka().await?;
        let names: Vec<String> = all.iter().map(|component| component.name.clone()).collect();
        let choose = || format!("Choose one with --component: {}.", text::list(&names));
        let namespace = &self.namespace;
        match name {
            Some(name) => all.into_iter().find(|component| component.name == name).ok_or_else(|| {
                let none = Problem::new(format!(
                    "Namespace {namespace} has no Component {name} of type pubsub.kafka."
                ));
                if names.is_empty() { none } else { none.next(choose()) }
            }),
            None if all.len() > 1 => Err(Problem::new(format!(
                "Namespace {namespace} has several Components of type pubsub.kafka."
            ))
            .next(choose())),
            None => all.pop().ok_or_else(|| {
                Problem::new(format!("Namespace {namespace} has no Component of type pubsub.kafka."))
                    .next("Name the namespace of your services with -n, or a broker with --bootstrap HOST:PORT.")
            }),
        }
    }

    /// All that it takes to log in, with what lies in Secrets.
    pub(crate) async fn kafka_credentials(&self, component: &Component) -> Result<Credentials, Problem> {
        let place = format!("Component {}/{}", self.namespace, component.name);
        let login = Login::of(component).map_err(|left_out| {
            Problem::new(format!("The Kafka of {place} cannot be reached: {}.", left_out.why))
                .next(left_out.next.trim_end_matches('.').to_owned() + ".")
        })?;
        let given = self.value(&place, "brokers", &login.brokers).await?;
        let brokers = brokers(&given).map_err(|why| {
            Problem::new(format!("The brokers of {place} cannot be used: {why}."))
                .next("Correct brokers in the Component: HOST:PORT, with commas between several.")
        })?;
        let mut credentials = Credentials {
            brokers,
            ..Credentials::default()
        };
        if let Some(tls) = &login.tls {
            let ca = match &tls.ca {
                Some(ca) => Some(self.value(&place, "caCert", ca).await?),
                None => None,
            };
            let identity = match &tls.identity {
                Some((certificate, key)) => Some((
                    self.value(&place, "clientCert", certificate).await?,
                    self.value(&place, "clientKey", key).await?,
                )),
                None => None,
            };
            let unverified = tls.unverified;
            credentials.tls = Some(Tls {
                ca,
                identity,
                unverified,
            });
        }
        if let Some(sasl) = &login.sasl {
            credentials.sasl = Some(Sasl {
                mechanism: sasl.mechanism,
                user: self.value(&place, "saslUsername", &sasl.user).await?,
                password: self.value(&place, "saslPassword", &sasl.password).await?,
            });
        }
        Ok(credentials)
    }

    /// What stands there, or in the Secret that it names.
    async fn value(&self, place: &str, setting: &str, source: &Source) -> Result<String, Problem> {
        let (name, key) = match source {
            Source::Text(text) => return Ok(text.clone()),
            Source::Secret { name, key } => (name, key),
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = format!("Secret {}/{name}", self.namespace);
        let found = api.get_opt(name).await;
        let found = found.map_err(self.explain(&format!("read {secret}"))).map_err(|problem| match problem.kind {
            Kind::Forbidden => problem.next(format!(
                "{setting} of {place} is in it. Ask for `get` on that Secret; or, where Kafka takes no login, name a broker \
                 with --bootstrap HOST:PORT."
            )),
            _ => problem,
        })?;
        let value = found.and_then(|secret| secret.data?.remove(key));
        let value = value.and_then(|bytes| String::from_utf8(bytes.0).ok());
        value.ok_or_else(|| {
            Problem::new(format!(
                "{secret} has no text under {key}, where {place} has its {setting}."
            ))
            .next("Correct the Secret, or secretKeyRef in the Component.")
        })
    }

    /// Streams to brokers by the names that they have in the cluster.
    pub(crate) fn broker_streams(&self) -> Open {
        let cluster = self.clone();
        Arc::new(move |host, port| {
            let cluster = cluster.clone();
            let opened = async move {
                let late = || Problem::new(format!("The way to broker {host}:{port} did not open in time."));
                let opened = timeout(OPEN, cluster.broker_stream(&host, port)).await;
                opened.unwrap_or_else(|_| Err(late()))
            };
            Box::pin(opened) as BoxFuture<'static, _>
        })
    }

    async fn broker_stream(&self, host: &str, port: u16) -> Result<Box<dyn Duplex>, Problem> {
        let nowhere =
            |why: &str| Problem::new(format!("Broker {host}:{port} cannot be reached: {why}.")).next(OTHERWISE);
        let (namespace, pod, port) = match place(host, &self.namespace) {
            None => return Err(nowhere("its name is none of this cluster")),
            Some(Place::Pod { namespace, name }) => (namespace, name, port),
            Some(Place::Service { namespace, name }) => {
                let address = Address {
                    namespace,
                    resource: "services".into(),
                    name,
                    port,
                    tls: false,
                    path: String::new(),
                };
                let found = self.ready_pod_at(&address).await?;
                let why = format!("no pod behind Service {}/{} is ready", address.namespace, address.name);
                let (pod, port) = found.ok_or_else(|| nowhere(&why))?;
                (address.namespace, pod, port)
            }
            Some(Place::Address(ip)) => {
                let pod = self.pod_with(ip).await?;
                let (namespace, pod) = pod.ok_or_else(|| nowhere("no pod has that address"))?;
                (namespace, pod, port)
            }
        };
        let opened = self.open(&namespace, &pod, port).await;
        let stream = opened.map_err(|problem| match problem.kind {
            Kind::NotFound => nowhere(&format!("there is no Pod {namespace}/{pod}")),
            _ => problem,
        })?;
        Ok(Box::new(stream))
    }

    async fn pod_with(&self, ip: IpAddr) -> Result<Option<(String, String)>, Problem> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let list = api
            .list(&ListParams::default().fields(&format!("status.podIP={ip}")))
            .await;
        let list = list.map_err(self.list_of("Pods", None))?;
        let staying = list.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(staying.map(|pod| (pod.namespace().unwrap_or_default(), pod.name_any())))
    }

    /// The Subscriptions of the services' namespace to this Component, and what the running sidecars say that their apps
    /// subscribe to. A sidecar that does not answer is left out: its name is in the second list.
    pub(crate) async fn subscriptions(
        &self,
        component: &Component,
    ) -> Result<(Vec<Subscription>, Vec<String>), Problem> {
        let declared = self.declared().await?.into_iter();
        let mut all: Vec<Subscription> = declared.map(|(_, subscription)| subscription).collect();
        let pods = self.sidecars().await?;
        let mut asked: Vec<SidecarPod> = Vec::new();
        for pod in pods {
            // The pods of one app say the same.
            if !asked.iter().any(|other| other.app_id == pod.app_id) {
                asked.push(pod);
            }
        }
        let answers = stream::iter(&asked).map(|pod| async move { (pod, self.subscribed(pod).await) });
        let answers: Vec<_> = answers.buffered(4).collect().await;
        let mut silent = Vec::new();
        for (pod, answer) in answers {
            match answer {
                Ok(found) => all.extend(found),
                Err(_) => silent.push(pod.name.clone()),
            }
        }
        let prefix = match component.is_namespaced() {
            true => self.namespace.as_str(),
            false => "",
        };
        Ok((known(all, &component.name, prefix), silent))
    }

    /// Each Subscription with its scopes.
    pub(crate) async fn declared(&self) -> Result<Vec<(Vec<String>, Subscription)>, Problem> {
        let mut all = Vec::new();
        // The older version is served beside the newer one; both show all objects.
        let object = ObjectRef {
            api_version: "dapr.io/v2alpha1".into(),
            kind: "Subscription".into(),
            namespace: Some(self.namespace.clone()),
            name: String::new(),
        };
        let api: Api<kube::api::DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource(&object));
        let list = match api.list(&ListParams::default()).await {
            Ok(list) => list,
            Err(kube::Error::Api(status)) if is_absent(&status) => return Ok(all),
            Err(e) => return Err(self.list_of("Dapr Subscriptions", Some(self.namespace.as_str()))(e)),
        };
        for object in list {
            let from = format!("Subscription {}", object.name_any());
            let scopes = object.data["scopes"].as_array().into_iter().flatten();
            let scopes = scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect();
            all.extend(Subscription::read(&object.data["spec"], &from).map(|read| (scopes, read)));
        }
        Ok(all)
    }

    /// What a sidecar says that its app subscribes to.
    pub(crate) async fn subscribed(&self, pod: &SidecarPod) -> Result<Vec<Subscription>, String> {
        let metadata = self.sidecar_metadata(&pod.name).await?;
        let list = metadata["subscriptions"].as_array().into_iter().flatten();
        let from = format!("app {}", pod.app_id);
        Ok(list.filter_map(|one| Subscription::read(one, &from)).collect())
    }
}

/// Those of a Component, with the names of topics that Kafka knows.
fn known(all: Vec<Subscription>, component: &str, prefix: &str) -> Vec<Subscription> {
    let of_it = all.into_iter().filter(|one| one.component == component);
    let renamed = of_it.map(|one| Subscription {
        topic: format!("{prefix}{}", one.topic),
        dead_letters: one.dead_letters.map(|topic| format!("{prefix}{topic}")),
        ..one
    });
    renamed.collect()
}

/// Names as the cluster's DNS has them; the end of them is different from cluster to cluster.
fn place(host: &str, namespace: &str) -> Option<Place> {
    if let Ok(ip) = host.parse() {
        return Some(Place::Address(ip));
    }
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let known = match labels.iter().position(|label| *label == "svc") {
        Some(at) => &labels[..at],
        None => &labels[..],
    };
    let service = |name: &str, namespace: &str| Place::Service {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    match known {
        [name] if !name.is_empty() => Some(service(name, namespace)),
        [name, namespace] => Some(service(name, namespace)),
        // Of a StatefulSet, behind its headless Service.
        [pod, _, namespace] => Some(Place::Pod {
            namespace: (*namespace).to_owned(),
            name: (*pod).to_owned(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_name_says_which_pods_are_behind_it() {
        let shown = |host: &str| match place(host, "shop") {
            Some(Place::Service { namespace, name }) => format!("service {namespace}/{name}"),
            Some(Place::Pod { namespace, name }) => format!("pod {namespace}/{name}"),
            Some(Place::Address(ip)) => format!("address {ip}"),
            None => "nowhere".to_owned(),
        };
        for (host, expected) in [
            ("kafka", "service shop/kafka"),
            ("kafka.infra", "service infra/kafka"),
            ("kafka.infra.svc", "service infra/kafka"),
            ("kafka.infra.svc.cluster.local", "service infra/kafka"),
            ("kafka.infra.svc.example.org.", "service infra/kafka"),
            ("kafka-0.kafka.infra", "pod infra/kafka-0"),
            ("kafka-0.brokers.infra.svc.cluster.local", "pod infra/kafka-0"),
            ("10.0.0.7", "address 10.0.0.7"),
            ("b-1.shop.kafka.eu-central-1.amazonaws.com", "nowhere"),
            ("svc", "nowhere"),
            ("", "nowhere"),
        ] {
            assert_eq!(shown(host), expected, "{host}");
        }
    }

    #[test]
    fn topics_have_the_names_that_kafka_knows() {
        let one = |component: &str| Subscription {
            component: component.into(),
            topic: "a".into(),
            dead_letters: Some("dead".into()),
            from: "app x".into(),
        };
        let found = known(vec![one("kafka"), one("other")], "kafka", "shop");
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.topic.as_str(), one.dead_letters.as_deref()))
            .collect();
        assert_eq!(shown, [("shopa", Some("shopdead"))]);
    }
}
