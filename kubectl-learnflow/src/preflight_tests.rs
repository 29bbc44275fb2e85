use super::*;
use crate::{
    enrolment::Enrolments,
    model::{Configuration, Gap, Rollout, Service, Setting},
    objects::Plan,
};
use serde_json::json;

fn plane_of(version: &str) -> Option<ControlPlane> {
    Some(ControlPlane {
        namespace: "dapr-system".into(),
        version: Some(version.into()),
        ready: true,
    })
}

fn sound() -> Facts {
    Facts {
        context: "blue".into(),
        server: "https://10.0.0.1".into(),
        kubernetes: "v1.34.4".into(),
        namespace_exists: true,
        dapr_kinds: vec!["Component".into(), "Configuration".into()],
        operator: plane_of("1.18.1"),
        injector: plane_of("1.18.1"),
        kafka: vec!["kafka-pubsub".into()],
        services: vec![cart()],
        configurations: vec![Configuration {
            name: "appconfig".into(),
            ..Configuration::default()
        }],
        resiliencies: vec![],
    }
}

fn enrolments(services: &[Service]) -> Enrolments {
    let plan = Plan::new("shop", &Default::default()).expect("the plugin's own manifests");
    Enrolments::new(&plan, services, &sound().configurations, true)
}

fn checks(service: Service, force: bool) -> Vec<Check> {
    services(&enrolments(&[service]), &sound(), "shop", force)
}

fn set(value: &str, owner: &str) -> Option<Setting> {
    Some(Setting {
        value: value.into(),
        owners: vec![owner.into()],
    })
}

fn cart() -> Service {
    Service {
        name: "cart".into(),
        app_id: Some("cart-app".into()),
        rollout: Rollout {
            observed: true,
            desired: 1,
            updated: 1,
            total: 1,
            ready: 1,
        },
        ..Service::default()
    }
}

fn only_failure(checks: &[Check]) -> &Check {
    let failures: Vec<&Check> = checks.iter().filter(|check| check.mark == Mark::Bad).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].next.is_some(), "every failure says what to do");
    failures[0]
}

#[test]
fn a_sound_cluster_passes() {
    let facts = sound();
    let checks = [cluster(&facts, "shop"), checks(cart(), false)].concat();
    assert!(checks.iter().all(|check| check.mark == Mark::Good), "{checks:?}");
    assert!(
        checks
            .iter()
            .any(|c| c.text == "Deployment shop/cart, app id cart-app, 1 pod (to enrol)")
    );
}

#[test]
fn each_thing_that_is_missing_is_named() {
    let failure = |change: fn(&mut Facts)| {
        let mut facts = sound();
        change(&mut facts);
        only_failure(&cluster(&facts, "shop")).text.clone()
    };
    assert_eq!(
        failure(|f| f.kubernetes = "v1.28.9+k3s1".into()),
        "Kubernetes v1.28.9+k3s1 at https://10.0.0.1"
    );
    assert_eq!(
        failure(|f| f.dapr_kinds.clear()),
        "Dapr's kinds are missing: Component, Configuration"
    );
    assert_eq!(failure(|f| f.operator = None), "There is no Dapr operator");
    assert_eq!(failure(|f| f.injector = None), "There is no Dapr sidecar injector");
    assert!(failure(|f| f.operator = plane_of("1.15.9")).starts_with("Dapr 1.15.9 is too old"));
    assert_eq!(
        failure(|f| f.kafka.clear()),
        "No Component of type pubsub.kafka in namespace shop"
    );
    assert_eq!(failure(|f| f.namespace_exists = false), "Namespace shop does not exist");
    assert_eq!(
        failure(|f| f.injector = Some(ControlPlane {
            ready: false,
            ..plane_of("1.18.1").expect("a plane")
        })),
        "The Dapr sidecar injector in dapr-system has no ready pod"
    );
}

#[test]
fn a_version_that_cannot_be_read_is_a_warning() {
    let facts = Facts {
        operator: plane_of("edge"),
        kubernetes: "weird".into(),
        ..sound()
    };
    let checks = cluster(&facts, "shop");
    assert_eq!(
        checks.iter().filter(|check| check.mark == Mark::Warn).count(),
        2,
        "{checks:?}"
    );
    assert!(checks.iter().all(|check| check.mark != Mark::Bad));
}

#[test]
fn services_that_cannot_be_enrolled_are_refused_by_name() {
    let failure = |change: fn(&mut Service)| {
        let mut service = cart();
        change(&mut service);
        let checks = checks(service, false);
        let check = only_failure(&checks);
        let next = check.next.as_deref();
        assert!(
            next.is_some_and(|next| next.ends_with("leave this one out.")),
            "{check:?}"
        );
        check.text.clone()
    };
    assert_eq!(
        failure(|s| s.config = set("nothing", "kubectl-edit")),
        "Deployment shop/cart uses the Dapr Configuration nothing, which does not exist"
    );
    assert_eq!(
        failure(|s| s.mounts = set("certs:/certs,x:/learnflow/", "kubectl-edit")),
        "Deployment shop/cart already mounts x:/learnflow/ into its sidecar, where LearnFlow's file must go"
    );
    assert_eq!(
        failure(|s| s.app_id = None),
        "Deployment shop/cart has no annotation dapr.io/app-id"
    );
    assert!(failure(|s| s.paused = true).contains("is paused"));
    assert!(failure(|s| s.foreign_volume = true).contains("volume learnflow-wasm"));
    assert_eq!(
        only_failure(&services(&enrolments(&[]), &sound(), "shop", false)).text,
        "No Deployment with a Dapr sidecar in namespace shop"
    );
}

