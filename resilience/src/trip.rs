//! When a breaker opens: its CEL expression over the counts, as daprd reads it.
//!
//! daprd (`pkg/expr`) takes a word that it does not know for a variable. An expression with one is accepted, fails each
//! time it is asked, and a failure counts as "no": such a breaker never opens.

use cel::{Context, Program, Value};
use std::{fmt, sync::Arc};

/// The functions of CEL. Any other name of one makes daprd search for its declaration without end.
const FUNCTIONS: [&str; 14] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// When a breaker opens.
#[derive(Clone)]
pub struct Trip {
    /// As it was written.
    pub text: String,
    /// Compares one count with a number, as nearly all do: asked without running the expression.
    pub simple: Option<(Count, Compare, u64)>,
    program: Option<Arc<Program>>,
    /// Why it never says yes, whatever the counts.
    never: Option<String>,
    unknown: Option<String>,
}

/// What a trip expression may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Requests,
    TotalSuccesses,
    TotalFailures,
    ConsecutiveSuccesses,
    ConsecutiveFailures,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Over,
    AtLeast,
}

/// What a breaker has counted since it last began anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those under way as well.
    pub requests: u32,
    pub total_successes: u32,
    pub total_failures: u32,
    pub consecutive_successes: u32,
    pub consecutive_failures: u32,
}

/// An expression that daprd refuses, and with it the whole object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Counted from 1, in characters of the expression.
    pub column: Option<usize>,
    pub what: String,
}

impl Count {
    pub const ALL: [Self; 5] = [
        Self::Requests,
        Self::TotalSuccesses,
        Self::TotalFailures,
        Self::ConsecutiveSuccesses,
        Self::ConsecutiveFailures,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::TotalSuccesses => "totalSuccesses",
            Self::TotalFailures => "totalFailures",
            Self::ConsecutiveSuccesses => "consecutiveSuccesses",
            Self::ConsecutiveFailures => "consecutiveFailures",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|count| count.name() == name)
    }

    pub fn of(self, counts: &Counts) -> u32 {
        match self {
            Self::Requests => counts.requests,
            Self::TotalSuccesses => counts.total_successes,
            Self::TotalFailures => counts.total_failures,
            Self::ConsecutiveSuccesses => counts.consecutive_successes,
            Self::ConsecutiveFailures => counts.consecutive_failures,
        }
    }
}

impl Default for Trip {
    /// What holds where nothing is said.
    fn default() -> Self {
        Self {
            text: "consecutiveFailures > 5".into(),
            simple: Some((Count::ConsecutiveFailures, Compare::Over, 5)),
            program: None,
            never: None,
            unknown: None,
        }
    }
}

