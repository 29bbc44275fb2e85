use super::*;
use crate::{
    cluster::fake::Fake,
    commands::{
        install::tests::{install, installed},
        uninstall::tests::uninstall_leaves_nothing,
    },
    model::Outcome,
};
use serde_json::{Value, json};

const OWN: &str = "/apis/apps/v1/namespaces/learnflow-system/deployments/grafana";
const SECRET: &str = "/api/v1/namespaces/learnflow-system/secrets/grafana";
const THEIRS: &str = "/api/v1/namespaces/monitoring/configmaps/learnflow-boards";
const SOURCES: &str = "/api/v1/namespaces/monitoring/configmaps/learnflow-datasources";

/// As its Helm chart makes one.
fn grafana(fake: &Fake, name: &str, containers: Value) {
    fake.put(
        &format!("/apis/apps/v1/namespaces/monitoring/deployments/{name}"),
        json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": "monitoring", "labels": { "app.kubernetes.io/name": "grafana" } },
            "spec": { "template": { "spec": { "containers": containers } } } }),
    );
}

fn sidecar(things: &str) -> Value {
    json!({ "name": format!("grafana-sc-{things}"), "env": [
        { "name": "METHOD", "value": "WATCH" }, { "name": "LABEL", "value": format!("grafana_{things}") },
        { "name": "LABEL_VALUE", "value": "1" }, { "name": "RESOURCE", "value": "both" },
    ] })
}

#[test]
fn the_password_is_chosen_once_and_stays() {
    let fake = installed();
    let password = |fake: &Fake| fake.get(SECRET).expect("the Secret")["data"]["password"].clone();
    let first = password(&fake);
    assert!(first.as_str().is_some_and(|text| text.len() >= 32), "{first}");
    let again = install(&fake, &[]);
    assert_eq!(again.result, Ok(Outcome::Good), "{}", again.err);
    assert_eq!(password(&fake), first);
    assert!(
        !again.err.contains("password") && !again.err.contains("(changed)"),
        "{}",
        again.err
    );
    assert_ne!(password(&installed()), first, "another installation has another one");
    let all = format!("{}{}", again.out, again.err);
    assert!(!all.contains(first.as_str().expect("a text")));
}

#[test]
fn the_only_one_that_takes_boards_is_used_and_ours_stays_away() {
    let fake = Fake::sound();
    grafana(&fake, "plain", json!([{ "name": "grafana" }]));
    grafana(
        &fake,
        "main",
        json!([{ "name": "grafana" }, sidecar("dashboard"), sidecar("datasource")]),
    );
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let said = "√ Grafana monitoring/main shows the boards (a ConfigMap in monitoring, labelled grafana_dashboard=1)";
    assert!(
        ended.err.contains(said) && ended.err.contains("--grafana own"),
        "{}",
        ended.err
    );
    assert!(fake.get(OWN).is_none() && fake.get(SECRET).is_none());
    let boards = fake.get(THEIRS).expect("the boards");
    assert_eq!(boards["metadata"]["labels"]["grafana_dashboard"], "1");
    let sources = fake.get(SOURCES).expect("the data sources")["data"]["learnflow-datasources.yaml"].to_string();
    assert!(sources.contains("http://prometheus.learnflow-system:9090"), "{sources}");

    let again = install(&fake, &[]);
    assert_eq!(again.result, Ok(Outcome::Good), "{}", again.err);
    assert!(!again.err.contains("(changed)"), "{}", again.err);

    // Ours takes over, when somebody says so.
    let own = install(&fake, &["--grafana=own"]);
    assert_eq!(own.result, Ok(Outcome::Good), "{}", own.err);
    let said = "‼ LearnFlow's own Grafana takes over from Grafana monitoring/main";
    assert!(own.err.contains(said), "{}", own.err);
    assert!(fake.get(OWN).is_some() && fake.get(THEIRS).is_none() && fake.get(SOURCES).is_none());
}

#[test]
fn whoever_has_one_gets_nothing_left_behind() {
    let fake = Fake::sound();
    grafana(&fake, "main", json!([sidecar("dashboard")]));
    assert_eq!(install(&fake, &[]).result, Ok(Outcome::Good));
    assert!(
        fake.get(THEIRS).is_some() && fake.get(SOURCES).is_none(),
        "it takes no data sources"
    );
    uninstall_leaves_nothing(&fake);
}

#[test]
fn nothing_is_switched_silently() {
    let fake = installed();
    grafana(&fake, "main", json!([sidecar("dashboard")]));
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(fake.get(OWN).is_some() && fake.get(THEIRS).is_none());
}

#[test]
fn none_is_a_choice_that_stays() {
    let fake = Fake::sound();
    assert_eq!(install(&fake, &["--grafana=none"]).result, Ok(Outcome::Good));
    assert!(fake.get(OWN).is_none());
    let again = install(&fake, &[]);
    assert_eq!(again.result, Ok(Outcome::Good), "{}", again.err);
    assert!(fake.get(OWN).is_none());
    assert_eq!(fake.run(async |cluster| cluster.host().await), Ok(Some(Host::None)));
}

#[test]
fn what_cannot_be_used_is_said() {
    let fake = Fake::sound();
    grafana(&fake, "plain", json!([{ "name": "grafana" }]));
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let said = "‼ Grafana monitoring/plain is there and cannot be used: it has no container that reads boards";
    assert!(ended.err.contains(said), "{}", ended.err);
    assert!(fake.get(OWN).is_some());

    for (named, said) in [
        ("monitoring/plain", "Grafana monitoring/plain cannot be used"),
        (
            "monitoring/main",
            "There is no Deployment or StatefulSet monitoring/main",
        ),
    ] {
        let problem = install(&fake, &["--grafana", named]).result.expect_err("refused");
        assert!(problem.what.contains(said), "{problem}");
        assert!(problem.next.is_some_and(|next| next.contains("--grafana own")));
    }

    let fake = Fake::sound();
    grafana(&fake, "one", json!([sidecar("dashboard")]));
    grafana(&fake, "two", json!([sidecar("dashboard")]));
    let problem = install(&fake, &[]).result.expect_err("refused");
    assert!(problem.what.contains("monitoring/one, monitoring/two"), "{problem}");
    assert!(fake.writes().is_empty());
}
