//! What the metrics of a sidecar say of its policies. Pure: text in, figures out.

use crate::exposition;
use learnflow_resilience::verdict::State;

/// What a sidecar has counted of one component, outbound.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) state: Option<State>,
    /// How often an attempt after the first was made.
    pub(super) retries: f64,
    /// How often the breaker has changed its state.
    pub(super) changes: f64,
    /// Names of the Resiliencies that are loaded.
    pub(super) loaded: Vec<String>,
    /// Targets that policies were used for, as Dapr writes them.
    pub(super) targets: Vec<String>,
}

pub(super) fn read(text: &str, component: &str) -> Counted {
    let mut counted = Counted::default();
    let target = format!("pubsub_{component}");
    for (name, labels, value) in exposition::samples(text) {
        let label = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
        if name == "dapr_resiliency_loaded" {
            counted.loaded.push(label("name").to_owned());
            continue;
        }
        if !name.starts_with("dapr_resiliency_") {
            continue;
        }
        counted.targets.push(label("target").to_owned());
        // `Pubsub_NAME`, whatever the case of its first word.
        if !label("target").to_ascii_lowercase().eq(&target.to_ascii_lowercase())
            || label("flow_direction") != "outbound"
        {
            continue;
        }
        match (name, label("policy")) {
            ("dapr_resiliency_cb_state", _) if value == 1.0 => {
                counted.state = Some(match label("status") {
                    "open" => State::Open,
                    "half-open" => State::HalfOpen,
                    "closed" => State::Closed,
                    _ => State::None,
                });
            }
            ("dapr_resiliency_activations_total", "retry") => counted.retries += value,
            ("dapr_resiliency_activations_total", "circuitbreaker") => counted.changes += value,
            _ => {}
        }
    }
    counted.targets.sort();
    counted.targets.dedup();
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a daprd 1.18.1 writes it.
    const TEXT: &str = r#"# HELP dapr_resiliency_cb_state A resiliency policy's current state.
dapr_resiliency_loaded{app_id="a",name="learnflow",namespace="shop"} 1
dapr_resiliency_cb_state{app_id="a",flow_direction="outbound",name="l",namespace="shop",policy="circuitbreaker",status="closed",target="Pubsub_kafka-pubsub"} 0
dapr_resiliency_cb_state{app_id="a",flow_direction="outbound",name="l",namespace="shop",policy="circuitbreaker",status="open",target="Pubsub_kafka-pubsub"} 1
dapr_resiliency_cb_state{app_id="a",flow_direction="outbound",name="l",namespace="shop",policy="circuitbreaker",status="open",target="Pubsub_other"} 0
dapr_resiliency_activations_total{app_id="a",flow_direction="outbound",name="l",namespace="shop",policy="retry",status="",target="Pubsub_kafka-pubsub"} 41
dapr_resiliency_activations_total{app_id="a",flow_direction="inbound",name="l",namespace="shop",policy="retry",status="",target="Pubsub_kafka-pubsub"} 7
dapr_resiliency_activations_total{app_id="a",flow_direction="outbound",name="l",namespace="shop",policy="circuitbreaker",status="open",target="Pubsub_kafka-pubsub"} 2
"#;

    #[test]
    fn only_what_is_of_the_component_and_outbound_counts() {
        let counted = read(TEXT, "kafka-pubsub");
        assert_eq!(
            counted,
            Counted {
                state: Some(State::Open),
                retries: 41.0,
                changes: 2.0,
                loaded: vec!["learnflow".into()],
                targets: vec!["Pubsub_kafka-pubsub".into(), "Pubsub_other".into()],
            }
        );
        assert_eq!(read(TEXT, "none").state, None);
    }
}
