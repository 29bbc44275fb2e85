//! What the operator wants: the component's `guestConfig`.

use crate::{Line, Text};

/// What is written down, what is added to spans, and of which topics.
///
/// All zero by default, so that a guest which holds one is all zero at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    no_records: bool,
    /// What a publish adds to Dapr's span.
    pub attributes: Attributes,
    allow: Names,
    ignore: Names,
}

/// What a publish adds to Dapr's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// The topic: what nobody else knows.
    Topic,
    /// All that is known of it.
    All,
    /// Nothing.
    None,
}

/// Why a configuration is not taken, and which byte of it is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong.
    pub why: Why,
    /// Where, from 0.
    pub at: usize,
}

/// What can be wrong with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not the JSON that it should be.
    Syntax,
    /// There is no such key.
    Key,
    /// A key is there twice.
    Twice,
    /// The key takes other values.
    Value,
    /// It cannot name a topic.
    Name,
    /// A list is too long.
    Long,
}

impl Why {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "not the JSON that it should be",
            Self::Key => "there is no such key",
            Self::Twice => "the key is there twice",
            Self::Value => "not a value that the key takes",
            Self::Name => "not a topic (empty, too long, escaped, or a * before its end)",
            Self::Long => "no room for more",
        }
    }
}

impl ConfigError {
    /// Says what is wrong and where in one line of log, in place of what `line` held.
    pub fn write<'a>(&self, line: &'a mut Line) -> &'a [u8] {
        let at = u64::try_from(self.at).unwrap_or(u64::MAX);
        line.say(&[
            "guestConfig counts for nothing, byte ".as_bytes(),
            crate::decimal(at, &mut [0; 20]),
            b": ",
            self.why.as_str().as_bytes(),
        ])
    }
}

impl Config {
    /// Where nothing is configured: records, and the topic on spans, of every topic.
    pub const DEFAULT: Self = Self {
        no_records: false,
        attributes: Attributes::Topic,
        allow: Names::NONE,
        ignore: Names::NONE,
    };

    /// Takes on `{"records":bool,"attributes":bool|"all","topics":{"allow":["a","b*"],"ignore":[…]}}`, each key of which
    /// may be missing. Nothing at all is the default. Strict: of what is not understood nothing is taken on, and the
    /// defaults are back.
    pub fn read(&mut self, json: &[u8]) -> Result<(), ConfigError> {
        *self = Self::DEFAULT;
        let mut reader = Reader {
            rest: json,
            why: Why::Syntax,
        };
        if reader.config(self).is_some() {
            return Ok(());
        }
        *self = Self::DEFAULT;
        Err(ConfigError {
            why: reader.why,
            at: json.len().saturating_sub(reader.rest.len()),
        })
    }

    /// Whether calls are written down.
    pub fn records(&self) -> bool {
        !self.no_records
    }

    /// Whether there is anything to do at all.
    pub fn idle(&self) -> bool {
        self.no_records && self.attributes == Attributes::None
    }

    /// Whether calls with this topic are looked at: it is allowed, or nothing is named there, and it is not ignored.
    #[inline(never)]
    pub fn concerns(&self, topic: &Text) -> bool {
        let topic = topic.as_bytes();
        (self.allow.is_empty() || self.allow.name(topic)) && !self.ignore.name(topic)
    }
}

/// Names of topics, one after the other, each behind its length.
#[derive(Clone, PartialEq, Eq)]
struct Names {
    len: u16,
    bytes: [u8; 1000],
}

impl Names {
    const NONE: Self = Self { len: 0, bytes: [0; _] };

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn push(&mut self, name: &[u8]) -> Result<(), Why> {
        let stem = name.strip_suffix(b"*").unwrap_or(name);
        let len = u8::try_from(name.len()).map_err(|_| Why::Name)?;
        if len == 0 || stem.contains(&b'*') {
            return Err(Why::Name);
        }
        let from = usize::from(self.len);
        let room = self.bytes.get_mut(from..).unwrap_or_default();
        let (first, room) = room.split_first_mut().ok_or(Why::Long)?;
        let room = room.get_mut(..name.len()).ok_or(Why::Long)?;
        room.copy_from_slice(name);
        *first = len;
        self.len = self.len.saturating_add(u16::from(len)).saturating_add(1);
        Ok(())
    }

