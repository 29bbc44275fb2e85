//! Whole runs against an API server in memory, and a controller that is one in a few lines.

use super::{
    super::{publish::Wire, stop::Why},
    *,
};
use crate::{
    cli::{Cli, Subject, Verb, Verify},
    cluster::fake::{Fake, service_path},
    model::SidecarPod,
    printer::tests::captured,
};
use clap::Parser;
use serde_json::{Value, json};
use tokio::time::sleep;

pub(in crate::commands) const HPA: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/cart";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const PROXY: &str = "/api/v1/namespaces/shop/services/cart:80/proxy/";

/// A service `cart` with a Service and an autoscaler that has figures.
pub(in crate::commands) fn sound() -> Fake {
    let fake = Fake::sound();
    fake.measure();
    let labels = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "app", "readinessProbe": {},
        "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } } }] } } } });
    fake.change(&service_path("cart"), &labels);
    fake.put(
        "/api/v1/namespaces/shop/services/cart",
        json!({ "metadata": { "name": "cart" }, "spec": { "selector": { "app": "cart" },
            "ports": [{ "name": "metrics", "port": 9000 }, { "name": "http", "port": 80 }] } }),
    );
    fake.put(
        HPA,
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "cart", "namespace": "shop" },
            "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "cart" }, "minReplicas": 1, "maxReplicas": 3,
                "metrics": [{ "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "app",
                    "target": { "type": "Utilization", "averageUtilization": 70 } } }],
                "behavior": { "scaleDown": { "stabilizationWindowSeconds": 30,
                    "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 15 }] } } },
            "status": status(1, 5),
        }),
    );
    fake.put(PROXY, json!({}));
    pods(&fake, 1);
    fake
}

fn status(wanted: i32, cpu: i32) -> Value {
    json!({ "currentReplicas": wanted, "desiredReplicas": wanted,
        "conditions": [{ "type": "ScalingActive", "status": "True" }],
        "currentMetrics": [{ "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "app",
            "current": { "averageUtilization": cpu } } }] })
}

fn pods(fake: &Fake, n: i32) {
    let pod = |n: i32| {
        json!({ "metadata": { "name": format!("cart-{n}"), "labels": { "app": "cart", "dapr.io/app-id": "cart" } },
            "status": { "podIP": format!("10.0.0.{n}"), "phase": "Running",
                "conditions": [{ "type": "Ready", "status": "True" }] } })
    };
    let items: Vec<Value> = (1..=n).map(pod).collect();
    fake.answer(PODS, 200, json!({ "metadata": {}, "items": items }));
}

/// Wants three pods under load, and one 30 s after it.
async fn control(fake: Fake) {
    let (mut asked, mut last_loaded, mut now) = (0, 0, 0);
    let mut wanted = 1;
    loop {
        sleep(Duration::from_secs(5)).await;
        now += 5;
        let all = fake.asked().iter().filter(|request| request.ends_with(PROXY)).count();
        let loaded = (all - asked) / 5 > 10;
        asked = all;
        if loaded {
            last_loaded = now;
        }
        let next = if loaded {
            3
        } else if now - last_loaded >= 30 {
            1
        } else {
            wanted
        };
        let cpu = if loaded { 180 } else { 5 };
        fake.change(HPA, &json!({ "status": status(next, cpu) }));
        if next != wanted {
            fake.change(&service_path("cart"), &json!({ "spec": { "replicas": next } }));
            wanted = next;
            sleep(Duration::from_secs(3)).await;
            now += 3;
            pods(&fake, wanted);
        }
    }
}

/// There are no sidecars here.
#[derive(Clone)]
struct Nowhere;

impl Wire for Nowhere {
    fn takes_more(&self) -> bool {
        true
    }

    async fn post(&self, _: &str, _: String) -> Result<(u16, String), String> {
        Ok((204, String::new()))
    }
}

impl Lines for Nowhere {
    type Wire = Self;

    async fn open_line(&self, _: &str) -> Result<Self, Problem> {
        Ok(Self)
    }

    async fn metrics(&self, _: &SidecarPod) -> Result<String, String> {
        Ok(String::new())
    }

    fn for_kafka(&self) -> Option<Cluster> {
        None
    }
}

pub(in crate::commands) struct Ended {
    pub(in crate::commands) result: Result<Outcome, Problem>,
    out: String,
    err: String,
}

/// What happens after a while.
#[derive(Clone, Copy)]
enum Event {
    CtrlC,
    Breaks,
}

