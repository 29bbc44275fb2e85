//! From a line back to a record.

use core::fmt;

use crate::record::field;
use crate::{Direction, Outcome, PREFIX, Record, Text, TraceId};

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It does not begin like one, or like one of another version.
    Prefix,
    /// It is not one flat JSON object, written without spaces.
    Syntax,
    /// A field has a value that it cannot have.
    Value,
    /// A field is there twice.
    Twice,
    /// `pubsub`, `topic` (of a bulk delivery: `topic` or `route`) or `outcome` is not there.
    Missing,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "does not begin like a record of version 1",
            Self::Syntax => "not a flat JSON object without spaces",
            Self::Value => "a field has a value it cannot have",
            Self::Twice => "a field is there twice",
            Self::Missing => "pubsub, topic and route, or outcome is missing",
        })
    }
}

impl core::error::Error for ReadError {}

/// A record as it stands in a line: no name is copied.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Which way the event went.
    pub direction: Direction,
    /// The pub/sub component.
    pub pubsub: Name<'a>,
    /// The topic, or of a bulk delivery the route.
    pub place: Name<'a>,
    /// The place is a route.
    pub is_route: bool,
    /// What became of the event.
    pub outcome: Outcome,
    /// The HTTP status.
    pub status: Option<u16>,
    /// How long the call took, in microseconds.
    pub us: Option<u64>,
    /// The size of the request's body, in bytes.
    pub bytes: Option<u64>,
    /// Several events in one call.
    pub bulk: bool,
    /// Kafka's partition.
    pub partition: Option<u32>,
    /// Kafka's offset.
    pub offset: Option<u64>,
    /// From Kafka's timestamp to the start of the delivery, in milliseconds.
    pub age_ms: Option<u64>,
    /// The trace the event belongs to.
    pub trace: Option<TraceId>,
}

/// A name as it stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// The name itself: as a rule.
    Plain(&'a str),
    /// It begins here, with escapes in it, and ends with a quote.
    Escaped(&'a str),
    /// The same in a message of daprd's log.
    EscapedInLog(&'a str),
}

impl Name<'_> {
    /// What `take` makes of the name.
    pub fn then<T>(self, take: impl FnOnce(&str) -> T) -> T {
        match self {
            Self::Plain(name) => take(name),
            escaped => take(escaped.text().as_str()),
        }
    }

    /// The name, copied.
    pub fn text(self) -> Text {
        let unescaped = match self {
            Self::Plain(name) => return Text::from(name),
            Self::Escaped(rest) => Cursor::<false>(rest).unescaped(),
            Self::EscapedInLog(rest) => Cursor::<true>(rest).unescaped(),
        };
        unescaped.ok().flatten().unwrap_or(Text::EMPTY)
    }
}

impl Record {
    /// Reads one line, without its end. Strict: what no writer of this version writes is refused, except for fields of
    /// other names, which a later writer may add without a new version.
    pub fn read(line: &str) -> Result<Self, ReadError> {
        let rest = line.strip_prefix(PREFIX).ok_or(ReadError::Prefix)?;
        let (fields, rest) = Fields::read::<false>(rest)?;
        rest.is_empty().then(|| fields.record()).ok_or(ReadError::Syntax)
    }
}

impl<'a> Fields<'a> {
    /// Reads what stands in a line of daprd's log behind the [`PREFIX`] of a message, up to the quote that ends it; what comes
    /// behind that is given back. As strict as [`Record::read`]; the backslashes of the log are taken off on the way.
    pub fn in_log(rest: &'a str) -> Result<(Self, &'a str), ReadError> {
        let (fields, rest) = Self::read::<true>(rest)?;
        Ok((fields, rest.strip_prefix('"').ok_or(ReadError::Syntax)?))
    }

    /// The rest of the line comes back.
    fn read<const IN_LOG: bool>(rest: &'a str) -> Result<(Self, &'a str), ReadError> {
        let mut at = Cursor::<IN_LOG>(rest);
        let direction = at.run().filter(|_| at.quote()).ok_or(ReadError::Syntax)?;
        let direction = Direction::named(direction).ok_or(ReadError::Value)?;

        let (mut pubsub, mut topic, mut route, mut outcome, mut bulk) = (None, None, None, None, None);
        let (mut status, mut us, mut bytes, mut partition) = (None, None, None, None);
        let (mut offset, mut age_ms, mut trace) = (None, None, None);
        while at.take(',') {
            let key = at.text()?.ok_or(ReadError::Syntax)?;
            if !at.take(':') {
                return Err(ReadError::Syntax);
            }
            let value = at.value()?;
            key.then(|key| match key {
                field::PUBSUB => once(&mut pubsub, value.name()),
                field::TOPIC => once(&mut topic, value.name()),
                field::ROUTE => once(&mut route, value.name()),
                field::OUTCOME => once(&mut outcome, value.text().and_then(|name| name.then(Outcome::named))),
                field::STATUS => once(&mut status, value.number()),
                field::US => once(&mut us, value.number()),
                field::BYTES => once(&mut bytes, value.number()),
                field::BULK => once(&mut bulk, (value == Value::True).then_some(true)),
                field::PARTITION => once(&mut partition, value.number()),
                field::OFFSET => once(&mut offset, value.number()),
                field::AGE_MS => once(&mut age_ms, value.number()),
                field::TRACE => {
                    let id = |id: &str| TraceId::parse(id.as_bytes());
                    once(&mut trace, value.text().and_then(|name| name.then(id)))
                }
                "lf" | "dir" => Err(ReadError::Twice),
                _ => Ok(()),
            })?;
        }
        if !at.take('}') {
            return Err(ReadError::Syntax);
        }
        let pubsub = pubsub.ok_or(ReadError::Missing)?;
        let outcome = outcome.ok_or(ReadError::Missing)?;
        let bulk = bulk.unwrap_or(false);
        let (place, is_route) = match (topic, route) {
            (Some(topic), None) => (topic, false),
            (None, Some(route)) if bulk && direction == Direction::Deliver => (route, true),
            (None, None) => return Err(ReadError::Missing),
            _ => return Err(ReadError::Value),
        };
        let fields = Self {
            direction,
            pubsub,
            place,
            is_route,
            outcome,
            status,
            us,
            bytes,
            bulk,
            partition,
            offset,
            age_ms,
            trace,
        };
        Ok((fields, at.0))
    }

    /// Copied.
    fn record(&self) -> Record {
        let mut record = Record::new(self.direction, self.pubsub.text(), Text::EMPTY);
        let place = if self.is_route {
            &mut record.route
        } else {
            &mut record.topic
        };
        *place = self.place.text();
        record.outcome = self.outcome;
        record.status = self.status;
        record.us = self.us;
        record.bytes = self.bytes;
        record.bulk = self.bulk;
        record.partition = self.partition;
        record.offset = self.offset;
        record.age_ms = self.age_ms;
        record.trace = self.trace;
        record
    }
}

fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), ReadError> {
    let value = value.ok_or(ReadError::Value)?;
    slot.replace(value).map_or(Ok(()), |_| Err(ReadError::Twice))
}

