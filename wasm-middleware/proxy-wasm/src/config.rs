//! What the plugin's configuration says.

use serde::Deserialize;

/// The `configuration` of the plugin: `{"maxTopics": 200}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// How many topics get series of their own, in each of Envoy's worker threads. One that is both published to and
    /// delivered from counts twice.
    pub max_topics: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_topics: 200 }
    }
}

impl Config {
    /// Reads it. Nothing means the defaults; so does what cannot be read, with a sentence for the log.
    pub fn read(json: &[u8]) -> (Self, Option<String>) {
        if json.trim_ascii().is_empty() {
            return (Self::default(), None);
        }
        match serde_json::from_slice(json) {
            Ok(config) => (config, None),
            Err(error) => {
                let message = format!("learnflow: the configuration is ignored, the defaults are used: {error}");
                (Self::default(), Some(message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there() {
        assert_eq!(Config::read(br#"{"maxTopics": 7}"#), (Config { max_topics: 7 }, None));
        for nothing in ["", " \n", "{}"] {
            assert_eq!(Config::read(nothing.as_bytes()), (Config::default(), None));
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_does_no_harm() {
        for wrong in [
            r#"{"maxTopics": -1}"#,
            r#"{"maxTopics": "many"}"#,
            r#"{"maxTopic": 7}"#,
            "[",
            "\u{1}",
        ] {
            let (config, message) = Config::read(wrong.as_bytes());
            assert_eq!(config, Config::default(), "{wrong}");
            assert!(message.is_some_and(|message| message.contains("ignored")), "{wrong}");
        }
    }
}