fn verify_until(fake: &Fake, flags: &[&str], event: Option<(u64, Event)>) -> Ended {
    let line = [&["x", "verify", "autoscaling"], flags].concat();
    let cli = Cli::try_parse_from(line).expect("good flags");
    let Verb::Verify(Verify {
        what: Subject::Autoscaling(args),
    }) = cli.verb
    else {
        panic!("another verb")
    };
    let (printer, out, err) = captured();
    let result = fake.run(async |cluster| {
        let (tell, hears) = Stop::by_hand();
        let controller = tokio::spawn(control(fake.clone()));
        let breaks = fake.clone();
        let stopper = tokio::spawn(async move {
            if let Some((after, event)) = event {
                sleep(Duration::from_secs(after)).await;
                match event {
                    Event::CtrlC => drop(tell.send_replace(Some(Why::Asked))),
                    Event::Breaks => breaks.answer(PROXY, 500, json!({ "error": "too much" })),
                }
            }
            // Held, so that nobody hears that nobody can stop it.
            std::future::pending::<()>().await;
            drop(tell);
        });
        let ended = run_until(cluster, &Nowhere, &args, hears, &printer).await;
        controller.abort();
        stopper.abort();
        ended
    });
    Ended {
        result,
        out: out.text(),
        err: err.text(),
    }
}

pub(in crate::commands) fn verify(fake: &Fake, flags: &[&str]) -> Ended {
    verify_until(fake, flags, None)
}

fn sent(fake: &Fake) -> usize {
    fake.asked().iter().filter(|request| request.ends_with(PROXY)).count()
}

