//! The rows, as `tests/cases/outages.yaml` has them.

use std::collections::BTreeMap;

use learnflow_resilience::{
    policy,
    read::{ComponentKind, Direction, Objects, Target, policy_of},
};
use learnflow_tests::sidecar::PUBSUB;
use serde::Deserialize;
use serde_json::{Value, json};

const CASES: &str = include_str!("../cases/outages.yaml");

#[derive(Debug, Deserialize)]
pub struct Cases {
    pub policies: BTreeMap<String, Policy>,
    pub outages: Vec<Case>,
}

/// In the words of a Resiliency.
#[derive(Debug, Deserialize)]
pub struct Policy {
    pub timeout: Option<String>,
    pub retry: Option<Value>,
    pub breaker: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub policy: String,
    pub mode: Mode,
    pub seconds: f64,
    /// Publishes a second.
    pub rate: u32,
    /// Of a flap: away so long, then back so long.
    pub period: Option<f64>,
    /// Of a slow broker: how late an answer is.
    pub late: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Refuse,
    Kill,
    Hang,
    Flap,
    Slow,
}

impl Cases {
    pub fn read() -> Self {
        serde_saphyr::from_str(CASES).expect("cases/outages.yaml")
    }
}

impl Case {
    pub fn name(&self) -> String {
        let mode = format!("{:?}", self.mode).to_lowercase();
        format!("{}-{mode}-{}s-{}", self.policy, self.seconds, self.rate)
    }
}

impl Case {
    /// For a person.
    pub fn title(&self) -> String {
        let Self {
            policy,
            mode,
            seconds,
            rate,
            ..
        } = self;
        let how = match (mode, self.period, self.late) {
            (Mode::Flap, Some(period), _) => format!("flap {period} s, {seconds} s"),
            (Mode::Slow, _, Some(late)) => format!("slow by {late} s, {seconds} s"),
            _ => format!("{mode:?} {seconds} s").to_lowercase(),
        };
        format!("{policy}: {how}, {rate}/s")
    }
}

impl Policy {
    /// For all that a component is published to.
    pub fn resiliency(&self, component: &str) -> Value {
        let (mut policies, mut outbound) = (json!({}), json!({}));
        let parts = [
            (
                "timeouts",
                "timeout",
                self.timeout.as_ref().map(|timeout| json!(timeout)),
            ),
            ("retries", "retry", self.retry.clone()),
            ("circuitBreakers", "circuitBreaker", self.breaker.clone()),
        ];
        for (list, kind, part) in parts {
            if let Some(part) = part {
                policies[list] = json!({"publish": part});
                outbound[kind] = json!("publish");
            }
        }
        json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": "publish"},
            "spec": {"policies": policies, "targets": {"components": {component: {"outbound": outbound}}}},
        })
    }
}

impl Policy {
    /// As Dapr reads it.
    pub fn in_force(&self) -> policy::Policy {
        let file = self.resiliency(PUBSUB).to_string();
        let (objects, wrong) = Objects::read([("policy", &*file)]);
        assert!(wrong.is_empty(), "{wrong:?}");
        let target = Target::Component {
            name: PUBSUB.to_owned(),
            kind: ComponentKind::Pubsub,
        };
        policy_of(&objects, "app", &target, Direction::Outbound).policy
    }
}
