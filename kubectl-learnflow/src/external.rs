//! Who serves metrics from outside of the cluster to autoscalers. There is one place for that in a cluster, the API
//! `external.metrics.k8s.io`: whoever has it is not pushed out of it. Pure: no cluster.

use crate::{
    monitoring::{Address, Keeper},
    objects::{Object, ObjectRef, STACK_NAMESPACE},
};
use serde_json::{Value, json};

/// The part of ours that serves them.
pub(crate) const ADAPTER: &str = "prometheus-adapter";
/// Events that a group has not read, by Component, group and topic.
pub(crate) const METRIC: &str = "learnflow_consumer_lag";
pub(crate) const GROUP_VERSION: &str = "external.metrics.k8s.io/v1beta1";
const MANIFEST: &str = "prometheus-adapter/prometheus-adapter.yaml";
const URL: &str = "http://prometheus.learnflow-system.svc:9090";
/// Where the Operator's pods have names, when a pod and no Service is asked.
const GOVERNING_SERVICE: &str = "prometheus-operated";

/// Who has that place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Server {
    #[default]
    Nobody,
    /// LearnFlow's prometheus-adapter.
    Ours,
    /// KEDA: it asks Prometheus itself, and is told by ScaledObjects what for.
    Keda,
    /// Another one, as `NAMESPACE/SERVICE`, and whether it serves our metric.
    Other { name: String, serves: bool },
}

impl Server {
    /// Of the APIService as the cluster has it. `keda`: its kinds are there; `serves`: whoever it is, our metric is among those
    /// that it lists.
    pub(crate) fn read(registration: Option<&Value>, keda: bool, serves: bool) -> Self {
        let Some(registration) = registration else {
            return Self::Nobody;
        };
        let service = &registration["spec"]["service"];
        let of = |field: &str| service[field].as_str().unwrap_or_default();
        match (of("namespace"), of("name")) {
            (STACK_NAMESPACE, ADAPTER) => Self::Ours,
            (_, name) if keda && name.contains("keda") => Self::Keda,
            (namespace, name) => Self::Other {
                name: format!("{namespace}/{name}"),
                serves,
            },
        }
    }
}

/// What takes that place.
pub(crate) fn registration() -> ObjectRef {
    ObjectRef {
        api_version: "apiregistration.k8s.io/v1".into(),
        kind: "APIService".into(),
        namespace: None,
        name: "v1beta1.external.metrics.k8s.io".into(),
    }
}

/// It must not be there before somebody answers, nor any longer: meanwhile discovery of all APIs has errors, and no
/// namespace of the cluster can be deleted.
pub(crate) fn is_registration(object: &ObjectRef) -> bool {
    object.kind == "APIService"
}

/// One with our label that leads to somebody else: whoever came later has taken the place.
pub(crate) fn is_taken(object: &ObjectRef, found: &Value) -> bool {
    is_registration(object) && Server::read(Some(found), false, false) != Server::Ours
}

/// The adapter asks the Prometheus that keeps the metrics.
pub(crate) fn fitted(mut objects: Vec<Object>, keeper: &Keeper) -> Vec<Object> {
    if *keeper == Keeper::Own {
        return objects;
    }
    let address = keeper.address();
    for object in &mut objects {
        match object.kind() {
            "Deployment" => {
                let args = object.edit().pointer_mut("/spec/template/spec/containers/0/args");
                for arg in args.and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(text) = arg.as_str().filter(|text| text.ends_with(URL)) {
                        *arg = text.replace(URL, &url(&address)).into();
                    }
                }
            }
            "NetworkPolicy" => {
                let namespace = json!({ "kubernetes.io/metadata.name": address.namespace });
                if let Some(Value::Array(rules)) = object.edit().pointer_mut("/spec/egress") {
                    rules.pop();
                    rules.push(json!({ "to": [{ "namespaceSelector": { "matchLabels": namespace } }] }));
                }
            }
            _ => {}
        }
    }
    objects
}

