//! Whose Prometheus and whose Grafana, as they stand in a file or behind a flag.

use super::values::{label, name};
use crate::monitoring::Address;
use serde::{Deserialize, Deserializer, de::Error};
use std::fmt;

/// Whose Prometheus keeps the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    Own,
    /// An object Prometheus of the Prometheus Operator.
    Operated {
        namespace: String,
        name: String,
    },
    /// The Service of another one.
    Service(Address),
}

impl Which {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| {
            format!(
                "`{text}` names no Prometheus; write own, NAMESPACE/NAME for one of the Prometheus Operator, or \
                 NAMESPACE/SERVICE:PORT for another one"
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        if text == "own" {
            return Some(Self::Own);
        }
        let (namespace, rest) = text.split_once('/')?;
        let namespace = label(namespace).ok()?;
        let Some((service, rest)) = rest.split_once(':') else {
            let name = name(rest).ok()?;
            return Some(Self::Operated { namespace, name });
        };
        let (port, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        let path = path.trim_end_matches('/');
        (path.chars().all(plain) && !path.contains("..")).then_some(())?;
        let mut address = Address::service(&namespace, &label(service).ok()?, port);
        path.clone_into(&mut address.path);
        Some(Self::Service(address))
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own"),
            Self::Operated { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Service(address) => address.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Which {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Which Grafana shows the boards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Boards {
    Own,
    None,
    /// A workload with Grafana.
    Existing {
        namespace: String,
        name: String,
    },
}

impl Boards {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| {
            format!(
                "`{text}` names no Grafana; write own, none, or NAMESPACE/NAME of the Deployment or StatefulSet of one"
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        match text {
            "own" => return Some(Self::Own),
            "none" => return Some(Self::None),
            _ => {}
        }
        let (namespace, rest) = text.split_once('/')?;
        Some(Self::Existing {
            namespace: label(namespace).ok()?,
            name: name(rest).ok()?,
        })
    }
}

impl fmt::Display for Boards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own"),
            Self::None => f.write_str("none"),
            Self::Existing { namespace, name } => write!(f, "{namespace}/{name}"),
        }
    }
}

impl<'de> Deserialize<'de> for Boards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grafana_is_named_in_three_ways() {
        for good in ["own", "none", "monitoring/grafana", "a/b.c"] {
            let which = Boards::parse(good).map(|which| which.to_string());
            assert_eq!(which.as_deref(), Ok(good));
        }
        for bad in ["", "existing", "grafana", "a/", "/b", "A/b", "a/b:3000", "a/b/c"] {
            assert!(Boards::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prometheus_is_named_in_three_ways() {
        for good in ["own", "monitoring/k8s", "monitoring/prom:9090", "m/p:80/prometheus"] {
            let which = Which::parse(good).map(|which| which.to_string());
            assert_eq!(which.as_deref(), Ok(good));
        }
        let operated = matches!(Which::parse("a/b.c"), Ok(Which::Operated { .. }));
        assert!(operated, "an object may have dots in its name");
        for bad in [
            "",
            "k8s",
            "a/",
            "/b",
            "a/b:",
            "a/b:x",
            "a/b:0",
            "a/b:99999",
            "a/b/c",
            "a/b.c:80",
            "a/b:80/../x",
            "a/b:80/?q",
            "http://a/b:80",
            "A/b",
        ] {
            assert!(Which::parse(bad).is_err(), "{bad}");
        }
    }
}