/// What can stand after a key. `None` inside a text: it is longer than any of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Text(Option<Name<'a>>),
    Number(Option<u64>),
    True,
    False,
}

impl<'a> Value<'a> {
    fn text(self) -> Option<Name<'a>> {
        if let Self::Text(text) = self { text } else { None }
    }

    fn name(self) -> Option<Name<'a>> {
        self.text().filter(|name| *name != Name::Plain(""))
    }

    fn number<T: TryFrom<u64>>(self) -> Option<T> {
        if let Self::Number(number) = self {
            number?.try_into().ok()
        } else {
            None
        }
    }
}

/// Of eight bytes those that do not stand for themselves in a string: the lowest bit that is set is the highest of the first one
/// (bits above it may be of others).
const fn no_plain(eight: u64) -> u64 {
    const ONES: u64 = each(1);
    const HIGHEST: u64 = each(0x80);
    const fn each(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    const fn below(eight: u64, least: u8) -> u64 {
        eight.wrapping_sub(each(least)) & !eight
    }
    let control = below(eight, b' ');
    let beyond = eight | eight.wrapping_add(ONES);
    let quote = below(eight ^ each(b'"'), 1);
    let backslash = below(eight ^ each(b'\\'), 1);
    (control | beyond | quote | backslash) & HIGHEST
}

/// What is left to read. In a log there is one more backslash before each quote and each backslash.
struct Cursor<'a, const IN_LOG: bool>(&'a str);

impl<'a, const IN_LOG: bool> Cursor<'a, IN_LOG> {
    fn byte(&mut self) -> Result<u8, ReadError> {
        let byte = self.0.as_bytes().first().ok_or(ReadError::Syntax)?;
        self.0 = self.0.get(1..).ok_or(ReadError::Syntax)?;
        Ok(*byte)
    }

