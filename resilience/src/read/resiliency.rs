//! A Resiliency as it is written. What Dapr would refuse of it makes Dapr drop all its targets.

use super::{
    Meta, Written, Wrong,
    node::{At, Place},
};
use crate::{
    policy::{Backoff, Breaker, Retry},
    trip::Trip,
};
use std::{collections::BTreeMap, time::Duration};

/// What holds where a policy of the kind says nothing (`retry.DefaultConfig`, `backoff.Default…`, `gobreaker`).
const CONSTANT: Duration = Duration::from_secs(5);
const FIRST: Duration = Duration::from_millis(500);
const MULTIPLIER: f64 = 1.5;
const RANDOMIZATION: f64 = 0.5;
const LONGEST: Duration = Duration::from_secs(60);
const MAX_ELAPSED: Duration = Duration::from_secs(15 * 60);
const BREAKER: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq)]
pub struct Resiliency {
    pub meta: Meta,
    pub timeouts: BTreeMap<String, Written<Duration>>,
    pub retries: BTreeMap<String, Written<RetryText>>,
    pub breakers: BTreeMap<String, Written<Breaker>>,
    pub apps: BTreeMap<String, Written<Names>>,
    pub actors: BTreeMap<String, Written<Names>>,
    pub components: BTreeMap<String, Written<TargetNames>>,
}

/// A retry, and which failures it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryText {
    pub retry: Retry,
    /// The status codes to which it is limited, as they are written.
    pub http_codes: Option<String>,
    pub grpc_codes: Option<String>,
}

/// The policies that a target names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    pub timeout: Option<Written<String>>,
    pub retry: Option<Written<String>>,
    pub breaker: Option<Written<String>>,
}

/// Those of a component.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetNames {
    pub outbound: Names,
    pub inbound: Names,
}

impl Resiliency {
    pub(super) fn read(meta: Meta, at: &At, ignored: &mut Vec<Place>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let before = wrong.len();
        let mut reader = Reader { ignored, wrong };
        let Some(spec) = at.get("spec") else {
            reader
                .wrong
                .push(at.wrong("it has no spec", "Give it spec.policies and spec.targets."));
            return None;
        };
        for part in ["policies", "targets"] {
            if spec.get(part).is_none() {
                let next = format!("Add spec.{part}; it may be empty: {{}}.");
                reader
                    .wrong
                    .push(spec.wrong(format!("it has no {part}, which Kubernetes requires"), next));
            }
        }
        reader.only(at, &["apiVersion", "kind", "metadata", "spec", "scopes", "status"]);
        reader.only(&spec, &["policies", "targets"]);
        let (policies, targets) = (spec.get("policies"), spec.get("targets"));
        let policy = |kind: &str| policies.as_ref()?.get(kind);
        let target = |kind: &str| targets.as_ref()?.get(kind);
        if let Some(policies) = &policies {
            reader.only(policies, &["timeouts", "retries", "circuitBreakers"]);
        }
        if let Some(targets) = &targets {
            reader.only(targets, &["apps", "actors", "components"]);
        }
        let this = Self {
            timeouts: reader.all(policy("timeouts"), |reader, at| at.duration(reader.wrong)),
            retries: reader.all(policy("retries"), Reader::retry),
            breakers: reader.all(policy("circuitBreakers"), Reader::breaker),
            apps: reader.all(target("apps"), |reader, at| {
                Some(reader.names(at, &["circuitBreakerCacheSize"]))
            }),
            actors: reader.all(target("actors"), Reader::actor),
            components: reader.all(target("components"), |reader, at| {
                reader.only(at, &["inbound", "outbound"]);
                let mut side = |key: &str| at.get(key).map_or_else(Names::default, |at| reader.names(&at, &[]));
                Some(TargetNames {
                    outbound: side("outbound"),
                    inbound: side("inbound"),
                })
            }),
            meta,
        };
        (wrong.len() == before).then_some(this)
    }
}

