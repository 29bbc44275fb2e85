//! Spans as the trace store has them: OTLP/JSON, from Jaeger's API v3.

use std::{collections::BTreeMap, time::SystemTime};

use anyhow::Result;
use serde_json::Value;

use crate::target::{STACK_NAMESPACE, Target};

/// Traces of one service that are asked for.
const MOST: usize = 3000;

#[derive(Debug, Clone)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub service: String,
    pub name: String,
    /// OTLP's number: 3 is a client, 4 a producer, 5 a consumer.
    pub kind: u64,
    pub failed: bool,
    pub start_ns: u64,
    pub end_ns: u64,
    pub attributes: BTreeMap<String, String>,
}

/// The spans of the last minutes, read from the trace store as a user's browser would.
pub fn read_spans(target: &Target) -> Result<Vec<Span>> {
    let proxy = format!("/api/v1/namespaces/{STACK_NAMESPACE}/services/traces:http/proxy");
    spans_by(|path| target.run_kubectl(&["get", "--raw", &format!("{proxy}{path}")]))
}

/// The same of a trace store that is asked in another way: a path becomes an answer.
pub fn spans_by(ask: impl Fn(&str) -> Result<String>) -> Result<Vec<Span>> {
    let ask = |path: &str| ask(&format!("/api/v3/{path}"));
    let services: Value = serde_json::from_str(&ask("services")?)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let (since, until) = (rfc3339(now - 600), rfc3339(now + 60));
    let mut spans: BTreeMap<(String, String), Span> = BTreeMap::new();
    for service in array(&services["services"]).iter().filter_map(Value::as_str) {
        let query = format!(
            "traces?query.service_name={service}&query.start_time_min={since}&query.start_time_max={until}&query.num_traces={MOST}"
        );
        // A service without traces in this time is "not found".
        let Ok(answer) = ask(&query) else { continue };
        let answer: Value = serde_json::from_str(&answer)?;
        for resource in array(&answer["result"]["resourceSpans"]) {
            let service = attributes(&resource["resource"]["attributes"])
                .remove("service.name")
                .unwrap_or_default();
            for scope in array(&resource["scopeSpans"]) {
                for span in array(&scope["spans"]) {
                    let span = read(span, &service);
                    // Each trace comes once for each of its services.
                    spans.insert((span.trace.clone(), span.id.clone()), span);
                }
            }
        }
    }
    Ok(spans.into_values().collect())
}

fn rfc3339(seconds: u64) -> String {
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or_default()).unwrap_or_default();
    time.to_string()
}

fn read(span: &Value, service: &str) -> Span {
    let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
    Span {
        trace: text("traceId"),
        id: text("spanId"),
        parent: text("parentSpanId"),
        service: service.to_owned(),
        name: text("name"),
        kind: span["kind"].as_u64().unwrap_or(0),
        failed: span["status"]["code"] == 2,
        start_ns: text("startTimeUnixNano").parse().unwrap_or(0),
        end_ns: text("endTimeUnixNano").parse().unwrap_or(0),
        attributes: attributes(&span["attributes"]),
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn attributes(value: &Value) -> BTreeMap<String, String> {
    array(value)
        .iter()
        .filter_map(|attribute| {
            let key = attribute["key"].as_str()?.to_owned();
            let value = attribute["value"].as_object()?.values().next()?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some((key, text))
        })
        .collect()
}
