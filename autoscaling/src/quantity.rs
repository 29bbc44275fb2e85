//! What Kubernetes calls a quantity, in thousandths: `250m` is 250, `2` is 2000, `64Mi` is 67108864000.

/// As Kubernetes does, what is finer than a thousandth is rounded up.
pub fn milli(text: &str) -> Option<i64> {
    let number = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    // `2e3` and `2E3` are numbers, `2E` is two exa.
    let number = match text[number..].starts_with(['e', 'E']) && text[number + 1..].parse::<i8>().is_ok() {
        true => text.len(),
        false => number,
    };
    let (number, unit) = text.split_at(number);
    let factor = match unit {
        "n" => 1e-6,
        "u" => 1e-3,
        "m" => 1.0,
        "" => 1e3,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "T" => 1e15,
        "P" => 1e18,
        "Ki" => 1e3 * 1024.0,
        "Mi" => 1e3 * 1024f64.powi(2),
        "Gi" => 1e3 * 1024f64.powi(3),
        "Ti" => 1e3 * 1024f64.powi(4),
        "Pi" => 1e3 * 1024f64.powi(5),
        _ => return None,
    };
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    if !number.chars().all(plain) {
        return None;
    }
    let value = number.parse::<f64>().ok()? * factor;
    // 0.1 is not exact in binary: what is a hair above a whole number is that number.
    let rounded = value.round();
    let value = if (value - rounded).abs() < 1e-6 {
        rounded
    } else {
        value.ceil()
    };
    (value.abs() < 9e18).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::milli;

    #[test]
    fn quantities() {
        for (text, value) in [
            ("250m", 250),
            ("1", 1000),
            ("0.1", 100),
            ("1.5", 1500),
            ("2e3", 2_000_000),
            ("2k", 2_000_000),
            ("64Mi", 67_108_864_000),
            ("100u", 1),
            ("1500u", 2),
            ("0", 0),
            ("-1", -1000),
        ] {
            assert_eq!(milli(text), Some(value), "{text}");
        }
        for wrong in ["", "m", "1 m", "x", "1x", "1mm", "inf", "nan", "1e99", "--1"] {
            assert_eq!(milli(wrong), None, "{wrong}");
        }
    }
}
