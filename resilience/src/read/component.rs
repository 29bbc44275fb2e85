//! A Component: of which sort it is, and what a Kafka one does by itself.

use super::{Meta, Written, Wrong, duration, node::At, resiliency::exponential_up_to};
use crate::policy::{Backoff, Retry};
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    pub meta: Meta,
    /// `pubsub.kafka`.
    pub kind_text: String,
    pub kind: ComponentKind,
    /// The sidecar starts without it when it cannot be brought up.
    pub ignore_errors: bool,
    /// What is said of a `pubsub.kafka`.
    pub kafka: Option<Kafka>,
}

/// Which sort of default policies a component has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentKind {
    Pubsub,
    Statestore,
    Binding,
    Secretstore,
    Configuration,
    Lock,
    Crypto,
    Conversation,
    /// No policy is ever asked for it.
    Other,
}

impl ComponentKind {
    fn of(text: &str) -> Self {
        match text.split('.').next().unwrap_or_default() {
            "pubsub" => Self::Pubsub,
            "state" => Self::Statestore,
            "bindings" => Self::Binding,
            "secretstores" => Self::Secretstore,
            "configuration" => Self::Configuration,
            "lock" => Self::Lock,
            "crypto" => Self::Crypto,
            "conversation" => Self::Conversation,
            _ => Self::Other,
        }
    }

    /// As the names of default policies have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pubsub => "Pubsub",
            Self::Statestore => "Statestore",
            Self::Binding => "Binding",
            Self::Secretstore => "Secretstore",
            Self::Configuration => "Configuration",
            Self::Lock => "Lock",
            Self::Crypto => "Crypto",
            Self::Conversation => "Conversation",
            Self::Other => "",
        }
    }

    /// Whether anything comes in by it.
    pub fn delivers(self) -> bool {
        matches!(self, Self::Pubsub | Self::Binding | Self::Configuration)
    }
}

/// The retries of the Kafka component itself, around each delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Kafka {
    /// `consumeRetryEnabled`, on by default for pub/sub.
    pub retries: bool,
    /// How: `backOff…`. `consumeRetryInterval` is not about events: it paces how a consumer joins its group anew.
    pub retry: Retry,
    pub retries_place: Option<Written<bool>>,
    pub interval: Option<Written<Duration>>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            retries: true,
            retry: Retry {
                backoff: Backoff::Constant {
                    interval: Duration::from_secs(5),
                },
                max_retries: None,
            },
            retries_place: None,
            interval: None,
        }
    }
}

impl Kafka {
    /// What goes around each delivery, when anything does.
    pub fn around(&self) -> Option<Retry> {
        self.retries.then_some(self.retry)
    }
}

impl Component {
    pub(super) fn read(meta: Meta, at: &At, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let before = wrong.len();
        let spec = at.get("spec");
        let Some(kind) = spec.as_ref().and_then(|spec| spec.get("type")) else {
            wrong.push(at.wrong("it has no spec.type", "Write for example type: pubsub.kafka."));
            return None;
        };
        let kind_text = kind.text(wrong)?;
        let spec = spec?;
        let ignore_errors = spec.get("ignoreErrors").and_then(|flag| flag.flag(wrong));
        let metadata = spec.get("metadata").map_or_else(Vec::new, |list| list.items());
        let values: BTreeMap<String, (String, At)> = metadata
            .into_iter()
            .filter_map(|item| {
                let name = item.get("name")?.scalar()?;
                let value = item.get("value")?;
                Some((name, (value.scalar()?, value)))
            })
            .collect();
        let kafka = (kind_text == "pubsub.kafka").then(|| kafka(&values, wrong));
        (wrong.len() == before).then(|| Self {
            kind: ComponentKind::of(&kind_text),
            kind_text,
            ignore_errors: ignore_errors.unwrap_or(false),
            kafka,
            meta,
        })
    }
}

fn kafka(values: &BTreeMap<String, (String, At)>, wrong: &mut Vec<Wrong>) -> Kafka {
    let mut kafka = Kafka::default();
    // The names of metadata are read in any case of letters.
    let find = |name: &str| {
        let found = values.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, (value, at))| (value.as_str(), at))
    };
    if let Some((value, at)) = find("consumeRetryEnabled") {
        match value.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" | "t" | "on" | "1" => kafka.retries = true,
            // Whatever is not yes is no.
            _ => kafka.retries = false,
        }
        kafka.retries_place = Some(at.written(kafka.retries));
    }
    let mut read = |name: &str, find: Option<(&str, &At)>| {
        let (value, at) = find?;
        match duration::parse(value) {
            Ok(duration) => Some(at.written(duration)),
            Err(what) => {
                wrong.push(at.wrong(format!("{name}: {what}"), duration::ALLOWED));
                None
            }
        }
    };
    kafka.interval = read("consumeRetryInterval", find("consumeRetryInterval"));
    // These are found by their beginning, which is not.
    let back_off = |name: &str| {
        let mut found = values.iter().filter_map(|(key, (value, at))| {
            let rest = key.strip_prefix("backOff")?;
            rest.eq_ignore_ascii_case(name).then_some((value.as_str(), at))
        });
        found.next()
    };
    let constant = read("backOffDuration", back_off("duration"));
    let initial = read("backOffInitialInterval", back_off("initialInterval"));
    let longest = read("backOffMaxInterval", back_off("maxInterval"));
    let elapsed = read("backOffMaxElapsedTime", back_off("maxElapsedTime"));
    let mut number = |name: &str| {
        let (value, at) = back_off(name)?;
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
        if number.is_none() {
            let what = format!("backOff…{name}: `{value}` is not a number");
            wrong.push(at.wrong(what, "Write a number, for example \"5\"."));
        }
        number
    };
    let (times, spread) = (number("multiplier"), number("randomizationFactor"));
    if let Some(retries) = number("maxRetries") {
        // Less than none is without end.
        kafka.retry.max_retries = (retries >= 0.0).then_some(retries as u32);
    }
    let constant = constant.map_or(Duration::from_secs(5), |written| written.value);
    kafka.retry.backoff = Backoff::Constant { interval: constant };
    if let Some((policy, at)) = back_off("policy") {
        match policy.to_lowercase().as_str() {
            "constant" => {}
            "exponential" => {
                let mut backoff = exponential_up_to(longest.map_or(Duration::from_secs(60), |written| written.value));
                if let Backoff::Exponential {
                    initial: first,
                    multiplier,
                    randomization,
                    max_elapsed,
                    ..
                } = &mut backoff
                {
                    *first = initial.map_or(*first, |written| written.value);
                    *multiplier = times.unwrap_or(*multiplier);
                    *randomization = spread.unwrap_or(*randomization);
                    // None at all is without end.
                    if let Some(written) = elapsed {
                        *max_elapsed = Some(written.value).filter(|duration| !duration.is_zero());
                    }
                }
                kafka.retry.backoff = backoff;
            }
            _ => {
                let what = format!("backOffPolicy: `{policy}` is no back-off policy");
                wrong.push(at.wrong(what, "Write constant or exponential."));
            }
        }
    }
    kafka
}
