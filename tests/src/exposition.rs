//! Prometheus' text format, as much as is needed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

pub type Labels = BTreeMap<String, String>;

/// The series of one metric.
pub fn series(page: &str, metric: &str) -> Result<Vec<(Labels, f64)>> {
    let lines = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?.strip_prefix('{')?;
        Some((line, rest))
    });
    lines
        .map(|(line, rest)| sample(rest).with_context(|| format!("not a line of metrics: {line}")))
        .collect()
}

/// What comes after the opening brace.
fn sample(rest: &str) -> Result<(Labels, f64)> {
    let mut labels = Labels::new();
    let mut chars = rest.chars();
    loop {
        let name: String = chars.by_ref().take_while(|char| !matches!(char, '=' | '}')).collect();
        // After the last label, the closing brace was taken instead of its sign.
        if name.trim().is_empty() {
            break;
        }
        ensure!(chars.next() == Some('"'), "no quote");
        labels.insert(name, quoted(&mut chars).context("no closing quote")?);
        if chars.next() == Some('}') {
            break;
        }
    }
    Ok((labels, chars.as_str().trim().parse()?))
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                char => char,
            }),
            char => value.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_labels_and_values() {
        let page = "# HELP x\nx_total{a=\"1\",b=\"q\\\"\\\\\\n\"} 3\nx_total{} 4\nx_total_y{a=\"1\"} 5\n";
        let found = series(page, "x_total").unwrap();
        let labels = Labels::from([("a".into(), "1".into()), ("b".into(), "q\"\\\n".into())]);
        assert_eq!(found, [(labels, 3.0), (Labels::new(), 4.0)]);
        assert!(series("x{a=1} 2", "x").is_err());
    }
}
