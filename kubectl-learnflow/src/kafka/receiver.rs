//! From a Dapr Component to what the Collector must be told to reach the same Kafka in the same way.
//!
//! What Dapr reads and takes for granted is as in components-contrib 1.18 (common/component/kafka), odd things included:
//! `none` means no TLS only in lower case, and a mechanism that it does not know is PLAIN.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The name under which Dapr knows the Secrets of the cluster.
const KUBERNETES: &str = "kubernetes";
const SKIP: &str = "leave this part out with --skip kafka";

/// A Component of type `pubsub.kafka`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: String,
    metadata: Vec<(String, Field)>,
    /// Where its secrets are; none: in the cluster.
    secret_store: Option<String>,
}

/// How a setting of it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Text(String),
    Secret {
        name: String,
        key: String,
    },
    /// A variable of the sidecars.
    Variable,
}

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

#[derive(Debug)]
enum Source {
    Secret { name: String, key: String },
    Text(String),
}

/// Why a Component is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) why: String,
    pub(super) next: String,
}

fn left_out(why: impl Into<String>, next: impl Into<String>) -> LeftOut {
    LeftOut {
        why: why.into(),
        next: next.into(),
    }
}

impl Component {
    /// As the cluster has it.
    pub(crate) fn read(name: &str, object: &Value) -> Self {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let item = |item: &Value| {
            let field = match (text(&item["secretKeyRef"]["name"]), text(&item["envRef"])) {
                (Some(name), _) => Field::Secret {
                    key: text(&item["secretKeyRef"]["key"]).unwrap_or_else(|| name.clone()),
                    name,
                },
                (None, Some(_)) => Field::Variable,
                (None, None) => Field::Text(match &item["value"] {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    // `value: true`, without quotes.
                    other => other.to_string(),
                }),
            };
            Some((text(&item["name"])?, field))
        };
        let items = object["spec"]["metadata"].as_array();
        Self {
            name: name.to_owned(),
            metadata: items.into_iter().flatten().filter_map(item).collect(),
            secret_store: text(&object["auth"]["secretStore"]),
        }
    }

    /// A setting, when it has one that is not empty. Dapr does not care for case in its name.
    fn field(&self, setting: &str) -> Option<&Field> {
        let mut fields = self.metadata.iter();
        let (_, field) = fields.find(|(name, _)| name.eq_ignore_ascii_case(setting))?;
        Some(field).filter(|field| **field != Field::Text(String::new()))
    }

    /// Where its brokers are, where that is written in it.
    pub(crate) fn broker_list(&self) -> Vec<&str> {
        match self.field("brokers") {
            Some(Field::Text(text)) => text.split(',').map(str::trim).collect(),
            _ => Vec::new(),
        }
    }

    /// A setting that decides about others.
    fn text(&self, setting: &str) -> Result<Option<&str>, LeftOut> {
        match self.field(setting) {
            None => Ok(None),
            Some(Field::Text(text)) => Ok(Some(text)),
            Some(_) => Err(left_out(
                format!("its {setting} is no plain value"),
                format!("Give {setting} a value in the Component, or {SKIP}."),
            )),
        }
    }

    fn is_true(&self, setting: &str) -> Result<bool, LeftOut> {
        let text = self.text(setting)?.unwrap_or_default().trim().to_ascii_lowercase();
        Ok(["1", "true", "t", "on", "yes", "y"].contains(&text.as_str()))
    }

    /// A setting wherever it is, if the Collector can be given it.
    fn given(&self, setting: &str) -> Result<Option<Source>, LeftOut> {
        match self.field(setting) {
            None => Ok(None),
            Some(Field::Text(text)) => Ok(Some(Source::Text(text.clone()))),
            Some(Field::Variable) => Err(left_out(
                format!("its {setting} is a variable of the sidecars"),
                format!("Put {setting} into a Secret and name it with secretKeyRef, or {SKIP}."),
            )),
            Some(Field::Secret { name, key }) => match self.secret_store.as_deref() {
                None | Some(KUBERNETES) => Ok(Some(Source::Secret {
                    name: name.clone(),
                    key: key.clone(),
                })),
                Some(store) => Err(left_out(
                    format!("its {setting} is in the secret store {store}"),
                    format!("The Collector reads Secrets of the cluster only: put it into one, or {SKIP}."),
                )),
            },
        }
    }

