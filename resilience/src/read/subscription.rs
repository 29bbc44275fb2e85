//! A declared Subscription, of both versions. What an app declares by itself is not among them.

use super::{Meta, Written, Wrong, node::At};

#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    pub meta: Meta,
    pub pubsub: Written<String>,
    pub topic: Written<String>,
    pub dead_letter: Option<Written<String>>,
    /// Several events are delivered at once.
    pub bulk: bool,
}

impl Subscription {
    pub(super) fn read(meta: Meta, at: &At, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let Some(spec) = at.get("spec") else {
            wrong.push(at.wrong("it has no spec", "Give it pubsubname, topic and a route."));
            return None;
        };
        let mut needed = |key: &str| {
            let value = spec.get(key).and_then(|at| Some(at.written(at.text(wrong)?)));
            if value.as_ref().is_none_or(|value| value.value.is_empty()) {
                wrong.push(spec.wrong(format!("it has no {key}"), format!("Give it spec.{key}.")));
                return None;
            }
            value
        };
        let (pubsub, topic) = (needed("pubsubname"), needed("topic"));
        let dead_letter = spec.get("deadLetterTopic").and_then(|at| {
            let topic = at.text(wrong).filter(|topic| !topic.is_empty())?;
            Some(at.written(topic))
        });
        let bulk = spec.get("bulkSubscribe").and_then(|bulk| bulk.get("enabled"));
        Some(Self {
            meta,
            pubsub: pubsub?,
            topic: topic?,
            dead_letter,
            bulk: bulk.and_then(|flag| flag.flag(wrong)).unwrap_or(false),
        })
    }
}
