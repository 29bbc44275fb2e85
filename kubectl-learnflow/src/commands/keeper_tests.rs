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

const MONITOR: &str = "/apis/monitoring.coreos.com/v1/namespaces/monitoring/podmonitors/learnflow-dapr";
const OWN_PROMETHEUS: &str = "/apis/apps/v1/namespaces/learnflow-system/deployments/prometheus";

fn prometheus(fake: &Fake, name: &str, spec: Value) {
    fake.put(
        "/api/v1/namespaces/monitoring",
        json!({ "metadata": { "name": "monitoring", "labels": {} } }),
    );
    fake.put(
        &format!("/apis/monitoring.coreos.com/v1/namespaces/monitoring/prometheuses/{name}"),
        json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
            "metadata": { "name": name, "namespace": "monitoring" }, "spec": spec,
            "status": { "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 } }),
    );
}

#[test]
fn the_only_one_is_used_and_ours_stays_away() {
    let fake = Fake::sound();
    prometheus(&fake, "k8s", json!({ "podMonitorSelector": {}, "ruleSelector": {} }));
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let said = "√ Prometheus monitoring/k8s keeps the metrics (monitors in monitoring)";
    assert!(
        ended.err.contains(said) && ended.err.contains("--prometheus own"),
        "{}",
        ended.err
    );
    assert!(fake.get(MONITOR).is_some() && fake.get(OWN_PROMETHEUS).is_none());
    // Metrics are asked for where they are.
    let proxy = "/namespaces/monitoring/services/http:prometheus-operated:9090/proxy/api/v1/query";
    assert!(
        fake.asked().iter().any(|asked| asked.contains(proxy)),
        "{:#?}",
        fake.asked()
    );
    assert!(!fake.asked().iter().any(|asked| asked.contains("http:prometheus:9090")));

    let again = install(&fake, &[]);
    assert_eq!(again.result, Ok(Outcome::Good), "{}", again.err);
    assert!(!again.err.contains("(changed)"), "{}", again.err);

    uninstall_leaves_nothing(&fake);
}

#[test]
fn nothing_is_switched_silently() {
    let fake = installed();
    prometheus(&fake, "k8s", json!({ "podMonitorSelector": {} }));
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(fake.get(OWN_PROMETHEUS).is_some() && fake.get(MONITOR).is_none());

    let ended = install(&fake, &["--prometheus=monitoring/k8s"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let said = "‼ Prometheus monitoring/k8s takes over from LearnFlow's own Prometheus";
    assert!(ended.err.contains(said), "{}", ended.err);
    assert!(fake.get(OWN_PROMETHEUS).is_none() && fake.get(MONITOR).is_some());

    // And it stays, whatever is installed next.
    let ended = install(&fake, &["--only=middleware"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(fake.get(OWN_PROMETHEUS).is_none() && fake.get(MONITOR).is_some());

    let ended = install(&fake, &["--prometheus=own"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(
        fake.get(OWN_PROMETHEUS).is_some() && fake.get(MONITOR).is_none(),
        "{}",
        ended.err
    );
}

#[test]
fn what_cannot_be_decided_or_done_is_refused_before_anything_is_written() {
    let fake = Fake::sound();
    prometheus(&fake, "k8s", json!({ "podMonitorSelector": {} }));
    prometheus(&fake, "blind", json!({}));
    let refused = |flag: &str| {
        let problem = install(&fake, &[flag]).result.expect_err("refused");
        (problem.what, problem.next.unwrap_or_default())
    };
    let (what, next) = refused("--profile=dev");
    assert_eq!(
        what,
        "There are 2 objects Prometheus: monitoring/blind, monitoring/k8s."
    );
    assert!(
        next.contains("--prometheus monitoring/blind") && next.contains("--prometheus own"),
        "{next}"
    );
    let (what, _) = refused("--prometheus=monitoring/blind");
    assert!(what.contains("`podMonitorSelector` is not set"), "{what}");
    let (what, next) = refused("--prometheus=monitoring/main");
    assert_eq!(what, "There is no object Prometheus monitoring/main.");
    assert!(next.contains("There is monitoring/blind, monitoring/k8s."), "{next}");
    assert!(fake.all_writes().is_empty(), "{:?}", fake.all_writes());
}

#[test]
fn one_that_cannot_see_us_leaves_ours() {
    let fake = Fake::sound();
    prometheus(&fake, "blind", json!({}));
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(
        ended
            .err
            .contains("‼ Prometheus monitoring/blind is there and cannot be used"),
        "{}",
        ended.err
    );
    assert!(fake.get(OWN_PROMETHEUS).is_some());
}

#[test]
fn one_without_an_operator_must_have_our_jobs() {
    let fake = Fake::sound();
    let pools = "/api/v1/namespaces/monitoring/services/http:prom:80/proxy/p/api/v1/scrape_pools";
    let answer = |jobs: &[&str]| json!({ "status": "success", "data": { "scrapePools": jobs } });
    fake.answer(pools, 200, answer(&["node", "dapr"]));
    let ended = install(&fake, &["--prometheus=monitoring/prom:80/p"]);
    assert!(ended.result.is_err() && fake.writes().is_empty(), "{}", ended.err);
    let said = "× The Prometheus at monitoring/prom:80/p has no scrape job learnflow, collectors";
    assert!(ended.err.contains(said), "{}", ended.err);
    assert!(
        ended.err.contains("render --prometheus monitoring/prom:80/p"),
        "{}",
        ended.err
    );

    fake.answer(pools, 200, answer(&JOBS));
    let ended = install(&fake, &["--prometheus=monitoring/prom:80/p"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(fake.get(OWN_PROMETHEUS).is_none());
    let asked = "/namespaces/monitoring/services/http:prom:80/proxy/p/api/v1/query";
    assert!(
        fake.asked().iter().any(|path| path.contains(asked)),
        "{:#?}",
        fake.asked()
    );
}
