//! What the metrics of a sidecar say of its policies. Pure: text in, figures out.

use learnflow_resilience::verdict::State;
use std::collections::BTreeMap;

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
    for (name, labels, value) in text.lines().filter_map(sample) {
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

/// One line of the exposition format.
fn sample(line: &str) -> Option<(&str, BTreeMap<String, String>, f64)> {
    let (name, rest) = match line.split_once('{') {
        Some((name, rest)) => (name, rest),
        None => return None,
    };
    if name.starts_with('#') {
        return None;
    }
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(value) = rest.strip_prefix('}') {
            let value = value.split_whitespace().next()?.parse().ok()?;
            return Some((name, labels, value));
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = after.char_indices();
        loop {
            let (at, letter) = letters.next()?;
            match letter {
                '"' => {
                    rest = &after[at + 1..];
                    break;
                }
                '\\' => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.insert(key.to_owned(), value);
    }
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
odd{label="a\"},b=\"\\"} 3
broken{label="
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
        assert_eq!(
            sample("odd{label=\"a\\\"},b=\\\"\\\\\"} 3").map(|(_, labels, _)| labels["label"].clone()),
            Some("a\"},b=\"\\".into())
        );
    }
}
