//! Headers, by names in the form that Go gives them.

use std::collections::BTreeMap;

/// Names in the form of [`canonical`], each with its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, Vec<Vec<u8>>>);

impl Headers {
    /// Adds a value to those that are there.
    pub fn add(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.entry(canonical(name)).or_default().push(value.into());
    }

    /// The same, to write many of them behind each other.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.add(name, value);
        self
    }

    /// In place of those that are there.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.insert(canonical(name), vec![value.into()]);
    }

    /// All of one name.
    #[must_use]
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        self.0.get(&canonical(name)).map_or(&[], Vec::as_slice)
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Vec<u8>])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }
}

/// Go's `textproto.CanonicalMIMEHeaderKey`: `content-type` as `Content-Type`. What cannot be a name stays as it is.
#[must_use]
pub fn canonical(name: &str) -> String {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) {
        return name.into();
    }
    let mut first = true;
    name.chars()
        .map(|char| {
            if std::mem::replace(&mut first, char == '-') {
                char.to_ascii_uppercase()
            } else {
                char.to_ascii_lowercase()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_go_has_them() {
        for (name, canonical_name) in [
            ("content-type", "Content-Type"),
            ("DAPR-messaging.Destination.name", "Dapr-Messaging.destination.name"),
            ("__topic", "__topic"),
            ("-a", "-A"),
            ("two words", "two words"),
            ("Trailer:grpc-status", "Trailer:grpc-status"),
        ] {
            assert_eq!(canonical(name), canonical_name);
        }
    }

    #[test]
    fn a_name_is_one_however_it_is_written() {
        let mut headers = Headers::default().with("a-b", "1").with("A-B", "2");
        assert_eq!(headers.values("a-B"), [b"1", b"2"]);
        headers.set("A-b", "3");
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("A-B", &[b"3".to_vec()][..])]);
    }
}
