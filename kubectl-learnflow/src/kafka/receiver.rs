//! From how a Component reaches Kafka to what the Collector must be told to reach the same Kafka in the same way.

use super::login::{Component, LeftOut, Login, Sasl, Source, left_out};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What one Component becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Receiver {
    /// Brokers, tls and auth, in the words of the receiver.
    pub(super) settings: Value,
    /// What of these stands in the Component and is secret.
    pub(super) secrets: Value,
    /// What these refer to.
    pub(super) variables: Vec<Variable>,
    /// Of the brokers; `None`: they are not known here.
    pub(super) ports: Option<BTreeSet<u16>>,
}

/// One that has its value from a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) secret: String,
    pub(super) key: String,
}

impl Receiver {
    /// `number`: to tell its variables from those of other Components.
    pub(super) fn of(component: &Component, number: usize) -> Result<Self, LeftOut> {
        let login = Login::of(component).map_err(|mut left_out| {
            if left_out.correct {
                left_out.next += ", or leave this part out with --skip kafka.";
            }
            left_out
        })?;
        let mut maker = Maker {
            number,
            secrets: json!({}),
            variables: Vec::new(),
        };
        let (brokers, ports) = maker.brokers(login.brokers)?;
        let mut settings = json!({ "brokers": brokers });
        if let Some(Sasl {
            mechanism,
            user,
            password,
        }) = login.sasl
        {
            let mut sasl = json!({ "mechanism": mechanism, "username": maker.open("USERNAME", user) });
            match password {
                Source::Text(password) => maker.secrets["auth"]["sasl"]["password"] = escaped(&password).into(),
                theirs => sasl["password"] = maker.open("PASSWORD", theirs),
            }
            settings["auth"]["sasl"] = sasl;
        }
        if let Some(theirs) = login.tls {
            let mut tls = json!({ "insecure": false });
            if let Some((certificate, key)) = theirs.identity {
                tls["cert_pem"] = maker.open("CERT", certificate);
                match key {
                    Source::Text(key) => maker.secrets["tls"]["key_pem"] = escaped(&key).into(),
                    theirs => tls["key_pem"] = maker.open("KEY", theirs),
                }
            }
            if theirs.unverified {
                tls["insecure_skip_verify"] = json!(true);
            }
            if let Some(ca) = theirs.ca {
                tls["ca_pem"] = maker.open("CA", ca);
            }
            settings["tls"] = tls;
        }
        Ok(Self {
            settings,
            secrets: maker.secrets,
            variables: maker.variables,
            ports,
        })
    }
}

struct Maker {
    number: usize,
    secrets: Value,
    variables: Vec<Variable>,
}

impl Maker {
    /// Something that anybody may read, unless it lies in a Secret.
    fn open(&mut self, what: &str, source: Source) -> Value {
        match source {
            Source::Text(text) => escaped(&text).into(),
            Source::Secret { name: secret, key } => {
                let name = format!("KAFKA_{}_{what}", self.number);
                let reference = format!("${{env:{name}}}");
                self.variables.push(Variable { name, secret, key });
                reference.into()
            }
        }
    }

    fn brokers(&mut self, brokers: Source) -> Result<(Value, Option<BTreeSet<u16>>), LeftOut> {
        let text = match brokers {
            Source::Text(text) => text,
            // The Collector takes a list with commas, as Dapr does.
            secret => return Ok((self.open("BROKERS", secret), None)),
        };
        let mut brokers = Vec::new();
        let mut ports = BTreeSet::new();
        for broker in text.split(',').map(str::trim) {
            let Some(port) = port(broker) else {
                return Err(left_out(
                    format!("its brokers have {broker:?}, which is no HOST:PORT"),
                    "Correct brokers in the Component: HOST:PORT, with commas between several.",
                ));
            };
            brokers.push(escaped(broker));
            ports.insert(port);
        }
        Ok((json!(brokers), Some(ports)))
    }
}

/// Of `HOST:PORT`.
pub(crate) fn port(broker: &str) -> Option<u16> {
    let (host, port) = broker.rsplit_once(':')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_name),
    };
    port.parse().ok().filter(|port| is_host && *port > 0)
}

/// To the Collector `${…}` is something to look up, and `$$` is `$`.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}
