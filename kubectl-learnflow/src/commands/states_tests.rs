use crate::{
    cluster::fake::Fake,
    commands::install::tests::{Ended, install},
    model::Outcome,
};
use serde_json::json;

const OURS: &str = "/apis/apps/v1/namespaces/learnflow-system/deployments/kube-state-metrics";

/// A cluster where somebody's kube-state-metrics answers at a port of this name.
fn with_theirs(port: &str) -> Fake {
    let fake = Fake::sound();
    let container = json!({ "name": "main", "ports": [{ "name": port, "containerPort": 8080 }] });
    fake.put(
        "/api/v1/namespaces/monitoring/pods/ksm-0",
        json!({ "metadata": { "name": "ksm-0", "namespace": "monitoring",
            "labels": { "app.kubernetes.io/name": "kube-state-metrics" } }, "spec": { "containers": [container] } }),
    );
    fake
}

fn installed(fake: &Fake, flags: &[&str]) -> Ended {
    let ended = install(fake, flags);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    ended
}

#[test]
fn one_that_is_there_is_used() {
    let fake = with_theirs("http");
    let ended = installed(&fake, &[]);
    assert!(
        ended
            .err
            .contains("√ The kube-state-metrics in namespace monitoring is used"),
        "{}",
        ended.err
    );
    assert!(fake.get(OURS).is_none());
    // What was left out is not missing; what is gone is.
    let problems = || {
        let report = fake.run(async |cluster| crate::commands::status::report(cluster).await);
        report.expect("a report").problems.join(" ")
    };
    assert!(!problems().contains("missing"), "{}", problems());
    fake.remove("/apis/apps/v1/namespaces/learnflow-system/deployments/prometheus");
    assert!(problems().contains("prometheus is missing"), "{}", problems());
    let named = installed(&fake, &["--only=kube-state-metrics"]);
    assert!(!named.err.contains("is used"), "{}", named.err);
    assert!(fake.get(OURS).is_some());
}

#[test]
fn one_that_cannot_be_read_is_no_use() {
    let fake = with_theirs("https-main");
    let ended = installed(&fake, &[]);
    assert!(
        ended
            .err
            .contains("‼ The kube-state-metrics in namespace monitoring has no port http"),
        "{}",
        ended.err
    );
    assert!(fake.get(OURS).is_some());
}

#[test]
fn ours_stays_when_another_one_comes() {
    let fake = Fake::sound();
    installed(&fake, &[]);
    for path in with_theirs("http").paths() {
        if path.contains("/monitoring/") {
            fake.put(&path, with_theirs("http").get(&path).expect("theirs"));
        }
    }
    let again = installed(&fake, &[]);
    assert!(
        !again.err.contains("is used") && !again.err.contains("(changed)"),
        "{}",
        again.err
    );
    assert!(fake.get(OURS).is_some());
}

/// What is kept is bounded by the namespaces that LearnFlow was installed for, and a second one adds to the first.
#[test]
fn only_namespaces_of_services_are_kept() {
    let fake = Fake::sound();
    installed(&fake, &[]);
    let config = "/api/v1/namespaces/learnflow-system/configmaps/prometheus";
    let kept = || {
        let config = fake.get(config).expect("the configuration")["data"]["prometheus.yml"].to_string();
        let arguments = fake.get(OURS).expect("ours")["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
        (config, arguments)
    };
    let (file, arguments) = kept();
    let twice = "regex: learnflow-agents|learnflow-system|shop\\n";
    assert_eq!(file.matches(twice).count(), 2, "{file}");
    assert!(
        arguments.contains("\"--namespaces=learnflow-agents,learnflow-system,shop\""),
        "{arguments}"
    );
    let set = "/api/v1/namespaces/learnflow-system/configmaps/learnflow";
    fake.change(
        set,
        &json!({ "metadata": { "annotations": { "learnflow.dev/namespaces": "bank,shop" } } }),
    );
    installed(&fake, &[]);
    let (file, arguments) = kept();
    assert!(
        file.contains("regex: bank|learnflow-agents|learnflow-system|shop\\n"),
        "{file}"
    );
    assert!(arguments.contains("--namespaces=bank,learnflow-agents"), "{arguments}");
}
