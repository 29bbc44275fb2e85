use super::super::tests::{KAFKA, Sidecar, arguments, is_whole, note_path, sound, verify, verify_until};
use super::super::{run_until, stop::Stop};
use crate::{
    cluster::fake::Fake,
    model::Outcome,
    objects::ObjectRef,
    outage::{self, BROKEN, Fault, NOTE},
    printer::tests::captured,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

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
    let args = arguments(&["--disrupt"]);
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
