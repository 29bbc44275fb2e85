use super::*;
use serde_json::json;

fn hpa() -> Value {
    json!({
        "metadata": { "name": "cart" },
        "spec": {
            "minReplicas": 1, "maxReplicas": 5,
            "metrics": [
                { "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "app",
                    "target": { "type": "Utilization", "averageUtilization": 70 } } },
                { "type": "Resource", "resource": { "name": "memory", "target": { "type": "AverageValue", "averageValue": "100Mi" } } },
                { "type": "External", "external": { "metric": { "name": "lag" }, "target": { "type": "AverageValue", "averageValue": "500" } } },
                { "type": "Pods", "pods": { "metric": { "name": "queue" }, "target": { "type": "AverageValue", "averageValue": "10" } } },
            ],
            "behavior": { "scaleDown": { "stabilizationWindowSeconds": 60, "policies": [
                { "type": "Pods", "value": 1, "periodSeconds": 30 } ] } },
        },
        "status": {
            "currentReplicas": 2, "desiredReplicas": 3,
            "conditions": [{ "type": "AbleToScale", "status": "True" },
                { "type": "ScalingActive", "status": "False", "message": "no figures" },
                { "type": "ScalingLimited", "status": "False" }],
            "currentMetrics": [
                { "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "app",
                    "current": { "averageUtilization": 140, "averageValue": "70m" } } },
                { "type": "Resource", "resource": { "name": "memory", "current": { "averageValue": "50Mi" } } },
                { "type": "External", "external": { "metric": { "name": "lag" }, "current": { "averageValue": "1k" } } },
                // What it could not get is empty.
                { "type": "" },
            ],
        },
    })
}

#[test]
fn an_autoscaler_is_read_whatever_it_measures() {
    let read = Autoscaler::read(&hpa()).expect("one");
    assert_eq!((read.min, read.max, read.current, read.wanted), (1, 5, 2, 3));
    let shown: Vec<String> = read.figures.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "cpu of container app 140 %/70 %",
            "memory of all containers 52428800/104857600",
            "lag 1000/500",
            "queue ?/10"
        ]
    );
    let missing: Vec<&str> = read.without_figures().iter().map(|figure| figure.served_as).collect();
    assert_eq!(missing, ["custom.metrics.k8s.io/v1beta1"]);
    assert_eq!(
        read.hindered().map(|condition| condition.message.as_str()),
        Some("no figures")
    );
    assert_eq!(read.strongest().map(|figure| figure.share()), Some(Some(2.0)));
    // Two serve, twice the target.
    assert_eq!(read.asked_for(2), Some(4));
    assert_eq!(read.asked_for(4), Some(5), "never beyond its maximum");
}

#[test]
fn an_autoscaler_that_says_little_is_as_kubernetes_takes_it() {
    let read = Autoscaler::read(&json!({ "metadata": { "name": "x" }, "spec": { "maxReplicas": 3 } })).expect("one");
    assert_eq!((read.min, read.max, read.wanted), (1, 3, 0));
    assert_eq!(read.window_down, WINDOW_DOWN);
    assert_eq!((read.strongest(), read.asked_for(1)), (None, None));
    assert_eq!(Autoscaler::read(&json!({ "metadata": {} })), None);
}

#[test]
fn what_is_near_the_target_is_good_enough() {
    let mut object = hpa();
    for (now, serving, asked) in [(70, 2, 2), (76, 2, 2), (78, 2, 3), (64, 2, 2), (34, 2, 1), (0, 2, 1)] {
        object["status"]["currentMetrics"] = json!([{ "type": "ContainerResource", "containerResource": {
            "current": { "averageUtilization": now } } }]);
        let read = Autoscaler::read(&object).expect("one");
        assert_eq!(read.asked_for(serving), Some(asked), "{now} %");
    }
}

#[test]
fn how_long_it_takes_until_pods_are_gone() {
    let mut object = hpa();
    let time = |object: &Value, from, to| Autoscaler::read(object).expect("one").time_down(from, to).as_secs();
    assert_eq!(time(&object, 3, 1), 60 + 45 + 2 * 30);
    assert_eq!(time(&object, 1, 1), 60 + 45);
    object["spec"]["behavior"]["scaleDown"]["policies"] = json!([
        { "type": "Pods", "value": 1, "periodSeconds": 30 }, { "type": "Percent", "value": 50, "periodSeconds": 60 }]);
    // 8, 4, 2, 1
    assert_eq!(time(&object, 8, 1), 60 + 45 + 3 * 60);
    object["spec"]["behavior"] = Value::Null;
    assert_eq!(time(&object, 8, 1), 300 + 45);
}

