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
        let shaped = id.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => is_hex(byte),
        });
        // Later versions may append parts, version 0 may not.
        let ends = match (id.first_chunk()?, value.get(55)) {
            (b"ff", _) => false,
            (b"00", more) => more.is_none(),
            (_, more) => matches!(more, None | Some(b'-')),
        };
        let trace = TraceId::parse(id.get(3..35)?)?;
        let span = id.get(36..52).filter(|span| is_id(span));
        // The last bit of a hexadecimal digit: set in odd digits and in b, d, f, whose ASCII codes are even.
        let [.., flags] = *id;
        let sampled = flags.is_ascii_digit() == (flags & 1 == 1);
        (shaped && ends && span.is_some()).then_some(Self { trace, sampled })
    }
}

fn is_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_id(digits: &[u8]) -> bool {
    digits.iter().all(is_hex) && digits.iter().any(|digit| *digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

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
