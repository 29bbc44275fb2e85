use super::*;
use crate::{assets, objects::Plan, patches::Shape, stack};
use std::collections::BTreeSet;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn home() -> Home {
    Home::made(&stack::home().expect("the manifest"))
}

fn k8s(spec: Value) -> Candidate {
    Candidate {
        namespace: "monitoring".into(),
        name: "k8s".into(),
        labels: labels(&[("team", "platform"), (NAMESPACE_NAME, "monitoring")]),
        spec,
        ..Candidate::default()
    }
}

/// Where monitors go, with which labels of theirs and of our namespace; or why they cannot.
fn spot(spec: Value, home: &Home) -> Result<(String, Vec<String>, Vec<String>), String> {
    let (operated, _) = k8s(spec).judge(home)?;
    let pairs = |labels: &Labels| labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let Spot { namespace, labels } = &operated.monitors;
    Ok((namespace.clone(), pairs(labels), pairs(&operated.namespace_labels)))
}

#[test]
fn monitors_go_where_they_are_seen() {
    let release = json!({ "matchLabels": { "release": "kps" } });
    let any = json!({});
    let here = "learnflow-system";
    let cases = [
        // Not set is not the same as empty.
        (json!({ "podMonitorSelector": any }), "monitoring", vec![], vec![]),
        (
            json!({ "podMonitorSelector": any, "podMonitorNamespaceSelector": any }),
            here,
            vec![],
            vec![],
        ),
        (
            json!({ "podMonitorSelector": release, "podMonitorNamespaceSelector": any }),
            here,
            vec!["release=kps"],
            vec![],
        ),
        (
            json!({ "podMonitorSelector": any, "podMonitorNamespaceSelector": { "matchLabels": { "team": "platform" } } }),
            "monitoring",
            vec![],
            vec![],
        ),
        (
            json!({ "podMonitorSelector": any, "podMonitorNamespaceSelector": { "matchLabels": { "scrape": "yes" } } }),
            here,
            vec![],
            vec!["scrape=yes"],
        ),
        (
            json!({ "podMonitorSelector": { "matchExpressions": [
                { "key": "release", "operator": "In", "values": ["a", "b"] },
                { "key": "watched", "operator": "Exists" },
                { "key": "old", "operator": "DoesNotExist" },
                { "key": "release", "operator": "NotIn", "values": ["c"] },
            ] } }),
            "monitoring",
            vec!["release=a", "watched=true"],
            vec![],
        ),
    ];
    for (spec, namespace, of_monitor, of_namespace) in cases {
        let found = spot(spec.clone(), &home()).unwrap_or_else(|why| panic!("{spec}: {why}"));
        let text = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            found,
            (namespace.to_owned(), text(of_monitor), text(of_namespace)),
            "{spec}"
        );
    }
}

#[test]
fn one_that_cannot_see_us_is_told_apart_with_why() {
    let any = json!({});
    let cases = [
        (json!({}), "`podMonitorSelector` is not set"),
        (
            json!({ "podMonitorSelector": { "matchLabels": { "app.kubernetes.io/part-of": "kube-prometheus" } } }),
            "`app.kubernetes.io/part-of` In kube-prometheus",
        ),
        (
            json!({ "podMonitorSelector": { "matchExpressions": [
                { "key": "a", "operator": "In", "values": ["x"] },
                { "key": "a", "operator": "DoesNotExist" },
            ] } }),
            "`a` DoesNotExist",
        ),
        (
            json!({ "podMonitorSelector": { "matchExpressions": [{ "key": "a", "operator": "Gt", "values": ["1"] }] } }),
            "`a` Gt 1",
        ),
        (json!({ "podMonitorSelector": any, "paused": true }), "`paused`"),
        (json!({ "podMonitorSelector": any, "shards": 2 }), "`shards`"),
        (
            json!({ "podMonitorSelector": any, "listenLocal": true }),
            "`listenLocal`",
        ),
        (
            json!({ "podMonitorSelector": any, "ignoreNamespaceSelectors": true }),
            "`ignoreNamespaceSelectors`",
        ),
        (
            json!({ "podMonitorSelector": any, "overrideHonorLabels": true }),
            "`overrideHonorLabels`",
        ),
        (
            json!({ "podMonitorSelector": any, "enforcedNamespaceLabel": "ns" }),
            "`enforcedNamespaceLabel`",
        ),
    ];
    for (spec, words) in cases {
        let why = spot(spec.clone(), &home()).expect_err(&spec.to_string());
        assert!(why.contains(words), "{spec}: {why}");
    }
    // A namespace of others is not ours to label.
    let foreign = Home {
        labels: Labels::new(),
        ours: false,
    };
    let spec =
        json!({ "podMonitorSelector": any, "podMonitorNamespaceSelector": { "matchLabels": { "scrape": "yes" } } });
    let why = spot(spec, &foreign).expect_err("not ours");
    assert!(why.contains("scrape=yes on namespace learnflow-system"), "{why}");
}

