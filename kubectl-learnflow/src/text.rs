//! Small things about text: what a terminal may see, durations, lists.

use std::{borrow::Cow, time::Duration};

/// Makes text from a cluster harmless: whatever could move a cursor, switch a colour, ring a
/// bell or reverse the reading direction is shown as an escape instead of being obeyed.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_harmful(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Reads `30s`, `5m`, `1m30s`, `500ms`; a bare `0` means "no limit" where a flag allows it.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write for example 30s, 5m or 1m30s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        rest = &rest[unit..];
        let part = number.checked_mul(millis).map(Duration::from_millis);
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
    }
    if total.is_zero() { Err(wrong()) } else { Ok(total) }
}

/// `90` seconds as `1m30s`.
pub(crate) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, 0) => format!("{}ms", duration.as_millis()),
        (0, s) => format!("{s}s"),
        (m, 0) => format!("{m}m"),
        (m, s) => format!("{m}m{s}s"),
    }
}

/// Seconds, as a person reads them: `850µs`, `1.2ms`, `31ms`, `1.5s`, `2m10s`.
pub(crate) fn format_seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.0005 => format!("{:.0}µs", s * 1e6),
        s if s < 0.00995 => format!("{:.1}ms", s * 1e3),
        s if s < 0.9995 => format!("{:.0}ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1}s"),
        s => format_duration(Duration::from_secs(s as u64)),
    }
}

/// Bytes, as a person reads them: `412 bytes`, `1.5 KiB`, `3.2 MiB`.
pub(crate) fn format_bytes(bytes: u64) -> String {
    match bytes as f64 / 1024.0 {
        kib if kib < 1.0 => format!("{bytes} bytes"),
        kib if kib < 1024.0 => format!("{kib:.1} KiB"),
        kib => format!("{:.1} MiB", kib / 1024.0),
    }
}

/// `1 thing`, `2 things`.
pub(crate) fn count(n: usize, thing: &str) -> String {
    match n {
        1 => format!("1 {thing}"),
        _ if thing.ends_with("sh") => format!("{n} {thing}es"),
        _ => format!("{n} {thing}s"),
    }
}

/// Joins names for a sentence, without ever filling the screen.
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 10;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_never_sees_a_control_character() {
        assert_eq!(harmless("plain ünïcode → ok"), "plain ünïcode → ok");
        assert_eq!(
            harmless("\u{1b}[31mred\r\n\u{9b}2J\u{7}"),
            "\\u{1b}[31mred\\r\\n\\u{9b}2J\\u{7}"
        );
        assert_eq!(harmless("txt.\u{202e}exe"), "txt.\\u{202e}exe");
    }

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1m30s", 90), ("1h", 3600), ("0", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "5", "m", "5 m", "-1s", "5x", "0s", "99999999999999999999s", "1h1"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert!(parse_duration("18446744073709551615h").is_err());
    }

    #[test]
    fn durations_are_written() {
        assert_eq!(format_duration(Duration::from_secs(90)), "1m30s");
        assert_eq!(format_duration(Duration::from_secs(300)), "5m");
        assert_eq!(format_seconds(0.00042), "420µs");
        assert_eq!(format_seconds(0.0012), "1.2ms");
        assert_eq!(format_seconds(0.031), "31ms");
        assert_eq!(format_seconds(0.009_999), "10ms");
        assert_eq!(format_seconds(0.999_9), "1.0s");
        assert_eq!(format_seconds(1.53), "1.5s");
        assert_eq!(format_seconds(130.0), "2m10s");
        assert_eq!(format_bytes(412), "412 bytes");
        assert_eq!(format_bytes(1536), "1.5 KiB");
        assert_eq!(format_bytes(3 << 20), "3.0 MiB");
    }

    #[test]
    fn lists_stay_short() {
        assert_eq!(list(&["a", "b"]), "a, b");
        let many: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        assert!(list(&many).ends_with("9 and 2 more"));
        assert_eq!(count(1, "sidecar"), "1 sidecar");
        assert_eq!(count(0, "sidecar"), "0 sidecars");
    }
}
