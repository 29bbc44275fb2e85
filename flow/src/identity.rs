//! Whose line it is, and of when: what daprd itself says in each.

use crate::Time;
use memchr::memmem::Finder;
use std::sync::LazyLock;

type Finding = LazyLock<Finder<'static>>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub(crate) at: Option<Time>,
    pub(crate) app: &'a str,
    pub(crate) instance: &'a str,
}

impl<'a> Identity<'a> {
    /// From a line in daprd's text or JSON format that holds a record, and what stands `behind` its message.
    pub(crate) fn of(text: &'a str, behind: &'a str) -> Self {
        if text.starts_with('{') {
            return Self {
                at: json(text, &TIME).and_then(Time::parse),
                app: json(text, &APP).unwrap_or_default(),
                instance: json(text, &INSTANCE).unwrap_or_default(),
            };
        }
        let at = text
            .strip_prefix("time=\"")
            .and_then(|rest| Time::parse(until(rest, b'"')?));
        Self {
            at,
            app: word(behind, &APP_WORD).unwrap_or_default(),
            instance: word(behind, &INSTANCE_WORD).unwrap_or_default(),
        }
    }
}

static TIME: Finding = LazyLock::new(|| Finder::new("\"time\":\""));
static APP: Finding = LazyLock::new(|| Finder::new("\"app_id\":\""));
static INSTANCE: Finding = LazyLock::new(|| Finder::new("\"instance\":\""));
static APP_WORD: Finding = LazyLock::new(|| Finder::new(" app_id="));
static INSTANCE_WORD: Finding = LazyLock::new(|| Finder::new(" instance="));

fn until(text: &str, end: u8) -> Option<&str> {
    text.get(..memchr::memchr(end, text.as_bytes())?)
}

fn word<'a>(fields: &'a str, name: &Finder) -> Option<&'a str> {
    let at = name.find(fields.as_bytes())?;
    let rest = fields.get(at + name.needle().len()..)?;
    let word = match rest.strip_prefix('"') {
        Some(quoted) => until(quoted, b'"')?,
        None => until(rest, b' ').unwrap_or(rest),
    };
    (!word.is_empty()).then_some(word)
}

/// A field of the JSON object. Names of apps and pods have no quotes in them, and a quote inside another value stands
/// behind a backslash, so that `,"app_id":"` is only ever a field.
fn json<'a>(text: &'a str, name: &Finder) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let at = name.find(rest.as_bytes())?;
        let after = rest.get(at + name.needle().len()..)?;
        if matches!(rest.as_bytes().get(at.checked_sub(1)?), Some(b'{' | b',')) {
            return until(after, b'"');
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
            let behind = line.split_once("}\"").expect("a message").1;
            assert_eq!(Identity::of(line, behind), Identity { at, app, instance }, "{line}");
        }
    }

    #[test]
    fn what_is_not_there_is_empty() {
        for line in ["", "{", r#"time="x" msg="{}" "#, r#"{"app_id":1}"#, r#"{"app_id":"x"#] {
            let _ = Identity::of(line, line);
        }
        assert_eq!(Identity::of("x", ""), Identity::default());
    }
}