    fn needed(&self, setting: &str, auth: &str) -> Result<Source, LeftOut> {
        self.given(setting)?.ok_or_else(|| {
            left_out(
                format!("its authType is {auth}, and it has no {setting}"),
                format!("Add {setting} to the Component: no sidecar starts with it as it is."),
            )
        })
    }

    fn auth_type(&self) -> Result<&str, LeftOut> {
        if let Some(auth) = self.text("authType")? {
            return Ok(auth);
        }
        // The way before there was an authType.
        Ok(match self.text("authRequired")? {
            None => {
                return Err(left_out(
                    "it has no authType",
                    "Add authType to the Component (none, password, mtls): no sidecar starts with it as it is.",
                ));
            }
            Some(_) if !self.is_true("authRequired")? => "none",
            Some(_) if self.field("saslPassword").is_some() => "password",
            Some(_) => "mtls",
        })
    }
}

/// A Component of which only the name matters.
impl From<&str> for Component {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

impl Receiver {
    /// `number`: to tell its variables from those of other Components.
    pub(super) fn of(component: &Component, number: usize) -> Result<Self, LeftOut> {
        let mut maker = Maker {
            number,
            secrets: json!({}),
            variables: Vec::new(),
        };
        let (brokers, ports) = maker.brokers(component)?;
        let mut settings = json!({ "brokers": brokers });
        let auth = component.auth_type()?;
        let disabled = component.is_true("disableTls")?;
        let mut tls = json!({ "insecure": false });
        match auth.to_ascii_lowercase().as_str() {
            "none" => {}
            "password" => {
                let mechanism = match component.text("saslMechanism")? {
                    Some("SHA-256") => "SCRAM-SHA-256",
                    Some("SHA-512") => "SCRAM-SHA-512",
                    _ => "PLAIN",
                };
                let mut sasl = json!({
                    "mechanism": mechanism,
                    "username": maker.open("USERNAME", component.needed("saslUsername", auth)?),
                });
                match component.needed("saslPassword", auth)? {
                    Source::Text(password) => maker.secrets["auth"]["sasl"]["password"] = escaped(&password).into(),
                    theirs => sasl["password"] = maker.open("PASSWORD", theirs),
                }
                settings["auth"]["sasl"] = sasl;
            }
            "mtls" => {
                if disabled {
                    return Err(left_out(
                        "its authType is mtls, and disableTls is true",
                        "Take one of them out of the Component: no sidecar starts with both.",
                    ));
                }
                tls["cert_pem"] = maker.open("CERT", component.needed("clientCert", auth)?);
                match component.needed("clientKey", auth)? {
                    Source::Text(key) => maker.secrets["tls"]["key_pem"] = escaped(&key).into(),
                    theirs => tls["key_pem"] = maker.open("KEY", theirs),
                }
            }
            "certificate" => drop(component.needed("caCert", auth)?),
            other @ ("oidc" | "oidc_private_key_jwt" | "awsiam") => {
                return Err(left_out(
                    format!("its authType is {other}, in which the Collector cannot log in"),
                    format!("Have lag measured by an exporter of your own, and {SKIP}."),
                ));
            }
            other => {
                return Err(left_out(
                    format!("its authType {other:?} is none that Dapr knows"),
                    "Correct it in the Component (none, password, mtls): no sidecar starts with it as it is.",
                ));
            }
        }
        if !disabled && auth != "none" {
            if component.is_true("skipVerify")? {
                tls["insecure_skip_verify"] = json!(true);
            }
            if let Some(ca) = component.given("caCert")? {
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

    fn brokers(&mut self, component: &Component) -> Result<(Value, Option<BTreeSet<u16>>), LeftOut> {
        let text = match component.given("brokers")? {
            None => {
                return Err(left_out(
                    "it has no brokers",
                    "Add brokers to the Component: no sidecar starts with it as it is.",
                ));
            }
            Some(Source::Text(text)) => text,
            // The Collector takes a list with commas, as Dapr does.
            Some(secret) => return Ok((self.open("BROKERS", secret), None)),
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
fn port(broker: &str) -> Option<u16> {
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
