//! Single values, as they stand in a file or behind a flag: what is wrong with one is said in the
//! same words for both.

use crate::text;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::{fmt, time::Duration};

/// Kubernetes' limit for the name of a namespace, a container, an app id.
const LABEL: usize = 63;
/// And for that of most other objects.
const NAME: usize = 253;

/// The name of a namespace, a container, an app id.
pub(crate) fn label(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = text.starts_with('-') || text.ends_with('-');
    if text.is_empty() || text.len() > LABEL || ends || !text.chars().all(inner) {
        return Err(format!(
            "`{text}` is not a name; write lower-case letters, digits and -, at most {LABEL} of them"
        ));
    }
    Ok(text.to_owned())
}

/// The name of a Deployment, a Component, a Secret: labels with dots between.
pub(crate) fn name(text: &str) -> Result<String, String> {
    if text.len() > NAME || text.split('.').any(|part| label(part).is_err()) {
        return Err(format!(
            "`{text}` is not a name; write lower-case letters, digits, - and ., at most {NAME} of them"
        ));
    }
    Ok(text.to_owned())
}

/// `registry.example.com:5000/mirror`
pub(crate) fn registry(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("`{text}` is not a registry; {why}"));
    if text.contains("://") {
        return wrong("leave out the scheme: registry.example.com/mirror");
    }
    let (host, path) = text.split_once('/').unwrap_or((text, "x"));
    let (host, port) = host.split_once(':').unwrap_or((host, "0"));
    let in_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | '/');
    let good_path = path.chars().all(in_path) && !path.split('/').any(str::is_empty);
    if name(&host.to_ascii_lowercase()).is_err() || port.parse::<u16>().is_err() || !good_path {
        return wrong("write a host and, if you like, a port and a path: registry.example.com:5000/mirror");
    }
    Ok(text.to_owned())
}

/// A reference to an image: `otel/x:1`, `registry.example.com:5000/x@sha256:…`
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(transparent))]
pub(crate) struct Image(pub(crate) String);

