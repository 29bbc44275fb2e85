//! The memory of the stack, and its budget.

use crate::model::Memory;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// Bytes that the pods take; where nobody measures that, what they request.
    pub(super) used: u64,
    pub(super) source: Source,
    /// Bytes that they may take.
    pub(super) limits: u64,
    /// Bytes; absent without one.
    pub(super) budget: Option<u64>,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Metrics,
    Requests,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) used: u64,
    pub(super) limit: u64,
}

pub(super) fn row(memory: &Memory) -> Option<Row> {
    let source = if memory.measured {
        Source::Metrics
    } else {
        Source::Requests
    };
    let part = |of: &crate::model::MemoryOf| Part {
        namespace: of.namespace.clone(),
        name: of.name.clone(),
        used: if memory.measured { of.used } else { of.requested },
        limit: of.limit,
    };
    let parts: Vec<Part> = memory.of.iter().map(part).collect();
    (!parts.is_empty()).then(|| Row {
        used: parts.iter().map(|part| part.used).sum(),
        source,
        limits: parts.iter().map(|part| part.limit).sum(),
        budget: memory.budget,
        parts,
    })
}

impl Row {
    pub(super) fn judge(&self, problems: &mut Vec<String>, notes: &mut Vec<String>) {
        let Some(budget) = self.budget else { return };
        let [used, limits, allowed] = [self.used, self.limits, budget].map(mebibytes);
        if self.used > budget {
            problems.push(format!(
                "The stack takes {used} of memory, and its budget is {allowed}: run `kubectl learnflow install` with it \
                 again, or raise it."
            ));
        } else if self.limits > budget {
            notes.push(format!(
                "The stack may take {limits} of memory by its limits, and its budget is {allowed}: \
                 `kubectl learnflow install` with it again makes it fit."
            ));
        }
    }

    /// `312Mi used (metrics API) of a budget of 1024Mi; 1015Mi by limits`
    pub(super) fn line(&self) -> String {
        let how = match self.source {
            Source::Metrics => "used (metrics API)",
            Source::Requests => "requested (not measured)",
        };
        let of = self.budget.map_or_else(
            || "; no budget".to_owned(),
            |budget| format!(" of a budget of {}", mebibytes(budget)),
        );
        format!(
            "{} {how}{of}; {} by limits",
            mebibytes(self.used),
            mebibytes(self.limits)
        )
    }

    /// `95Mi/400Mi`
    pub(super) fn of(&self, namespace: Option<&str>, name: &str) -> Option<String> {
        let mut parts = self.parts.iter();
        let part = parts.find(|part| Some(part.namespace.as_str()) == namespace && part.name == name)?;
        Some(format!("{}/{}", mebibytes(part.used), mebibytes(part.limit)))
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MemoryOf;

    const MIB: u64 = 1 << 20;

    fn memory(budget: Option<u64>, measured: bool) -> Memory {
        let of = |name: &str, used, requested, limit| MemoryOf {
            namespace: "system".into(),
            name: name.into(),
            used: used * MIB,
            requested: requested * MIB,
            limit: limit * MIB,
        };
        Memory {
            measured,
            of: vec![of("prometheus", 200, 100, 600), of("gateway", 50, 60, 300)],
            budget: budget.map(|budget| budget * MIB),
        }
    }

    fn said(memory: &Memory) -> (String, Vec<String>, Vec<String>) {
        let row = row(memory).expect("a row");
        let (mut problems, mut notes) = (Vec::new(), Vec::new());
        row.judge(&mut problems, &mut notes);
        (row.line(), problems, notes)
    }

    #[test]
    fn it_says_where_a_figure_is_from() {
        let (line, problems, notes) = said(&memory(Some(1024), true));
        assert_eq!(line, "250Mi used (metrics API) of a budget of 1024Mi; 900Mi by limits");
        assert!(problems.is_empty() && notes.is_empty());
        let (line, ..) = said(&memory(None, false));
        assert_eq!(line, "160Mi requested (not measured); no budget; 900Mi by limits");
        assert_eq!(row(&Memory::default()), None, "no pod, nothing to say");
        let row = row(&memory(None, true)).expect("a row");
        assert_eq!(row.of(Some("system"), "gateway").as_deref(), Some("50Mi/300Mi"));
        assert_eq!(row.of(Some("system"), "other"), None);
    }

    #[test]
    fn over_the_budget_is_wrong_and_limits_over_it_are_a_note() {
        let (_, problems, notes) = said(&memory(Some(200), true));
        assert_eq!(
            problems,
            [
                "The stack takes 250Mi of memory, and its budget is 200Mi: run `kubectl learnflow install` with it again, or \
              raise it."
            ]
        );
        assert!(notes.is_empty());
        let (_, problems, notes) = said(&memory(Some(512), true));
        assert!(problems.is_empty());
        assert!(
            notes[0].contains("may take 900Mi of memory by its limits, and its budget is 512Mi"),
            "{notes:?}"
        );
    }
}
