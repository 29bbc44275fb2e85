//! Prometheus' text format, as much as is needed.

use std::collections::BTreeMap;

pub type Labels = BTreeMap<String, String>;

/// The series of one metric.
pub fn series(page: &str, metric: &str) -> Vec<(Labels, f64)> {
    page.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(metric)?.strip_prefix('{')?;
            let mut labels = Labels::new();
            let mut chars = rest.chars();
            loop {
                let name: String = chars.by_ref().take_while(|char| !matches!(char, '=' | '}')).collect();
                // After the last label, the closing brace was taken instead of its sign.
                if name.trim().is_empty() {
                    break;
                }
                assert_eq!(chars.next(), Some('"'), "{line}");
                labels.insert(name, quoted(&mut chars));
                if chars.next() == Some('}') {
                    break;
                }
            }
            Some((labels, chars.as_str().trim().parse().expect(line)))
        })
        .collect()
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> String {
    let mut value = String::new();
    loop {
        match chars.next().expect("a closing quote") {
            '"' => return value,
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                char => char.expect("an escaped character"),
            }),
            char => value.push(char),
        }
    }
}
