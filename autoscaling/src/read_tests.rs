use super::*;
use serde_json::json;

fn object(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "cart"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}, "maxReplicas": 3},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

fn cpu(target: &Value) -> Value {
    json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}])
}

#[test]
fn defaults() {
    let read = Autoscaler::read(&object(json!({}))).expect("a short one");
    assert_eq!((read.min, read.max, &read.behavior), (1, 3, &None));
    assert_eq!(read.metrics[0].target, Target::Utilization(80));
    let behavior =
        json!({"behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}});
    let read = Autoscaler::read(&object(behavior)).expect("half a behavior");
    let behavior = read.behavior.expect("a behavior");
    assert_eq!(behavior.up, Rules::up());
    assert_eq!((behavior.down.window, behavior.down.select), (None, Select::Max));
    assert_eq!(
        behavior.down.policies,
        [Policy {
            kind: PolicyKind::Pods,
            value: 1,
            period: 60
        }]
    );
}

#[test]
fn what_the_api_server_refuses_is_named() {
    let policy = |policy: Value| json!({"behavior": {"scaleUp": {"policies": [policy]}}});
    for (spec, place, what) in [
        (
            json!({"minReplicas": 5}),
            "spec.maxReplicas",
            "3 is less than minReplicas, which is 5",
        ),
        (
            json!({"minReplicas": 0}),
            "spec.minReplicas",
            "0 takes a metric of type External or Object",
        ),
        (
            json!({"maxReplicas": 0}),
            "spec.maxReplicas",
            "0 is not a whole number of 1 or more",
        ),
        (json!({"maxReplicas": null}), "spec.maxReplicas", "it is missing"),
        (
            json!({"metrics": [{"type": "Cpu"}]}),
            "spec.metrics[0].type",
            "`Cpu` is not one of Resource",
        ),
        (
            json!({"metrics": [{"type": "Pods"}]}),
            "spec.metrics[0].pods",
            "it is missing, and type is Pods",
        ),
        (
            json!({"metrics": [{"type": "Resource", "resource": {"name": "gpu", "target": {"averageUtilization": 5}}}]}),
            "spec.metrics[0].resource.name",
            "metrics-server has cpu and memory, and not `gpu`",
        ),
        (
            json!({"metrics": cpu(&json!({"value": "5"}))}),
            "spec.metrics[0].resource.target",
            "it takes averageUtilization or averageValue, and nothing else",
        ),
        (
            json!({"metrics": cpu(&json!({"averageUtilization": 0}))}),
            "spec.metrics[0].resource.target.averageUtilization",
            "0 is not a whole number of 1 or more",
        ),
        (
            policy(json!({"type": "Pods", "value": 1, "periodSeconds": 3600})),
            "spec.behavior.scaleUp.policies[0].periodSeconds",
            "3600 is not a whole number from 1 to 1800",
        ),
        (
            policy(json!({"type": "Many"})),
            "spec.behavior.scaleUp.policies[0].type",
            "`Many` is not one of",
        ),
        (
            policy(json!({"type": "Pods", "periodSeconds": 1})),
            "spec.behavior.scaleUp.policies[0].value",
            "missing",
        ),
        (
            json!({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 4000}}}),
            "spec.behavior.scaleDown.stabilizationWindowSeconds",
            "from 0 to 3600",
        ),
        (
            json!({"behavior": {"scaleUp": {"selectPolicy": "Most"}}}),
            "spec.behavior.scaleUp.selectPolicy",
            "`Most`",
        ),
    ] {
        let wrong = Autoscaler::read(&object(spec.clone())).expect_err(place);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert_eq!(wrong[0].place, place);
        assert!(wrong[0].what.contains(what), "{place}: {}", wrong[0].what);
    }
}

#[test]
fn metrics() {
    let metrics = json!([
        {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "cart", "target": {"type": "Utilization", "averageUtilization": 70}}},
        {"type": "Resource", "resource": {"name": "memory", "target": {"averageValue": "64Mi"}}},
        {"type": "External", "external": {"metric": {"name": "lag"}, "target": {"value": "1k"}}},
        {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"averageValue": "50"}}},
    ]);
    let read = Autoscaler::read(&object(json!({"metrics": metrics, "minReplicas": 0}))).expect("four metrics");
    let all = [
        (Source::Container(Resource::Cpu, "cart".into()), Target::Utilization(70)),
        (Source::Resource(Resource::Memory), Target::AverageValue(67_108_864_000)),
        (Source::External("lag".into()), Target::Value(1_000_000)),
        (Source::Pods("rps".into()), Target::AverageValue(50_000)),
    ];
    assert_eq!(read.metrics, all.map(|(source, target)| Metric { source, target }));
}
