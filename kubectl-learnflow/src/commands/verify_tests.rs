use super::{
    publish::Wire,
    stop::{Stop, Why},
    *,
};
use crate::{
    cli::{Cli, Verb},
    cluster::fake::Fake,
    objects::ObjectRef,
    outage::{BROKEN, NOTE},
    printer::tests::captured,
};
use clap::Parser;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const KAFKA: &str = "/apis/apps/v1/namespaces/kafka/statefulsets/kafka";

fn note_path() -> String {
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
struct Sidecar {
    fake: Fake,
    waits: bool,
}

impl Sidecar {
    fn is_up(&self) -> bool {
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
    out: String,
    err: String,
}

/// Runs it with these flags; `stop`: after so long, and why.
fn verify_until(fake: &Fake, waits: bool, flags: &[&str], stop: Option<(Duration, Why)>) -> Ended {
    let line = [&["x", "verify", "resilience", "--service=cart"], flags].concat();
    let cli = Cli::try_parse_from(line).expect("good flags");
    let Verb::Verify(Verify {
        what: Subject::Resilience(args),
    }) = cli.verb
    else {
        panic!("another verb")
    };
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
fn is_whole(fake: &Fake) {
    let kafka = fake.get(KAFKA).expect("Kafka");
    assert_eq!(kafka["spec"]["replicas"], 1, "{kafka}");
    assert!(kafka["metadata"]["annotations"][BROKEN].is_null(), "{kafka}");
    assert_eq!(fake.get(&note_path()), None);
}

#[test]
fn without_consent_nothing_is_written_and_what_would_be_is_said() {
    let fake = sound();
    let ended = verify(&fake, &[]);
    let problem = ended.result.expect_err("exit code 2");
    assert!(
        problem
            .what
            .starts_with("Nothing was done. This would take Kafka away for 15s"),
        "{problem}"
    );
    assert!(
        problem
            .what
            .contains("scale StatefulSet kafka/kafka from 1 to 0 and back"),
        "{problem}"
    );
    assert!(
        problem
            .next
            .is_some_and(|next| next.contains("--disrupt") && next.contains("--no-disrupt"))
    );
    assert_eq!(fake.writes(), Vec::<String>::new());
}

#[test]
fn an_outage_that_the_policies_bridge_is_good_and_leaves_nothing() {
    let fake = sound();
    let ended = verify(&fake, &["--disrupt"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(ended.out.contains("√ No publish is refused"), "{}", ended.out);
    assert!(ended.out.contains("accepted, delivery not checked"), "{}", ended.out);
    let writes = fake.writes();
    let expected = [
        "POST /api/v1/namespaces/shop/configmaps".to_owned(),
        format!("PATCH {KAFKA}"),
        format!("PATCH {KAFKA}"),
        format!("DELETE {}", note_path()),
    ];
    assert_eq!(writes, expected, "the note comes first and goes last");
    is_whole(&fake);
}

#[test]
fn a_policy_that_refuses_is_bad_and_the_promise_is_named() {
    let fake = sound();
    let ended = verify_until(&fake, false, &["--disrupt"], None);
    assert_eq!(ended.result, Ok(Outcome::Bad), "{}", ended.err);
    assert!(
        ended
            .out
            .contains("× No publish is refused in an outage of up to 30 s:"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("with 500: circuit breaker is open"), "{}", ended.out);
    is_whole(&fake);
    let ended = verify_until(&fake, false, &["--disrupt", "--output=json"], None);
    let report: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!(report["promises"][0]["verdict"], "broken");
    assert_eq!(report["promises"][1]["verdict"], "not-tested");
}

#[test]
fn whenever_somebody_stops_it_kafka_is_put_back() {
    // Not in step with what it waits for.
    for moment in 0..60 {
        let fake = sound();
        let after = Duration::from_millis(610) * moment;
        let ended = verify_until(&fake, true, &["--disrupt"], Some((after, Why::Asked)));
        let done = ended.result == Ok(Outcome::Good);
        assert!(
            done || ended.result == Ok(Outcome::Interrupted),
            "{after:?}: {:?}",
            ended.result
        );
        is_whole(&fake);
    }
}

#[test]
fn what_takes_too_long_is_put_back_too() {
    let fake = sound();
    let ended = verify_until(&fake, true, &["--disrupt"], Some((Duration::from_secs(8), Why::Late)));
    assert!(
        ended
            .result
            .is_err_and(|problem| problem.what.contains("--max-duration"))
    );
    assert!(
        ended.err.contains("StatefulSet kafka/kafka is scaled to 1 again"),
        "{}",
        ended.err
    );
    is_whole(&fake);
}

#[test]
fn a_break_that_fails_is_put_back() {
    let fake = sound();
    fake.fail(KAFKA, 1, 500);
    let ended = verify(&fake, &["--disrupt"]);
    assert!(ended.result.is_err(), "{}", ended.err);
    is_whole(&fake);
}

#[test]
fn a_server_that_is_away_when_kafka_must_come_back_is_waited_for() {
    let fake = sound();
    // The first write is the break.
    let later = fake.clone();
    let line = ["x", "verify", "resilience", "--service=cart", "--disrupt"];
    let cli = Cli::try_parse_from(line).expect("good flags");
    let Verb::Verify(Verify {
        what: Subject::Resilience(args),
    }) = cli.verb
    else {
        panic!("another verb")
    };
    let (printer, _, err) = captured();
    let result = fake.run(async |cluster| {
        let sidecar = Sidecar {
            fake: later.clone(),
            waits: true,
        };
        let (_tell, hears) = Stop::by_hand();
        let trouble = tokio::spawn(async move {
            while sidecar_is_up(&later) {
                sleep(Duration::from_millis(50)).await;
            }
            later.fail(KAFKA, 20, 500);
        });
        let ended = run_until(cluster, &sidecar, &args, args.mode()?, hears, &printer).await;
        trouble.abort();
        ended
    });
    assert_eq!(result, Ok(Outcome::Good), "{}", err.text());
    is_whole(&fake);
}

fn sidecar_is_up(fake: &Fake) -> bool {
    Sidecar {
        fake: fake.clone(),
        waits: true,
    }
    .is_up()
}

#[test]
fn when_it_cannot_be_put_back_a_person_is_told_how_and_the_note_stays() {
    let fake = sound();
    let later = fake.clone();
    let ended = verify_until(&fake, true, &["--disrupt", "--outage=20s"], None);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    // As a killed run leaves it.
    left_behind(&later);
    later.fail(KAFKA, u32::MAX, 500);
    let ended = verify(&later, &["--restore"]);
    let problem = ended.result.expect_err("exit code 2");
    assert!(
        problem
            .what
            .starts_with("KAFKA IS STILL AWAY: StatefulSet kafka/kafka was scaled from 1 to 0"),
        "{problem}"
    );
    let by_hand = "Bring it back by hand: kubectl -n kafka scale statefulset/kafka --replicas=1";
    assert_eq!(problem.next.as_deref(), Some(by_hand));
    assert!(later.get(&note_path()).is_some());
}

/// What is there when the plugin was killed in the middle.
fn left_behind(fake: &Fake) {
    let note = crate::outage::Note {
        run: "ab".into(),
        began: "2026-01-01T00:00:00Z".into(),
        by: "eve".into(),
        fault: Fault::Scale {
            object: outage::workload("StatefulSet", "kafka", "kafka"),
            replicas: 1,
        },
    };
    fake.put(
        &note_path(),
        json!({ "metadata": { "name": NOTE }, "data": note.data() }),
    );
    fake.change(KAFKA, &outage::away(&note));
}

#[test]
fn what_a_killed_run_has_left_is_told_and_restored() {
    let fake = sound();
    left_behind(&fake);
    let before = fake.writes();
    for flags in [&[][..], &["--disrupt"]] {
        let problem = verify(&fake, flags).result.expect_err("exit code 2");
        assert!(
            problem
                .what
                .contains("has not been undone: StatefulSet kafka/kafka was scaled from 1 to 0"),
            "{problem}"
        );
        assert!(
            problem
                .next
                .is_some_and(|next| next.contains("verify resilience --restore -n shop"))
        );
    }
    let ended = verify(&fake, &["--no-disrupt"]);
    assert!(ended.err.contains("has not been undone"), "{}", ended.err);
    assert_eq!(fake.writes(), before);
    let ended = verify(&fake, &["--restore"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    is_whole(&fake);
    let ended = verify(&fake, &["--restore"]);
    assert_eq!(ended.result, Ok(Outcome::Good));
    assert!(ended.err.contains("Nothing is broken"), "{}", ended.err);
}

#[test]
fn what_somebody_has_set_meanwhile_stays() {
    let fake = sound();
    left_behind(&fake);
    fake.change(KAFKA, &json!({ "spec": { "replicas": 3 } }));
    assert_eq!(verify(&fake, &["--restore"]).result, Ok(Outcome::Good));
    let kafka = fake.get(KAFKA).expect("Kafka");
    assert_eq!(kafka["spec"]["replicas"], 3);
    assert!(kafka["metadata"]["annotations"][BROKEN].is_null());
    assert_eq!(fake.get(&note_path()), None);
}

#[test]
fn a_workload_that_is_gone_cannot_hold_the_note() {
    let fake = sound();
    left_behind(&fake);
    fake.remove(KAFKA);
    let ended = verify(&fake, &["--restore"]);
    assert!(ended.result.is_ok(), "{:?}", ended.result);
    assert!(
        ended.err.contains("There is no StatefulSet kafka/kafka"),
        "{}",
        ended.err
    );
    assert_eq!(fake.get(&note_path()), None);
}

#[test]
fn who_must_not_be_taken_away_is_refused_before_anything_is_written() {
    let autoscaler = json!({ "metadata": { "name": "h" }, "spec": { "maxReplicas": 3,
        "scaleTargetRef": { "kind": "StatefulSet", "name": "kafka" } } });
    let budget = json!({ "metadata": { "name": "p" }, "spec": { "selector": { "matchLabels": { "app": "kafka" } } } });
    let owned = json!({ "metadata": { "ownerReferences": [{ "kind": "Kafka", "name": "main", "controller": true }] } });
    type Change<'a> = &'a dyn Fn(&Fake);
    let cases: [(&str, Change<'_>); 5] = [
        ("HorizontalPodAutoscaler h decides", &|fake| {
            fake.put(
                "/apis/autoscaling/v2/namespaces/kafka/horizontalpodautoscalers/h",
                autoscaler.clone(),
            );
        }),
        ("PodDisruptionBudget p says", &|fake| {
            fake.put(
                "/apis/policy/v1/namespaces/kafka/poddisruptionbudgets/p",
                budget.clone(),
            );
        }),
        ("Kafka main owns it", &|fake| fake.change(KAFKA, &owned)),
        ("No StatefulSet or Deployment has the pods", &|fake| fake.remove(KAFKA)),
        ("are no Service of this cluster", &|fake| {
            fake.remove("/api/v1/namespaces/kafka/services/kafka")
        }),
    ];
    for (why, change) in cases {
        let fake = sound();
        change(&fake);
        let problem = verify(&fake, &["--disrupt"]).result.expect_err(why);
        assert!(problem.what.contains(why), "{why}: {problem}");
        assert!(problem.next.is_some(), "{why}: and then?");
        assert_eq!(fake.writes(), Vec::<String>::new(), "{why}");
    }
}

#[test]
fn a_permission_that_is_missing_is_named_before_anything_breaks() {
    for missing in ["patch statefulsets", "create configmaps", "delete configmaps"] {
        let fake = sound();
        fake.refuse(missing);
        let ended = verify(&fake, &["--disrupt"]);
        assert!(ended.result.is_err(), "{missing}");
        assert!(ended.err.contains(missing), "{missing}: {}", ended.err);
        assert_eq!(fake.writes(), Vec::<String>::new(), "{missing}");
    }
}

#[test]
fn a_kafka_that_is_not_well_is_not_broken_further() {
    let fake = sound();
    fake.change(KAFKA, &json!({ "status": { "readyReplicas": 0 } }));
    let problem = verify(&fake, &["--disrupt"]).result.expect_err("exit code 2");
    assert!(problem.what.contains("down already"), "{problem}");
    assert_eq!(fake.writes(), Vec::<String>::new());
}

#[test]
fn commands_are_run_and_undone_and_never_taken_from_the_cluster() {
    let folder = std::env::temp_dir().join(format!("learnflow-verify-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("broken");
    let breaks = format!("touch {}", file.display());
    let restores = format!("rm {}", file.display());
    let fake = sound();
    let flags = ["--disrupt", "--break", &breaks, "--restore", &restores, "--outage=1s"];
    let ended = verify(&fake, &flags);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert!(!file.exists());
    assert_eq!(fake.get(&note_path()), None);

    // Broken half way: what restores it is run all the same.
    let fails = format!("{breaks}; echo no way >&2; exit 3");
    let ended = verify(&fake, &["--disrupt", "--break", &fails, "--restore", &restores]);
    let problem = ended.result.expect_err("exit code 2");
    assert!(
        problem.what.contains("--break ended with exit status: 3 (no way)"),
        "{problem}"
    );
    assert!(!file.exists());

    // The note of a killed run names the command, and does not run it.
    let note = crate::outage::Note {
        run: "ab".into(),
        began: "2026-01-01T00:00:00Z".into(),
        by: "eve".into(),
        fault: Fault::Commands {
            breaks: "x".into(),
            restores: breaks.clone(),
        },
    };
    fake.put(
        &note_path(),
        json!({ "metadata": { "name": NOTE }, "data": note.data() }),
    );
    let problem = verify(&fake, &["--restore"]).result.expect_err("exit code 2");
    assert!(problem.next.is_some_and(|next| next.contains(&breaks)));
    assert!(!file.exists());
    let ended = verify(&fake, &["--restore", "true"]);
    assert_eq!(ended.result, Ok(Outcome::Good), "{}", ended.err);
    assert_eq!(fake.get(&note_path()), None);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn two_runs_never_meet() {
    let fake = sound();
    let other = ObjectRef::deployment("shop", "x");
    let note = |run: &str| crate::outage::Note {
        run: run.into(),
        began: "now".into(),
        by: "eve".into(),
        fault: Fault::Scale {
            object: other.clone(),
            replicas: 2,
        },
    };
    fake.run(async |cluster| {
        assert_eq!(cluster.leave_note(&note("a")).await, Ok(()));
        assert_eq!(cluster.leave_note(&note("a")).await, Ok(()), "asked twice");
        assert!(cluster.leave_note(&note("b")).await.is_err());
    });
}
