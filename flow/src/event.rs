//! One publish or one delivery.

use crate::Time;
use foldhash::fast::RandomState;
use learnflow_core::{Direction, Outcome, TraceId};
use std::collections::HashMap;

/// A name that [`Names`] keeps. Copied and compared like the number it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(u32);

/// Every name once: an event is small then, and adding up compares numbers.
#[derive(Debug)]
pub struct Names {
    texts: Vec<Box<str>>,
    known: HashMap<Box<str>, Name, RandomState>,
}

/// A record, with when and where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub at: Time,
    /// The app id of the sidecar that wrote it.
    pub app: Name,
    /// The sidecar's instance: its pod.
    pub pod: Name,
    pub direction: Direction,
    pub pubsub: Name,
    /// The topic; of a bulk delivery, whose topic nobody knows, the route.
    pub topic: Name,
    /// It is a route.
    pub route: bool,
    pub outcome: Outcome,
    pub status: Option<u16>,
    /// How long the call took.
    pub us: Option<u64>,
    pub bytes: Option<u64>,
    pub bulk: bool,
    pub partition: Option<u32>,
    pub offset: Option<u64>,
    pub age_ms: Option<u64>,
    pub trace: Option<TraceId>,
}

impl Name {
    /// What stands for all names that there is no room for.
    pub const OTHERS: Self = Self(1);
}

impl Names {
    /// More than any cluster has. What comes beyond it shares one name, so that hostile names cannot fill the memory.
    const MOST: usize = 100_000;
    const OTHERS: &str = "(others)";

    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).map_or("", |text| text)
    }

    pub fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.known.get(text) {
            return *name;
        }
        let Some(next) = u32::try_from(self.texts.len())
            .ok()
            .filter(|_| self.texts.len() < Self::MOST)
        else {
            return Name::OTHERS;
        };
        self.texts.push(text.into());
        self.known.insert(text.into(), Name(next));
        Name(next)
    }

    /// The same, quicker where it is often the name it was last.
    pub(crate) fn again(&mut self, last: &mut Name, text: &str) -> Name {
        if self.text(*last) != text {
            *last = self.name(text);
        }
        *last
    }

    /// Without learning it.
    pub fn known(&self, text: &str) -> Option<Name> {
        self.known.get(text).copied()
    }
}

/// The empty name is the first and default one.
impl Default for Names {
    fn default() -> Self {
        let mut names = Self {
            texts: Vec::new(),
            known: HashMap::default(),
        };
        names.name("");
        names.name(Self::OTHERS);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let mut names = Names::default();
        let name = names.name("lesson.generated");
        assert_eq!(names.name("lesson.generated"), name);
        assert_eq!(names.text(name), "lesson.generated");
        assert_eq!(names.text(Name::default()), "");
        assert_eq!(names.known("other"), None);
    }

    #[test]
    fn names_do_not_fill_the_memory() {
        let mut names = Names::default();
        for number in 0..Names::MOST + 10 {
            names.name(&number.to_string());
        }
        assert_eq!(names.texts.len(), Names::MOST);
        let beyond = names.name("one more");
        assert_eq!(names.text(beyond), Names::OTHERS);
    }
}
