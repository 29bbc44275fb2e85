//! Durations as daprd reads them: a plain number is milliseconds, anything else is for Go's `time.ParseDuration`.

use std::time::Duration;

pub(super) const ALLOWED: &str =
    "Write for example 500ms, 30s, 1m30s or 1.5h (units ns, us, ms, s, m, h); a plain number is milliseconds.";

/// Go has no duration beyond 292 years.
const LONGEST: f64 = i64::MAX as f64;

/// What is wrong with it, when it is not a duration, or less than none.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration");
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let nanoseconds = match unsigned.bytes().all(|byte| byte.is_ascii_digit()) && !unsigned.is_empty() {
        true => unsigned.parse::<f64>().map_err(|_| wrong())? * 1e6,
        false => sum(unsigned).ok_or_else(wrong)?,
    };
    if nanoseconds > LONGEST {
        return Err(wrong());
    }
    if negative && nanoseconds > 0.0 {
        return Err(format!("`{text}` is negative"));
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}

/// `1h2.5s` in nanoseconds.
fn sum(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = &rest[..digits];
        let dots = number.matches('.').count();
        if dots > 1 || number.len() == dots {
            return None;
        }
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        rest = &rest[end..];
        let number: f64 = match number.strip_suffix('.') {
            Some(whole) => whole.parse().ok()?,
            None => number.parse().ok()?,
        };
        total += number * unit;
    }
    (!text.is_empty()).then_some(total)
}
