//! Which events are meant.

use crate::{Event, Names};
use learnflow_core::Outcome;

/// Empty: all of them. Several of one kind: any of these; several kinds: each must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub topics: Vec<String>,
    pub services: Vec<String>,
    pub outcomes: Vec<Outcome>,
    /// As it stands in the record.
    pub trace: Option<String>,
}

impl Filter {
    pub fn takes(&self, event: &Event, names: &Names) -> bool {
        self.takes_topic(names.text(event.topic))
            && self.takes_service(names.text(event.app))
            && (self.outcomes.is_empty() || self.outcomes.contains(&event.outcome))
            && self
                .trace
                .as_ref()
                .is_none_or(|wanted| event.trace.is_some_and(|trace| trace.as_str() == wanted))
    }

    /// Whether it takes anything of this topic.
    pub fn takes_topic(&self, topic: &str) -> bool {
        among(&self.topics, topic)
    }

    /// Whether it takes anything of this service.
    pub fn takes_service(&self, app: &str) -> bool {
        among(&self.services, app)
    }
}

fn among(wanted: &[String], text: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| matches(wanted, text))
}

/// The name itself, or with `*` for any part of it.
pub fn matches(wanted: &str, text: &str) -> bool {
    let mut parts = wanted.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_part() {
        for (wanted, text, takes) in [
            ("lesson", "lesson", true),
            ("lesson", "lessons", false),
            ("lesson*", "lessons", true),
            ("*", "", true),
            ("*.dead", "lesson.dead", true),
            ("*.dead", "lesson.dead.x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(wanted, text), takes, "{wanted} {text}");
        }
    }
}
