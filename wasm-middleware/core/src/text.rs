//! Names, held in place.

use core::fmt;

/// A name of at most [`Text::MAX`] bytes of UTF-8, without allocation.
///
/// Kafka allows 249 bytes for a topic and Kubernetes 253 for a component, so nothing real is ever cut.
#[derive(Clone, Copy)]
pub struct Text {
    len: u8,
    bytes: [u8; Text::MAX],
}

impl Text {
    /// What fits, in bytes.
    pub const MAX: usize = 255;

    /// No text.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; Self::MAX],
    };

    /// As much of `bytes` as fits, cut between characters. What is not UTF-8 becomes U+FFFD.
    pub fn lossy(bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        text.set(bytes);
        text
    }

    /// The same, in place of what it was.
    #[inline(never)]
    pub fn set(&mut self, bytes: &[u8]) {
        self.len = 0;
        if bytes.is_ascii() {
            // As a rule: no character is longer than a byte.
            self.copy(bytes.get(..Self::MAX).unwrap_or(bytes));
            return;
        }
        for chunk in bytes.utf8_chunks() {
            let replacement = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
            if !(self.push_str(chunk.valid()) && self.push_str(replacement)) {
                break;
            }
        }
    }

    /// Removes all of it.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends what fits of `more`, cut between characters. Does all of it fit?
    fn push_str(&mut self, more: &str) -> bool {
        let from = usize::from(self.len);
        let mut fits = more.len().min(Self::MAX.saturating_sub(from));
        while !more.is_char_boundary(fits) {
            fits = fits.saturating_sub(1);
        }
        self.copy(more.as_bytes().get(..fits).unwrap_or_default());
        fits == more.len()
    }

    /// Appends whole characters that fit.
    fn copy(&mut self, more: &[u8]) {
        let from = usize::from(self.len);
        let room = self.bytes.get_mut(from..).unwrap_or_default();
        if let Some(room) = room.get_mut(..more.len()) {
            room.copy_from_slice(more);
            self.len = u8::try_from(from.saturating_add(more.len())).unwrap_or(u8::MAX);
        }
    }

    /// Appends `char`, or says that it does not fit.
    pub(crate) fn push(&mut self, char: char) -> bool {
        self.push_str(char.encode_utf8(&mut [0; 4]))
    }

    /// The bytes, always UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only whole characters are ever pushed.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::lossy(text.as_bytes())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn cuts_between_characters() {
        let long = "é".repeat(200);
        let text = Text::from(long.as_str());
        assert_eq!(text.as_str(), "é".repeat(127));
    }

    #[test]
    fn fills_to_the_last_byte() {
        let exact = "x".repeat(Text::MAX);
        assert_eq!(Text::from(exact.as_str()).as_str(), exact);
        assert_eq!(Text::from((exact.clone() + "y").as_str()).as_str(), exact);
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(Text::lossy(b"a\xffb\xe2\x82").as_str(), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn agrees_with_std_where_it_fits() {
        let bytes: std::vec::Vec<u8> = (0..=255).step_by(3).collect();
        assert_eq!(Text::lossy(&bytes).as_str(), String::from_utf8_lossy(&bytes));
    }
}