impl Image {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{text}` is not an image; {why}"));
        let (name, digest) = text
            .split_once('@')
            .map_or((text, None), |(name, digest)| (name, Some(digest)));
        let hex = |digest: &str| digest.len() == 64 && digest.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        if digest.is_some_and(|digest| !digest.strip_prefix("sha256:").is_some_and(hex)) {
            return wrong("a digest is sha256: and 64 hexadecimal digits");
        }
        // A colon after the last slash is that of the tag, one before it that of a port.
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = name[slash..]
            .split_once(':')
            .map_or((name, None), |(last, tag)| (&name[..slash + last.len()], Some(tag)));
        let in_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let bad_tag = tag.is_some_and(|tag| tag.is_empty() || tag.len() > 128 || !tag.chars().all(in_tag));
        // Hosts may have capitals, paths may not.
        let bad_path = path[slash..].chars().any(|c| c.is_ascii_uppercase());
        if bad_tag || bad_path || registry(path).is_err() {
            return wrong("write for example registry.example.com/otel/collector:1.2.3 or …@sha256:…");
        }
        if tag.is_none() && digest.is_none() {
            return wrong("give it a tag or a digest: what it is must not change by itself");
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What a budget is for. What is not said is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expected {
    /// Nodes of the cluster: an agent runs on each.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(crate) nodes: Option<u64>,
    /// Pods with a Dapr sidecar.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(crate) pods: Option<u64>,
    /// Topics of each service, added up.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(crate) topics: Option<u64>,
}

/// More than any cluster has.
const MOST: u64 = 1_000_000;

impl Expected {
    /// `nodes=3,pods=20,topics=100`
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for part in text.split(',') {
            let (key, number) = part.split_once('=').unwrap_or((part, ""));
            let slot = match key.trim() {
                "nodes" => &mut all.nodes,
                "pods" => &mut all.pods,
                "topics" => &mut all.topics,
                _ => return Err(format!("`{part}` is none of nodes=…, pods=…, topics=…")),
            };
            let parsed = number.trim().parse();
            *slot = Some(parsed.map_err(|_| format!("`{part}` has no number; write for example nodes=3,pods=20"))?);
        }
        all.checked()
    }

    pub(crate) fn checked(self) -> Result<Self, String> {
        let all = [self.nodes, self.pods, self.topics];
        match all.into_iter().flatten().find(|n| !(1..=MOST).contains(n)) {
            Some(n) => Err(format!("`{n}` is not a number from 1 to {MOST}")),
            None => Ok(self),
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.nodes.is_some() && self.pods.is_some() && self.topics.is_some()
    }
}

pub(super) fn expected_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Expected>, D::Error> {
    Expected::deserialize(deserializer)?
        .checked()
        .map(Some)
        .map_err(D::Error::custom)
}

/// How few and how many pods an autoscaler may set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scale {
    /// At the least. Default: as many as it ran before, and two in production.
    #[cfg_attr(test, schemars(range(min = 1, max = 10000)))]
    pub(crate) min: Option<i32>,
    /// At the most. Default: 3, or what its autoscaler says already.
    #[cfg_attr(test, schemars(range(min = 1, max = 10000)))]
    pub(crate) max: Option<i32>,
}

/// More pods than any service has.
const PODS: i32 = 10_000;

impl Scale {
    pub(crate) fn is_nothing(self) -> bool {
        self.min.is_none() && self.max.is_none()
    }

    fn checked(self) -> Result<Self, String> {
        for (key, number) in [("min", self.min), ("max", self.max)] {
            if let Some(n) = number.filter(|n| !(1..=PODS).contains(n)) {
                return Err(format!("`{key}: {n}` is not a number of pods from 1 to {PODS}"));
            }
        }
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => Err(format!("min {min} is more than max {max}")),
            _ => Ok(self),
        }
    }
}

pub(super) fn scale_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scale, D::Error> {
    Scale::deserialize(deserializer)?.checked().map_err(D::Error::custom)
}

/// A share of all traces, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(transparent))]
pub(crate) struct Share(#[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))] f64);

impl Share {
    pub(crate) const ALL: Self = Self(1.0);
    /// One in twenty.
    pub(crate) const PRODUCTION: Self = Self(0.05);

    /// As the Collector wants it. Rounded: 0.07 times 100 is 7.000000000000001.
    pub(crate) fn percent(self) -> String {
        let text = format!("{:.6}", self.0 * 100.0);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    pub(crate) fn new(number: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&number) {
            return Ok(Self(number));
        }
        Err(format!(
            "`{number}` is not a share; write a number from 0 (no trace) to 1 (every trace)"
        ))
    }

    #[cfg(test)]
    pub(crate) fn value(self) -> f64 {
        self.0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse::<f64>();
        let number = number.map_err(|_| format!("`{text}` is not a number; write for example 0.1"))?;
        Self::new(number)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// From when on a trace is slow: `1s`, `250ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(transparent))]
pub(crate) struct Slow(
    #[cfg_attr(test, schemars(with = "String", regex(pattern = r"^([0-9]+(ms|s|m|h))+$")))] Duration,
);

impl Default for Slow {
    fn default() -> Self {
        Self(Duration::from_secs(1))
    }
}

impl Slow {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text::parse_duration(text)? {
            Duration::ZERO => Err("after no time at all every trace is slow; write for example 1s".into()),
            // Days of it would say nothing, and the Collector counts milliseconds.
            long if long > Duration::from_secs(86_400) => Err(format!("`{text}` is longer than a day")),
            duration => Ok(Self(duration)),
        }
    }

    pub(crate) fn millis(self) -> u128 {
        self.0.as_millis()
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.millis() {
            whole if whole.is_multiple_of(1000) => write!(f, "{}s", whole / 1000),
            millis => write!(f, "{millis}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// An amount of memory, as Kubernetes writes it: `512Mi`, `1Gi`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(transparent))]
pub(crate) struct Memory(#[cfg_attr(test, schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?([KMGT]i?|k)?$")))] String);

impl Memory {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match bytes(text) {
            None => Err(format!(
                "`{text}` is not an amount of memory; write for example 512Mi or 1Gi"
            )),
            Some(0) => Err("no memory at all is not enough for anything; write for example 1Gi".into()),
            Some(_) => Ok(Self(text.to_owned())),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        bytes(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A Kubernetes quantity of bytes.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let unit = match &text[end..] {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = text[..end].parse().ok()?;
    let bytes = number * unit;
    // Beyond this a float no longer counts single bytes, and nobody has so many.
    (bytes < 9e15).then_some(bytes as u64)
}

pub(super) fn label_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, label).map(Some)
}

pub(crate) fn name_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, name).map(Some)
}

pub(super) fn needed_label_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, label)
}

pub(super) fn needed_name_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, name)
}