#[test]
fn what_a_tool_has_set_is_taken_over_only_by_force() {
    let owned_by = |owner: &str| Service {
        config: set("appconfig", owner),
        ..cart()
    };
    let refused = checks(owned_by("argocd-controller"), false);
    assert_eq!(
        only_failure(&refused).text,
        "Deployment shop/cart: dapr.io/config is appconfig, a field that belongs to argocd-controller"
    );
    for merged in [
        checks(owned_by("argocd-controller"), true),
        checks(owned_by("kubectl-client-side-apply"), false),
    ] {
        let marks: Vec<Mark> = merged.iter().map(|check| check.mark).collect();
        assert_eq!(marks, [Mark::Good, Mark::Warn], "{merged:?}");
        assert!(
            merged[1]
                .text
                .starts_with("Deployment shop/cart has dapr.io/config: appconfig (set by ")
        );
    }
}

#[test]
fn a_rollout_with_a_gap_is_announced_once_and_only_when_there_is_one() {
    let gappy = Service {
        gap: Some(Gap::Recreate),
        ..cart()
    };
    let found = checks(gappy.clone(), false);
    assert_eq!(found[1].mark, Mark::Warn);
    assert!(found[1].text.ends_with("when pods are replaced: cart"), "{found:?}");
    let entry = enrolments(std::slice::from_ref(&gappy)).entries.remove(0).enrolment;
    let enrolled = Service {
        config: set(&entry.config, MANAGER),
        mounts: set(&entry.mounts, MANAGER),
        guest: Some(entry.guest),
        revision: Some(entry.revision),
        enrolled: true,
        ..gappy
    };
    let found = checks(enrolled, false);
    assert_eq!(found.len(), 1, "nothing will roll: {found:?}");
    assert!(found[0].text.ends_with("(enrolled)"));
}

#[test]
fn only_a_dapr_that_announces_configurations_is_to_be_hushed() {
    assert!(!announces(Some("1.17.4")));
    assert!(announces(Some("1.18.0")));
    assert!(announces(Some("edge")) && announces(None), "it might");
}

#[test]
fn missing_permissions_are_named_one_by_one() {
    let access = |verb: &str, namespace: Option<&str>| Access {
        verb: verb.into(),
        group: "apps".into(),
        resource: "deployments".into(),
        namespace: namespace.map(str::to_owned),
        name: namespace.map(|_| "cart".to_owned()),
    };
    let refused = [
        access("get", Some("shop")),
        access("patch", Some("shop")),
        access("patch", None),
    ];
    let checks = permissions(&refused, Some("eve"));
    assert_eq!(
        checks[0].text,
        "No permission to get, patch deployments.apps in namespace shop: cart"
    );
    assert_eq!(
        checks[1].text,
        "No permission to patch deployments.apps in the whole cluster"
    );
    assert_eq!(checks[0].next, None, "what to do is said once");
    assert!(
        checks[1]
            .next
            .as_deref()
            .is_some_and(|next| next.contains("give eve these permissions"))
    );
    assert_eq!(permissions(&[], None), []);
}

#[test]
fn what_is_not_ours_is_not_touched() {
    let object = |kind: &str| {
        Object::new(json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "x" } })).expect("an object")
    };
    let mark = |kind: &str, existing: Existing| ownership(&object(kind), &existing).map(|check| check.mark);
    let ours = Existing {
        managed_by: Some(MANAGER.into()),
        ..Existing::default()
    };
    assert_eq!(mark("ConfigMap", ours.clone()), None);
    assert_eq!(mark("ConfigMap", Existing::default()), Some(Mark::Bad));
    assert_eq!(mark("ConfigMap", Existing { leaving: true, ..ours }), Some(Mark::Bad));
    assert_eq!(mark("Namespace", Existing::default()), Some(Mark::Good));
    let strict = Existing {
        pod_security: Some("restricted".into()),
        ..Existing::default()
    };
    assert_eq!(
        mark("Namespace", strict.clone()),
        Some(Mark::Good),
        "the stack meets it"
    );
    let agents = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": AGENT_NAMESPACE } });
    let agents = Object::new(agents).expect("an object");
    assert_eq!(
        ownership(&agents, &strict).map(|check| check.mark),
        Some(Mark::Bad),
        "the agent does not"
    );
}

#[test]
fn versions_compare_by_number() {
    let parse = |text| Version::parse(text).expect(text);
    assert!(parse("v1.9.0") < parse("v1.29.0"));
    assert_eq!(parse("1.18.1-rc.2"), parse("v1.18.1"));
    assert_eq!(parse("v1.34.4+k3s1"), Version(1, 34, 4));
    assert_eq!(parse("1.16"), Version(1, 16, 0));
    for not in ["", "edge", "v1", "1.x", "latest"] {
        assert_eq!(Version::parse(not), None, "{not}");
    }
}