#[test]
fn the_rest_of_the_object_is_followed() {
    let spec = json!({ "podMonitorSelector": {}, "ruleSelector": {}, "serviceAccountName": "prom", "routePrefix": "/p/",
        "web": { "tlsConfig": {} }, "enforcedSampleLimit": 1000 });
    let (operated, remarks) = k8s(spec.clone()).judge(&home()).expect("usable");
    assert_eq!(operated.address.to_string(), "monitoring/prometheus-operated:9090/p");
    assert_eq!(operated.address.proxied(), "https:prometheus-operated:9090");
    assert_eq!(operated.service_account, "prom");
    assert!(operated.rules.is_some());
    assert!(remarks.len() == 1 && remarks[0].contains("1000 series"), "{remarks:?}");

    let mut among = k8s(json!({ "podMonitorSelector": {} }));
    among.beside_others = true;
    let (operated, remarks) = among.judge(&home()).expect("usable");
    assert_eq!(operated.address.resource, "pods");
    assert_eq!(operated.address.name, "prometheus-k8s-0");
    assert_eq!(operated.service_account, "default");
    assert!(
        operated.rules.is_none() && remarks[0].contains("`ruleSelector` is not set"),
        "{remarks:?}"
    );
    let again: Keeper = serde_json::from_value(json!(Keeper::Operated(Box::new(operated.clone())))).expect("read back");
    assert_eq!(again, Keeper::Operated(Box::new(operated)));
}

#[test]
fn a_plan_for_somebody_elses_brings_monitors_and_no_prometheus() {
    let spec = json!({ "podMonitorSelector": { "matchLabels": { "release": "kps" } }, "ruleSelector": {},
        "ruleNamespaceSelector": { "matchLabels": { "rules": "yes" } }, "serviceAccountName": "prom" });
    let (operated, _) = k8s(spec).judge(&home()).expect("usable");
    let keeper = Keeper::Operated(Box::new(operated));
    let shape = Shape {
        keeper: keeper.clone(),
        ..Shape::default()
    };
    let plan = Plan::shaped("shop", &BTreeSet::new(), &shape).expect("a plan");
    let of = |kind: &str| -> Vec<&Object> { plan.stack.iter().filter(|object| object.kind() == kind).collect() };
    assert!(
        plan.stack.iter().all(|object| object.name() != "prometheus"),
        "{:#?}",
        plan.stack
    );
    for monitor in of("PodMonitor") {
        assert_eq!(monitor.namespace(), Some("monitoring"), "{monitor}");
        assert_eq!(monitor.value()["metadata"]["labels"]["release"], "kps", "{monitor}");
    }
    assert_eq!(of("PodMonitor").len(), JOBS.len() + 1, "and one for kube-state-metrics");
    assert_eq!(of("PrometheusRule").len(), assets::rules().count());
    for rule in of("PrometheusRule") {
        assert_eq!(rule.namespace(), Some(STACK_NAMESPACE));
        assert!(!rule.value().to_string().contains("anchored"), "{rule}");
    }
    assert_eq!(plan.namespaces[0].value()["metadata"]["labels"]["rules"], "yes");
    // It reads kubelets in its own right.
    let bound = of("ClusterRoleBinding")
        .into_iter()
        .map(Object::name)
        .collect::<Vec<_>>();
    assert_eq!(
        bound,
        [
            "learnflow-kube-state-metrics",
            "learnflow-prometheus",
            "learnflow-prometheus-adapter"
        ]
    );
    let subjects = &of("ClusterRoleBinding")[1].value()["subjects"];
    assert_eq!(
        *subjects,
        json!([{ "kind": "ServiceAccount", "name": "prom", "namespace": "monitoring" }])
    );
    let set = &plan.set().expect("a set").value()["metadata"]["annotations"];
    assert_eq!(
        set["applyset.kubernetes.io/additional-namespaces"],
        "learnflow-agents,monitoring"
    );
    assert!(
        set["applyset.kubernetes.io/contains-group-kinds"]
            .to_string()
            .contains("PodMonitor.monitoring.coreos.com")
    );
    let kept: Keeper = serde_json::from_str(set["learnflow.dev/prometheus"].as_str().expect("a text")).expect("JSON");
    assert_eq!(kept, keeper);
}

