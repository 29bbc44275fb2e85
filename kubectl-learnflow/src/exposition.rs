//! Prometheus' text format, as much of it as is read here: a sidecar's own counters.

use std::collections::BTreeMap;

pub(crate) type Labels = BTreeMap<String, String>;

/// The series of a page; lines that are none are passed over.
pub(crate) fn samples(page: &str) -> impl Iterator<Item = (&str, Labels, f64)> {
    page.lines().filter_map(sample)
}

fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let Some((name, mut rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ')?;
        return Some((name, Labels::new(), value.split_whitespace().next()?.parse().ok()?));
    };
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(value) = rest.strip_prefix('}') {
            let value = value.split_whitespace().next()?.parse().ok()?;
            return Some((name, labels, value));
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = after.char_indices();
        loop {
            let (at, letter) = letters.next()?;
            match letter {
                '"' => {
                    rest = &after[at + 1..];
                    break;
                }
                '\\' => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read_with_and_without_labels() {
        let page = "# HELP x y\nodd{label=\"a\\\"},b=\\\"\\\\\"} 3\nbroken{label=\"\nplain 1.5e9\nnothing\n\n";
        let read: Vec<_> = samples(page).collect();
        assert_eq!(read.len(), 2, "{read:?}");
        assert_eq!(
            (read[0].0, read[0].1["label"].as_str(), read[0].2),
            ("odd", "a\"},b=\"\\", 3.0)
        );
        assert_eq!((read[1].0, read[1].1.len(), read[1].2), ("plain", 0, 1.5e9));
    }
}
