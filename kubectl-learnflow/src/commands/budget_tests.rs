use super::*;
use crate::{
    cluster::fake::Fake,
    commands::install::tests::{Ended, install},
    model::Outcome,
    objects::STACK_NAMESPACE,
};
use serde_json::json;

const QUOTA: &str = "/api/v1/namespaces/learnflow-system/resourcequotas/learnflow";
const OF_AGENTS: &str = "/api/v1/namespaces/learnflow-agents/resourcequotas/learnflow";
const PROMETHEUS_PATH: &str = "/apis/apps/v1/namespaces/learnflow-system/deployments/prometheus";

#[track_caller]
fn installed(fake: &Fake, arguments: &[&str]) -> Ended {
    let ended = install(fake, arguments);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    ended
}

fn hard(fake: &Fake, path: &str) -> String {
    let quota = fake.get(path).expect("a quota");
    quota["spec"]["hard"]["limits.memory"]
        .as_str()
        .expect("a limit")
        .to_owned()
}

fn limit(fake: &Fake) -> String {
    let limit = "/spec/template/spec/containers/0/resources/limits/memory";
    let found = fake.get(PROMETHEUS_PATH).expect("Prometheus");
    found
        .pointer(limit)
        .and_then(Value::as_str)
        .expect("a limit")
        .to_owned()
}

/// Writes that were meant, from `before` on, to quotas and workloads.
fn order(fake: &Fake, before: usize) -> Vec<String> {
    let of_interest = |write: &&String| write.contains("resourcequotas") || write.contains("deployments/prometheus");
    fake.writes()[before..].iter().filter(of_interest).cloned().collect()
}

#[test]
fn a_budget_chooses_and_the_quotas_hold_it() {
    let fake = Fake::sound();
    let ended = installed(&fake, &["--budget=1536Mi"]);
    assert!(
        ended.err.contains(
            "of the budget of 1536Mi, for 1 node, 10 pods with a sidecar and 50 topics: traces 320Mi, collector-agent"
        ),
        "{}",
        ended.err
    );
    let mib = |text: &str| text.trim_end_matches("Mi").parse::<u64>().expect("Mi");
    // The collector that asks Kafka is beside the services.
    assert_eq!(mib(&hard(&fake, QUOTA)) + mib(&hard(&fake, OF_AGENTS)), 1536 - 160);
    assert_ne!(limit(&fake), "1Gi");
    assert!(
        order(&fake, 0).is_sorted_by_key(|write| write.contains("deployments")),
        "quotas first"
    );

    // The same again changes nothing; another budget takes the quotas out of the way while pods go.
    let before = fake.writes().len();
    installed(&fake, &["--budget=1536Mi"]);
    assert_eq!(order(&fake, before), [""; 0]);
    installed(&fake, &["--budget=1400Mi"]);
    let writes = order(&fake, before);
    assert_eq!(
        writes,
        [
            format!("PATCH {QUOTA}"),
            format!("PATCH {OF_AGENTS}"),
            format!("PATCH {PROMETHEUS_PATH}"),
            format!("PATCH {QUOTA}"),
            format!("PATCH {OF_AGENTS}"),
        ]
    );
    assert_eq!(mib(&hard(&fake, QUOTA)) + mib(&hard(&fake, OF_AGENTS)), 1400 - 160);

    // Without a budget the quotas go before the pods grow.
    let before = fake.writes().len();
    installed(&fake, &[]);
    assert_eq!(
        order(&fake, before),
        [
            format!("DELETE {QUOTA}"),
            format!("DELETE {OF_AGENTS}"),
            format!("PATCH {PROMETHEUS_PATH}")
        ]
    );
    assert_eq!(limit(&fake), "1Gi");
    assert!(
        fake.get("/api/v1/namespaces/learnflow-system/limitranges/learnflow")
            .is_none()
    );
}

#[test]
fn an_old_stack_has_room_beside_the_new_one() {
    let fake = Fake::sound();
    installed(&fake, &[]);
    let stuck = install(&fake, &["--budget=1400Mi", "--no-wait"]);
    assert_eq!(stuck.result, Ok(Outcome::Good), "{}", stuck.err);
    let room = || crate::capacity::quantity(&hard(&fake, QUOTA)).expect("an amount") / 1024f64.powi(2);
    assert!(room() > 1024.0 + 400.0, "both: {}", room());
    // The next run finds that nothing is on its way any more.
    installed(&fake, &["--budget=1400Mi"]);
    assert!(room() < 1400.0, "{}", room());
}