#[test]
fn without_consent_it_only_looks() {
    let fake = sound();
    let ended = verify(&fake, &[]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let out = &ended.out;
    assert!(out.contains("√ It measures cpu of container app 5 %/70 %\n"), "{out}");
    assert!(
        out.contains(
            "Nothing was sent. With --load: up to 50 a second of GET / to Service cart, port 80 for at most 5m"
        ),
        "{out}"
    );
    assert_eq!(sent(&fake), 0);
    fake.change(
        &service_path("cart"),
        &json!({ "spec": { "template": { "spec": { "containers": [{ "name": "app" }] } } } }),
    );
    let ended = verify(&fake, &["cart"]);
    assert_eq!(ended.result, Ok(Outcome::Bad));
    assert!(
        ended.out.contains("× Container app ends at once when told to"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("× No readiness probe: app"), "{}", ended.out);
}

#[test]
fn an_autoscaler_that_moves_keeps_its_promises() {
    let fake = sound();
    let ended = verify(&fake, &["cart", "--load"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}\n{}", ended.out, ended.err);
    let out = &ended.out;
    assert!(
        out.contains("√ More pods are wanted under load: 3 wanted instead of 1"),
        "{out}"
    );
    assert!(out.contains("√ 7 of 7 promises kept, none broken"), "{out}");
    assert!(out.contains("wanted     ▃"), "the chart: {out}");
    assert_eq!(fake.writes(), Vec::<String>::new(), "it writes nothing");
    let sent = sent(&fake);
    assert!((1000..6000).contains(&sent), "{sent}");
}

#[test]
fn the_report_for_programs_has_every_promise_and_look() {
    let fake = sound();
    let ended = verify(&fake, &["cart", "--load", "--no-scale-down", "-o=json", "--hold=20s"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).expect("JSON");
    let ids: Vec<&str> = report["promises"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| p["id"].as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "scales-up",
            "first-replica-soon",
            "none-failed-scaling-up",
            "steady",
            "none-failed-scaling-down",
            "scales-down",
            "only-the-autoscaler"
        ]
    );
    assert_eq!(report["promises"][5]["verdict"], "not-tested");
    assert_eq!(report["scaling"]["most"], 3);
    assert_eq!(report["requests"]["failed"], 0);
    assert!(report["timeline"].as_array().is_some_and(|looks| looks.len() > 20));
}

#[test]
fn load_ends_at_once_when_somebody_asks() {
    let fake = sound();
    let ended = verify_until(&fake, &["cart", "--load"], Some((40, Event::CtrlC)));
    assert_eq!(ended.result, Ok(Outcome::Interrupted));
    assert!(ended.err.contains("‼ No load is sent any more"), "{}", ended.err);
    assert!(
        ended.err.contains(
            "3 pods now, 1 before: the autoscaler takes them away by itself, when they were not wanted for 30s."
        ),
        "{}",
        ended.err
    );
    let sent = sent(&fake);
    assert!(sent < 40 * 50, "{sent}");
}

#[test]
fn a_service_that_fails_ends_the_load() {
    let fake = sound();
    let ended = verify_until(
        &fake,
        &["cart", "--load", "--max-errors=10%"],
        Some((12, Event::Breaks)),
    );
    assert_eq!(ended.result, Ok(Outcome::Bad), "{}", ended.err);
    assert!(ended.err.contains("× The load has ended: "), "{}", ended.err);
    assert!(ended.out.contains("× No request fails under load"), "{}", ended.out);
    assert!(ended.out.contains("500 {\"error\":\"too much\"}"), "{}", ended.out);
}

#[test]
fn what_makes_a_run_useless_is_named_before_anything_is_sent() {
    type Change = fn(&Fake);
    let cases: [(&str, &[&str], Change, &str); 12] = [
        (
            "unknown",
            &["nobody"],
            |_| {},
            "There is no Deployment nobody in namespace shop.",
        ),
        (
            "none has one",
            &[],
            |fake| fake.remove(HPA),
            "No Deployment in namespace shop has a HorizontalPodAutoscaler.",
        ),
        (
            "it has none",
            &["cart"],
            |fake| fake.remove(HPA),
            "Deployment shop/cart has no HorizontalPodAutoscaler.",
        ),
        (
            "min = max",
            &[],
            |fake| fake.change(HPA, &json!({ "spec": { "minReplicas": 3 } })),
            "can never move: at least 3, at most 3 pods.",
        ),
        (
            "min > max",
            &[],
            |fake| fake.change(HPA, &json!({ "spec": { "minReplicas": 9 } })),
            "can never move: at least 9, at most 3 pods.",
        ),
        (
            "no metrics API",
            &[],
            |fake| {
                fake.answer("/apis/metrics.k8s.io/v1beta1", 404, json!("404 page not found"));
                fake.change(HPA, &json!({ "status": { "currentMetrics": [] } }));
            },
            "wants cpu of container app, and nobody in this cluster serves metrics.k8s.io/v1beta1.",
        ),
        (
            "no figures",
            &[],
            |fake| fake.change(HPA, &json!({ "status": { "currentMetrics": [] } })),
            "has no figures for cpu of container app yet.",
        ),
        (
            "a condition says why",
            &[],
            |fake| {
                let condition = json!([{ "type": "ScalingActive", "status": "False", "message": "missing request for cpu in container daprd" }]);
                fake.change(HPA, &json!({ "status": { "conditions": condition } }));
            },
            "missing request for cpu in container daprd",
        ),
        (
            "two of them",
            &["cart"],
            |fake| {
                let mut other = fake.get(HPA).expect("one");
                other["metadata"]["name"] = json!("other");
                fake.put(&HPA.replace("/cart", "/other"), other);
            },
            "2 HorizontalPodAutoscalers scale Deployment shop/cart: cart, other.",
        ),
        (
            "nothing runs",
            &[],
            |fake| fake.change(&service_path("cart"), &json!({ "spec": { "replicas": 0 } })),
            "is scaled to no pod at all",
        ),
        (
            "no Service",
            &[],
            |fake| fake.remove("/api/v1/namespaces/shop/services/cart"),
            "No Service in namespace shop leads to the pods of Deployment cart",
        ),
        (
            "no such port",
            &["--port=grpc"],
            |_| {},
            "Service cart has no port grpc.",
        ),
    ];
    for (name, flags, change, expected) in cases {
        let fake = sound();
        change(&fake);
        for load in [&[][..], &["--load"]] {
            let ended = verify(&fake, &[flags, load].concat());
            let problem = ended.result.expect_err(name);
            assert!(problem.what.contains(expected), "{name}: {problem}");
            assert!(problem.next.is_some(), "{name}");
        }
        assert_eq!(sent(&fake), 0, "{name}");
    }
    // Only with load.
    let fake = sound();
    fake.change(&service_path("cart"), &json!({ "spec": { "replicas": 3 } }));
    assert!(
        verify(&fake, &["--load"])
            .result
            .is_err_and(|problem| problem.what.starts_with("It runs 3 pods, its maximum"))
    );
    let fake = sound();
    fake.answer(PROXY, 404, json!("no such page"));
    let problem = verify(&fake, &["--load"]).result.expect_err("404");
    assert!(problem.what.starts_with("It does not work as it is (404"), "{problem}");
    assert!(problem.next.is_some_and(|next| next.contains("--path")));
}