struct Reader<'a> {
    ignored: &'a mut Vec<Place>,
    wrong: &'a mut Vec<Wrong>,
}

impl Reader<'_> {
    /// Kubernetes drops what it does not know.
    fn only(&mut self, at: &At, known: &[&str]) {
        let entries = at.entries(self.wrong);
        let unknown = entries.iter().filter(|(key, _)| !known.contains(key));
        self.ignored.extend(unknown.map(|(_, at)| at.place()));
    }

    fn all<T>(
        &mut self,
        at: Option<At>,
        mut read: impl FnMut(&mut Self, &At) -> Option<T>,
    ) -> BTreeMap<String, Written<T>> {
        let entries = at.map_or_else(Vec::new, |at| at.entries(self.wrong));
        let read = |(name, at): (&str, At)| Some((name.to_owned(), at.written(read(self, &at)?)));
        entries.into_iter().filter_map(read).collect()
    }

    fn names(&mut self, at: &At, more: &[&str]) -> Names {
        self.only(at, &[&["timeout", "retry", "circuitBreaker"], more].concat());
        let mut name = |key: &str| {
            let at = at.get(key)?;
            // An empty name is none.
            let name = at.text(self.wrong).filter(|name| !name.is_empty())?;
            Some(at.written(name))
        };
        Names {
            timeout: name("timeout"),
            retry: name("retry"),
            breaker: name("circuitBreaker"),
        }
    }

    fn actor(&mut self, at: &At) -> Option<Names> {
        let names = self.names(at, &["circuitBreakerScope", "circuitBreakerCacheSize"]);
        let scope = at.get("circuitBreakerScope");
        let scope = scope.and_then(|scope| Some((scope.text(self.wrong)?, scope)));
        let allowed = "Write circuitBreakerScope: type, id or both.";
        match (&names.breaker, scope) {
            (Some(breaker), None) => {
                let what = "an actor's circuit breaker needs circuitBreakerScope";
                self.wrong.push(Wrong {
                    place: breaker.place.clone(),
                    what: what.into(),
                    next: allowed.into(),
                });
            }
            (Some(_), Some((scope, at))) if !["type", "id", "both"].contains(&scope.as_str()) => {
                self.wrong.push(at.wrong(format!("`{scope}` is no scope"), allowed));
            }
            _ => {}
        }
        Some(names)
    }

    fn retry(&mut self, at: &At) -> Option<RetryText> {
        self.only(at, &["policy", "duration", "maxInterval", "maxRetries", "matching"]);
        let before = self.wrong.len();
        let mut duration = |key: &str| {
            let at = at.get(key).filter(|at| !at.is_empty())?;
            Some((at.duration(self.wrong)?, at.place()))
        };
        let (constant, longest) = (duration("duration"), duration("maxInterval"));
        let policy = at
            .get("policy")
            .filter(|at| !at.is_empty())
            .and_then(|at| Some((at.text(self.wrong)?, at)));
        let exponential = match &policy {
            None => false,
            Some((name, at)) => match name.to_lowercase().as_str() {
                "constant" => false,
                "exponential" => true,
                _ => {
                    let what = format!("`{name}` is no back-off policy");
                    self.wrong
                        .push(at.wrong(what, "Write policy: constant or policy: exponential."));
                    false
                }
            },
        };
        // Each kind has its own duration, and does not look at that of the other.
        let unread = if exponential { &constant } else { &longest };
        self.ignored.extend(unread.iter().map(|(_, place)| place.clone()));
        let max_retries = at.get("maxRetries").and_then(|at| {
            let number = at.whole(self.wrong)?;
            if number < -1 || number > i64::from(u32::MAX) {
                let next = "Write maxRetries: 5, 0 for none, or -1 for retries without end.";
                self.wrong
                    .push(at.wrong(format!("`{number}` is not a number of retries"), next));
            }
            u32::try_from(number).ok()
        });
        let matching = at.get("matching");
        if let Some(matching) = &matching {
            self.only(matching, &["httpStatusCodes", "gRPCStatusCodes"]);
        }
        let mut codes = |key: &str, least: i32, most: i32| {
            let at = matching.as_ref()?.get(key)?;
            let text = at.text(self.wrong).filter(|text| !text.is_empty())?;
            if let Err(what) = codes(&text, least, most) {
                let next = format!("Write for example \"{least}\" or \"{least}-{most}\", with commas between several.");
                self.wrong.push(at.wrong(what, next));
            }
            Some(text)
        };
        let http_codes = codes("httpStatusCodes", 100, 599);
        let grpc_codes = codes("gRPCStatusCodes", 0, 16);
        let backoff = match exponential {
            false => Backoff::Constant {
                interval: constant.map_or(CONSTANT, |(duration, _)| duration),
            },
            true => exponential_up_to(longest.map_or(LONGEST, |(duration, _)| duration)),
        };
        (self.wrong.len() == before).then_some(RetryText {
            retry: Retry { backoff, max_retries },
            http_codes,
            grpc_codes,
        })
    }

    fn breaker(&mut self, at: &At) -> Option<Breaker> {
        self.only(at, &["maxRequests", "interval", "timeout", "trip"]);
        let before = self.wrong.len();
        let mut duration = |key: &str| {
            let at = at.get(key).filter(|at| !at.is_empty())?;
            at.duration(self.wrong).filter(|duration| !duration.is_zero())
        };
        let (timeout, interval) = (duration("timeout"), duration("interval"));
        let max_requests = at.get("maxRequests").and_then(|at| {
            let number = at.whole(self.wrong)?;
            if u32::try_from(number).is_err() {
                let what = format!("`{number}` is not a number of requests");
                self.wrong.push(at.wrong(what, "Write for example maxRequests: 1."));
            }
            u32::try_from(number).ok().filter(|number| *number > 0)
        });
        let trip = at.get("trip").and_then(|at| {
            let text = at.text(self.wrong).filter(|text| !text.is_empty())?;
            let trip = Trip::parse(&text).map_err(|e| {
                let column = e.column.map_or_else(String::new, |column| format!(" (at character {column})"));
                let what = format!("`{text}` is not a CEL expression: {}{column}", e.what);
                let next = "Write for example consecutiveFailures > 5; there are requests, totalSuccesses, totalFailures, \
                            consecutiveSuccesses and consecutiveFailures.";
                self.wrong.push(at.wrong(what, next));
            });
            trip.ok()
        });
        (self.wrong.len() == before).then(|| Breaker {
            trip: trip.unwrap_or_default(),
            timeout: timeout.unwrap_or(BREAKER),
            interval,
            max_requests: max_requests.unwrap_or(1),
        })
    }
}

/// Dapr's objects choose no more of an exponential back-off than its longest pause.
pub(super) fn exponential_up_to(max: Duration) -> Backoff {
    Backoff::Exponential {
        initial: FIRST,
        max,
        multiplier: MULTIPLIER,
        randomization: RANDOMIZATION,
        max_elapsed: Some(MAX_ELAPSED),
    }
}

/// `500,502-504`.
fn codes(text: &str, least: i32, most: i32) -> Result<(), String> {
    let number = |code: &str| {
        let number = code
            .parse::<i32>()
            .map_err(|_| format!("`{code}` is not a status code"))?;
        match (least..=most).contains(&number) {
            true => Ok(number),
            false => Err(format!("{number} is not a status code from {least} to {most}")),
        }
    };
    for pattern in text.split(',').filter(|pattern| !pattern.is_empty()) {
        let ends: Vec<&str> = pattern.split('-').collect();
        match ends.as_slice() {
            [one] => drop(number(one)?),
            [from, to] if number(from)? <= number(to)? => {}
            [_, _] => return Err(format!("`{pattern}` ends before it begins")),
            _ => return Err(format!("`{pattern}` has more than one dash")),
        }
    }
    Ok(())
}
