//! Dead letters as Dapr writes them: where each comes from, what can be told of it, and what it takes to send it again. Pure.
//!
//! Dapr (1.18) publishes what it could not deliver with the same key and bytes; what it knew of the message in its topic becomes
//! headers. Why it was not delivered it does not say. See docs/dlq.md.

mod plan;

use crate::{broker::Message, text};
use jiff::Timestamp;
pub(crate) use plan::{Decided, Plan, Skip, Targets, plan};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// Held by the replay that runs, where there is a cluster.
pub(crate) const LEASE: &str = "learnflow-dlq-replay";
/// What a message that was sent again carries: the place that its first one had.
pub(crate) const REPLAY_OF: &str = "learnflow-replay-of";
/// What Dapr adds to the headers that the message had.
const DAPRS_OWN: [&str; 6] = [
    "__topic",
    "__partition",
    "__offset",
    "__timestamp",
    "__key",
    "pubsubName",
];

/// Where a message was before it was dead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Origin {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970. With it, the same place in a topic that was made anew is another one.
    pub(crate) timestamp: i64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}@{}",
            self.topic, self.partition, self.offset, self.timestamp
        )
    }
}

impl Origin {
    /// As far as the headers tell. Whoever may publish may also forge them.
    fn of(message: &Message) -> Option<Self> {
        let number = |name: &str| message.header(name)?.parse::<i64>().ok().filter(|number| *number >= 0);
        Some(Self {
            topic: topic(message.header("__topic")?).ok()?,
            partition: number("__partition")?.try_into().ok()?,
            offset: number("__offset")?,
            timestamp: number("__timestamp")?,
        })
    }
}

/// What its CloudEvent says, if it is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub(crate) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiration: Option<String>,
}

/// All of a dead letter but its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// In the dead-letter topic.
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) origin: Option<Origin>,
    pub(crate) event: Option<Event>,
    /// It was sent again before it died again: the place of the one before.
    pub(crate) replay_of: Option<String>,
    /// Of key and body.
    pub(crate) digest: u64,
    pub(crate) size: usize,
}

impl Letter {
    pub(crate) fn of(message: &Message) -> Self {
        Self {
            partition: message.partition,
            offset: message.offset,
            timestamp: message.timestamp,
            origin: Origin::of(message),
            event: event(message),
            replay_of: message.header(REPLAY_OF).map(str::to_owned),
            digest: digest(message),
            size: message.size(),
        }
    }

    /// `PARTITION/OFFSET`.
    pub(crate) fn at(&self) -> String {
        format!("{}/{}", self.partition, self.offset)
    }

    /// When its event expires, if ever.
    fn expires(&self) -> Option<i64> {
        let at: Timestamp = self.event.as_ref()?.expiration.as_ref()?.parse().ok()?;
        Some(at.as_millisecond())
    }

    /// Why it is here, as far as that can be told: Dapr itself says nothing.
    pub(crate) fn reason(&self) -> &'static str {
        match (&self.event, self.expires()) {
            (_, Some(expires)) if expires <= self.timestamp => "expired before it was delivered",
            (None, _) => "no CloudEvent: it cannot be read as one, unless its subscription takes raw payloads",
            (Some(_), _) => "the app did not take it, or no route matched",
        }
    }
}

/// The event of a message in either of the two forms; `None`: it is none.
fn event(message: &Message) -> Option<Event> {
    let body: Option<BTreeMap<String, Value>> = message
        .value
        .as_deref()
        .and_then(|body| serde_json::from_slice(body).ok());
    let wrapped = body.filter(|body| body.contains_key("specversion"));
    let binary = message.headers.contains_key("ce_specversion");
    let field = |name: &str| match &wrapped {
        Some(body) => body.get(name)?.as_str().map(str::to_owned),
        None => message.header(&format!("ce_{name}")).map(str::to_owned),
    };
    (wrapped.is_some() || binary).then(|| Event {
        id: field("id"),
        source: field("source"),
        kind: field("type"),
        topic: field("topic"),
        traceparent: field("traceparent"),
        expiration: field("expiration"),
    })
}

/// FNV-1a: the same in each run and on each machine.
fn digest(message: &Message) -> u64 {
    let parts = [message.key.as_deref(), message.value.as_deref()];
    let bytes = parts
        .iter()
        .flat_map(|part| part.unwrap_or_default().iter().chain(&[0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The message as it was in its topic, and what says that it is sent again.
pub(crate) fn revived(letter: Message, origin: &Origin, now: i64) -> Message {
    let mut headers = letter.headers;
    headers.retain(|name, _| !DAPRS_OWN.contains(&name.as_str()));
    headers.insert(REPLAY_OF.to_owned(), origin.to_string().into_bytes());
    Message {
        headers,
        // Never before the dead letter: from its time on the topic is searched for what was sent.
        timestamp: now.max(letter.timestamp),
        ..letter
    }
}

/// Milliseconds as a time, in seconds and UTC.
pub(crate) fn time(timestamp: i64) -> String {
    let time = Timestamp::from_millisecond(timestamp - timestamp.rem_euclid(1000));
    time.map_or_else(|_| format!("{timestamp} ms"), |time| time.to_string())
}

/// `TOPIC`, `TOPIC/PARTITION` or `TOPIC/PARTITION/OFFSET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) topic: String,
    pub(crate) partition: Option<i32>,
    pub(crate) offset: Option<i64>,
}

impl Spot {
    pub(crate) fn parse(given: &str) -> Result<Self, String> {
        let mut parts = given.split('/');
        let spot = Self {
            topic: topic(parts.next().unwrap_or_default())?,
            partition: parts.next().map(|text| number(text, "partition")).transpose()?,
            offset: parts.next().map(|text| number(text, "offset")).transpose()?,
        };
        match parts.next() {
            None => Ok(spot),
            Some(_) => Err("write TOPIC, TOPIC/PARTITION or TOPIC/PARTITION/OFFSET".to_owned()),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.topic)?;
        for number in [self.partition.map(i64::from), self.offset].into_iter().flatten() {
            write!(f, "/{number}")?;
        }
        Ok(())
    }
}

fn number<T: TryFrom<i64>>(given: &str, what: &str) -> Result<T, String> {
    let digits = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit());
    let number = given.parse::<i64>().ok().filter(|_| digits);
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("`{}` is no {what}; write a number from 0 on", text::harmless(given)))
}

/// A topic's name, as Kafka takes it.
pub(crate) fn topic(given: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let sound = given.chars().all(fits) && !matches!(given, "" | "." | "..") && given.len() <= 249;
    match sound {
        true => Ok(given.to_owned()),
        false => Err(format!(
            "`{}` is no name of a topic; those have letters, digits, `.`, `_` and `-`, at most 249",
            text::harmless(given)
        )),
    }
}

#[cfg(test)]
#[path = "letter_tests.rs"]
mod tests;
