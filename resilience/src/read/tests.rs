use super::*;
use crate::policy::Backoff;
use std::time::Duration;

const SHIPPED: &str = include_str!("../../../manifests/resilience/resiliency.yaml");

fn kafka() -> Target {
    Target::Component {
        name: "kafka-pubsub".into(),
        kind: ComponentKind::Pubsub,
    }
}

#[test]
fn the_shipped_policies_are_read() {
    let (objects, wrong) = Objects::read([("resiliency.yaml", SHIPPED)]);
    assert_eq!(wrong, []);
    assert_eq!(objects.ignored, []);
    let out = policy_of(&objects, "any", &kafka(), Direction::Outbound);
    let retry = out.policy.retry.expect("a retry");
    assert_eq!(
        retry.backoff,
        Backoff::Constant {
            interval: Duration::from_secs(2)
        }
    );
    let place = out.retry.expect("an origin").place.expect("written");
    assert_eq!(place.object, "Resiliency learnflow");
    assert_eq!(place.field, "spec.policies.retries.learnflow-publish");
    let line = SHIPPED
        .lines()
        .position(|line| line.contains("learnflow-publish:"))
        .expect("there");
    assert_eq!(place.line, Some(line + 1));
}
