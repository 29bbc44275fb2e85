use super::*;
use crate::{cluster::fake::Fake, commands::install, printer::tests::captured};
use serde_json::json;

fn check(fake: &Fake, pre: bool, output: CheckFormat) -> (Result<Outcome, Problem>, String) {
    let (printer, out, err) = captured();
    let args = Args { pre, output };
    let ended = fake.run(async |cluster| run(cluster, &args, &printer).await);
    (ended, out.text() + &err.text())
}

fn state_of(fake: &Fake, pre: bool, id: &str) -> (State, String) {
    let (printer, ..) = captured();
    let report = fake
        .run(async |cluster| report(cluster, pre, &printer).await)
        .expect("a report");
    let found = report.findings.iter().filter(|f| f.id == id).max_by_key(|f| f.state);
    let found = found.unwrap_or_else(|| panic!("no finding {id} in {report:#?}"));
    (found.state, found.text.clone())
}

#[test]
fn every_finding_has_an_id_and_every_failure_a_next_step() {
    let fake = Fake::sound();
    for pre in [true, false] {
        let (printer, ..) = captured();
        let report = fake
            .run(async |cluster| report(cluster, pre, &printer).await)
            .expect("a report");
        for finding in &report.findings {
            assert!(!finding.id.is_empty(), "{finding:?}");
            assert!(finding.state == State::Ok || finding.next.is_some(), "{finding:?}");
        }
        assert_eq!(report.findings.iter().any(|f| f.section == "learnflow"), !pre);
        assert_eq!(report.findings.iter().any(|f| f.section == "permissions"), pre);
    }
}

#[test]
fn each_thing_that_is_wrong_fails_by_its_id() {
    let fake = Fake::sound();
    assert_eq!(state_of(&fake, false, "installed").0, State::Failed);
    assert_eq!(state_of(&fake, true, "name").0, State::Ok);
    // The fake has no way into a pod.
    assert_eq!(state_of(&fake, true, "kafka-reachable").0, State::Failed);
    assert_eq!(state_of(&fake, true, "metrics-api").0, State::Warning);

    fake.put(
        "/api/v1/namespaces/learnflow-system/configmaps/prometheus",
        json!({ "metadata": { "name": "prometheus" } }),
    );
    let (state, text) = state_of(&fake, true, "name");
    assert_eq!(state, State::Failed);
    assert!(
        text.contains("ConfigMap learnflow-system/prometheus exists already"),
        "{text}"
    );

    fake.put(
        "/api/v1/namespaces/learnflow-system/resourcequotas/small",
        json!({ "metadata": { "name": "small" }, "spec": { "hard": { "limits.memory": "64Mi" } } }),
    );
    let (state, text) = state_of(&fake, true, "quota");
    assert_eq!(state, State::Failed);
    assert!(
        text.contains("ResourceQuota learnflow-system/small has 64Mi left"),
        "{text}"
    );

    fake.refuse("patch configmaps");
    let (state, text) = state_of(&fake, true, "permissions");
    assert_eq!(state, State::Failed);
    assert!(
        text.starts_with("No permission to patch configmaps in namespace"),
        "{text}"
    );
}

#[test]
fn neighbours_are_named_and_nothing_is_wrong_with_them() {
    let fake = Fake::sound();
    fake.put(
        "/api/v1/namespaces/monitoring/services/prometheus-k8s",
        json!({ "metadata": { "name": "prometheus-k8s", "namespace": "monitoring" } }),
    );
    fake.put(
        "/apis/dapr.io/v1alpha1/namespaces/shop/configurations/appconfig",
        json!({ "metadata": { "name": "appconfig" } }),
    );
    assert_eq!(
        state_of(&fake, true, "existing-prometheus"),
        (
            State::Ok,
            "Prometheus is there too: Service monitoring/prometheus-k8s".into()
        )
    );
    assert_eq!(
        state_of(&fake, true, "dapr-configurations"),
        (State::Ok, "Dapr Configurations in shop: appconfig".into())
    );
}

#[test]
fn without_the_permission_to_look_it_says_which_and_ends_with_2() {
    let fake = Fake::sound();
    fake.refuse("list pods");
    let (ended, said) = check(&fake, false, CheckFormat::Table);
    assert!(ended.is_err());
    assert!(said.contains("No permission to list pods in namespace shop"), "{said}");
}

#[test]
fn short_says_only_what_does_not_hold() {
    let fake = install::tests::installed();
    let (ended, said) = check(&fake, false, CheckFormat::Short);
    assert_eq!(ended, Ok(Outcome::Bad));
    assert!(!said.contains('√'), "{said}");
    assert!(said.contains("× Sidecars are not well: cart-pod"), "{said}");
    let (_, table) = check(&fake, false, CheckFormat::Table);
    assert!(table.contains("√ 1 service enrolled and healthy"), "{table}");
    let (_, json) = check(&fake, false, CheckFormat::Json);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["verdict"], "failed");
}
