//! Which event is meant.

use crate::dlq::{Origin, Spot};
use learnflow_core::{TraceId, TraceParent};
use serde::Serialize;
use std::fmt;

const FORMS: &str = "write TOPIC/PARTITION/OFFSET, TOPIC[PARTITION]@OFFSET, a trace id (32 hexadecimal digits), or the id of an \
                     event (event:ID, if it looks like one of the others)";
/// Longer than any id.
const LONGEST: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Place(Place),
    Trace(TraceId),
    /// The id of a CloudEvent.
    Event(String),
}

/// Where a message lies in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// As `flow` prints it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

impl From<Origin> for Place {
    fn from(origin: Origin) -> Self {
        Self {
            topic: origin.topic,
            partition: origin.partition,
            offset: origin.offset,
        }
    }
}

impl Asked {
    pub(crate) fn parse(given: &str) -> Result<Self, String> {
        if let Some(id) = given.strip_prefix("event:") {
            return event(id);
        }
        let lower = given.to_ascii_lowercase();
        let parent = TraceParent::parse(lower.as_bytes()).map(|parent| parent.trace);
        if let Some(trace) = parent.or_else(|| TraceId::parse(lower.as_bytes())) {
            return Ok(Self::Trace(trace));
        }
        if given.contains(['/', '[']) {
            return place(given).map(Self::Place).map_err(|why| format!("{why}; {FORMS}"));
        }
        event(given)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Trace(trace) => write!(f, "trace {}", trace.as_str()),
            Self::Event(id) => write!(f, "event {id}"),
        }
    }
}

fn event(id: &str) -> Result<Asked, String> {
    let sound = !id.is_empty() && id.len() <= LONGEST && !id.chars().any(char::is_control);
    match sound {
        true => Ok(Asked::Event(id.to_owned())),
        false => Err(format!(
            "no event has such an id: it has 1 to {LONGEST} bytes and no control characters; {FORMS}"
        )),
    }
}

fn place(given: &str) -> Result<Place, String> {
    let printed = given.rsplit_once("]@").and_then(|(rest, offset)| {
        let (topic, partition) = rest.rsplit_once('[')?;
        Some(format!("{topic}/{partition}/{offset}"))
    });
    let spot = Spot::parse(printed.as_deref().unwrap_or(given))?;
    match (spot.partition, spot.offset) {
        (Some(partition), Some(offset)) => Ok(Place {
            topic: spot.topic,
            partition,
            offset,
        }),
        _ => Err("the offset is missing".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_known() {
        let shown = |given: &str| Asked::parse(given).map(|asked| asked.to_string());
        let trace = "trace 0af7651916cd43dd8448eb211c80319c";
        for (given, expected) in [
            ("lesson.generated/0/42", "lesson.generated[0]@42"),
            ("lesson.generated[0]@42", "lesson.generated[0]@42"),
            ("0af7651916cd43dd8448eb211c80319c", trace),
            ("0AF7651916CD43DD8448EB211C80319C", trace),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", trace),
            (
                "e67632dc-7d9a-4ba3-8f7b-000000000001",
                "event e67632dc-7d9a-4ba3-8f7b-000000000001",
            ),
            ("event:a/0/1", "event a/0/1"),
            (
                "event:0af7651916cd43dd8448eb211c80319c",
                "event 0af7651916cd43dd8448eb211c80319c",
            ),
            // No trace has it.
            (
                "00000000000000000000000000000000",
                "event 00000000000000000000000000000000",
            ),
        ] {
            assert_eq!(shown(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for given in [
            "",
            "event:",
            "a/0",
            "a/0/",
            "a/0/-1",
            "a/x/1",
            "/0/1",
            "a/b/0/1",
            "a[0]",
            "a[0]@",
            "a[x]@1",
            "[0]@1",
            "a[0]@1/2",
            "a b/0/1",
            "\u{1b}[2J",
            "a\nb",
        ] {
            let why = Asked::parse(given).expect_err(given);
            assert!(
                why.contains("TOPIC/PARTITION/OFFSET") && !why.contains('\u{1b}'),
                "{given}: {why}"
            );
        }
    }
}
