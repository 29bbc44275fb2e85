//! A consumer's autoscaler where KEDA is: a ScaledObject, of which KEDA makes the HorizontalPodAutoscaler. Never both of ours
//! beside each other.
//!
//! Its trigger asks Prometheus and not Kafka: that takes no password of Kafka, and it is the same lag that boards and alerts
//! show. The bound that KEDA's own trigger for Kafka would add, the partitions, is in the maximum.

use crate::{external::METRIC, objects::Object};
use serde_json::{Value, json};

/// Lets KEDA take over an autoscaler with this name and its pods, instead of refusing one that is there.
const TRANSFER: &str = "scaledobject.keda.sh/transfer-hpa-ownership";

/// The same as an autoscaler says, in KEDA's words.
pub(super) fn scaled_object(autoscaler: &Object, prometheus: &str) -> Object {
    let spec = &autoscaler.value()["spec"];
    let metrics = spec["metrics"].as_array().into_iter().flatten();
    let namespace = autoscaler.namespace().unwrap_or_default();
    let triggers: Vec<Value> = metrics
        .filter_map(|metric| trigger(metric, namespace, prometheus))
        .collect();
    Object::known(json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {
            "name": autoscaler.name(),
            "namespace": namespace,
            "labels": autoscaler.value()["metadata"]["labels"],
            "annotations": { TRANSFER: "true" },
        },
        "spec": {
            "scaleTargetRef": spec["scaleTargetRef"],
            "minReplicaCount": spec["minReplicas"],
            "maxReplicaCount": spec["maxReplicas"],
            "advanced": { "horizontalPodAutoscalerConfig": {
                "name": autoscaler.name(),
                "behavior": spec["behavior"],
            } },
            "triggers": triggers,
        },
    }))
}

fn trigger(metric: &Value, namespace: &str, prometheus: &str) -> Option<Value> {
    match metric["type"].as_str()? {
        "ContainerResource" => {
            let resource = &metric["containerResource"];
            let share = resource["target"]["averageUtilization"].as_i64()?;
            Some(json!({
                "type": resource["name"],
                "metricType": "Utilization",
                "metadata": { "value": share.to_string(), "containerName": resource["container"] },
            }))
        }
        "External" if metric["external"]["metric"]["name"] == METRIC => {
            let external = &metric["external"];
            Some(json!({
                "type": "prometheus",
                "metricType": "AverageValue",
                "metadata": {
                    "serverAddress": prometheus,
                    "query": query(&external["metric"]["selector"], namespace),
                    "threshold": external["target"]["averageValue"],
                    // As 0, what is not known would take pods away.
                    "ignoreNullValues": "false",
                },
            }))
        }
        _ => None,
    }
}

/// What prometheus-adapter makes of the same selector, as one figure.
fn query(selector: &Value, namespace: &str) -> String {
    let mut matchers = vec!["job=\"kafka\"".to_owned(), format!("namespace=\"{namespace}\"")];
    for (label, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        matchers.push(format!("{label}=\"{}\"", value.as_str().unwrap_or_default()));
    }
    for item in selector["matchExpressions"].as_array().into_iter().flatten() {
        let values = item["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        // The backslash of the expression is one of the string as well.
        let values: Vec<String> = values.map(|value| value.replace('.', r"\\.")).collect();
        let label = item["key"].as_str().unwrap_or_default();
        matchers.push(format!("{label}=~\"{}\"", values.join("|")));
    }
    let lag = format!("kafka_consumer_group_lag{{{}}}", matchers.join(","));
    format!("sum({lag} and timestamp({lag}) > time() - 45)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keda_is_told_the_same_as_an_autoscaler() {
        let template = super::super::template::Role::Consumer.template().expect("the manifest");
        let made = scaled_object(
            &template.in_namespace("shop"),
            "http://prometheus.learnflow-system.svc:9090",
        );
        let spec = &made.value()["spec"];
        assert_eq!(
            (spec["minReplicaCount"].as_i64(), spec["maxReplicaCount"].as_i64()),
            (Some(1), Some(3))
        );
        let triggers = spec["triggers"].as_array().expect("triggers");
        assert!(triggers.iter().any(|trigger| trigger["type"] == "cpu"
            && trigger["metadata"] == json!({ "value": "80", "containerName": "user-progress" })));
        let lag: Vec<_> = triggers
            .iter()
            .filter(|trigger| trigger["type"] == "prometheus")
            .collect();
        let [lag] = lag.as_slice() else { panic!("{triggers:?}") };
        assert_eq!(lag["metadata"]["threshold"], "100");
        assert_eq!(
            lag["metadata"]["ignoreNullValues"], "false",
            "no lag known is not no lag"
        );
        let named = &spec["advanced"]["horizontalPodAutoscalerConfig"]["name"];
        assert_eq!(named, "user-progress", "it takes over the one that is there");
    }

    #[test]
    fn a_query_asks_for_the_topics_as_they_are() {
        let selector = json!({
            "matchLabels": { "group": "cart" },
            "matchExpressions": [{ "key": "topic", "operator": "In", "values": ["a.b", "c"] }],
        });
        let query = query(&selector, "shop");
        assert!(
            query.starts_with(
                r#"sum(kafka_consumer_group_lag{job="kafka",namespace="shop",group="cart",topic=~"a\\.b|c"}"#
            ),
            "{query}"
        );
    }
}