    /// The next one of the record.
    fn next(&mut self) -> Result<u8, ReadError> {
        match self.byte()? {
            b'\\' if IN_LOG => match self.byte()? {
                byte @ (b'"' | b'\\') => Ok(byte),
                _ => Err(ReadError::Syntax),
            },
            // The end of the message.
            b'"' if IN_LOG => Err(ReadError::Syntax),
            byte => Ok(byte),
        }
    }

    fn take(&mut self, char: char) -> bool {
        let rest = self.0.strip_prefix(char);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn take_all(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn quote(&mut self) -> bool {
        self.take_all(if IN_LOG { "\\\"" } else { "\"" })
    }

    /// Characters that stand for themselves, up to one that does not.
    fn run(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let mut end = 0_usize;
        let mut others = 0;
        while let Some(eight) = bytes.get(end..).and_then(<[u8]>::first_chunk) {
            others = no_plain(u64::from_le_bytes(*eight));
            if others != 0 {
                break;
            }
            end = end.saturating_add(8);
        }
        // Which of the eight, or of those at the end that are fewer.
        end = end.saturating_add(if others == 0 {
            let plain = |byte: &u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
            bytes.get(end..)?.iter().position(|byte| !plain(byte))?
        } else {
            (others.trailing_zeros() >> 3) as usize
        });
        let (run, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(run)
    }

    fn value(&mut self) -> Result<Value<'a>, ReadError> {
        match self.0.as_bytes().first() {
            Some(b'"' | b'\\') => self.text().map(Value::Text),
            Some(b'0'..=b'9') => self.number().map(Value::Number),
            _ if self.take_all("true") => Ok(Value::True),
            _ if self.take_all("false") => Ok(Value::False),
            _ => Err(ReadError::Syntax),
        }
    }

    /// A whole number. `None` if it is larger than any of ours.
    fn number(&mut self) -> Result<Option<u64>, ReadError> {
        let bytes = self.0.as_bytes();
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
        let (mut number, mut length) = (Some(0_u64), 0_usize);
        for digit in digits {
            let digit = u64::from(*digit & 15);
            number = number.and_then(|number| number.checked_mul(10)?.checked_add(digit));
            length = length.saturating_add(1);
        }
        if bytes.first() == Some(&b'0') && length > 1 {
            return Err(ReadError::Syntax);
        }
        self.0 = self.0.get(length..).ok_or(ReadError::Syntax)?;
        Ok(number)
    }

    /// A string. `None` if it is longer than any of ours.
    fn text(&mut self) -> Result<Option<Name<'a>>, ReadError> {
        if !self.quote() {
            return Err(ReadError::Syntax);
        }
        let begin = self.0;
        if let Some(name) = self.run()
            && self.quote()
        {
            return Ok((name.len() <= Text::MAX).then_some(Name::Plain(name)));
        }
        self.0 = begin;
        let escaped = if IN_LOG { Name::EscapedInLog } else { Name::Escaped };
        Ok(self.unescaped()?.map(|_| escaped(begin)))
    }

    /// Up to the quote that ends a string.
    fn unescaped(&mut self) -> Result<Option<Text>, ReadError> {
        let mut text = Text::EMPTY;
        let mut fits = true;
        loop {
            let char = match self.next()? {
                b'"' => return Ok(fits.then_some(text)),
                b'\\' => self.escape()?,
                byte @ b' '..=b'~' => char::from(byte),
                // A writer leaves nothing but printable ASCII.
                _ => return Err(ReadError::Syntax),
            };
            fits = fits && text.push(char);
        }
    }

    fn escape(&mut self) -> Result<char, ReadError> {
        match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => Ok(char::from(byte)),
            b'b' => Ok('\u{8}'),
            b'f' => Ok('\u{c}'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => {
                let first = self.unit()?;
                let more = if IN_LOG { "\\\\u" } else { "\\u" };
                let second = match first {
                    0xd800..=0xdbff if self.take_all(more) => Some(self.unit()?),
                    _ => None,
                };
                let mut chars = char::decode_utf16([first].into_iter().chain(second));
                match (chars.next(), chars.next()) {
                    (Some(Ok(char)), None) => Ok(char),
                    _ => Err(ReadError::Syntax),
                }
            }
            _ => Err(ReadError::Syntax),
        }
    }

    fn unit(&mut self) -> Result<u16, ReadError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(ReadError::Syntax)?;
            unit = unit << 4 | digit;
        }
        u16::try_from(unit).map_err(|_| ReadError::Syntax)
    }
}

#[cfg(test)]
mod tests;