    /// Whether one of them is this topic, or ends in `*` and is the beginning of it.
    fn name(&self, topic: &[u8]) -> bool {
        let mut rest = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        while let Some((len, names)) = rest.split_first() {
            let Some((name, names)) = names.split_at_checked(usize::from(*len)) else {
                break;
            };
            if name
                .strip_suffix(b"*")
                .map_or(topic == name, |stem| topic.starts_with(stem))
            {
                return true;
            }
            rest = names;
        }
        false
    }
}

impl core::fmt::Debug for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// What is left to read. Where reading fails, it begins with what is to blame.
struct Reader<'a> {
    rest: &'a [u8],
    why: Why,
}

impl<'a> Reader<'a> {
    fn config(&mut self, config: &mut Config) -> Option<()> {
        if self.token().is_none() {
            return Some(());
        }
        let mut seen = 0;
        while let Some(key) = self.key(&["records", "attributes", "topics"], &mut seen)? {
            match key {
                0 => config.no_records = self.word(&["true", "false"])? == 1,
                1 => {
                    config.attributes = match self.word(&["true", "false", "\"all\""])? {
                        0 => Attributes::Topic,
                        1 => Attributes::None,
                        _ => Attributes::All,
                    }
                }
                _ => {
                    let mut seen = 0;
                    while let Some(key) = self.key(&["allow", "ignore"], &mut seen)? {
                        self.names(if key == 0 {
                            &mut config.allow
                        } else {
                            &mut config.ignore
                        })?;
                    }
                }
            }
        }
        match self.token() {
            None => Some(()),
            Some(_) => self.fail(Why::Syntax, self.rest),
        }
    }

    fn fail<T>(&mut self, why: Why, blamed: &'a [u8]) -> Option<T> {
        self.why = why;
        self.rest = blamed;
        None
    }

    /// The first byte of what comes next.
    #[inline(never)]
    fn token(&mut self) -> Option<u8> {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    fn take(&mut self, token: u8) -> bool {
        let found = self.token() == Some(token);
        if found {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        found
    }

    #[inline(never)]
    fn must(&mut self, token: u8) -> Option<()> {
        if self.take(token) {
            return Some(());
        }
        self.fail(Why::Syntax, self.rest)
    }

    /// Which of these words comes next. None of them is the beginning of another.
    #[inline(never)]
    fn word(&mut self, words: &[&str]) -> Option<usize> {
        self.token();
        for (at, word) in words.iter().enumerate() {
            if let Some(rest) = self.rest.strip_prefix(word.as_bytes()) {
                self.rest = rest;
                return Some(at);
            }
        }
        self.fail(Why::Value, self.rest)
    }

    /// What stands between quotes, as it stands there.
    #[inline(never)]
    fn text(&mut self) -> Option<&'a [u8]> {
        self.must(b'"')?;
        let from = self.rest;
        let len = from.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
        match from.split_at_checked(len.unwrap_or(from.len())) {
            Some((text, [b'"', rest @ ..])) => {
                self.rest = rest;
                Some(text)
            }
            _ => self.fail(Why::Name, from),
        }
    }

    /// Which of these keys comes next in an object; behind the last, none. `seen` has a bit for each that was there.
    #[inline(never)]
    fn key(&mut self, keys: &[&str], seen: &mut u8) -> Option<Option<usize>> {
        if *seen == 0 {
            self.must(b'{')?;
        }
        if self.take(b'}') {
            return Some(None);
        }
        if *seen != 0 {
            self.must(b',')?;
        }
        self.token();
        let from = self.rest;
        let text = self.text()?;
        let mut bit = 1;
        for (at, key) in keys.iter().enumerate() {
            if key.as_bytes() == text {
                if *seen & bit != 0 {
                    return self.fail(Why::Twice, from);
                }
                *seen |= bit;
                self.must(b':')?;
                return Some(Some(at));
            }
            bit <<= 1;
        }
        self.fail(Why::Key, from)
    }

    #[inline(never)]
    fn names(&mut self, names: &mut Names) -> Option<()> {
        self.must(b'[')?;
        if self.take(b']') {
            return Some(());
        }
        loop {
            self.token();
            let from = self.rest;
            let name = self.text()?;
            if let Err(why) = names.push(name) {
                return self.fail(why, from);
            }
            if self.take(b']') {
                return Some(());
            }
            self.must(b',')?;
        }
    }
}

#[cfg(test)]
mod tests;
