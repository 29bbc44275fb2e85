//! The W3C `traceparent` header.

/// A trace id: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// Takes 32 lower-case hexadecimal digits that are not all zero.
    pub fn parse(hex: &[u8]) -> Option<Self> {
        let digits: [u8; 32] = hex.try_into().ok()?;
        is_id(&digits).then_some(Self(digits))
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What `traceparent` says about the trace a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// Whether the caller records it.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads a header's value: `00-<32 hex>-<16 hex>-<2 hex>`.
    ///
    /// Never more lenient than Dapr (`SpanContextFromW3CString` in `pkg/diagnostics/tracing.go`), which starts a trace
    /// of its own when it refuses the caller's: an id that Dapr does not use must not be written down.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let id = value.first_chunk::<55>()?;
        let [v, e, b'-', ids @ .., b'-', f, flags] = id else {
            return None;
        };
        let (trace, [b'-', span @ ..]) = ids.split_first_chunk::<32>()? else {
            return None;
        };
        // Later versions may append parts, version 0 may not.
        let ends = match ([v, e], value.get(55)) {
            ([b'f', b'f'], _) => false,
            ([b'0', b'0'], more) => more.is_none(),
            (_, more) => matches!(more, None | Some(b'-')),
        };
        let shaped = ends && is_id(span) && are_hex([*v, *e, *f, *flags, b'0', b'0', b'0', b'0']);
        // The last bit of a hexadecimal digit: set in odd digits and in b, d, f, whose ASCII codes are even.
        let sampled = flags.is_ascii_digit() == (flags & 1 == 1);
        let trace = TraceId::parse(trace)?;
        shaped.then_some(Self { trace, sampled })
    }
}

/// Whether these are lower-case hexadecimal digits, eight at a time, and not all zero.
fn is_id(digits: &[u8]) -> bool {
    let (words, rest) = digits.as_chunks::<8>();
    rest.is_empty() && words.iter().all(|word| are_hex(*word)) && words.iter().any(|word| *word != [b'0'; 8])
}

/// Whether eight bytes are lower-case hexadecimal digits. All at once: each lane of the word is a byte, and its highest
/// bit the answer for it.
fn are_hex(digits: [u8; 8]) -> bool {
    const LANES: u64 = u64::MAX / 0xff;
    const HIGHEST: u64 = LANES << 7;
    let word = u64::from_le_bytes(digits);
    // Spills into the next lane only out of one whose highest bit is set, which is no digit anyway.
    let from = |least: u64| word.wrapping_add(LANES.wrapping_mul(0x80_u64.wrapping_sub(least)));
    let decimal = from(0x30) & !from(0x3a);
    let letter = from(0x61) & !from(0x67);
    (decimal | letter) & !word & HIGHEST == HIGHEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn reads_trace_and_flag() {
        for (flags, sampled) in [
            ("00", false),
            ("01", true),
            ("02", false),
            ("0b", true),
            ("0a", false),
            ("ff", true),
        ] {
            let value = std::format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
            let parsed = TraceParent::parse(value.as_bytes()).unwrap();
            assert_eq!(parsed.trace.as_str(), TRACE);
            assert_eq!(parsed.sampled, sampled, "{flags}");
        }
    }

    #[test]
    fn each_byte_is_looked_at_in_each_place() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut digits = *b"09afbe71";
                digits[at] = byte;
                let expected = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                assert_eq!(are_hex(digits), expected, "{byte:#x} at {at}");
            }
        }
    }

    proptest! {
        /// What one byte can do to a header that is right.
        #[test]
        fn agrees_with_the_plain_rule(at in 0..55_usize, byte in any::<u8>(), more in "[-x]{0,2}") {
            let mut value = std::format!("00-{TRACE}-00f067aa0ba902b7-01{more}").into_bytes();
            value[at] = byte;
            let hex = |range: core::ops::Range<usize>| value[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let expected = [2, 35, 52].iter().all(|at| value[*at] == b'-')
                && hex(0..2) && hex(3..35) && hex(36..52) && hex(53..55)
                && &value[..2] != b"ff"
                && (more.is_empty() || &value[..2] != b"00" && more.starts_with('-'));
            prop_assert_eq!(TraceParent::parse(&value).is_some(), expected);
        }

        #[test]
        fn any_bytes_are_a_header(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            TraceParent::parse(&value);
        }
    }

    #[test]
    fn a_later_version_may_be_longer() {
        let value = std::format!("01-{TRACE}-00f067aa0ba902b7-01-what-comes");
        assert!(TraceParent::parse(value.as_bytes()).is_some());
    }

    #[test]
    fn refuses_what_dapr_refuses() {
        for value in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        ] {
            assert_eq!(TraceParent::parse(value.as_bytes()), None, "{value}");
        }
    }
}
