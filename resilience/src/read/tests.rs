use super::*;
use crate::policy::{Backoff, Retry};
use serde::Deserialize;

const SHIPPED: &str = include_str!("../../../manifests/resilience/resiliency.yaml");

#[derive(Deserialize)]
struct Case {
    name: String,
    objects: Vec<serde_json::Value>,
    #[serde(default)]
    ask: Vec<Ask>,
    #[serde(default)]
    refused: Vec<serde_json::Value>,
    #[serde(default)]
    taken: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Ask {
    #[serde(default)]
    app: String,
    to: String,
    is: String,
}

fn cases() -> Vec<Case> {
    serde_saphyr::from_str(include_str!("../../../tests/cases/policies.yaml")).expect("cases")
}

/// An object as the API server has it.
fn whole(object: &serde_json::Value) -> serde_json::Value {
    let mut object = object.clone();
    object["apiVersion"] = "dapr.io/v1alpha1".into();
    object["kind"] = "Resiliency".into();
    object
}

fn target(to: &str) -> (Target, Direction) {
    let words: Vec<&str> = to.split(' ').collect();
    match words.as_slice() {
        ["component", name, kind, side] => {
            let kinds = [
                ComponentKind::Pubsub,
                ComponentKind::Statestore,
                ComponentKind::Binding,
                ComponentKind::Lock,
            ];
            let kind = kinds.into_iter().find(|known| known.name() == *kind).expect("a kind");
            let name = (*name).to_owned();
            let direction = if *side == "in" {
                Direction::Inbound
            } else {
                Direction::Outbound
            };
            (Target::Component { name, kind }, direction)
        }
        ["app", name] => (Target::App((*name).to_owned()), Direction::Outbound),
        ["actor", name] => (Target::Actor((*name).to_owned()), Direction::Outbound),
        _ => panic!("{to}"),
    }
}

/// `2s | constant 1s 5 | consecutiveFailures >= 5 30s 10s 2`.
fn shown(found: &InForce) -> String {
    let retry = |retry: &Retry| {
        let number = retry.max_retries.map_or(-1, i64::from);
        match retry.backoff {
            Backoff::Constant { interval } => format!("constant {interval:?} {number}"),
            Backoff::Exponential {
                initial,
                max,
                multiplier,
                randomization,
                max_elapsed,
            } => format!(
                "exponential {initial:?} {max:?} {multiplier} {randomization} {:?} {number}",
                max_elapsed.unwrap_or_default()
            ),
        }
    };
    let policy = &found.policy;
    let none = || "-".to_owned();
    let breaker = policy.breaker.as_ref().map(|breaker| {
        let (interval, trip) = (breaker.interval.unwrap_or_default(), &breaker.trip.text);
        format!("{trip} {:?} {interval:?} {}", breaker.timeout, breaker.max_requests)
    });
    let mut text = format!(
        "{} | {} | {}",
        policy.timeout.map_or_else(none, |timeout| format!("{timeout:?}")),
        policy.retry.as_ref().map_or_else(none, retry),
        breaker.unwrap_or_else(none)
    );
    if let Some(within) = &found.within {
        text += &format!(" within {}", retry(within));
    }
    text
}

#[test]
fn policies_are_what_daprd_says() {
    let mut wrong = Vec::new();
    let mut asked = 0;
    for case in cases() {
        let values: Vec<serde_json::Value> = case.objects.iter().map(whole).collect();
        let (objects, unreadable) = Objects::of_cluster(&values);
        assert_eq!(unreadable, [], "{}", case.name);
        for Ask { app, to, is } in &case.ask {
            let (target, direction) = target(to);
            let found = policy_of(&objects, app, &target, direction);
            let dead = found.missing.iter().any(|missing| missing.part == Part::Breaker);
            // Of a component, that is: a sidecar reads through a pointer to nothing.
            let ours = match dead && matches!(target, Target::Component { .. }) {
                true => "breaks down".to_owned(),
                false => shown(&found),
            };
            asked += 1;
            if ours != *is {
                wrong.push(format!("{}, {to}: {is}, not {ours}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked >= 30, "{asked}");
}

#[test]
fn what_daprd_refuses_is_refused_and_nothing_else() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (policies, taken) in case
            .refused
            .iter()
            .map(|p| (p, false))
            .chain(case.taken.iter().map(|p| (p, true)))
        {
            let object =
                serde_json::json!({ "metadata": { "name": "x" }, "spec": { "policies": policies, "targets": {} } });
            let (_, unreadable) = Objects::of_cluster([&whole(&object)]);
            if unreadable.is_empty() != taken {
                wrong.push(format!("{policies}: {unreadable:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_shipped_policies_are_read_and_their_lines_known() {
    let (objects, wrong) = Objects::read([("resiliency.yaml", SHIPPED)]);
    assert_eq!(wrong, []);
    assert_eq!(objects.ignored, []);
    for resiliency in &objects.resiliencies {
        for component in resiliency.components.keys() {
            let target = Target::Component {
                name: component.clone(),
                kind: ComponentKind::Pubsub,
            };
            let out = policy_of(&objects, "any", &target, Direction::Outbound);
            let origin = out.retry.expect("a retry");
            let place = origin.place.expect("written");
            assert_eq!(place.field, format!("spec.policies.retries.{}", origin.name));
            let line = SHIPPED.lines().nth(place.line.expect("a line") - 1).expect("there");
            assert_eq!(line.trim(), format!("{}:", origin.name));
        }
    }
}

#[test]
fn lines_are_those_of_the_keys() {
    let text = "# one\n---\napiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: x}\nspec:\n  policies:\n    timeouts:\n      \
                bad:\n        later\n  targets: {}\n";
    let (_, wrong) = Objects::read([("file.yaml", text)]);
    let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    let expected = "file.yaml:9: Resiliency x, spec.policies.timeouts.bad: `later` is not a duration.";
    assert_eq!(told, [expected]);
}

#[test]
fn lists_and_foreign_objects_are_no_trouble() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: dapr.io/v1alpha1\n  kind: Component\n  metadata: {name: k}\n  \
                spec: {type: pubsub.kafka, version: v1, metadata: []}\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n";
    let (objects, wrong) = Objects::read([("list.yaml", text), ("empty.yaml", "# nothing\n")]);
    assert_eq!(wrong, []);
    assert_eq!(objects.components.len(), 1);
    assert_eq!(objects.components[0].meta.place.line, Some(4));
}

#[test]
fn the_retries_of_a_kafka_component_are_read() {
    let component = |metadata: &str| {
        let text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: k}}\nspec:\n  type: pubsub.kafka\n  metadata: [{metadata}]\n"
        );
        let (mut objects, wrong) = Objects::read([("c.yaml", text.as_str())]);
        let around = objects.components.pop().and_then(|component| component.kafka?.around());
        (around, wrong.len())
    };
    let every = |seconds, max_retries| {
        Some(Retry {
            backoff: Backoff::Constant {
                interval: std::time::Duration::from_secs(seconds),
            },
            max_retries,
        })
    };
    assert_eq!(component(""), (every(5, None), 0), "on by default, and without end");
    assert_eq!(component("{name: consumeRetryEnabled, value: \"false\"}"), (None, 0));
    assert_eq!(component("{name: consumeretryenabled, value: \"no\"}"), (None, 0));
    assert_eq!(
        component("{name: consumeRetryInterval, value: 9s}"),
        (every(5, None), 0),
        "not about events"
    );
    assert_eq!(
        component("{name: backOffDuration, value: 2s}, {name: backOffMaxRetries, value: \"3\"}"),
        (every(2, Some(3)), 0)
    );
    assert_eq!(component("{name: backOffPolicy, value: linear}").1, 1);
    assert_eq!(component("{name: consumeRetryInterval, value: soon}").1, 1);
}

#[test]
fn scopes_and_duplicates() {
    let one = |scopes: &str, retries: u32| {
        format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {{name: r{retries}}}\nspec: {{policies: {{retries: {{r: {{maxRetries: \
             {retries}}}}}}}, targets: {{}}}}\nscopes: [{scopes}]\n"
        )
    };
    let contradict = |first: String, second: String| {
        let (objects, wrong) = Objects::read([("a", first.as_str()), ("b", second.as_str())]);
        (contradictions(&objects).len(), wrong.len())
    };
    assert_eq!(contradict(one("x", 1), one("y", 2)), (0, 0));
    assert_eq!(contradict(one("x", 1), one("x, y", 2)), (1, 0));
    assert_eq!(contradict(one("x", 1), one("", 2)), (1, 0));
    assert_eq!(contradict(one("x", 1), one("x", 1)), (0, 1), "the same object twice");
}
