//! Others that do what a part of ours does: how their names and the choice between them are told, the same for each kind.

use crate::{problem::Problem, text::list};

/// What they are, and how one is chosen.
pub(super) struct Rivals {
    /// In one word: `Prometheus`.
    pub(super) kind: &'static str,
    /// Several of them: `objects Prometheus`.
    pub(super) several: &'static str,
    pub(super) flag: &'static str,
}

impl Rivals {
    /// What to do when the one that is there should not be used.
    pub(super) fn own(&self) -> String {
        format!("Take LearnFlow's own instead with {} own.", self.flag)
    }

    /// It is not for us to choose.
    pub(super) fn too_many(&self, names: &[String]) -> Problem {
        Problem::new(format!("There are {} {}: {}.", names.len(), self.several, list(names))).next(format!(
            "Choose one with {flag} {}, or LearnFlow's own with {flag} own. Nothing was changed.",
            names[0],
            flag = self.flag
        ))
    }

    /// `what` was named, and is not among those that there are.
    pub(super) fn absent(&self, what: &str, names: &[String]) -> Problem {
        let there = match names {
            [] => "There is none at all".to_owned(),
            names => format!("There is {}", list(names)),
        };
        Problem::new(format!("There is no {what}.")).next(format!("{there}. {} Nothing was changed.", self.own()))
    }

    /// It was named, and cannot do it.
    pub(super) fn unfit(&self, name: &str, why: &str) -> Problem {
        Problem::new(format!("{} {name} cannot be used: {why}.", self.kind))
            .next(format!("Change that. {} Nothing was changed.", self.own()))
    }

    /// Nobody named it: ours comes, and this is said.
    pub(super) fn passed_over(&self, name: &str, why: &str) -> (String, String) {
        (
            format!("{} {name} is there and cannot be used: {why}", self.kind),
            format!(
                "LearnFlow brings its own. When that is changed, choose it with {} {name}.",
                self.flag
            ),
        )
    }
}
