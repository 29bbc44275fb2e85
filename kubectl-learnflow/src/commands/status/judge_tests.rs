use super::*;
use crate::model::{Before, Rollout, Sample, Setting, Sidecar};

const NOW: i64 = 1_000;

fn sample(pod: &str, value: f64) -> Sample {
    Sample {
        labels: [("pod".to_owned(), pod.to_owned())].into(),
        value,
    }
}

fn ours(value: &str) -> Option<Setting> {
    Some(Setting {
        value: value.into(),
        owners: vec!["kubectl-learnflow".into()],
    })
}

fn enrolment(revision: &str) -> Enrolment {
    Enrolment {
        config: "learnflow-1".into(),
        mounts: "learnflow-wasm:/learnflow".into(),
        guest: "learnflow-wasm-1".into(),
        revision: revision.into(),
        before: Before::default(),
    }
}

/// One service with one sidecar, everything well.
fn healthy() -> Evidence {
    let service = Service {
        name: "cart".into(),
        app_id: Some("cart-app".into()),
        config: ours("learnflow-1"),
        mounts: ours("learnflow-wasm:/learnflow"),
        guest: Some("learnflow-wasm-1".into()),
        revision: Some("r1".into()),
        enrolled: true,
        rollout: Rollout {
            observed: true,
            desired: 1,
            updated: 1,
            total: 1,
            ready: 1,
        },
        ..Service::default()
    };
    let pod = Pod {
        name: "cart-1".into(),
        ready: true,
        revision: Some("r1".into()),
        sidecar: Some(Sidecar { started: Some(NOW) }),
        ..Pod::default()
    };
    Evidence {
        namespace: "shop".into(),
        versions: Versions {
            plugin: "1".into(),
            installed: None,
            kubernetes: None,
            dapr: None,
        },
        wanted: [("cart".to_owned(), enrolment("r1"))].into(),
        parts: vec![Part {
            kind: "Deployment".into(),
            namespace: Some("learnflow-system".into()),
            name: "prometheus".into(),
            present: true,
            ready: Some(1),
            desired: Some(1),
            reason: None,
        }],
        component: Some(Existing {
            created: Some(NOW),
            scopes: vec!["cart-app".into()],
            ..Existing::default()
        }),
        services: vec![(service, vec![pod], None)],
        resiliencies: vec![],
        broken: None,
        scalers: vec![],
        memory: None,
        now: NOW,
        telemetry: Ok(Telemetry {
            sidecars: EnrolledSidecars {
                up: vec![sample("cart-1", 1.0)],
                failed: vec![],
            },
            loaded: Loaded::default(),
            topics: vec![],
        }),
    }
}

fn problems(change: fn(&mut Evidence)) -> (Verdict, String) {
    let mut evidence = healthy();
    change(&mut evidence);
    let report = judge(evidence);
    (report.verdict, report.problems.join(" "))
}

#[test]
fn all_well_is_healthy() {
    let report = judge(healthy());
    assert_eq!(
        (report.verdict, report.problems.as_slice()),
        (Verdict::Healthy, [].as_slice())
    );
    assert_eq!(report.services[0].middleware_loaded, Some(1));
    assert_eq!(report.services[0].metrics_scraped, Some(1));
    assert!(report.notes.is_empty());
}

#[test]
fn whatever_is_not_well_is_unhealthy_and_named() {
    let unhealthy = |change| {
        let (verdict, text) = problems(change);
        assert_eq!(verdict, Verdict::Unhealthy, "{text}");
        text
    };
    let text = unhealthy(|e| {
        e.parts[0].ready = Some(0);
        e.parts[0].reason = Some("container prometheus ImagePullBackOff".into());
    });
    assert_eq!(
        text,
        "Deployment learnflow-system/prometheus has 0 of 1 pods ready: container prometheus ImagePullBackOff."
    );
    assert!(
        unhealthy(|e| e.parts.push(Part {
            present: false,
            name: "gone".into(),
            ..e.parts[0].clone()
        }))
        .contains("learnflow-system/gone is missing")
    );
    assert!(unhealthy(|e| (e.parts[0].ready, e.parts[0].desired) = (Some(0), Some(0))).contains("scaled to no pod"));
    assert!(unhealthy(|e| e.services[0].0.rollout.ready = 0).contains("cart is at 0/1 ready"));
    assert!(unhealthy(|e| e.telemetry = Ok(Telemetry::default())).contains("gives no metrics"));
    assert!(unhealthy(|e| e.services[0].0.enrolled = false).contains("cart has lost its enrolment"));
    assert!(unhealthy(|e| e.services.clear()).contains("No Deployment in shop has a Dapr sidecar"));
}