/// As pods of the cluster reach it.
pub(crate) fn url(address: &Address) -> String {
    let Address {
        namespace,
        resource,
        name,
        port,
        tls,
        path,
    } = address;
    let scheme = if *tls { "https" } else { "http" };
    let host = match resource.as_str() {
        "pods" => format!("{name}.{GOVERNING_SERVICE}.{namespace}.svc"),
        _ => format!("{name}.{namespace}.svc"),
    };
    format!("{scheme}://{host}:{port}{path}")
}

/// What serves our metric, to be added to the configuration of somebody else's prometheus-adapter.
pub(crate) fn rules() -> Result<String, crate::problem::Problem> {
    let objects = crate::assets::manifest(MANIFEST)?;
    let file = objects
        .iter()
        .find_map(|object| object.value()["data"]["config.yaml"].as_str());
    Ok(file.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(namespace: &str, name: &str) -> Value {
        json!({ "spec": { "service": { "namespace": namespace, "name": name } } })
    }

    #[test]
    fn who_has_the_place_shows_in_its_registration() {
        let other = |serves| Server::Other {
            name: "monitoring/prometheus-adapter".into(),
            serves,
        };
        let theirs = registration("monitoring", "prometheus-adapter");
        let keda = registration("keda", "keda-operator-metrics-apiserver");
        for (found, has_keda, serves, expected) in [
            (None, false, false, Server::Nobody),
            // Its kinds may be left of one that is gone.
            (None, true, false, Server::Nobody),
            (Some(&registration(STACK_NAMESPACE, ADAPTER)), false, true, Server::Ours),
            (Some(&keda), true, false, Server::Keda),
            (Some(&theirs), false, false, other(false)),
            (Some(&theirs), true, true, other(true)),
        ] {
            assert_eq!(Server::read(found, has_keda, serves), expected, "{found:?}");
        }
    }

    #[test]
    fn our_label_on_a_registration_that_leads_elsewhere_is_not_enough() {
        let reference = super::registration();
        assert!(is_taken(
            &reference,
            &registration("keda", "keda-operator-metrics-apiserver")
        ));
        assert!(!is_taken(&reference, &registration(STACK_NAMESPACE, ADAPTER)));
        let other = ObjectRef::deployment(STACK_NAMESPACE, ADAPTER);
        assert!(!is_taken(&other, &json!({})));
    }

    #[test]
    fn the_adapter_asks_the_prometheus_that_keeps_the_metrics() {
        let own = crate::assets::manifest(MANIFEST).expect("the manifest");
        assert!(format!("{own:?}").contains(URL), "the manifest asks our own");
        let address = Address::service("monitoring", "prometheus-operated", 9090);
        let text = format!("{:?}", fitted(own.clone(), &Keeper::Plain(address.clone())));
        assert!(
            text.contains("--prometheus-url=http://prometheus-operated.monitoring.svc:9090"),
            "{text}"
        );
        assert!(!text.contains(URL), "{text}");
        assert!(text.contains("\"monitoring\""), "its policy lets it: {text}");
        assert_eq!(fitted(own.clone(), &Keeper::Own), own);
        let pod = Address {
            resource: "pods".into(),
            name: "prometheus-k8s-0".into(),
            ..address
        };
        assert_eq!(
            url(&pod),
            "http://prometheus-k8s-0.prometheus-operated.monitoring.svc:9090"
        );
        let behind = Address {
            tls: true,
            path: "/prom".into(),
            ..Address::service("obs", "prom", 443)
        };
        assert_eq!(url(&behind), "https://prom.obs.svc:443/prom");
    }

    #[test]
    fn the_rules_for_another_adapter_are_those_of_ours() {
        let rules = rules().expect("rules");
        assert!(rules.contains(METRIC) && rules.starts_with("externalRules:"), "{rules}");
    }
}
