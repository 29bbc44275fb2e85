//! What the user reads when something cannot be done: a sentence, and the next step.

use std::fmt;

/// A failure, told so that its reader knows what happened and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Problem {
    pub(crate) what: String,
    pub(crate) next: Option<String>,
    pub(crate) kind: Kind,
}

/// What a caller can do about it without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The API server, or something behind it, does not answer just now: waiting may help.
    Unreachable,
    /// The cluster knows the caller and says no.
    Forbidden,
    /// Somebody else owns a field.
    Conflict,
    /// The thing is not there.
    NotFound,
    /// Anything else: only a person can help.
    Other,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: None,
            kind: Kind::Other,
        }
    }

    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    pub(crate) fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