#[test]
fn a_middleware_that_is_not_loaded_is_noticed() {
    let (verdict, text) = problems(|e| {
        let telemetry = e.telemetry.as_mut().expect("telemetry");
        telemetry.sidecars.failed.push(sample("cart-1", 1.0));
    });
    assert_eq!(verdict, Verdict::Unhealthy);
    assert!(
        text.starts_with("cart runs 1 of 1 sidecars (cart-1) without the middleware"),
        "{text}"
    );
    assert!(text.contains("`kubectl logs cart-1 -c daprd` says why"), "{text}");
    let (verdict, text) = problems(|e| e.services[0].1[0].sidecar = None);
    assert_eq!(verdict, Verdict::Unhealthy);
    assert!(text.starts_with("cart has pods without a Dapr sidecar"), "{text}");
}

#[test]
fn many_pods_are_not_all_named() {
    let names: Vec<String> = (1..=5).map(|n| format!("p{n}")).collect();
    assert_eq!(some(&names[..3]), "p1, p2, p3");
    assert_eq!(some(&names), "p1, p2, p3 and 2 more");
}

#[test]
fn one_silent_sidecar_does_not_hide_one_without_the_middleware() {
    let (_, text) = problems(|e| {
        let (_, pods, _) = &mut e.services[0];
        let silent = Pod {
            name: "cart-2".into(),
            ..pods[0].clone()
        };
        pods.push(silent);
        let telemetry = e.telemetry.as_mut().expect("telemetry");
        telemetry.sidecars.failed.push(sample("cart-1", 1.0));
    });
    assert!(text.contains("no metrics from 1 of 2 sidecars (cart-2)"), "{text}");
    assert!(text.contains("runs 1 of 2 sidecars (cart-1) without"), "{text}");
}

#[test]
fn without_prometheus_it_cannot_be_told() {
    let silent = |e: &mut Evidence| e.telemetry = Err(Problem::new("Cannot ask Prometheus: forbidden."));
    assert_eq!(
        problems(silent),
        (Verdict::Unknown, "Cannot ask Prometheus: forbidden.".into())
    );
    // Something that is surely wrong outweighs what cannot be told.
    let (verdict, _) = problems(|e| {
        e.telemetry = Err(Problem::new("Cannot ask Prometheus: no pods."));
        e.parts[0].ready = Some(0);
    });
    assert_eq!(verdict, Verdict::Unhealthy);
}

#[test]
fn nothing_at_all_is_not_installed() {
    let (verdict, text) = problems(|e| {
        e.parts[0].present = false;
        e.component = None;
        e.services[0].0.enrolled = false;
    });
    assert_eq!(
        (verdict, text.as_str()),
        (Verdict::NotInstalled, "LearnFlow is not installed for namespace shop.")
    );
}

#[test]
fn a_service_that_was_left_out_is_only_a_note() {
    let mut evidence = healthy();
    let other = Service {
        name: "other".into(),
        enrolled: false,
        app_id: Some("other".into()),
        ..Service::default()
    };
    evidence.services.push((other, Vec::new(), None));
    evidence.wanted = [("cart".to_owned(), enrolment("r2"))].into();
    let report = judge(evidence);
    assert_eq!(report.verdict, Verdict::Healthy);
    assert_eq!(
        report.notes.len(),
        2,
        "not enrolled, and an older middleware: {:?}",
        report.notes
    );
}

#[test]
fn who_took_a_service_out_is_named() {
    let (verdict, text) = problems(|e| {
        e.services[0].0.config = Some(Setting {
            value: "appconfig".into(),
            owners: vec!["argocd-controller".into()],
        });
    });
    assert_eq!(verdict, Verdict::Unhealthy);
    let why = "cart has lost its enrolment (argocd-controller has set dapr.io/config to appconfig)";
    assert!(text.starts_with(why), "{text}");
    let (_, text) = problems(|e| e.services[0].0.config = None);
    assert!(text.contains("dapr.io/config is gone"), "{text}");
}

#[test]
fn a_copy_of_a_configuration_that_has_changed_is_noticed() {
    let (verdict, text) = problems(|e| {
        let mut newer = enrolment("r2");
        newer.config = "learnflow-appconfig-2".into();
        newer.before.config = Some("appconfig".into());
        e.wanted = [("cart".to_owned(), newer)].into();
    });
    assert_eq!(verdict, Verdict::Unhealthy);
    assert!(
        text.starts_with("cart runs an older copy of its Configuration appconfig"),
        "{text}"
    );
}

#[test]
fn a_verdict_for_programs_is_one_word() {
    let json = serde_json::to_value(judge(healthy())).expect("JSON");
    assert_eq!(json["verdict"], "healthy");
    assert_eq!(
        serde_json::to_value(Verdict::NotInstalled).expect("JSON"),
        "not-installed"
    );
}
