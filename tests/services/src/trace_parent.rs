//! W3C trace context: passed on as it came, or begun here and sampled.

use http::{HeaderMap, HeaderValue};

pub(crate) const TRACEPARENT: &str = "traceparent";

/// The caller's `traceparent`, or a new sampled one if there is no valid one.
pub(crate) fn from_caller_or_new(headers: &HeaderMap) -> HeaderValue {
    let mut all = headers.get_all(TRACEPARENT).iter();
    match (all.next(), all.next()) {
        (Some(one), None) if one.to_str().is_ok_and(is_valid) => one.clone(),
        _ => new_sampled(),
    }
}

/// The ids of the caller's trace and span, if there is one and it is sampled.
pub(crate) fn sampled(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = headers.get(TRACEPARENT)?.to_str().ok().filter(|text| is_valid(text))?;
    let mut parts = text.split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (flags & 1 == 1).then_some((trace, span))
}

fn new_sampled() -> HeaderValue {
    let text = format!("00-{}-{}-01", random_hex::<16>(), random_hex::<8>());
    HeaderValue::try_from(text).expect("hex and dashes are a header value")
}

fn is_valid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags, rest @ ..] = parts.as_slice() else {
        return false;
    };
    is_hex(version, 2)
        && *version != "ff"
        && (*version != "00" || rest.is_empty())
        && is_hex(trace, 32)
        && trace.bytes().any(|b| b != b'0')
        && is_hex(parent, 16)
        && parent.bytes().any(|b| b != b'0')
        && is_hex(flags, 2)
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `N` random bytes in lower-case hex.
pub(crate) fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel has random numbers");
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn headers(values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|v| (TRACEPARENT.parse().unwrap(), HeaderValue::from_static(v)))
            .fold(HeaderMap::new(), |mut all, (name, value): (http::HeaderName, _)| {
                all.append(name, value);
                all
            })
    }

    #[test]
    fn passes_a_valid_one_on_unsampled_or_not() {
        assert_eq!(from_caller_or_new(&headers(&[VALID])), VALID);
    }

    #[test]
    fn begins_a_sampled_trace_of_its_own() {
        for came in [&[][..], &["junk"], &[VALID, VALID]] {
            let begun = from_caller_or_new(&headers(came));
            let begun = begun.to_str().unwrap();
            assert!(is_valid(begun) && begun.ends_with("-01") && begun != VALID, "{begun}");
        }
    }

    #[test]
    fn knows_the_format() {
        let bad = [
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        ];
        assert!(bad.iter().all(|text| !is_valid(text)));
        assert!(is_valid("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"));
    }
}
