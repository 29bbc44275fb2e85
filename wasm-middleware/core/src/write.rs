//! From a record to a line.

use crate::{Direction, Outcome, PREFIX, Record, Text};

/// Room for one line: large enough for any record, so writing one cannot fail.
#[derive(Clone)]
pub struct Line {
    len: usize,
    bytes: [u8; Line::MAX],
}

impl Line {
    /// Two names of which every byte is escaped, and everything else at its longest: below 400 bytes.
    pub const MAX: usize = 2 * 6 * Text::MAX + 400;

    /// An empty line.
    pub const fn new() -> Self {
        Self {
            len: 0,
            bytes: [0; Self::MAX],
        }
    }

    /// What was written last: one line of printable ASCII, without an end of line.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What was written last.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Called from so many places that inlined it would be a tenth of the guest.
    #[inline(never)]
    fn raw(&mut self, text: &[u8]) {
        // It always fits.
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        if let Some(room) = room.get_mut(..text.len()) {
            room.copy_from_slice(text);
            self.len = self.len.saturating_add(text.len());
        }
    }

    fn number(&mut self, key: &[u8], number: Option<u64>) {
        let Some(number) = number else { return };
        self.raw(key);
        self.raw(decimal(number, &mut [0; 20]));
    }

    /// A line that is no record.
    pub(crate) fn say(&mut self, parts: &[&[u8]]) -> &[u8] {
        self.len = 0;
        for part in parts {
            self.raw(part);
        }
        self.as_bytes()
    }

    /// Text from outside. Only printable ASCII is left of it: no terminal obeys it, no log breaks a line at it. `<`,
    /// `>` and `&` are escaped too, since Go's JSON escapes them: in the sidecar's log, in both its formats, a record
    /// then differs from itself by backslashes alone.
    fn text(&mut self, text: &Text) {
        let mut rest = text.as_bytes();
        loop {
            let plain = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
            self.raw(rest.get(..plain).unwrap_or_default());
            let mut bytes = rest.iter().copied().skip(plain);
            match bytes.next() {
                None => break,
                Some(byte @ (b'"' | b'\\')) => self.raw(&[b'\\', byte]),
                Some(byte) => self.char(decode(byte, &mut bytes)),
            }
            rest = rest.get(rest.len().saturating_sub(bytes.len())..).unwrap_or_default();
        }
    }

    /// A character as JSON's `\u` knows it: one UTF-16 unit, or the two of a surrogate pair.
    fn char(&mut self, char: u32) {
        match char.checked_sub(0x1_0000) {
            None => self.unit(char),
            Some(above) => {
                self.unit(0xd800 | above >> 10);
                self.unit(0xdc00 | above & 0x3ff);
            }
        }
    }

    fn unit(&mut self, unit: u32) {
        let digits = [12, 8, 4, 0].map(|shift| match low_byte(unit >> shift & 15) {
            digit @ 0..10 => b'0' | digit,
            digit => digit.wrapping_add(b'a' - 10),
        });
        self.raw(b"\\u");
        self.raw(&digits);
    }
}

/// The digits of `number`, in `digits`.
pub fn decimal(number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut rest = number;
    let mut used = 0_usize;
    for slot in digits.iter_mut().rev() {
        let tens = rest / 10;
        // One division a digit.
        let [digit, ..] = rest.wrapping_sub(tens.wrapping_mul(10)).to_le_bytes();
        *slot = b'0' | digit;
        used = used.saturating_add(1);
        rest = tens;
        if rest == 0 {
            break;
        }
    }
    digits.get(digits.len().saturating_sub(used)..).unwrap_or_default()
}

/// By arithmetic: a table of jumps, into which lists of bytes are turned, costs more.
fn is_plain(byte: u8) -> bool {
    const ESCAPED: u64 = 1 << b'"' | 1 << b'&' | 1 << b'<' | 1 << b'>';
    matches!(byte, b' '..=b'~') && byte != b'\\' && (byte & 64 != 0 || ESCAPED >> (byte & 63) & 1 == 0)
}

