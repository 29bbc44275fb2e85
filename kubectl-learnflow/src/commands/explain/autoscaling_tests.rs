use super::*;
use crate::{
    cli::{Cli, Verb},
    cluster::fake::{Fake, service_path},
    objects::MANAGER,
    printer::tests::captured,
    scaling::explain::CODES,
};
use clap::Parser;
use serde_json::Value;
use std::collections::BTreeSet;

fn explained(fake: &Fake, more: &[&str]) -> (Result<Outcome, Problem>, String) {
    let cli = Cli::try_parse_from([&["x", "explain", "autoscaling"], more].concat()).expect("good flags");
    let Verb::Explain(args) = cli.verb else {
        panic!("not explain")
    };
    let (printer, out, _) = captured();
    let ended = fake.run(async |cluster| of_cluster(cluster, &args, &printer).await);
    (ended, out.text())
}

fn service(fake: &Fake, name: &str) {
    fake.service(name);
    let web = json!({ "name": "web", "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } } });
    let annotations = json!({ "dapr.io/sidecar-cpu-request": "50m", "dapr.io/sidecar-memory-request": "32Mi" });
    let template = json!({ "metadata": { "annotations": annotations }, "spec": { "containers": [web] } });
    fake.change(&service_path(name), &json!({ "spec": { "template": template } }));
}

fn autoscaler(fake: &Fake, name: &str) {
    let metric = |resource: &str, goal: &str, percent: u8| {
        let mut metric = json!({ "name": resource, "container": "web" });
        metric[goal] = json!({ "type": "Utilization", "averageUtilization": percent });
        json!({ "type": "ContainerResource", "containerResource": metric })
    };
    let template = crate::assets::manifest("autoscaling/services.yaml").expect("the manifest");
    let object = json!({
        "metadata": { "name": name, "labels": { "app.kubernetes.io/managed-by": MANAGER } },
        "spec": {
            "scaleTargetRef": { "kind": "Deployment", "name": name }, "minReplicas": 1, "maxReplicas": 3,
            "metrics": [metric("cpu", "target", 70), metric("memory", "target", 90)],
            "behavior": template[0].value()["spec"]["behavior"],
        },
        "status": {
            "currentReplicas": 1, "desiredReplicas": 1,
            "currentMetrics": [metric("cpu", "current", 20), metric("memory", "current", 40)],
        },
    });
    fake.put(&path("apis/autoscaling/v2", "horizontalpodautoscalers", name), object);
}

fn path(api: &str, plural: &str, name: &str) -> String {
    format!("/{api}/namespaces/shop/{plural}/{name}")
}

fn cluster(case: &Value) -> Fake {
    let fake = Fake::sound();
    if case["metrics"] != false {
        fake.measure();
    }
    service(&fake, "cart");
    fake.change(&service_path("cart"), &case["deployment"]);
    if case["other"] == true {
        service(&fake, "other");
        autoscaler(&fake, "other");
    }
    if case["autoscaler"].is_null() && case.get("autoscaler").is_some() {
        // There is none.
    } else {
        autoscaler(&fake, "cart");
        let place = path("apis/autoscaling/v2", "horizontalpodautoscalers", "cart");
        fake.change(&place, &case["autoscaler"]);
    }
    for (below, object) in case["objects"].as_object().into_iter().flatten() {
        let (rest, name) = below.rsplit_once('/').expect("a name");
        let (api, plural) = rest.rsplit_once('/').expect("a kind");
        let mut object = object.clone();
        object["metadata"]["name"] = json!(name);
        fake.put(&path(api.trim_start_matches('/'), plural, name), object);
    }
    if let Some(partitions) = case["partitions"].as_object() {
        let series = partitions.iter().map(|(topic, count)| {
            let labels = json!({ "learnflow_pubsub_name": "kafka-pubsub", "topic": topic });
            json!({ "metric": labels, "value": [0, count.to_string()] })
        });
        let answer = json!({ "status": "success", "data": { "result": series.collect::<Vec<_>>() } });
        let prometheus = "/api/v1/namespaces/learnflow-system/services/http:prometheus:9090/proxy/api/v1/query";
        fake.answer(prometheus, 200, answer);
    }
    let nodes = case["nodes"].as_array().cloned();
    for node in nodes.unwrap_or_else(|| vec![json!(["node", "4"])]) {
        let (name, cpu) = (node[0].as_str().expect("a name"), node[1].as_str().expect("cores"));
        let object = json!({
            "metadata": { "name": name }, "spec": { "taints": case["taints"] },
            "status": { "allocatable": { "cpu": cpu, "memory": "8Gi", "pods": "110" } },
        });
        fake.put(&format!("/api/v1/nodes/{name}"), object);
    }
    fake
}

#[test]
fn each_case_is_found_and_nothing_else() {
    let text = std::fs::read_to_string("../tests/cases/autoscaling.yaml").expect("the cases");
    let cases: Vec<Value> = serde_saphyr::from_str(&text).expect("YAML");
    let mut seen = BTreeSet::new();
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let fake = cluster(&case);
        let (ended, json) = explained(&fake, &["-o", "json"]);
        let document: Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{name}: {e}: {ended:?}"));
        let findings = document["findings"].as_array().expect("findings");
        let mut codes: Vec<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
        codes.sort_unstable();
        assert_eq!(json!(codes), case["codes"], "{name}: {document:#}");
        seen.extend(codes.iter().map(|code| (*code).to_owned()));
        let exit = if ended == Ok(Outcome::Good) { 0 } else { 1 };
        assert_eq!(json!(exit), case["exit"], "{name}");
        let (_, table) = explained(&fake, &[]);
        for says in case["says"].as_array().into_iter().flatten() {
            let says = says.as_str().expect("a text");
            assert!(table.contains(says), "{name}: {says}\n{table}");
        }
        assert!(fake.writes().is_empty(), "{name}: {:?}", fake.writes());
    }
    let all: BTreeSet<String> = CODES.iter().map(|code| code.id.to_owned()).collect();
    assert_eq!(seen, all, "each code has a case");
}

#[test]
fn the_page_has_each_code() {
    let page = std::fs::read_to_string("../docs/autoscaling.md").expect("the page");
    for code in CODES {
        let line = format!("| `{}` {} | {} |", code.id, code.name, code.about);
        assert!(page.contains(&line), "docs/autoscaling.md lacks:\n{line}");
    }
}

#[test]
fn one_service_alone_and_none_that_there_is_not() {
    let fake = cluster(&json!({ "other": true }));
    let (ended, out) = explained(&fake, &["other"]);
    assert_eq!(ended, Ok(Outcome::Good));
    assert!(out.contains("other: LearnFlow's") && !out.contains("cart: "), "{out}");
    let (ended, out) = explained(&fake, &["nobody"]);
    let problem = ended.expect_err("unknown");
    assert_eq!(
        problem.what,
        "There is no Deployment nobody with a Dapr sidecar in namespace shop."
    );
    assert_eq!(problem.next.as_deref(), Some("There is cart, other."));
    assert!(out.is_empty(), "{out}");
}

#[test]
fn what_is_for_policies_is_refused() {
    for flags in [
        &["--rate", "5/s"][..],
        &["--outage", "30s"],
        &["-o", "sarif"],
        &["-f", "x.yaml"],
    ] {
        let cli = Cli::try_parse_from([&["x", "explain", "autoscaling"], flags].concat()).expect("good flags");
        let Verb::Explain(args) = cli.verb else {
            panic!("not explain")
        };
        let (printer, ..) = captured();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime.expect("a runtime").block_on(run(&args, &cli.global, &printer));
        let problem = ended.expect_err("refused");
        assert!(
            problem
                .what
                .ends_with("is for policies, and autoscaling was asked for."),
            "{problem}"
        );
    }
}
