//! From the bytes of a log to events.

use crate::{Event, Name, Names, Time, identity::Identity, line::Line};
use learnflow_core::Fields;
use memchr::memmem::Finder;
use serde::Serialize;
use std::sync::LazyLock;

/// What every record begins with, as both of daprd's formats quote it.
static RECORD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGIN));
const BEGIN: &str = r#""{\"lf\":1,\"dir\":\""#;
/// What stands before it: in the text format, in the JSON format. A quote inside another field stands behind a backslash, so that
/// nothing that a caller can bring into the log looks like this.
const BEFORE: [&str; 2] = [" msg=", "\"msg\":"];

/// How many lines there were, of which kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub lines: u64,
    /// Became an event.
    pub events: u64,
    /// Looked like one and could not be read: broken, cut, not UTF-8.
    pub broken: u64,
}

/// Reads one stream: one container's log, or a file of many.
#[derive(Debug, Default)]
pub struct Reader {
    /// The last line, as far as it has come.
    rest: Vec<u8>,
    /// The line so far that the container runtime has split.
    parts: Vec<u8>,
    counts: Counts,
    /// What the runtime says of when the last record was written.
    stamp: Option<Time>,
    /// Records that are no later than this have been read before.
    after: Option<Time>,
    /// The names of the record before, which are often those of the next.
    last: Last,
}

#[derive(Debug, Default)]
struct Last {
    app: Name,
    pod: Name,
    pubsub: Name,
    topic: Name,
}

impl Reader {
    /// No line of ours is longer: a record has at most 3,335 bytes, the runtime splits at 16 KiB. What is longer is
    /// thrown away as it comes.
    const LONGEST: usize = 64 * 1024;

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// When the last record was written, by the clock of the container runtime.
    pub fn stamp(&self) -> Option<Time> {
        self.stamp
    }

    /// The stream broke off and begins anew, perhaps earlier: what was read before is left out.
    pub fn resume(&mut self) {
        self.rest.clear();
        self.parts.clear();
        self.after = self.stamp;
    }

    /// Takes the next bytes, however they are cut, and gives out the events in them.
    pub fn read(&mut self, bytes: &[u8], names: &mut Names, mut take: impl FnMut(Event)) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            // However it comes, no more of it is looked at.
            let line = &bytes[from..end.min(from + Self::LONGEST + 1)];
            from = end + 1;
            let event = if self.rest.is_empty() {
                self.line(line, names)
            } else {
                self.keep(line);
                let whole = std::mem::take(&mut self.rest);
                let event = self.line(&whole, names);
                self.rest = whole;
                self.rest.clear();
                event
            };
            event.into_iter().for_each(&mut take);
        }
        self.keep(&bytes[from..]);
    }

    /// There is no more: what is left is a line, too.
    pub fn end(&mut self, names: &mut Names) -> Option<Event> {
        let rest = std::mem::take(&mut self.rest);
        let event = (!rest.is_empty()).then(|| self.line(&rest, names)).flatten();
        // Parts whose last one never came.
        self.counts.broken += u64::from(RECORD.find(&std::mem::take(&mut self.parts)).is_some());
        event
    }

    /// Reads one line, without its end.
    pub fn line(&mut self, line: &[u8], names: &mut Names) -> Option<Event> {
        self.counts.lines += 1;
        // As a rule, a line is no record, and nothing else has to be known of it.
        let found = RECORD.find(line);
        if found.is_none() && self.parts.is_empty() && !might_be_part(line) {
            return None;
        }
        let Ok(text) = str::from_utf8(line) else {
            self.counts.broken += u64::from(found.is_some());
            self.parts.clear();
            return None;
        };
        let line = Line::of(text);
        if line.partial || !self.parts.is_empty() {
            if self.parts.len() + line.text.len() <= Self::LONGEST {
                self.parts.extend_from_slice(line.text.as_bytes());
            }
            if line.partial {
                return None;
            }
            let whole = std::mem::take(&mut self.parts);
            let found = RECORD.find(&whole)?;
            return self.event(line.at, str::from_utf8(&whole).unwrap_or_default(), found, names);
        }
        // With something in front of it, its place is another one.
        let found = match line.text.len() == text.len() {
            true => found?,
            false => RECORD.find(line.text.as_bytes())?,
        };
        self.event(line.at, line.text, found, names)
    }

    /// `found`: where its record begins.
    fn event(&mut self, at: Option<Time>, text: &str, found: usize, names: &mut Names) -> Option<Event> {
        if at.is_some() && at <= self.after {
            return None;
        }
        self.stamp = at.or(self.stamp);
        let read = record(text, found).map(|(record, behind)| (record, Identity::of(text, behind)));
        // Without a time it has no place.
        let Some((record, identity, at)) = read.and_then(|(record, whose)| Some((record, whose, whose.at.or(at)?)))
        else {
            self.counts.broken += 1;
            return None;
        };
        self.counts.events += 1;
        let last = &mut self.last;
        Some(Event {
            at,
            app: names.again(&mut last.app, identity.app),
            pod: names.again(&mut last.pod, identity.instance),
            direction: record.direction,
            pubsub: record.pubsub.then(|name| names.again(&mut last.pubsub, name)),
            topic: record.place.then(|name| names.again(&mut last.topic, name)),
            route: record.is_route,
            outcome: record.outcome,
            status: record.status,
            us: record.us,
            bytes: record.bytes,
            bulk: record.bulk,
            partition: record.partition,
            offset: record.offset,
            age_ms: record.age_ms,
            trace: record.trace,
        })
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (Self::LONGEST + 1).saturating_sub(self.rest.len());
        self.rest.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// The record that begins there in a line of daprd's log, and what stands behind its message.
fn record(text: &str, found: usize) -> Option<(Fields<'_>, &str)> {
    let (before, rest) = text.split_at_checked(found)?;
    BEFORE.iter().any(|wanted| before.ends_with(wanted)).then_some(())?;
    Fields::in_log(rest.get(BEGIN.len()..)?).ok()
}

/// A container runtime splits long lines only, and says so behind the time.
fn might_be_part(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_digit)
        && line
            .get(..64.min(line.len()))
            .is_some_and(|begin| memchr::memmem::find(begin, b" P").is_some())
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
