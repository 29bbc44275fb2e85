//! Spans as the trace store gives them: OTLP in JSON, of Jaeger's API v3.

use learnflow_flow::Time;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a span is of, by the names that Dapr and the gateway give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// By HTTP, with the middleware or without.
    Publish {
        named: bool,
    },
    PublishByGrpc,
    Delivery,
    Database,
    Other,
}

#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) id: String,
    /// Empty: it is the first of its trace.
    pub(crate) parent: String,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) begin: Time,
    pub(crate) end: Time,
    pub(crate) failed: bool,
    pub(crate) role: Role,
    /// Of a publish or a delivery.
    pub(crate) topic: Option<String>,
}

impl Role {
    pub(crate) fn publishes(self) -> bool {
        matches!(self, Self::Publish { .. } | Self::PublishByGrpc)
    }

    fn of(name: &str, attributes: &BTreeMap<&str, &Value>) -> Self {
        let has = |key: &str| attributes.contains_key(key);
        if has("db.system.name") || has("db.system") {
            Self::Database
        } else if published_by_http(name).is_some() {
            let named = has("messaging.destination.name");
            Self::Publish { named }
        } else if name.starts_with("/dapr.proto.runtime.v1.Dapr/") && name.contains("PublishEvent") {
            Self::PublishByGrpc
        } else if name.starts_with("pubsub/") {
            Self::Delivery
        } else {
            Self::Other
        }
    }
}

/// The topic in `/v1.0/publish/[bulk/]PUBSUB/TOPIC`.
fn published_by_http(name: &str) -> Option<&str> {
    let rest = name
        .strip_prefix("/v1.0")
        .map(|rest| rest.strip_prefix("-alpha1").unwrap_or(rest))?;
    let rest = rest.strip_prefix("/publish/")?;
    Some(rest.strip_prefix("bulk/").unwrap_or(rest).split_once('/')?.1)
}

impl Span {
    /// All spans of an answer. What has no id is none.
    pub(crate) fn read_all(answer: &Value) -> Vec<Self> {
        let mut spans = Vec::new();
        for resource in array(&answer["result"]["resourceSpans"]) {
            let of = attributes(&resource["resource"]["attributes"]);
            let service = of
                .get("service.name")
                .and_then(|name| name.as_str())
                .unwrap_or_default();
            let scopes = array(&resource["scopeSpans"]).iter();
            let of_resource = scopes.flat_map(|scope| array(&scope["spans"]));
            spans.extend(of_resource.filter_map(|span| Self::read(span, service)));
        }
        spans
    }

    fn read(span: &Value, service: &str) -> Option<Self> {
        let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
        let time = |name: &str| span[name].as_str()?.parse().ok().map(Time);
        let attributes = attributes(&span["attributes"]);
        let name = text("name");
        let role = Role::of(&name, &attributes);
        let topic = attributes
            .get("messaging.destination.name")
            .and_then(|topic| topic.as_str());
        let topic = match role {
            Role::Publish { .. } => topic.or_else(|| published_by_http(&name)),
            Role::Delivery => name.strip_prefix("pubsub/"),
            Role::PublishByGrpc | Role::Database | Role::Other => topic,
        };
        Some(Self {
            id: Some(text("spanId")).filter(|id| !id.is_empty())?,
            parent: text("parentSpanId"),
            service: service.to_owned(),
            begin: time("startTimeUnixNano")?,
            end: time("endTimeUnixNano")?,
            failed: span["status"]["code"] == 2,
            role,
            topic: topic.map(str::to_owned),
            name,
        })
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `{"key": "a", "value": {"stringValue": "b"}}`, without the names of types.
fn attributes(value: &Value) -> BTreeMap<&str, &Value> {
    let pairs = array(value).iter().filter_map(|attribute| {
        let key = attribute["key"].as_str()?;
        Some((key, attribute["value"].as_object()?.values().next()?))
    });
    pairs.collect()
}
