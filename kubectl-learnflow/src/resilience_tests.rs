use super::*;
use crate::{
    assets,
    enrolment::Enrolments,
    model::{Rollout, Setting},
};
use std::slice;

fn service(id: &str) -> Service {
    Service {
        name: id.into(),
        app_id: Some(id.into()),
        ..Service::default()
    }
}

fn enrolled(id: &str) -> Service {
    let ours = |value: &str| {
        Some(Setting {
            value: value.into(),
            owners: vec![crate::objects::MANAGER.into()],
        })
    };
    Service {
        enrolled: true,
        config: ours("learnflow-1"),
        mounts: ours("learnflow-wasm:/learnflow"),
        guest: Some("learnflow-wasm-1".into()),
        revision: Some("1".into()),
        rollout: Rollout {
            observed: true,
            ..Rollout::default()
        },
        ..service(id)
    }
}

fn decided(facts: &Facts, services: &[Service], polices: bool) -> Plan {
    let mut plan = Plan::new("shop", &BTreeSet::new()).expect("a plan");
    plan.polices = polices;
    decide(&mut plan, facts, &["kafka-pubsub".into()], services).expect("a decision");
    plan
}

fn scopes(plan: &Plan) -> Value {
    plan.resiliency
        .as_ref()
        .map_or(Value::Null, |object| object.value()["scopes"].clone())
}

/// What the manifest says in its comments, computed.
#[test]
fn the_numbers_are_those_of_the_budget() {
    const OUTAGE: u64 = 30;
    /// What the Kafka client takes to notice that it is over, as measured.
    const NOTICE: u64 = 10;
    const RATE: u64 = 50;
    const EVERY: u64 = 5;
    let manifest = only("resilience/resiliency.yaml").expect("the manifest");
    let policies = &manifest.value()["spec"]["policies"];
    let publish = &policies["retries"]["learnflow-publish"];
    assert_eq!(publish["duration"], format!("{EVERY}s"));
    let retries = publish["maxRetries"].as_u64().expect("a bound");
    assert!(retries * EVERY >= OUTAGE + NOTICE, "a call gives up too early");
    let timeout = policies["timeouts"]["learnflow-publish"].as_str().expect("a timeout");
    let timeout: u64 = timeout.trim_end_matches('s').parse().expect(timeout);
    assert!(timeout >= OUTAGE + NOTICE, "an attempt is given up within the budget");
    let breaker = &policies["circuitBreakers"]["learnflow-publish"];
    let trip = breaker["trip"].as_str().expect("a condition");
    let limit = trip.strip_prefix("requests - totalSuccesses - totalFailures + consecutiveFailures / 5 > ");
    let limit: u64 = limit.expect(trip).parse().expect(trip);
    // Whatever number of attempts the client fails in a second, which the partitions of the topics decide.
    for fails in [10, 20, 50, 100, 200, 300, 500, 1000] {
        let opens = opens_after(RATE, fails, EVERY, limit);
        assert!(
            opens > 39.0 && opens < 50.0,
            "{fails} failures/s: it opens after {opens} s"
        );
    }
    assert_eq!(breaker["timeout"], "5s");
    let deliver = &policies["retries"]["learnflow-deliver"];
    assert!(
        deliver["maxRetries"].as_i64().is_some_and(|retries| retries > 0),
        "without end"
    );
}

/// Calls queue in the client, fail one after the other, and queue again after the pause. In steps of a tenth of a second.
fn opens_after(rate: u64, fails: u64, pause: u64, limit: u64) -> f64 {
    let (mut under_way, mut failed) = (0, 0);
    let mut pausing = std::collections::VecDeque::from(vec![0; usize::try_from(pause * 10).expect("small")]);
    for step in 1_u32..1_000 {
        under_way += rate / 10 + pausing.pop_front().unwrap_or(0);
        let now = under_way.min(fails / 10);
        under_way -= now;
        failed += now;
        pausing.push_back(now);
        if under_way + failed / 5 > limit {
            return f64::from(step) / 10.0;
        }
    }
    f64::INFINITY
}

#[test]
fn every_policy_that_a_target_names_is_there() {
    let manifest = only("resilience/resiliency.yaml").expect("the manifest");
    let spec = &manifest.value()["spec"];
    for direction in ["outbound", "inbound"] {
        let target = &spec["targets"]["components"][COMPONENT][direction];
        for (key, list) in [
            ("retry", "retries"),
            ("circuitBreaker", "circuitBreakers"),
            ("timeout", "timeouts"),
        ] {
            if let Some(name) = target[key].as_str() {
                assert!(!spec["policies"][list][name].is_null(), "{direction} {key}: {name}");
                // Dapr merges by name: another Resiliency must not replace ours by chance.
                assert!(name.starts_with("learnflow-"), "{name}");
            }
        }
    }
    // One breaker serves a component in both directions.
    assert!(spec["targets"]["components"][COMPONENT]["inbound"]["circuitBreaker"].is_null());
    assert!(assets::folder("resilience").is_ok_and(|objects| objects.len() == 1));
}

