use super::*;

fn kafka() -> ObjectRef {
    workload("StatefulSet", "kafka", "kafka")
}

fn sound() -> Value {
    json!({
        "metadata": {},
        "spec": { "replicas": 3, "volumeClaimTemplates": [{ "metadata": { "name": "data" } }], "template": { "spec": {} } },
        "status": { "readyReplicas": 3 },
    })
}

fn refusal(found: &Value, around: &Around) -> Option<String> {
    may_be_scaled(&kafka(), found, around, false).err().map(|problem| {
        assert!(problem.next.is_some(), "{problem}: and then?");
        problem.what
    })
}

#[test]
fn a_workload_of_its_own_with_lasting_data_may_be_scaled() {
    let fault = may_be_scaled(&kafka(), &sound(), &Around::default(), false);
    let expected = Fault::Scale {
        object: kafka(),
        replicas: 3,
    };
    assert_eq!(fault, Ok(expected.clone()));
    assert_eq!(
        expected.by_hand(),
        "kubectl -n kafka scale statefulset/kafka --replicas=3"
    );
}

#[test]
fn what_others_decide_about_is_left_alone() {
    let mut owned = sound();
    owned["metadata"]["ownerReferences"] = json!([{ "kind": "Kafka", "name": "main", "controller": true }]);
    assert_eq!(
        refusal(&owned, &Around::default()).as_deref(),
        Some("StatefulSet kafka/kafka is not taken away: Kafka main owns it and would put it back.")
    );
    let scaled = Around {
        scalers: vec![(
            "HorizontalPodAutoscaler".into(),
            "h".into(),
            "StatefulSet".into(),
            "kafka".into(),
        )],
        ..Around::default()
    };
    assert!(refusal(&sound(), &scaled).is_some_and(|what| what.contains("HorizontalPodAutoscaler h decides")));
    let of_another = Around {
        scalers: vec![(
            "HorizontalPodAutoscaler".into(),
            "h".into(),
            "Deployment".into(),
            "kafka".into(),
        )],
        ..Around::default()
    };
    assert_eq!(refusal(&sound(), &of_another), None);
    let kept = Around {
        budgets: vec!["at-least-two".into()],
        ..Around::default()
    };
    assert!(refusal(&sound(), &kept).is_some_and(|what| what.contains("PodDisruptionBudget at-least-two")));
}

#[test]
fn what_is_down_already_is_not_broken_further() {
    for (replicas, ready) in [(0, 0), (3, 2)] {
        let mut down = sound();
        down["spec"]["replicas"] = replicas.into();
        down["status"]["readyReplicas"] = ready.into();
        assert!(refusal(&down, &Around::default()).is_some_and(|what| what.contains("down already")));
    }
}

#[test]
fn data_that_would_be_gone_for_good_is_kept() {
    let mut forgets = sound();
    forgets["spec"]["volumeClaimTemplates"] = Value::Null;
    forgets["spec"]["template"]["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    assert!(refusal(&forgets, &Around::default()).is_some_and(|what| what.contains("gone for good")));
    assert!(may_be_scaled(&kafka(), &forgets, &Around::default(), true).is_ok());
    forgets["spec"]["template"]["spec"]["volumes"] = json!([{ "persistentVolumeClaim": { "claimName": "a" } }]);
    assert_eq!(refusal(&forgets, &Around::default()), None);
    let mut deletes = sound();
    deletes["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({ "whenScaled": "Delete" });
    assert!(refusal(&deletes, &Around::default()).is_some_and(|what| what.contains("volumes are deleted")));
}

#[test]
fn a_note_says_all_that_it_takes_to_undo() {
    let faults = [
        Fault::Scale {
            object: kafka(),
            replicas: 3,
        },
        Fault::Commands {
            breaks: "iptables -A x".into(),
            restores: "iptables -D x".into(),
        },
    ];
    for fault in faults {
        let note = Note {
            run: "ab".into(),
            began: "2026-01-01T00:00:00Z".into(),
            by: "eve".into(),
            fault,
        };
        assert_eq!(Note::read(&note.data()), Ok(note.clone()));
        assert!(note.sentence().contains("2026-01-01T00:00:00Z by eve"));
    }
}

#[test]
fn a_note_that_says_nothing_of_use_is_told() {
    let note = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Note::read(&pairs.collect())
    };
    assert!(note(&[]).is_err());
    assert!(
        note(&[("kind", "StatefulSet"), ("name", "kafka")]).is_err(),
        "back to how many?"
    );
    assert!(note(&[("kind", "StatefulSet"), ("name", "kafka"), ("replicas", "-1")]).is_err());
    assert!(note(&[("kind", "DaemonSet"), ("name", "kafka"), ("replicas", "1")]).is_err());
}

#[test]
fn a_brokers_address_leads_to_a_service() {
    let of = |broker: &str| service_of(broker, "shop").map(|(namespace, name)| format!("{namespace}/{name}"));
    for (broker, service) in [
        ("kafka:9092", Some("shop/kafka")),
        ("kafka.infra:9092", Some("infra/kafka")),
        (" kafka.infra.svc:9092", Some("infra/kafka")),
        ("kafka.infra.svc.cluster.local:9092", Some("infra/kafka")),
        ("kafka-0.brokers.infra.svc.cluster.local:9092", Some("infra/brokers")),
        ("kafka-0.brokers.infra:9092", Some("infra/brokers")),
        ("10.0.0.1:9092", None),
        ("b-1.main.x.kafka.eu-central-1.amazonaws.com:9092", None),
        ("kafka", None),
    ] {
        assert_eq!(of(broker).as_deref(), service, "{broker}");
    }
}

#[test]
fn workloads_are_named_as_kubectl_does() {
    let parse = |text: &str| Named::parse(text).map(|Named(object)| object.to_string());
    assert_eq!(parse("kafka/sts/kafka"), Ok("StatefulSet kafka/kafka".into()));
    assert_eq!(parse("kafka/Deployment/broker"), Ok("Deployment kafka/broker".into()));
    for wrong in ["", "kafka", "a/b", "a/daemonset/c", "a/sts/", "A/sts/b", "a/sts/b/c"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
