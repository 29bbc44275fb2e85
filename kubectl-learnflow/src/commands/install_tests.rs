use super::*;
use crate::{
    cli::{Cli, Global, Verb},
    cluster::fake::{Fake, service_path},
    objects::STACK_NAMESPACE,
    printer::tests::captured,
};
use clap::Parser;
use serde_json::json;

pub(super) const CONFIGURATIONS: &str = "/apis/dapr.io/v1alpha1/namespaces/shop/configurations/";

pub(crate) struct Ended {
    pub(crate) result: Result<Outcome, Problem>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Flags of an installation that waits for a second, unless told otherwise.
fn flags(arguments: &[&str]) -> (Install, Global) {
    let told = arguments.iter().any(|argument| argument.starts_with("--timeout"));
    let timeout: &[&str] = if told { &[] } else { &["--timeout=1s"] };
    let cli = Cli::try_parse_from([&["x", "install"], timeout, arguments].concat()).expect("good flags");
    match cli.verb {
        Verb::Install(args) => (args, cli.global),
        _ => panic!("not install"),
    }
}

/// With defaults, for tests of other verbs.
pub(crate) fn installed() -> Fake {
    let fake = Fake::sound();
    assert_eq!(install(&fake, &[]).result, Ok(Outcome::Good));
    fake
}

pub(crate) fn install(fake: &Fake, arguments: &[&str]) -> Ended {
    let (args, global) = flags(arguments);
    let settings = Settings::read(&args.choice, &global).expect("good settings");
    let (printer, out, err) = captured();
    let result = fake.run(async |cluster| run(cluster, &args, settings, &printer).await);
    Ended {
        result,
        out: out.text(),
        err: err.text(),
    }
}

pub(super) fn annotations(fake: &Fake, service: &str) -> serde_json::Value {
    fake.get(&service_path(service)).expect("the service")["spec"]["template"]["metadata"]["annotations"].clone()
}

/// Names of the Configurations there are.
pub(super) fn configurations(fake: &Fake) -> Vec<String> {
    fake.paths()
        .iter()
        .filter_map(|path| path.strip_prefix(CONFIGURATIONS))
        .map(str::to_owned)
        .collect()
}

pub(super) fn position(writes: &[String], part: &str) -> usize {
    writes
        .iter()
        .position(|write| write.contains(part))
        .unwrap_or_else(|| panic!("{part} in {writes:#?}"))
}

#[test]
fn install_applies_in_order_and_enrols_last() {
    let fake = Fake::sound();
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let writes = fake.writes();
    let order = [
        "namespaces/learnflow-system",
        "configmaps/collector-gateway",
        "deployments/collector-gateway",
        "configmaps/learnflow-wasm-",
        "components/learnflow",
        "configurations/learnflow-",
        "secrets/learnflow-",
        "namespaces/shop/deployments/cart",
        // Only now: its sidecars no longer restart for it.
        "resiliencies/learnflow",
        "configmaps/collector-kafka",
        "secrets/collector-kafka",
        "networkpolicies/collector-kafka",
        "deployments/collector-kafka",
    ];
    let positions: Vec<usize> = order.iter().map(|part| position(&writes, part)).collect();
    assert!(positions.is_sorted(), "{writes:#?}");
    let dry = fake
        .all_writes()
        .iter()
        .filter(|write| write.ends_with("(dry run)"))
        .count();
    assert_eq!(
        dry + 2,
        writes.len(),
        "everything was tried first; cart rolls twice, and a password is chosen"
    );
    assert!(
        writes
            .last()
            .is_some_and(|last| last.ends_with("deployments/collector-kafka")),
        "{writes:#?}"
    );
    assert!(
        fake.all_writes()[..dry]
            .iter()
            .all(|write| write.ends_with("(dry run)")),
        "and before any write"
    );

    let component = fake
        .get("/apis/dapr.io/v1alpha1/namespaces/shop/components/learnflow")
        .expect("a Component");
    assert_eq!(component["scopes"], json!(["cart"]));
    assert_eq!(component["spec"]["ignoreErrors"], true);
    assert!(
        ended.err.contains("√ applied ConfigMap shop/learnflow-wasm-"),
        "{}",
        ended.err
    );
    assert!(ended.out.is_empty(), "progress is not data");
}

#[test]
fn a_second_install_changes_nothing() {
    let fake = Fake::sound();
    assert_eq!(install(&fake, &[]).result, Ok(Outcome::Good));
    let again = install(&fake, &[]);
    assert_eq!(again.result, Ok(Outcome::Good));
    assert!(!again.err.contains("applied"), "{}", again.err);
    assert!(again.err.contains("√ Deployment shop/cart unchanged"), "{}", again.err);
}

#[test]
fn nothing_is_written_when_a_check_fails() {
    type Break = fn(&Fake);
    let broken: [(Break, &str); 5] = [
        (
            |f| f.remove("/apis/dapr.io/v1alpha1/namespaces/shop/components/kafka-pubsub"),
            "pubsub.kafka",
        ),
        (
            |f| f.remove("/apis/apps/v1/namespaces/dapr-system/deployments/dapr-sidecar-injector"),
            "injector",
        ),
        (|f| f.remove(&service_path("cart")), "No Deployment with a Dapr sidecar"),
        (
            |f| f.annotate("cart", "kubectl-edit", json!({ "dapr.io/config": "gone" })),
            "uses the Dapr Configuration gone, which does not exist",
        ),
        (
            |f| {
                let theirs = json!({ "metadata": { "name": "learnflow", "labels": {} } });
                f.put("/apis/dapr.io/v1alpha1/namespaces/shop/components/learnflow", theirs);
            },
            "Component shop/learnflow exists already and is not LearnFlow's",
        ),
    ];
    for (break_it, said) in broken {
        let fake = Fake::sound();
        break_it(&fake);
        let ended = install(&fake, &[]);
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
        assert!(
            ended
                .result
                .expect_err("refused")
                .what
                .ends_with("nothing was changed.")
        );
        assert_eq!(fake.writes(), Vec::<String>::new(), "{said}");
    }
}

/// Of a group that it does not have, a real API server says so in plain text.
#[test]
fn a_cluster_without_dapr_is_told_so() {
    let fake = Fake::sound();
    fake.answer("/apis/dapr.io/v1alpha1", 404, json!("404 page not found"));
    for kind in ["components", "configurations", "resiliencies"] {
        let path = format!("/apis/dapr.io/v1alpha1/namespaces/shop/{kind}");
        fake.answer(&path, 404, json!("404 page not found"));
    }
    let ended = install(&fake, &[]);
    assert!(
        ended.err.contains("× Dapr's kinds are missing: Component"),
        "{:?} {}",
        ended.result,
        ended.err
    );
    assert_eq!(fake.writes(), [""; 0]);
}

#[test]
fn a_conflict_found_by_the_dry_run_stops_before_the_first_write() {
    let fake = Fake::sound();
    let conflict = json!({
        "kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": "conflict",
        "details": { "causes": [{
            "reason": "FieldManagerConflict", "message": "conflict with \"argocd\" using v1", "field": ".spec.x",
        }]},
    });
    fake.answer("/apis/apps/v1/namespaces/shop/configmaps", 200, json!({}));
    fake.answer(
        "/api/v1/namespaces/shop/configmaps/learnflow-try-collector-agent",
        409,
        conflict,
    );
    let ended = install(&fake, &[]);
    assert!(ended.err.contains("field .spec.x belongs to argocd"), "{}", ended.err);
    assert!(ended.result.is_err());
    assert_eq!(fake.writes(), Vec::<String>::new());
}

/// The stack alone needs no services, and so not their namespace.
#[test]
fn what_cannot_be_tried_out_anywhere_holds_nobody_up() {
    let fake = Fake::sound();
    let nowhere = json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound",
        "message": "namespaces \"shop\" not found" });
    for name in ["learnflow", "collector-gateway"] {
        let path = format!("/api/v1/namespaces/shop/configmaps/learnflow-try-{name}");
        fake.answer(&path, 404, nowhere.clone());
    }
    let ended = install(&fake, &["--only=collector,prometheus"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
}

#[test]
fn a_service_that_does_not_come_up_is_let_go_and_the_rest_is_left_alone() {
    let fake = Fake::sound();
    fake.service("zoo");
    fake.stick("cart");
    let ended = install(&fake, &["--timeout=10ms"]);
    assert_eq!(ended.result, Ok(Outcome::Bad), "{}", ended.err);
    assert!(
        ended.err.contains("× Deployment shop/cart does not come up"),
        "{}",
        ended.err
    );
    assert!(
        ended.err.contains("undone: Deployment shop/cart runs as before"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("Not touched: zoo."), "{}", ended.err);
    let cart = fake.get(&service_path("cart")).expect("cart");
    assert_eq!(
        cart["spec"]["template"]["metadata"]["annotations"].get("dapr.io/config"),
        None
    );
    let writes = fake.writes();
    assert!(
        !writes.iter().any(|write| write.ends_with("deployments/zoo")),
        "{writes:#?}"
    );
}

#[test]
fn a_middleware_that_does_not_load_is_found_with_one_service_and_taken_back() {
    let fake = Fake::sound();
    fake.service("zoo");
    fake.disable("cart");
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Bad), "{}", ended.err);
    assert!(
        ended.err.contains("× without the middleware: cart-pod"),
        "{}",
        ended.err
    );
    assert!(
        ended.err.contains("undone: Deployment shop/cart runs as before"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("Not touched: zoo."), "{}", ended.err);
    assert!(annotations(&fake, "cart").get("dapr.io/config").is_none());
    assert!(!fake.writes().iter().any(|write| write.ends_with("deployments/zoo")));
}

#[test]
fn a_dry_run_lists_and_writes_nothing() {
    let fake = Fake::sound();
    let ended = install(&fake, &["--dry-run"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(
        ended.out.starts_with("create Namespace learnflow-system\n"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("create Component shop/learnflow\n"));
    assert!(
        ended.out.ends_with("enrol and roll twice Deployment shop/cart\n"),
        "{}",
        ended.out
    );
    assert_eq!(fake.writes(), Vec::<String>::new());
}

#[test]
fn a_deployment_can_be_left_out() {
    let fake = Fake::sound();
    fake.service("zoo");
    let ended = install(&fake, &["--exclude=zoo"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(!fake.writes().iter().any(|write| write.contains("deployments/zoo")));
    let unknown = install(&fake, &["--exclude=nobody"]);
    assert!(
        unknown
            .result
            .expect_err("no such Deployment")
            .what
            .contains("There is no Deployment nobody")
    );
}

#[test]
fn parts_can_be_left_out() {
    let fake = Fake::sound();
    let ended = install(&fake, &["--only=middleware"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let writes = fake.writes();
    assert!(
        !writes.iter().any(|write| write.contains("learnflow-system")),
        "{writes:#?}"
    );
    let ours = configurations(&fake).pop().expect("a Configuration");
    let ours = fake.get(&format!("{CONFIGURATIONS}{ours}")).expect("a Configuration");
    let endpoint = &ours["spec"]["tracing"]["otel"]["endpointAddress"];
    assert_eq!(endpoint, "", "there is no gateway to send spans to");

    let fake = Fake::sound();
    let ended = install(
        &fake,
        &["--skip=middleware,resilience,autoscaling,prometheus,grafana,kafka"],
    );
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let writes = fake.writes();
    assert!(
        !writes.iter().any(|w| w.contains("/shop/") || w.contains("prometheus")),
        "{writes:#?}"
    );
}

#[test]
fn what_is_left_out_later_stays() {
    let fake = installed();
    let before = fake.writes().len();
    let ended = install(&fake, &["--only=middleware"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let writes = &fake.writes()[before..];
    // The gateway is still there to send spans to.
    assert_eq!(
        writes,
        [format!("PATCH {}", service_path("cart"))],
        "only looked at again"
    );
}

#[test]
fn what_a_newer_version_no_longer_has_is_removed_and_nothing_else() {
    let fake = installed();
    let labels = |set: &str| json!({ "app.kubernetes.io/managed-by": crate::objects::MANAGER, crate::applyset::PART_OF: crate::applyset::id(set) });
    let old = "/api/v1/namespaces/learnflow-system/configmaps/old";
    let volume = "/api/v1/namespaces/learnflow-system/persistentvolumeclaims/prometheus";
    let theirs = "/api/v1/namespaces/learnflow-system/configmaps/theirs";
    let elsewhere = "/api/v1/namespaces/other/configmaps/old";
    fake.put(
        old,
        json!({ "metadata": { "name": "old", "namespace": STACK_NAMESPACE, "labels": labels(STACK_NAMESPACE) } }),
    );
    fake.put(volume, json!({ "metadata": { "name": "prometheus", "namespace": STACK_NAMESPACE, "labels": labels(STACK_NAMESPACE) } }));
    fake.put(
        theirs,
        json!({ "metadata": { "name": "theirs", "namespace": STACK_NAMESPACE, "labels": {} } }),
    );
    fake.put(
        elsewhere,
        json!({ "metadata": { "name": "old", "namespace": "other", "labels": labels("other") } }),
    );

    let listed = install(&fake, &["--dry-run"]);
    assert!(
        listed.out.ends_with("remove ConfigMap learnflow-system/old\n"),
        "{}",
        listed.out
    );
    let before = fake.writes().len();
    let ended = install(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let deleted: Vec<String> = fake.writes()[before..]
        .iter()
        .filter(|w| w.starts_with("DELETE"))
        .cloned()
        .collect();
    assert_eq!(deleted, [format!("DELETE {old}")]);
    for stays in [volume, theirs, elsewhere] {
        assert!(fake.get(stays).is_some(), "{stays}");
    }
}

#[test]
fn fields_of_others_are_taken_over_only_by_force() {
    let fake = installed();
    let map = "/api/v1/namespaces/learnflow-system/configmaps/prometheus";
    let mut changed = fake.get(map).expect("a ConfigMap");
    changed["data"]["prometheus.yml"] = json!("theirs");
    fake.put(map, changed);
    fake.own(map, "argocd", ".data.prometheus.yml");
    let refused = install(&fake, &[]);
    let said = "Cannot apply ConfigMap learnflow-system/prometheus: field .data.prometheus.yml belongs to argocd, \
                who set it to \"theirs\"; LearnFlow wants \"global:";
    assert!(refused.err.contains(said), "{}", refused.err);
    assert!(refused.result.is_err());
    let forced = install(&fake, &["--force-conflicts"]);
    assert_eq!(forced.result, Ok(Outcome::Good), "{}", forced.err);
    assert!(
        forced
            .err
            .contains("‼ Taken over: ConfigMap learnflow-system/prometheus"),
        "{}",
        forced.err
    );
    assert_ne!(fake.get(map).expect("a ConfigMap")["data"]["prometheus.yml"], "theirs");
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let fake = Fake::sound();
    let path = "/apis/apps/v1/namespaces/learnflow-system/deployments/collector-gateway";
    fake.fail(path, 2, 429);
    let ended = install(&fake, &["--timeout=10s"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert_eq!(ended.err.matches("Trying again").count(), 1, "{}", ended.err);
}

#[test]
fn nothing_is_waited_for_where_that_is_asked() {
    let fake = Fake::sound();
    fake.stick("cart");
    fake.stick("prometheus");
    let ended = install(&fake, &["--no-wait"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(ended.err.contains("√ enrolled Deployment shop/cart"), "{}", ended.err);
}

#[test]
fn settings_that_do_not_fit_the_cluster_are_refused() {
    let refused = |arguments: &[&str]| {
        let fake = Fake::sound();
        let ended = install(&fake, arguments);
        assert_eq!(fake.writes(), [""; 0], "{arguments:?}");
        let problem = ended.result.expect_err("refused").what;
        format!("{}{problem}", ended.err)
    };
    assert!(refused(&["--service=zoo"]).contains("There is no Deployment zoo"));
    assert!(refused(&["--service=cart=other"]).contains("is cart, and the settings say other"));
    assert!(refused(&["--profile=production"]).contains("no default StorageClass"));
}
