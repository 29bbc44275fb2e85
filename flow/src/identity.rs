//! Whose line it is, and of when: what daprd itself says in each.

use crate::Time;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub(crate) at: Option<Time>,
    pub(crate) app: &'a str,
    pub(crate) instance: &'a str,
}

impl<'a> Identity<'a> {
    /// From a line in daprd's text or JSON format that holds a record.
    pub(crate) fn of(text: &'a str) -> Self {
        if text.starts_with('{') {
            return Self {
                at: json(text, "time").and_then(Time::parse),
                app: json(text, "app_id").unwrap_or_default(),
                instance: json(text, "instance").unwrap_or_default(),
            };
        }
        let at = text
            .strip_prefix("time=\"")
            .and_then(|rest| Time::parse(rest.split_once('"')?.0));
        // Behind the message, which nothing of a caller's can end: its quotes are escaped.
        let fields = message_end(text).map_or("", |end| text.get(end..).unwrap_or_default());
        Self {
            at,
            app: word(fields, " app_id=").unwrap_or_default(),
            instance: word(fields, " instance=").unwrap_or_default(),
        }
    }
}

/// Just behind the quote that ends the message. A record ends with a brace, so it is the first quote behind one.
fn message_end(text: &str) -> Option<usize> {
    memchr::memmem::find(text.as_bytes(), b"}\" ").map(|at| at + 2)
}

fn word<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    let at = memchr::memmem::find(fields.as_bytes(), name.as_bytes())?;
    let rest = fields.get(at + name.len()..)?;
    let word = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?.0,
        None => rest.split(' ').next()?,
    };
    (!word.is_empty()).then_some(word)
}

/// A field of the JSON object. Names of apps and pods have no quotes in them, and a quote inside another value stands
/// behind a backslash, so that `,"app_id":"` is only ever a field.
fn json<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let at = memchr::memmem::find(rest.as_bytes(), name.as_bytes())?;
        let before = at.checked_sub(2).and_then(|from| rest.get(from..at));
        let after = rest.get(at + name.len()..)?;
        if matches!(before, Some("{\"" | ",\""))
            && let Some(value) = after.strip_prefix("\":\"")
        {
            return value.split_once('"').map(|(value, _)| value);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_both_formats() {
        for line in [
            r#"time="2026-01-15T10:00:01.5Z" level=info msg="{\"lf\":1,\"topic\":\" app_id=x \"}" app_id=course-agent component="learnflow (middleware.http.wasm/v1)" instance=agent-1 scope=dapr.runtime"#,
            r#"{"app_id":"course-agent","instance":"agent-1","msg":"{\"lf\":1,\"topic\":\",\"app_id\":\"x\"}","time":"2026-01-15T10:00:01.5Z"}"#,
            r#"{"msg":"{\"lf\":1,\"app_id\":\"x\"}","time":"2026-01-15T10:00:01.5Z","app_id":"course-agent","instance":"agent-1"}"#,
        ] {
            let at = Time::parse("2026-01-15T10:00:01.5Z");
            let (app, instance) = ("course-agent", "agent-1");
            assert_eq!(Identity::of(line), Identity { at, app, instance }, "{line}");
        }
    }

    #[test]
    fn what_is_not_there_is_empty() {
        for line in ["", "{", r#"time="x" msg="{}" "#, r#"{"app_id":1}"#, r#"{"app_id":"x"#] {
            let _ = Identity::of(line);
        }
        assert_eq!(Identity::of("x"), Identity::default());
    }
}
