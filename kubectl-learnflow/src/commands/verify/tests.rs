//! A cluster with a Kafka that can be scaled, and a sidecar that follows it: what the tests of the rooms share.

use super::{
    experiment::Lines,
    publish::Wire,
    stop::{Stop, Why},
    *,
};
use crate::{
    cli::{Cli, Subject, Verb, Verify},
    cluster::fake::Fake,
    outage::{BROKEN, NOTE},
    printer::tests::captured,
};
use clap::Parser;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(super) const KAFKA: &str = "/apis/apps/v1/namespaces/kafka/statefulsets/kafka";

pub(super) fn note_path() -> String {
    format!("/api/v1/namespaces/shop/configmaps/{NOTE}")
}

/// A cluster with a Kafka of one pod, and a service `cart` that publishes.
pub(in crate::commands) fn sound() -> Fake {
    let fake = Fake::sound();
    fake.put(
        "/api/v1/namespaces/kafka/services/kafka",
        json!({ "metadata": { "name": "kafka" }, "spec": { "selector": { "app": "kafka" } } }),
    );
    fake.put(
        KAFKA,
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "kafka", "namespace": "kafka" },
            "spec": { "replicas": 1, "serviceName": "kafka", "selector": { "matchLabels": { "app": "kafka" } },
                "template": { "metadata": { "labels": { "app": "kafka" } } },
                "volumeClaimTemplates": [{ "metadata": { "name": "data" } }] },
            "status": { "replicas": 1, "readyReplicas": 1 },
        }),
    );
    fake.answer(
        "/api/v1/namespaces/shop/pods",
        200,
        json!({ "metadata": {}, "items": [{ "metadata": { "name": "cart-1", "labels": { "dapr.io/app-id": "cart" } } }] }),
    );
    fake
}

/// A sidecar that follows the fake Kafka: it accepts when that is there, and as it is told when it is not.
#[derive(Clone)]
pub(super) struct Sidecar {
    pub(super) fake: Fake,
    pub(super) waits: bool,
}

impl Sidecar {
    pub(super) fn is_up(&self) -> bool {
        self.fake.get(KAFKA).is_some_and(|kafka| kafka["spec"]["replicas"] != 0)
    }
}

impl Wire for Sidecar {
    fn takes_more(&self) -> bool {
        true
    }

    async fn post(&self, _: &str, _: String) -> Result<(u16, String), String> {
        sleep(Duration::from_millis(5)).await;
        while !self.is_up() {
            if !self.waits {
                return Ok((500, "circuit breaker is open".into()));
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok((204, String::new()))
    }
}

impl Lines for Sidecar {
    type Wire = Self;

    async fn open_line(&self, _: &str) -> Result<Self, Problem> {
        Ok(self.clone())
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
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn arguments(flags: &[&str]) -> Resilience {
    let line = [&["x", "verify", "resilience", "--service=cart"], flags].concat();
    match Cli::try_parse_from(line).expect("good flags").verb {
        Verb::Verify(Verify {
            what: Subject::Resilience(args),
        }) => *args,
        _ => panic!("another verb"),
    }
}

/// Runs it with these flags; `stop`: after so long, and why.
pub(super) fn verify_until(fake: &Fake, waits: bool, flags: &[&str], stop: Option<(Duration, Why)>) -> Ended {
    let args = arguments(flags);
    let (printer, out, err) = captured();
    let result = fake.run(async |cluster| {
        let sidecar = Sidecar {
            fake: fake.clone(),
            waits,
        };
        let (tell, hears) = Stop::by_hand();
        let stopper = tokio::spawn(async move {
            if let Some((after, why)) = stop {
                sleep(after).await;
                tell.send_replace(Some(why));
            }
            // Held, so that nobody hears that nobody can stop it.
            std::future::pending::<()>().await;
            drop(tell);
        });
        let began = Instant::now();
        let mode = args.mode()?;
        let ended = run_until(cluster, &sidecar, &args, mode, hears, &printer).await;
        assert!(began.elapsed() < Duration::from_secs(900), "it has an end");
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
    verify_until(fake, true, flags, None)
}

/// Nothing of an experiment is left.
#[track_caller]
pub(super) fn is_whole(fake: &Fake) {
    let kafka = fake.get(KAFKA).expect("Kafka");
    assert_eq!(kafka["spec"]["replicas"], 1, "{kafka}");
    assert!(kafka["metadata"]["annotations"][BROKEN].is_null(), "{kafka}");
    assert_eq!(fake.get(&note_path()), None);
}
