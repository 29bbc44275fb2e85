//! Spans as the gateway wrote them: OTLP/JSON, one export request a line.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use crate::target::{STACK_NAMESPACE, Target};

#[derive(Debug, Clone)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub service: String,
    pub name: String,
    pub start_ns: u64,
    pub end_ns: u64,
    pub attributes: BTreeMap<String, String>,
}

/// The spans of the last minutes, read from the gateway's log.
pub fn read_spans(target: &Target) -> Result<Vec<Span>> {
    let log = target.run_kubectl(&[
        "--namespace",
        STACK_NAMESPACE,
        "logs",
        "deployment/collector-gateway",
        "--since=10m",
    ])?;
    let mut spans = Vec::new();
    for line in log.lines().filter(|line| line.starts_with("{\"resourceSpans\"")) {
        let request: Value = serde_json::from_str(line)?;
        for resource in array(&request["resourceSpans"]) {
            let service = attributes(&resource["resource"]["attributes"])
                .remove("service.name")
                .unwrap_or_default();
            for scope in array(&resource["scopeSpans"]) {
                spans.extend(array(&scope["spans"]).iter().map(|span| read(span, &service)));
            }
        }
    }
    Ok(spans)
}

fn read(span: &Value, service: &str) -> Span {
    let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
    Span {
        trace: text("traceId"),
        id: text("spanId"),
        parent: text("parentSpanId"),
        service: service.to_owned(),
        name: text("name"),
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
