//! Spans of the service's own, by OTLP/JSON over HTTP. They are told to a task that sends them each second; what cannot be
//! sent is lost, and nobody waits for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::trace_parent::{self, random_hex};

const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);
/// Spans that may wait.
const MOST: usize = 2_000;

/// OTLP's numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Server = 2,
    Client = 3,
}

/// Where spans are told. Without a receiver they are told to nobody.
#[derive(Debug, Clone, Default)]
pub struct Spans(Option<mpsc::Sender<Value>>);

/// A span that has begun. What was begun in it is in the same trace.
#[derive(Debug)]
pub(crate) struct Span {
    spans: Spans,
    trace: Arc<str>,
    id: String,
    parent: String,
    name: &'static str,
    kind: Kind,
    begun: SystemTime,
    attributes: Vec<Value>,
}

impl Spans {
    /// To `$OTEL_EXPORTER_OTLP_ENDPOINT`, if there is one.
    pub fn from_env(service: &'static str) -> Self {
        match std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT") {
            Ok(endpoint) if !endpoint.is_empty() => Self::to(&endpoint, service),
            _ => Self::default(),
        }
    }

    pub(crate) fn to(endpoint: &str, service: &'static str) -> Self {
        let (sender, receiver) = mpsc::channel(MOST);
        let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        tokio::spawn(send(address, service, receiver));
        Self(Some(sender))
    }

    /// A part of the caller's trace, if that is sampled.
    pub(crate) fn begin(&self, headers: &HeaderMap, name: &'static str, kind: Kind) -> Option<Span> {
        self.0.as_ref()?;
        let (trace, parent) = trace_parent::sampled(headers)?;
        Some(self.span(trace.into(), parent.to_owned(), name, kind))
    }

    fn span(&self, trace: Arc<str>, parent: String, name: &'static str, kind: Kind) -> Span {
        Span {
            spans: self.clone(),
            trace,
            id: random_hex::<8>(),
            parent,
            name,
            kind,
            begun: SystemTime::now(),
            attributes: Vec::new(),
        }
    }
}

impl Span {
    pub(crate) fn begin(&self, name: &'static str, kind: Kind) -> Span {
        self.spans.span(Arc::clone(&self.trace), self.id.clone(), name, kind)
    }

    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.attributes
            .push(json!({ "key": key, "value": { "stringValue": value } }));
        self
    }

    pub(crate) fn number(mut self, key: &str, value: i64) -> Self {
        self.attributes
            .push(json!({ "key": key, "value": { "intValue": value.to_string() } }));
        self
    }

    pub(crate) fn end(self, failed: bool) {
        let since = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_nanos()
                .to_string()
        };
        let span = json!({
            "traceId": &*self.trace, "spanId": self.id, "parentSpanId": self.parent,
            "name": self.name, "kind": self.kind as u8, "attributes": self.attributes,
            "startTimeUnixNano": since(self.begun), "endTimeUnixNano": since(SystemTime::now()),
            "status": if failed { json!({ "code": 2 }) } else { json!({}) },
        });
        if let Some(sender) = &self.spans.0 {
            // Full: the receiver is away.
            let _ = sender.try_send(span);
        }
    }
}

async fn send(address: String, service: &'static str, mut receiver: mpsc::Receiver<Value>) {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let mut spans = Vec::new();
    while receiver.recv_many(&mut spans, MOST).await > 0 {
        // What comes within a second goes along.
        tokio::time::sleep(PAUSE).await;
        while let Ok(span) = receiver.try_recv() {
            spans.push(span);
        }
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] },
            "scopeSpans": [{ "scope": { "name": "learnflow-services" }, "spans": std::mem::take(&mut spans) }],
        }]});
        let request = Request::post(&address)
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()));
        let Ok(request) = request else {
            tracing::error!(address, "not an address to send spans to");
            return;
        };
        match tokio::time::timeout(PATIENCE, client.request(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => {}
            other => tracing::debug!(?other, "spans are lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::testing::FakeSidecar;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn headers(flags: &str) -> HeaderMap {
        let value = format!("00-{TRACE}-b7ad6b7169203331-{flags}");
        HeaderMap::from_iter([("traceparent".parse().unwrap(), value.parse().unwrap())])
    }

    #[tokio::test]
    async fn what_is_begun_in_a_span_is_its_child() {
        let fake = FakeSidecar::answering(StatusCode::OK, "{}").await;
        let spans = Spans::to(&fake.url(), "user-progress");
        let outer = spans.begin(&headers("01"), "outer", Kind::Server).unwrap();
        outer.begin("inner", Kind::Client).number("n", 7).end(true);
        outer.end(false);
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if !fake.requests().is_empty() {
                break;
            }
        }
        let asked = &fake.requests()[0];
        assert_eq!(asked.uri, "/v1/traces");
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let sent = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
        let (inner, outer) = (&sent[0], &sent[1]);
        assert_eq!((&inner["traceId"], &outer["traceId"]), (&json!(TRACE), &json!(TRACE)));
        assert_eq!(outer["parentSpanId"], "b7ad6b7169203331");
        assert_eq!(inner["parentSpanId"], outer["spanId"]);
        assert_eq!((&inner["status"]["code"], &inner["kind"]), (&json!(2), &json!(3)));
    }

    #[tokio::test]
    async fn nobody_is_told_of_what_is_not_sampled() {
        let spans = Spans::to("http://127.0.0.1:1", "user-progress");
        assert!(spans.begin(&headers("00"), "x", Kind::Server).is_none());
        assert!(spans.begin(&HeaderMap::new(), "x", Kind::Server).is_none());
        assert!(Spans::default().begin(&headers("01"), "x", Kind::Server).is_none());
    }
}
