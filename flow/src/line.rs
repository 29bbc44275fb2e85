//! What a container runtime, and `kubectl logs`, put in front of a line.

use crate::Time;

/// A line of a container's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// When the runtime took it.
    pub(crate) at: Option<Time>,
    /// It goes on in the next one of the same stream.
    pub(crate) partial: bool,
    pub(crate) text: &'a str,
}

impl<'a> Line<'a> {
    /// `TIME stdout F TEXT` of a file on the node, `TIME TEXT` of `kubectl logs --timestamps`, `[pod/…/daprd] …` of
    /// `kubectl logs --prefix`, or the text alone.
    pub(crate) fn of(line: &'a str) -> Self {
        let text = line.strip_suffix('\r').unwrap_or(line);
        let text = text
            .strip_prefix("[pod/")
            .and_then(|rest| Some(rest.split_once("] ")?.1))
            .unwrap_or(text);
        let plain = Self {
            at: None,
            partial: false,
            text,
        };
        // A line of daprd begins with a letter or a brace.
        if !text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            return plain;
        }
        let Some((at, rest)) = text
            .split_once(' ')
            .and_then(|(time, rest)| Some((Time::parse(time)?, rest)))
        else {
            return plain;
        };
        let tagged = rest
            .strip_prefix("stdout ")
            .or_else(|| rest.strip_prefix("stderr "))
            .and_then(|rest| rest.split_once(' '));
        // Tags are separated by colons; the first one says whether the line is whole (Kubernetes, `kuberuntime/logs`).
        let (partial, text) = match tagged.map(|(tags, text)| (tags.split(':').next(), text)) {
            Some((Some("P"), text)) => (true, text),
            Some((Some("F"), text)) => (false, text),
            _ => (false, rest),
        };
        Self {
            at: Some(at),
            partial,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_front() {
        let at = Time::parse("2026-01-15T10:00:01.5Z");
        for (line, at, partial) in [
            ("time=\"x\" level=info", None, false),
            ("2026-01-15T10:00:01.5Z stdout F time=\"x\" level=info", at, false),
            ("2026-01-15T10:00:01.5Z stderr P time=\"x\" level=info", at, true),
            ("2026-01-15T10:00:01.5Z stdout P:x time=\"x\" level=info", at, true),
            ("2026-01-15T10:00:01.5Z time=\"x\" level=info\r", at, false),
            (
                "[pod/agent-1/daprd] 2026-01-15T10:00:01.5Z time=\"x\" level=info",
                at,
                false,
            ),
            ("[pod/agent-1/daprd] time=\"x\" level=info", None, false),
        ] {
            let text = "time=\"x\" level=info";
            assert_eq!(Line::of(line), Line { at, partial, text }, "{line}");
        }
        for line in ["", "7", "7 days", "2026-01-15T10:00:01.5Z", "[pod/x"] {
            assert_eq!(Line::of(line).text, line);
        }
    }
}
