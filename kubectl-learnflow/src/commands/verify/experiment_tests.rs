use super::super::tests::{is_whole, note_path, sound, verify, verify_until};
use super::super::{stop::Why, tests::KAFKA};
use crate::{cluster::fake::Fake, model::Outcome};
use serde_json::json;
use std::time::Duration;

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
