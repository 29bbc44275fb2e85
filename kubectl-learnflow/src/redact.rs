//! Takes secrets out of what leaves the cluster in a support archive. It rather takes too much: what is
//! missing can be asked for, what is out cannot be taken back.

use regex::Regex;
use serde_json::Value;
use std::{borrow::Cow, sync::LazyLock};

/// What stands in the place of a secret.
pub(crate) const REMOVED: &str = "[removed]";

/// Parts of names whose values are secret, in lower case and without separators.
const SENSITIVE: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "clientkey",
    "masterkey",
    "sharedkey",
    "signingkey",
    "encryptionkey",
    "connectionstring",
    "authorization",
    "cookie",
    "sasljaas",
    "dsn",
];

/// How secrets look in running text, and what is left of them.
const PATTERNS: &[(&str, &str)] = &[
    // A private key, also one whose end was cut off, also with its line breaks escaped.
    (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
        REMOVED,
    ),
    // The password in an address.
    (
        r#"([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"']*):[^\s/@"']+@"#,
        "${1}:[removed]@",
    ),
    // A name that says it, then its value: quoted, quoted inside a quoted text, or bare.
    (
        r#"(?xi)
        ( [a-z0-9_.-]* (?: passw(?:or)?d | passphrase | pwd | secret | token | credential | cookie | dsn
            | (?:api|access|account|private|client|master|shared|signing|encryption)[_.-]?key
            | connection[_.-]?string | authorization | sasl[_.-]?jaas ) [a-z0-9_.-]*
          \\?["']? \s* [:=] \s* )
        (?: (?:bearer|basic|digest|token)\s+ )?
        (?: \\"[^"\\]*\\" | "(?:[^"\\]|\\.)*" | '[^']*' | [^\s,;&"'\\{}\[\]()]+ )"#,
        "${1}[removed]",
    ),
    (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=_.~-]{16,}", "${1} [removed]"),
    // A JSON Web Token, however it came here.
    (
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        REMOVED,
    ),
    // Tokens that say whose they are.
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", REMOVED),
    (
        r"\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}",
        REMOVED,
    ),
];

static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let compiled = PATTERNS
        .iter()
        .map(|(pattern, left)| Some((Regex::new(pattern).ok()?, *left)));
    compiled.flatten().collect()
});

/// Removes every secret from running text.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for (pattern, left) in COMPILED.iter() {
        if let Cow::Owned(changed) = pattern.replace_all(&clean, *left) {
            clean = Cow::Owned(changed);
        }
    }
    clean
}

/// Removes every secret from an object of the cluster, and what only fills it.
pub(crate) fn object(object: &mut Value) {
    if object["kind"] == "Secret" {
        for field in ["data", "stringData"] {
            if let Some(entries) = object[field].as_object_mut() {
                entries.values_mut().for_each(remove);
            }
        }
    }
    if object["kind"] == "ConfigMap" {
        if let Some(entries) = object["data"].as_object_mut() {
            values_of(entries);
        }
        // Programs and archives: nobody can look for a secret in those.
        if let Some(entries) = object["binaryData"].as_object_mut() {
            entries.values_mut().for_each(remove);
        }
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    everything(object);
}

fn everything(value: &mut Value) {
    match value {
        Value::String(string) => {
            if let Cow::Owned(clean) = text(string) {
                *string = clean;
            }
        }
        Value::Array(items) => {
            let mut secret = false;
            for item in items {
                // `--password`, `hunter2`: the value is the argument after.
                if secret && item.is_string() {
                    remove(item);
                    secret = false;
                    continue;
                }
                let flag = item
                    .as_str()
                    .filter(|text| text.starts_with('-') && !text.contains(['=', ' ']));
                secret = flag.is_some_and(is_sensitive);
                everything(item);
            }
        }
        Value::Object(map) => {
            // An environment variable, a field of a Dapr Component, a header.
            let sensitive = map.get("name").and_then(Value::as_str).is_some_and(is_sensitive);
            if let Some(value) = map.get_mut("value").filter(|value| sensitive && !value.is_null()) {
                remove(value);
            }
            // What kubectl has written down of the whole object, in one string.
            map.remove("kubectl.kubernetes.io/last-applied-configuration");
            if let Some(annotations) = map.get_mut("annotations").and_then(Value::as_object_mut) {
                values_of(annotations);
            }
            map.values_mut().for_each(everything);
        }
        _ => {}
    }
}

/// Of a map whose keys somebody chose.
fn values_of(entries: &mut serde_json::Map<String, Value>) {
    for (name, value) in entries {
        // Dapr names the Secret of its token in an annotation: a name, no secret.
        if is_sensitive(name) && !name.starts_with("dapr.io/") {
            remove(value);
        }
    }
}

fn remove(value: &mut Value) {
    *value = REMOVED.into();
}

fn is_sensitive(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    name == "key" || SENSITIVE.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = include_str!("../../tests/cases/redaction.json");

    /// Each case holds either an object or a text, what must be gone from it and what must be left.
    #[test]
    fn secrets_are_gone_and_the_rest_is_there() {
        let cases: Vec<Value> = serde_json::from_str(CASES).expect("JSON");
        assert!(cases.len() >= 20);
        for case in cases {
            let name = &case["name"];
            let clean = match case.get("object") {
                Some(planted) => {
                    let mut planted = planted.clone();
                    object(&mut planted);
                    planted.to_string()
                }
                None => text(case["text"].as_str().expect("a text")).into_owned(),
            };
            let words = |list: &str| -> Vec<String> {
                let list = case[list].as_array().into_iter().flatten();
                list.map(|word| word.as_str().expect("a word").to_owned()).collect()
            };
            assert!(!words("gone").is_empty() || !words("kept").is_empty(), "{name}");
            for word in words("gone") {
                assert!(!clean.contains(&word), "{name}: {word} is still in {clean}");
            }
            for word in words("kept") {
                assert!(clean.contains(&word), "{name}: {word} is lost from {clean}");
            }
        }
    }

    #[test]
    fn every_pattern_is_one() {
        assert_eq!(COMPILED.len(), PATTERNS.len());
    }

    #[test]
    fn nothing_changes_where_there_is_no_secret() {
        assert!(matches!(
            text("delivered lesson.generated[3]@42 in 12ms"),
            Cow::Borrowed(_)
        ));
    }
}
