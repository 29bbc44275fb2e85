//! How a Kafka is reached, as a Dapr Component of type `pubsub.kafka` says it. Pure: what lies in a Secret is only named.
//!
//! What Dapr reads and takes for granted is as in components-contrib 1.18 (common/component/kafka), odd things included:
//! `none` means no TLS only in lower case, and a mechanism that it does not know is PLAIN.

use serde_json::Value;

/// The name under which Dapr knows the Secrets of the cluster.
const KUBERNETES: &str = "kubernetes";

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

/// The same for whoever connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) brokers: Source,
    /// `None`: nothing is encrypted.
    pub(crate) tls: Option<Tls>,
    pub(crate) sasl: Option<Sasl>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Whom to believe; none: whom this machine believes.
    pub(crate) ca: Option<Source>,
    /// Certificate and key.
    pub(crate) identity: Option<(Source, Source)>,
    /// `skipVerify` is set: anybody is believed.
    pub(crate) unverified: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub(crate) mechanism: &'static str,
    pub(crate) user: Source,
    pub(crate) password: Source,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Secret { name: String, key: String },
    Text(String),
}

/// Why a Component is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) why: String,
    pub(crate) next: String,
    /// A sidecar can do more than LearnFlow: nothing is wrong with the Component.
    pub(crate) correct: bool,
}

pub(super) fn left_out(why: impl Into<String>, next: impl Into<String>) -> LeftOut {
    LeftOut {
        why: why.into(),
        next: next.into(),
        correct: false,
    }
}

/// `next` is without its full stop: whoever can do without it says so.
fn not_ours(why: impl Into<String>, next: impl Into<String>) -> LeftOut {
    LeftOut {
        correct: true,
        ..left_out(why, next)
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

    /// Dapr puts the namespace in front of its topics in Kafka.
    pub(crate) fn is_namespaced(&self) -> bool {
        let asks = |field: &Field| matches!(field, Field::Text(text) if text.contains("{namespace}"));
        self.metadata.iter().any(|(_, field)| asks(field))
    }

    /// Where its brokers are, where that is written in it.
    pub(crate) fn broker_list(&self) -> Vec<&str> {
        match self.field("brokers") {
            Some(Field::Text(text)) => text.split(',').map(str::trim).collect(),
            _ => Vec::new(),
        }
    }

    /// What it says there, when it says something; the inner `None`: not in plain words.
    pub(crate) fn said(&self, setting: &str) -> Option<Option<&str>> {
        self.field(setting).map(|field| match field {
            Field::Text(text) => Some(text.trim()),
            _ => None,
        })
    }

    /// The consumer group of an app, as Dapr has it: consumerGroup, else consumerID, else the app id; each with the variables
    /// that it fills in.
    pub(crate) fn group(&self, namespace: &str, app: &str) -> Result<String, String> {
        for setting in ["consumerGroup", "consumerID"] {
            let Some(said) = self.said(setting) else {
                continue;
            };
            let said = said.ok_or_else(|| format!("its {setting} is no plain value"))?;
            if let Some(each) = ["{uuid}", "{podName}"].into_iter().find(|each| said.contains(each)) {
                return Err(format!(
                    "its {setting} has {each} in it, so each pod is a group of its own and reads all"
                ));
            }
            return Ok(said.replace("{appID}", app).replace("{namespace}", namespace));
        }
        Ok(app.to_owned())
    }

    /// A setting that decides about others.
    fn text(&self, setting: &str) -> Result<Option<&str>, LeftOut> {
        match self.field(setting) {
            None => Ok(None),
            Some(Field::Text(text)) => Ok(Some(text)),
            Some(_) => Err(not_ours(
                format!("its {setting} is no plain value"),
                format!("Give {setting} a value in the Component"),
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
            Some(Field::Variable) => Err(not_ours(
                format!("its {setting} is a variable of the sidecars"),
                format!("Put {setting} into a Secret and name it with secretKeyRef"),
            )),
            Some(Field::Secret { name, key }) => match self.secret_store.as_deref() {
                None | Some(KUBERNETES) => Ok(Some(Source::Secret {
                    name: name.clone(),
                    key: key.clone(),
                })),
                Some(store) => Err(not_ours(
                    format!("its {setting} is in the secret store {store}"),
                    "LearnFlow reads Secrets of the cluster only: put it into one",
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

impl Login {
    pub(crate) fn of(component: &Component) -> Result<Self, LeftOut> {
        let brokers = component.given("brokers")?.ok_or_else(|| {
            left_out(
                "it has no brokers",
                "Add brokers to the Component: no sidecar starts with it as it is.",
            )
        })?;
        let auth = component.auth_type()?;
        let disabled = component.is_true("disableTls")?;
        let mut tls = Tls::default();
        let mut sasl = None;
        match auth.to_ascii_lowercase().as_str() {
            "none" => {}
            "password" => {
                let mechanism = match component.text("saslMechanism")? {
                    Some("SHA-256") => "SCRAM-SHA-256",
                    Some("SHA-512") => "SCRAM-SHA-512",
                    _ => "PLAIN",
                };
                sasl = Some(Sasl {
                    mechanism,
                    user: component.needed("saslUsername", auth)?,
                    password: component.needed("saslPassword", auth)?,
                });
            }
            "mtls" => {
                if disabled {
                    return Err(left_out(
                        "its authType is mtls, and disableTls is true",
                        "Take one of them out of the Component: no sidecar starts with both.",
                    ));
                }
                let certificate = component.needed("clientCert", auth)?;
                tls.identity = Some((certificate, component.needed("clientKey", auth)?));
            }
            "certificate" => drop(component.needed("caCert", auth)?),
            other @ ("oidc" | "oidc_private_key_jwt" | "awsiam") => {
                return Err(not_ours(
                    format!("its authType is {other}, in which LearnFlow cannot log in"),
                    "It logs in with passwords and certificates: have authType be password, certificate or mtls",
                ));
            }
            other => {
                return Err(left_out(
                    format!("its authType {other:?} is none that Dapr knows"),
                    "Correct it in the Component (none, password, mtls): no sidecar starts with it as it is.",
                ));
            }
        }
        let encrypted = !disabled && auth != "none";
        if encrypted {
            tls.unverified = component.is_true("skipVerify")?;
            tls.ca = component.given("caCert")?;
        }
        Ok(Self {
            brokers,
            tls: encrypted.then_some(tls),
            sasl,
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
