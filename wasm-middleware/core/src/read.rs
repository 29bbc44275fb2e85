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

impl Record {
    /// Reads one line, without its end. Strict: what no writer of this version writes is refused, except for fields of
    /// other names, which a later writer may add without a new version.
    pub fn read(line: &str) -> Result<Self, ReadError> {
        let rest = line.strip_prefix(PREFIX).ok_or(ReadError::Prefix)?;
        let (direction, rest) = rest.split_once('"').ok_or(ReadError::Syntax)?;
        let direction = Direction::named(direction).ok_or(ReadError::Value)?;
        let mut at = Cursor(rest.as_bytes());

        let (mut pubsub, mut topic, mut route, mut outcome, mut bulk) = (None, None, None, None, None);
        let mut record = Self::new(direction, Text::EMPTY, Text::EMPTY);
        while at.take(b',') {
            let key = at.text()?.ok_or(ReadError::Syntax)?;
            if !at.take(b':') {
                return Err(ReadError::Syntax);
            }
            let value = at.value()?;
            match key.as_str() {
                field::PUBSUB => once(&mut pubsub, value.name())?,
                field::TOPIC => once(&mut topic, value.name())?,
                field::ROUTE => once(&mut route, value.name())?,
                field::OUTCOME => once(
                    &mut outcome,
                    value.text().and_then(|name| Outcome::named(name.as_str())),
                )?,
                field::STATUS => once(&mut record.status, value.number())?,
                field::US => once(&mut record.us, value.number())?,
                field::BYTES => once(&mut record.bytes, value.number())?,
                field::BULK => once(&mut bulk, (value == Value::True).then_some(true))?,
                field::PARTITION => once(&mut record.partition, value.number())?,
                field::OFFSET => once(&mut record.offset, value.number())?,
                field::AGE_MS => once(&mut record.age_ms, value.number())?,
                field::TRACE => once(
                    &mut record.trace,
                    value.text().and_then(|id| TraceId::parse(id.as_bytes())),
                )?,
                "lf" | "dir" => return Err(ReadError::Twice),
                _ => {}
            }
        }
        if !at.take(b'}') || !at.0.is_empty() {
            return Err(ReadError::Syntax);
        }
        record.pubsub = pubsub.ok_or(ReadError::Missing)?;
        record.outcome = outcome.ok_or(ReadError::Missing)?;
        record.bulk = bulk.unwrap_or(false);
        match (topic, route) {
            (Some(topic), None) => record.topic = topic,
            (None, Some(route)) if record.bulk && direction == Direction::Deliver => record.route = route,
            (None, None) => return Err(ReadError::Missing),
            _ => return Err(ReadError::Value),
        }
        Ok(record)
    }
}

fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), ReadError> {
    let value = value.ok_or(ReadError::Value)?;
    slot.replace(value).map_or(Ok(()), |_| Err(ReadError::Twice))
}

/// What can stand after a key. `None` inside a text: it is longer than any of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to put it on")]
enum Value {
    Text(Option<Text>),
    Number(Option<u64>),
    True,
    False,
}

impl Value {
    fn text(self) -> Option<Text> {
        if let Self::Text(text) = self { text } else { None }
    }

    fn name(self) -> Option<Text> {
        self.text().filter(|name| !name.is_empty())
    }

    fn number<T: TryFrom<u64>>(self) -> Option<T> {
        if let Self::Number(number) = self {
            number?.try_into().ok()
        } else {
            None
        }
    }
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn next(&mut self) -> Result<u8, ReadError> {
        let (byte, rest) = self.0.split_first().ok_or(ReadError::Syntax)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        self.take_all(&[byte])
    }

    fn take_all(&mut self, bytes: &[u8]) -> bool {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn value(&mut self) -> Result<Value, ReadError> {
        match self.0.first() {
            Some(b'"') => self.text().map(Value::Text),
            Some(b'0'..=b'9') => self.number().map(Value::Number),
            _ if self.take_all(b"true") => Ok(Value::True),
            _ if self.take_all(b"false") => Ok(Value::False),
            _ => Err(ReadError::Syntax),
        }
    }

    /// A whole number. `None` if it is larger than any of ours.
    fn number(&mut self) -> Result<Option<u64>, ReadError> {
        let leading_zero = self.0.first() == Some(&b'0');
        let mut number = Some(0_u64);
        let mut digits = 0_u32;
        while let Some(digit @ b'0'..=b'9') = self.0.first() {
            let digit = u64::from(*digit & 15);
            number = number.and_then(|number| number.checked_mul(10)?.checked_add(digit));
            digits = digits.saturating_add(1);
            self.next()?;
        }
        if leading_zero && digits > 1 {
            Err(ReadError::Syntax)
        } else {
            Ok(number)
        }
    }

    /// A string. `None` if it is longer than any of ours.
    fn text(&mut self) -> Result<Option<Text>, ReadError> {
        if !self.take(b'"') {
            return Err(ReadError::Syntax);
        }
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
                let second = match first {
                    0xd800..=0xdbff if self.take_all(b"\\u") => Some(self.unit()?),
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