pub(super) fn registry_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, registry).map(Some)
}

fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    parse: fn(&str) -> Result<String, String>,
) -> Result<String, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["shop", "a", "course-agent", "0"] {
            assert_eq!(label(good).as_deref(), Ok(good));
        }
        for bad in ["", "Shop", "-a", "a-", "a.b", "a/b", "ü", &"a".repeat(64)] {
            assert!(label(bad).is_err(), "{bad}");
        }
        assert!(name("a.b-c").is_ok() && name("a..b").is_err() && name("").is_err());
    }

    #[test]
    fn registries() {
        for good in ["r", "registry.example.com", "localhost:5000/a/b_c", "10.0.0.1/x"] {
            assert_eq!(registry(good).as_deref(), Ok(good));
        }
        for bad in ["", "https://r.io", "r.io/", "r.io//x", "r.io:port", "r.io/X", "r io"] {
            assert!(registry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn images() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        for good in [
            "x:1",
            "otel/x:0.1.2",
            "r.io:5000/a/b_c:v1",
            &format!("x@{digest}"),
            &format!("r.io/x:1@{digest}"),
        ] {
            assert_eq!(Image::parse(good).map(|image| image.0).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "x",
            "r.io:5000/x",
            "https://r.io/x:1",
            "x:",
            "x:a b",
            "X:1",
            "x@sha256:12",
            &format!("x@{digest}0"),
            "x@md5:1",
        ] {
            assert!(Image::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_in_percent() {
        for (share, percent) in [("1", "100"), ("0.07", "7"), ("0.05", "5"), ("0.001", "0.1"), ("0", "0")] {
            assert_eq!(Share::parse(share).expect("a share").percent(), percent);
        }
    }

    #[test]
    fn what_is_slow() {
        for (text, millis) in [("1s", 1000), ("250ms", 250), ("1m30s", 90_000)] {
            assert_eq!(Slow::parse(text).map(Slow::millis), Ok(millis));
        }
        assert_eq!(Slow::parse("1m30s").expect("slow").to_string(), "90s");
        assert_eq!(Slow::parse("1500ms").expect("slow").to_string(), "1500ms");
        for bad in ["", "0", "1", "soon", "48h"] {
            assert!(Slow::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn expectations() {
        let read = |text: &str| Expected::parse(text).map(|all| (all.nodes, all.pods, all.topics));
        assert_eq!(read("nodes=3"), Ok((Some(3), None, None)));
        assert_eq!(read("topics=7, pods=2,nodes=1"), Ok((Some(1), Some(2), Some(7))));
        for bad in [
            "",
            "nodes",
            "nodes=",
            "nodes=0",
            "nodes=-1",
            "pods=1000001",
            "cores=1",
            "nodes=1,,pods=2",
        ] {
            assert!(Expected::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_and_memory() {
        assert_eq!(Share::parse("0.1").map(|share| share.to_string()), Ok("0.1".into()));
        assert_eq!(Share::ALL.to_string(), "1");
        for bad in ["-0.1", "1.1", "NaN", "ten", ""] {
            assert!(Share::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(bytes("1.5Gi"), Some(1_610_612_736));
        assert_eq!(bytes("400Mi"), Some(419_430_400));
        assert_eq!(bytes("1k"), Some(1000));
        for bad in ["", "Gi", "1GB", "-1Gi", "1 Gi", "1e400", "1.2.3Gi"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
        assert!(Memory::parse("0").is_err() && Memory::parse("0Gi").is_err());
        assert_eq!(Memory::parse("1Gi").map(|memory| memory.bytes()), Ok(1 << 30));
    }
}
