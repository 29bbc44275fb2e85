use proptest::prelude::*;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;

const REFUSED: &str = include_str!("../../../../tests/cases/config.refused.txt");

fn read(json: &str) -> Result<Config, ConfigError> {
    let mut config = Config::DEFAULT;
    config.read(json.as_bytes()).map(|()| config)
}

fn concerned(json: &str, topic: &str) -> bool {
    read(json).expect(json).concerns(&topic.into())
}

#[test]
fn golden_refusals() {
    for golden in REFUSED.lines() {
        let mut parts = golden.splitn(3, ' ');
        let [why, at, json] = [(); 3].map(|()| parts.next().expect(golden));
        let error = read(json).expect_err(json);
        assert_eq!(format!("{:?} {}", error.why, error.at), format!("{why} {at}"), "{json}");
    }
}

#[test]
fn what_is_missing_is_the_default() {
    for json in [
        "",
        "\n",
        "{}",
        " { } \r\n",
        r#"{"topics":{}}"#,
        r#"{"topics":{"allow":[],"ignore":[ ]}}"#,
    ] {
        assert_eq!(read(json), Ok(Config::DEFAULT), "{json}");
    }
    let config = Config::DEFAULT;
    assert!(config.records() && !config.idle() && config.concerns(&"any".into()));
    assert_eq!(config.attributes, Attributes::Topic);
}

#[test]
fn records_and_attributes() {
    for (json, records, attributes) in [
        (r#"{"records":false}"#, false, Attributes::Topic),
        (r#"{"records" : true, "attributes" : true}"#, true, Attributes::Topic),
        (r#"{"attributes":"all"}"#, true, Attributes::All),
        (r#"{"attributes":false,"records":false}"#, false, Attributes::None),
    ] {
        let config = read(json).expect(json);
        assert_eq!((config.records(), config.attributes), (records, attributes), "{json}");
        assert_eq!(config.idle(), !records && attributes == Attributes::None);
    }
}

#[test]
fn lists_of_topics() {
    let allow = r#"{"topics":{"allow":["lesson.*","quiz"]}}"#;
    let ignore = r#"{"topics":{"ignore":["noise","*.tmp","a/b*"]}}"#.replace("*.tmp", "tmp.*");
    let both = r#"{"topics":{"ignore":["lesson.x*"],"allow":["lesson.*"]}}"#;
    for (json, topic, expected) in [
        (allow, "lesson.generated", true),
        (allow, "lesson.", true),
        (allow, "lesson", false),
        (allow, "quiz", true),
        (allow, "quizz", false),
        (allow, "Quiz", false),
        (&ignore, "noise", false),
        (&ignore, "noises", true),
        (&ignore, "tmp.x", false),
        (&ignore, "a/b/c", false),
        (both, "lesson.y", true),
        (both, "lesson.x1", false),
        (both, "other", false),
        (r#"{"topics":{"ignore":["*"]}}"#, "any", false),
        (r#"{"topics":{"ignore":["café"]}}"#, "café", false),
    ] {
        assert_eq!(concerned(json, topic), expected, "{json} {topic}");
    }
}

#[test]
fn a_list_has_its_room() {
    let list = |names: &[String]| format!(r#"{{"topics":{{"ignore":["{}"]}}}}"#, names.join(r#"",""#));
    let longest = "x".repeat(Text::MAX);
    assert!(!concerned(&list(core::slice::from_ref(&longest)), &longest));
    assert_eq!(read(&list(&[longest.clone() + "x"])).unwrap_err().why, Why::Name);
    // 100 names of nine bytes, each behind one that is its length, fill it.
    let names: Vec<_> = (0..100).map(|number| format!("topic.{number:03}")).collect();
    assert!(!concerned(&list(&names), "topic.099"));
    let more = [names.as_slice(), &["t".into()]].concat();
    let error = read(&list(&more)).unwrap_err();
    assert_eq!(error.why, Why::Long);
    assert!(list(&more)[error.at..].starts_with("\"t\""));
}

#[test]
fn what_is_wrong_and_where_in_one_line() {
    let mut line = Line::new();
    let error = read(r#"{"maxTopics":100}"#).unwrap_err();
    assert_eq!(
        core::str::from_utf8(error.write(&mut line)),
        Ok("guestConfig counts for nothing, byte 1: there is no such key")
    );
}

#[test]
fn what_is_refused_leaves_the_defaults() {
    let mut config = read(r#"{"records":false,"topics":{"ignore":["a"]}}"#).unwrap();
    assert!(
        config
            .read(br#"{"records":false,"topics":{"ignore":["a"],"x":1}}"#)
            .is_err()
    );
    assert_eq!(config, Config::DEFAULT);
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(" "), Just("\n\t"), Just("\r\n  ")]
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[a-zé./_-]{1,20}\\*?", 0..8)
}

proptest! {
    /// Written with any blanks, it is what it was; cut off anywhere, it is refused.
    #[test]
    fn round_trip(
        records in any::<bool>(),
        attributes in prop_oneof![Just("true"), Just("false"), Just("\"all\"")],
        (allow, ignore) in (names(), names()),
        blank in blank(),
        topic in "[a-zé./_-]{1,4}",
        cut in any::<prop::sample::Index>(),
    ) {
        let list = |names: &[String]| {
            let names: Vec<_> = names.iter().map(|name| format!("{blank}\"{name}\"{blank}")).collect();
            format!("[{blank}{}]", names.join(","))
        };
        let json = [
            "{", "\"topics\"", ":", "{", "\"ignore\"", ":", &list(&ignore), ",", "\"allow\"", ":", &list(&allow), "}", ",",
            "\"attributes\"", ":", attributes, ",", "\"records\"", ":", if records { "true" } else { "false" }, "}",
        ].join(blank);
        let config = read(&json).map_err(|error| TestCaseError::fail(format!("{json}: {error:?}")))?;
        prop_assert_eq!(config.records(), records);
        let named = |names: &[String]| names.iter().any(|name| match name.strip_suffix('*') {
            Some(stem) => topic.starts_with(stem),
            None => topic == *name,
        });
        prop_assert_eq!(config.concerns(&topic.as_str().into()), (allow.is_empty() || named(&allow)) && !named(&ignore));

        let half = &json.as_bytes()[..cut.index(json.len())];
        prop_assert!(half.trim_ascii().is_empty() || Config::DEFAULT.clone().read(half).is_err());
    }

    #[test]
    fn any_bytes_are_a_configuration_or_not(json in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut config = Config::DEFAULT;
        if let Err(error) = config.read(&json) {
            prop_assert!(error.at <= json.len());
        }
    }

    #[test]
    fn one_wrong_byte_is_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut json = br#"{"records":false,"attributes":"all","topics":{"allow":["a*","b"],"ignore":["c"]}}"#.to_vec();
        let at = at.index(json.len());
        json[at] = byte;
        let mut config = Config::DEFAULT;
        if config.read(&json).is_err() {
            prop_assert_eq!(config, Config::DEFAULT);
        }
    }
}