/// Else the quota would be full of it, and keep the rest from rolling.
#[test]
fn what_is_left_out_and_there_has_its_room() {
    let fake = Fake::sound();
    installed(&fake, &[]);
    let refused = install(&fake, &["--skip=prometheus,grafana", "--budget=1536Mi"]);
    let problem = refused.result.expect_err("refused").what;
    assert!(problem.contains("prometheus 1024Mi"), "{problem}");
    let ended = installed(&fake, &["--skip=prometheus,grafana", "--budget=2200Mi"]);
    assert!(ended.err.contains("prometheus 1024Mi"), "{}", ended.err);
    assert_eq!(limit(&fake), "1Gi", "it stays as it is");
    let room = crate::capacity::quantity(&hard(&fake, QUOTA)).expect("an amount") / 1024f64.powi(2);
    assert!(room > 1024.0 + 100.0, "{room}");
}

/// Many pods mean that fewer traces are kept, which is no other version of anything.
#[test]
fn a_chosen_sampling_is_no_other_version() {
    let fake = Fake::sound();
    let ended = installed(&fake, &["--budget=2800Mi", "--expect=nodes=1,pods=200,topics=50"]);
    assert!(ended.err.contains("; the sidecars begin 0."), "{}", ended.err);
    let report = fake.run(async |cluster| crate::commands::status::report(cluster).await);
    let report = report.expect("a report");
    assert!(
        !report.notes.iter().any(|note| note.contains("another version")),
        "{:?}",
        report.notes
    );
}

#[test]
fn what_is_not_ours_holds_nobody_up() {
    let fake = Fake::sound();
    let theirs = json!({ "metadata": { "name": "theirs" }, "spec": { "hard": { "limits.memory": "8Gi" } } });
    let path = format!("/api/v1/namespaces/{STACK_NAMESPACE}/resourcequotas/theirs");
    fake.put(&path, theirs.clone());
    installed(&fake, &["--budget=1536Mi"]);
    installed(&fake, &[]);
    assert_eq!(fake.get(&path), Some(theirs));
}

#[test]
fn what_cannot_fit_is_refused_with_the_figures() {
    let fake = Fake::sound();
    let ended = install(&fake, &["--budget=300Mi", "--expect=nodes=3"]);
    let problem = ended.result.expect_err("refused");
    assert_eq!(
        problem.what,
        "A budget of 300Mi is too small for 3 nodes, 10 pods with a sidecar and 50 topics: the least is 1556Mi \
         (traces 320Mi, collector-agent 92Mi on each node, collector-gateway 102Mi for each of 2 pods, \
         kube-state-metrics 43Mi, prometheus 297Mi, grafana 256Mi, collector-kafka 160Mi)."
    );
    assert!(problem.next.is_some_and(|next| next.contains("1556Mi")));
    assert_eq!(fake.writes(), [""; 0]);
}

#[test]
fn what_was_chosen_is_shown_and_can_be_kept() {
    let fake = Fake::sound();
    let page = installed(&fake, &["--budget=1536Mi", "--print-config"]).out;
    for line in [
        "budget: 1536Mi",
        "expect: {nodes: 1, pods: 10, topics: 50}",
        "#   prometheus ",
        "#   metrics are kept for",
        "sampling: 1",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    let file = std::env::temp_dir().join(format!("learnflow-budget-{}.yaml", std::process::id()));
    std::fs::write(&file, &page).expect("written");
    let flag = format!("--file={}", file.display());
    // What is said is no longer counted.
    fake.put("/api/v1/nodes/another", json!({ "metadata": { "name": "another" } }));
    let again = installed(&fake, &[&flag, "--print-config"]).out;
    std::fs::remove_file(&file).expect("removed");
    let values = |page: &str| -> Vec<String> {
        page.lines()
            .map(|line| line.split(" #").next().unwrap_or_default().trim_end().to_owned())
            .collect()
    };
    assert_eq!(values(&again), values(&page));
}

#[test]
fn a_rolling_update_counts() {
    let deployment = |spec: Value| at_once(&Object::known(json!({ "kind": "Deployment", "spec": spec })));
    assert_eq!(
        deployment(json!({ "replicas": 1, "strategy": { "type": "Recreate" } })),
        1
    );
    assert_eq!(deployment(json!({})), 2);
    assert_eq!(deployment(json!({ "replicas": 5 })), 7);
    assert_eq!(
        deployment(json!({ "replicas": 4, "strategy": { "rollingUpdate": { "maxSurge": 1 } } })),
        5
    );
    assert_eq!(
        deployment(json!({ "replicas": 4, "strategy": { "rollingUpdate": { "maxSurge": "50%" } } })),
        6
    );
}