/// The character that begins with the byte `lead`. What a [`Text`] holds is UTF-8, so nothing is checked.
fn decode(lead: u8, rest: &mut impl Iterator<Item = u8>) -> u32 {
    let (bits, more) = match lead {
        0..0xc0 => (lead, 0),
        0xc0..0xe0 => (lead & 0x1f, 1),
        0xe0..0xf0 => (lead & 0x0f, 2),
        0xf0.. => (lead & 0x07, 3),
    };
    rest.take(more)
        .fold(u32::from(bits), |char, byte| char << 6 | u32::from(byte & 0x3f))
}

fn low_byte(number: u32) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Line {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Line").field(&self.as_str()).finish()
    }
}

impl Record {
    /// Writes the record into `line`, in place of what it held. All that is ours is written in as few pieces as can be,
    /// since each takes a check.
    pub fn write<'a>(&self, line: &'a mut Line) -> &'a [u8] {
        line.len = 0;
        line.raw(PREFIX.as_bytes());
        line.raw(match self.direction {
            Direction::Publish => br#"publish","pubsub":""#,
            Direction::Deliver => br#"deliver","pubsub":""#,
        });
        line.text(&self.pubsub);
        let (key, name): (&[u8], _) = match self.topic.is_empty() {
            false => (br#"","topic":""#, &self.topic),
            true => (br#"","route":""#, &self.route),
        };
        line.raw(key);
        line.text(name);
        line.raw(match self.outcome {
            Outcome::Success => br#"","outcome":"success""#,
            Outcome::Retry => br#"","outcome":"retry""#,
            Outcome::Drop => br#"","outcome":"drop""#,
            Outcome::Error => br#"","outcome":"error""#,
        });
        line.number(br#","status":"#, self.status.map(u64::from));
        line.number(br#","us":"#, self.us);
        line.number(br#","bytes":"#, self.bytes);
        if self.bulk {
            line.raw(br#","bulk":true"#);
        }
        line.number(br#","partition":"#, self.partition.map(u64::from));
        line.number(br#","offset":"#, self.offset);
        line.number(br#","age_ms":"#, self.age_ms);
        let end: &[u8] = match &self.trace {
            Some(trace) => {
                line.raw(br#","trace":""#);
                line.raw(trace.as_bytes());
                b"\"}"
            }
            None => b"}",
        };
        line.raw(end);
        line.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Outcome, TraceId};

    #[test]
    fn the_longest_record_fits() {
        let worst = Text::from("\u{1}".repeat(Text::MAX).as_str());
        let record = Record {
            outcome: Outcome::Success,
            status: Some(u16::MAX),
            us: Some(u64::MAX),
            bytes: Some(u64::MAX),
            bulk: true,
            partition: Some(u32::MAX),
            offset: Some(u64::MAX),
            age_ms: Some(u64::MAX),
            trace: TraceId::parse(&[b'a'; 32]),
            ..Record::new(Direction::Publish, worst, worst)
        };
        let mut line = Line::new();
        let written = record.write(&mut line).len();
        assert!(written < Line::MAX, "{written}");
        assert_eq!(Record::read(line.as_str()), Ok(record));
    }

    #[test]
    fn text_from_outside_stays_one_line_of_printable_ascii() {
        let hostile = "\u{1b}[2J\r\n\"\\<b>&\u{7f}\u{85}\u{2028}é😀";
        let mut line = Line::new();
        Record::new(Direction::Deliver, "p".into(), hostile.into()).write(&mut line);
        assert!(line.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')));
        assert_eq!(
            line.as_str(),
            r#"{"lf":1,"dir":"deliver","pubsub":"p","topic":"\u001b[2J\u000d\u000a\"\\\u003cb\u003e\u0026\u007f\u0085\u2028\u00e9\ud83d\ude00","outcome":"error"}"#
        );
    }
}
