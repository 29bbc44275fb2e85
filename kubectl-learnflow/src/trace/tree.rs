//! Spans of a trace, by who began whom.

use super::{Record, Span, span::Role};
use std::collections::{BTreeSet, HashMap};

/// A record is written by the same sidecar that ends the span, a moment later; more than this lies between two calls.
const APART_NS: i64 = 50_000_000;
/// No way is deeper.
const DEEPEST: usize = 100;

pub(super) struct Tree<'a> {
    spans: &'a [Span],
    by_id: HashMap<&'a str, usize>,
}

impl<'a> Tree<'a> {
    pub(super) fn of(spans: &'a [Span]) -> Self {
        let by_id = spans.iter().enumerate().map(|(at, span)| (span.id.as_str(), at));
        Self {
            spans,
            by_id: by_id.collect(),
        }
    }

    pub(super) fn with_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Those that a span is in, the nearest first. Whoever sends spans may make a circle of them.
    pub(super) fn outer(&self, at: usize) -> Vec<usize> {
        let mut outer = Vec::new();
        let mut now = at;
        while let Some(parent) = self.with_id(&self.spans[now].parent)
            && outer.len() < DEEPEST
            && parent != at
            && !outer.contains(&parent)
        {
            outer.push(parent);
            now = parent;
        }
        outer
    }

    pub(super) fn role(&self, at: usize) -> Role {
        self.spans[at].role
    }

    /// The span with all that it is in and all that is in it.
    pub(super) fn way(&self, at: usize) -> BTreeSet<usize> {
        let within = (0..self.spans.len()).filter(|other| self.outer(*other).contains(&at));
        let mut way: BTreeSet<usize> = within.chain(self.outer(at)).collect();
        way.insert(at);
        way
    }

    /// The span of the same call, among those that are free.
    pub(super) fn span_of(&self, record: &Record, is_free: impl Fn(usize) -> bool) -> Option<usize> {
        let parent = |span: &Span| Some(self.role(self.with_id(&span.parent)?));
        let fits = |span: &Span| {
            let role = match record.publishes() {
                true => matches!(span.role, Role::Publish { .. }),
                false => span.role == Role::Delivery,
            };
            // The call of a bulk publish has the record; each event in it has a span within that of the call.
            let whole = !record.publishes() || !parent(span).is_some_and(Role::publishes);
            // A dead letter's record names the topic that the event had before, its span the dead-letter topic.
            let topic = !record.publishes() || span.topic.as_deref() == Some(&record.topic);
            let near = span.begin.0 - APART_NS <= record.event.at.0 && record.begin().0 <= span.end.0 + APART_NS;
            role && whole && topic && near && span.service == record.app
        };
        let free = (0..self.spans.len()).filter(|at| is_free(*at) && fits(&self.spans[*at]));
        free.min_by_key(|at| self.spans[*at].begin.0.abs_diff(record.begin().0))
    }
}