#[test]
fn a_deployment_says_who_sets_the_number_of_its_pods() {
    let read = |managed: Value, annotations: Value| {
        Scaled::read(&json!({
            "metadata": { "name": "cart", "managedFields": managed, "annotations": annotations },
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "cart" } }, "template": {
                "metadata": { "labels": { "app": "cart", "v": "1" }, "annotations": { "dapr.io/app-id": "cart-id" } },
                "spec": { "containers": [
                    { "name": "app", "readinessProbe": {}, "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } } },
                    { "name": "helper" } ] } } },
            "status": { "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: team" }] },
        }))
    };
    let field = json!({ "f:spec": { "f:replicas": {} } });
    let hpa = json!({ "manager": "kube-controller-manager", "operation": "Update", "subresource": "scale", "fieldsV1": field });
    let other = json!({ "manager": "argocd", "operation": "Apply", "fieldsV1": field });
    let elsewhere =
        json!({ "manager": "kubectl", "operation": "Update", "fieldsV1": { "f:spec": { "f:template": {} } } });
    let cart = read(json!([hpa, elsewhere]), json!({}));
    assert_eq!(
        (cart.owners.as_slice(), &cart.applied_by),
        (&["kube-controller-manager".to_owned()][..], &None)
    );
    assert_eq!(cart.applied(), None);
    assert_eq!((cart.replicas, cart.app_id.as_deref()), (2, Some("cart-id")));
    assert_eq!(
        (cart.ends_at_once.as_slice(), cart.unprobed.as_slice()),
        (&["helper".to_owned()][..], &["helper".to_owned()][..])
    );
    assert_eq!(cart.refused.as_deref(), Some("exceeded quota: team"));
    assert_eq!(read(json!([other]), json!({})).applied_by.as_deref(), Some("argocd"));
    let last = |text: &str| json!({ "kubectl.kubernetes.io/last-applied-configuration": text });
    let said = read(json!([hpa]), last("{\"spec\":{\"replicas\":1}}"));
    assert!(
        said.applied()
            .is_some_and(|(text, _)| text.starts_with("kubectl applies"))
    );
    assert_eq!(read(json!([hpa]), last("{\"spec\":{}}")).applied_by, None);
    assert_eq!(read(json!([hpa]), last("no JSON")).applied_by, None);
}

#[test]
fn a_pod_and_a_service() {
    let pod = ScaledPod::read(&json!({
        "metadata": { "name": "cart-1" },
        "status": { "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "False" }],
            "containerStatuses": [{ "state": { "waiting": { "reason": "ImagePullBackOff" } } }] },
    }));
    assert_eq!(
        (pod.ready, pod.leaving, pod.reason.as_deref()),
        (false, false, Some("ImagePullBackOff"))
    );
    let unscheduled =
        json!({ "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: Insufficient cpu" });
    let pod = ScaledPod::read(
        &json!({ "metadata": { "name": "x", "deletionTimestamp": "t" }, "status": { "conditions": [unscheduled] } }),
    );
    assert!(pod.leaving && pod.reason.is_some_and(|why| why.contains("Insufficient cpu")));

    let labels: BTreeMap<String, String> = [("app".to_owned(), "cart".to_owned())].into();
    let service = |selector: Value| {
        Front::read(
            &json!({ "metadata": { "name": "cart" }, "spec": { "selector": selector, "ports": [
                { "name": "dns", "port": 53, "protocol": "UDP" }, { "name": "web", "port": 443, "appProtocol": "https" } ] } }),
            &labels,
        )
    };
    assert_eq!(service(json!({ "app": "other" })), None);
    assert_eq!(service(json!({})), None, "one without a selector leads elsewhere");
    let port = Port {
        name: "web".into(),
        number: 443,
        tls: true,
    };
    assert_eq!(
        service(json!({ "app": "cart" })).map(|front| front.ports),
        Some(vec![port])
    );
}