#[test]
fn it_is_for_the_services_and_their_components_only() {
    let facts = Facts {
        kafka: vec!["orders".into(), "events".into()],
        services: vec![service("a"), enrolled("b"), service("c")],
        ..Facts::default()
    };
    let mut plan = Plan::new("shop", &BTreeSet::new()).expect("a plan");
    decide(&mut plan, &facts, &components(None, &facts), &[service("a")]).expect("a decision");
    assert_eq!(scopes(&plan), json!(["a", "b"]), "c is not enrolled and not meant");
    let resiliency = plan.resiliency.expect("a Resiliency");
    let targets = resiliency.value()["spec"]["targets"]["components"].as_object();
    let targets: Vec<&String> = targets.into_iter().flatten().map(|(name, _)| name).collect();
    assert_eq!(targets, ["events", "orders"]);
    assert_eq!(components(Some("named"), &facts), ["named"]);
    assert_eq!(
        scopes(&decided(&Facts::default(), &[], true)),
        Value::Null,
        "no scope would be everybody"
    );
}

#[test]
fn who_may_still_reload_does_not_come_into_the_scope() {
    let mut restless = enrolled("b");
    restless.rollout.desired = 2;
    let with = |there: Vec<Resiliency>| Facts {
        services: vec![service("a"), restless.clone()],
        resiliencies: there,
        ..Facts::default()
    };
    assert_eq!(scopes(&decided(&with(vec![]), &[service("a")], true)), json!(["a"]));
    let had = Resiliency {
        name: "learnflow".into(),
        ours: true,
        scopes: vec!["b".into()],
        ..Resiliency::default()
    };
    assert_eq!(
        scopes(&decided(&with(vec![had]), &[service("a")], true)),
        json!(["a", "b"])
    );
}

#[test]
fn what_is_there_stays_when_it_is_not_meant() {
    let there = Resiliency {
        name: "learnflow".into(),
        ours: true,
        scopes: vec!["a".into()],
        spec: json!({ "policies": "old" }),
    };
    let facts = Facts {
        resiliencies: vec![there],
        ..Facts::default()
    };
    let plan = decided(&facts, &[service("a")], false);
    assert_eq!(
        plan.resiliency.as_ref().map(|object| object.value()["spec"].clone()),
        Some(json!({ "policies": "old" }))
    );
    let enrolments = Enrolments::new(&plan, &[service("a")], &[], true);
    assert!(enrolments.resiliency.is_none(), "not to be applied");
    assert!(!enrolments.objects().iter().any(|object| object.kind() == "Resiliency"));
    let other = decided(&Facts::default(), &[service("a")], false);
    let without = Enrolments::new(&other, &[service("a")], &[], true);
    assert_ne!(
        without.entries[0].enrolment.revision,
        enrolments.entries[0].enrolment.revision
    );
}

/// The scope is no part of what makes pods roll: one service more is nothing to the others.
#[test]
fn a_revision_is_of_the_policies_and_only_for_whom_they_are() {
    let facts = Facts::default();
    let revision = |services: &[Service], polices: bool| {
        let plan = decided(&facts, services, polices);
        let enrolments = Enrolments::new(&plan, services, &[], true);
        enrolments.entries[0].enrolment.revision.clone()
    };
    let alone = revision(&[service("a")], true);
    assert_eq!(alone, revision(&[service("a"), service("b")], true));
    assert_ne!(alone, revision(&[service("a")], false));
}

#[test]
fn who_is_enrolled_rolls_once_and_others_twice() {
    let facts = Facts::default();
    let entry = |service: &Service, quiet: bool| {
        let plan = decided(&facts, slice::from_ref(service), true);
        Enrolments::new(&plan, slice::from_ref(service), &[], quiet)
            .entries
            .remove(0)
    };
    let new = entry(&service("a"), true);
    assert!(new.reloads());
    assert_ne!(new.plainly().enrolment.revision, new.enrolment.revision);
    assert!(!entry(&enrolled("a"), true).reloads());
    assert!(
        !entry(&service("a"), false).reloads(),
        "Dapr before 1.18 announces nothing"
    );
}

#[test]
fn who_is_enrolled_by_name_comes_into_the_scope_of_what_is_there() {
    let mut facts = Facts::default();
    let mut plan = Plan::new("shop", &BTreeSet::new()).expect("a plan");
    assert!(extend(&mut plan, &facts, &[service("a")]).is_empty());
    assert!(!plan.polices && plan.resiliency.is_none(), "not brought by the way");
    let spec = json!({ "targets": { "components": { "orders": { "outbound": {} } } } });
    facts.resiliencies = vec![
        Resiliency {
            name: "learnflow".into(),
            ours: true,
            scopes: vec!["z".into()],
            spec: spec.clone(),
        },
        Resiliency {
            name: "theirs".into(),
            scopes: vec!["b".into()],
            spec: spec.clone(),
            ..Resiliency::default()
        },
    ];
    let said = extend(&mut plan, &facts, &[service("a"), service("b")]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(scopes(&plan), json!(["z", "a"]));
    assert_eq!(plan.resiliency.map(|object| object.value()["spec"].clone()), Some(spec));
}

#[test]
fn who_leaves_is_taken_out_of_the_scope_and_the_last_takes_it_along() {
    let there = Resiliency {
        name: "learnflow".into(),
        ours: true,
        scopes: vec!["a".into(), "b".into()],
        spec: json!({ "policies": "as they are" }),
    };
    let rest = rescoped("shop", &there, &BTreeSet::from(["a"])).expect("one is left");
    assert_eq!(rest.value()["scopes"], json!(["b"]));
    assert_eq!(rest.value()["spec"], there.spec);
    assert!(rescoped("shop", &there, &BTreeSet::from(["a", "b"])).is_none());
}
