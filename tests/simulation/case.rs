//! The rows, as `tests/cases/outages.yaml` has them.

use std::{collections::BTreeMap, time::Duration};

use learnflow_resilience::policy;
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

impl Policy {
    /// For all that a component is published to.
    pub fn resiliency(&self, component: &str) -> Value {
        let (mut policies, mut outbound) = (json!({}), json!({}));
        let parts = [
            ("timeouts", "timeout", self.timeout.as_ref().map(|timeout| json!(timeout))),
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
    pub fn in_force(&self) -> policy::Policy {
        let text = |part: &Value, name: &str| part[name].as_str().map(str::to_owned);
        let retry = self.retry.as_ref().map(|retry| policy::Retry {
            backoff: match retry["policy"].as_str() {
                Some("constant") => policy::Backoff::Constant {
                    interval: duration(&text(retry, "duration").expect("a duration")),
                },
                _ => policy::Backoff::Exponential {
                    initial: Duration::from_millis(500),
                    max: duration(&text(retry, "maxInterval").expect("an interval")),
                    multiplier: 1.5,
                    randomization: 0.5,
                },
            },
            max_retries: retry["maxRetries"].as_i64().and_then(|most| u32::try_from(most).ok()),
        });
        let breaker = self.breaker.as_ref().map(|breaker| {
            let trip = text(breaker, "trip").expect("a trip");
            let [_, compare, limit] = trip.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{trip}")
            };
            let compare = match compare {
                ">" => policy::Compare::Over,
                _ => policy::Compare::AtLeast,
            };
            let limit = limit.parse().expect("a number");
            policy::Breaker {
                trip: policy::Trip {
                    simple: Some((policy::Count::ConsecutiveFailures, compare, limit)),
                    text: trip,
                },
                timeout: duration(&text(breaker, "timeout").expect("a timeout")),
                interval: None,
                max_requests: 1,
            }
        });
        policy::Policy {
            timeout: self.timeout.as_deref().map(duration),
            retry,
            breaker,
        }
    }
}

fn duration(text: &str) -> Duration {
    Duration::from_secs(text.trim_end_matches('s').parse().expect("seconds"))
}