impl Trip {
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut trip = Self {
            text: text.to_owned(),
            simple: simple(text),
            program: None,
            never: None,
            unknown: None,
        };
        if trip.simple.is_some() {
            return Ok(trip);
        }
        let program = Program::compile(text).map_err(|errors| unreadable(&errors))?;
        let references = program.references();
        let functions = references.functions();
        let known = |name: &&&str| FUNCTIONS.contains(*name) || !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if let Some(unknown) = functions.iter().find(|name| !known(name)) {
            return Err(Unreadable {
                column: text.find(*unknown).map(|at| text[..at].chars().count() + 1),
                what: format!("there is no function `{unknown}`; there is {}", FUNCTIONS.join(", ")),
            });
        }
        let mut unknown: Vec<&str> = references.variables();
        unknown.retain(|name| Count::named(name).is_none());
        unknown.sort_unstable();
        trip.unknown = unknown.first().map(|name| (*name).to_owned());
        trip.never = nothing_sensible(&program);
        drop(references);
        trip.program = Some(Arc::new(program));
        Ok(trip)
    }

    /// Whether it opens a closed breaker, asked after a failure.
    pub fn opens(&self, counts: &Counts) -> bool {
        match (self.simple, &self.program) {
            (Some((count, Compare::Over, limit)), _) => u64::from(count.of(counts)) > limit,
            (Some((count, Compare::AtLeast, limit)), _) => u64::from(count.of(counts)) >= limit,
            (None, Some(program)) => self.never.is_none() && matches!(ask(program, counts), Ok(Value::Bool(true))),
            (None, None) => false,
        }
    }

    /// Why it never opens, whatever is counted.
    pub fn never(&self) -> Option<&str> {
        self.never.as_deref()
    }

    /// A word that is not one of the counts: what is made of it fails each time.
    pub fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// Divides counts, which are whole numbers, and holds the result against a broken one: 9 / 10 is 0.
    pub fn divides_whole(&self) -> bool {
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let mut words = self.text.split(|c: char| !number(c));
        let broken = words.any(|word| word.contains('.') && word.len() > 1);
        self.text.contains('/') && broken && !self.text.contains("double(")
    }

    /// How many failures in a row open it, when nothing else was counted before.
    pub fn failures(&self) -> Option<u32> {
        let row = |n: u32| Counts {
            requests: n,
            total_failures: n,
            consecutive_failures: n,
            ..Counts::default()
        };
        if let Some((count, compare, limit)) = self.simple {
            let failing = matches!(
                count,
                Count::Requests | Count::TotalFailures | Count::ConsecutiveFailures
            );
            let first = match compare {
                Compare::Over => limit.saturating_add(1),
                Compare::AtLeast => limit.max(1),
            };
            let never = u64::from(Counts::default().requests) + u64::from(u32::MAX) < first;
            // A count of successes stays 0.
            return match failing {
                true if !never => u32::try_from(first).ok(),
                true => None,
                false => self.opens(&row(1)).then_some(1),
            };
        }
        // Most expressions grow with the failures; the first is found by doubling, then by halving.
        let mut high = (0..32).map(|bit| 1_u32 << bit).find(|n| self.opens(&row(*n)))?;
        let mut low = high / 2;
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.opens(&row(middle)) {
                true => high = middle,
                false => low = middle,
            }
        }
        Some(high)
    }
}

impl PartialEq for Trip {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trip").field(&self.text).finish()
    }
}

/// `consecutiveFailures > 5`, which nearly all are.
fn simple(text: &str) -> Option<(Count, Compare, u64)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (count, rest) = match words.as_slice() {
        [count, rest @ ..] => (Count::named(count)?, rest),
        [] => return None,
    };
    let (compare, limit) = match rest {
        [">", limit] => (Compare::Over, limit),
        [">=", limit] => (Compare::AtLeast, limit),
        _ => return None,
    };
    let digits = limit.bytes().all(|byte| byte.is_ascii_digit()) && (limit.len() == 1 || !limit.starts_with('0'));
    let limit = limit
        .parse()
        .ok()
        .filter(|limit| digits && i64::try_from(*limit).is_ok())?;
    Some((count, compare, limit))
}

fn ask(program: &Program, counts: &Counts) -> Result<Value, String> {
    let mut context = Context::default();
    for count in Count::ALL {
        context.add_variable_from_value(count.name(), i64::from(count.of(counts)));
    }
    program.execute(&context).map_err(|e| e.to_string())
}

/// Fails, or says something that is neither yes nor no, at whatever it is asked.
fn nothing_sensible(program: &Program) -> Option<String> {
    let numbers = [0, 1, 7, 1000];
    let mut why = None;
    for requests in numbers {
        for failures in numbers {
            let counts = Counts {
                requests,
                total_successes: requests.saturating_sub(failures),
                total_failures: failures,
                consecutive_successes: 0,
                consecutive_failures: failures,
            };
            match ask(program, &counts) {
                Ok(Value::Bool(_)) => return None,
                Ok(other) => why = Some(format!("it is {}, not true or false", kind(&other))),
                Err(e) => why = why.or(Some(e)),
            }
        }
    }
    why
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a text",
        Value::List(_) => "a list",
        _ => "something else",
    }
}

fn unreadable(errors: &cel::ParseErrors) -> Unreadable {
    let first = errors.errors.first();
    Unreadable {
        column: first.and_then(|e| usize::try_from(e.pos.1).ok()),
        what: first.map_or_else(|| errors.to_string(), |e| e.msg.clone()),
    }
}

#[cfg(test)]
#[path = "trip_tests.rs"]
mod tests;