#[test]
fn monitors_give_the_labels_that_our_own_jobs_give() {
    let monitors = assets::folder("prometheus/operator").expect("the manifests");
    let jobs = stack::scrape_jobs().expect("the manifest");
    for job in JOBS.into_iter().chain([KUBE_STATE_METRICS]) {
        let mut own = jobs["scrape_configs"].as_array().into_iter().flatten();
        let own = own.find(|own| own["job_name"] == job).expect(job);
        let endpoints = monitors
            .iter()
            .map(|monitor| &monitor.value()["spec"]["podMetricsEndpoints"][0]);
        let names = |endpoint: &Value| endpoint["relabelings"].as_array().cloned().unwrap_or_default();
        let named = |endpoint: &&Value| {
            names(endpoint)
                .iter()
                .any(|r| r["targetLabel"] == "job" && r["replacement"] == job)
        };
        let endpoint = endpoints.into_iter().find(named).expect(job);
        assert_eq!(
            endpoint["honorLabels"].is_null(),
            own["honor_labels"].is_null(),
            "{job}"
        );
        // The Operator gives these by itself.
        let given = ["namespace", "pod"];
        let wanted = own["relabel_configs"].as_array().into_iter().flatten();
        let wanted = wanted.filter_map(|relabel| relabel["target_label"].as_str());
        for label in wanted.filter(|label| !given.contains(label)) {
            let has = names(endpoint).iter().any(|relabel| relabel["targetLabel"] == label);
            assert!(has, "{job} has no {label}");
        }
    }
    assert_eq!(jobs["scrape_configs"].as_array().map(Vec::len), Some(JOBS.len() + 1));
    let text = jobs.to_string();
    assert!(text.contains("app.kubernetes.io/name in (collector-gateway,"), "{text}");
    assert!(!text.contains("own_namespace"), "{text}");
}

/// Written anew by `UPDATE_EXPECT=1`. promtool runs the rules' tests against these: tests/stack/rules.rs.
#[test]
fn the_rules_of_others_are_as_they_were() {
    for (name, text) in assets::rules() {
        let rules = rules(name, &assets::yaml(name, text).expect("YAML"));
        let text = crate::yaml::write(&rules.value()["spec"]).expect("YAML");
        crate::testing::same_as_file(&format!("tests/cases/rules-elsewhere/{name}"), &text);
    }
}

/// Written anew by `UPDATE_EXPECT=1`. promtool checks it: tests/stack/valid.rs.
#[test]
fn the_jobs_for_others_are_as_they_were() {
    let jobs = crate::yaml::write(&stack::scrape_jobs().expect("the manifest")).expect("YAML");
    crate::testing::same_as_file("tests/cases/scrape-config.yaml", &jobs);
}

#[test]
fn an_anchor_becomes_a_difference() {
    assert_eq!(
        without_anchors("sum(increase(x_total[5m] anchored)) + increase(y[10m])"),
        "sum(((last_over_time(x_total[5m]) - last_over_time(x_total[1h] offset 5m)) >= 0 or last_over_time(x_total[5m]))) \
         + increase(y[10m])"
    );
}
