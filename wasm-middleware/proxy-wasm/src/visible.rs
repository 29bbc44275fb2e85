//! Names as they may be shown.

use std::fmt::{self, Write};

/// A name in which `%`, `;` and control characters stand as `%0A`.
///
/// A topic is what a caller has put in a path, unescaped, and here it leaves the process: in a header on the wire, in an
/// access log, in the name of a metric. A line break would begin another header or line, and a `;` another label, if they
/// were let through. Kafka allows none of these in a topic, so a real one is never changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible<'a>(pub(crate) &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 4];
        for char in self.0.chars() {
            if char.is_control() || matches!(char, '%' | ';') {
                for byte in char.encode_utf8(&mut bytes).bytes() {
                    write!(f, "%{byte:02X}")?;
                }
            } else {
                f.write_char(char)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_name_is_not_changed() {
        for name in [
            "lesson.generated",
            "a_b-c.D9",
            "a/b",
            "café ☃",
            "\"{}\\",
            "(overflow)",
            "",
        ] {
            assert_eq!(Visible(name).to_string(), name);
        }
    }

    #[test]
    fn nothing_begins_a_line_or_a_label() {
        assert_eq!(Visible("a\r\nx: 1").to_string(), "a%0D%0Ax: 1");
        assert_eq!(Visible("a;outcome=b\0").to_string(), "a%3Boutcome=b%00");
        assert_eq!(Visible("\u{85}100%3B").to_string(), "%C2%85100%253B");
    }
}
