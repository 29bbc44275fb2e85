//! The Prometheus that has our metrics, asked through the API server: no port-forward, no address to know.

use super::Cluster;
use crate::{model::Sample, monitoring::Address, problem::Problem};
use http::Request;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write};

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Cluster {
    /// The most that one sidecar has published in the last day, in events a second: by app id and component.
    pub(crate) async fn publish_rates(&self) -> Result<BTreeMap<(String, String), f64>, Problem> {
        let expression = format!(
            "max by (app_id, component) (max_over_time(sum by (app_id, component, pod) \
             (rate(dapr_component_pubsub_egress_count{{job=\"dapr\",namespace=\"{}\"}}[5m]))[1d:5m]))",
            self.namespace
        );
        let samples = self.query(&expression).await?;
        let of = |label: &str, sample: &Sample| sample.label(label).to_owned();
        Ok(samples
            .iter()
            .map(|sample| ((of("app_id", sample), of("component", sample)), sample.value))
            .collect())
    }

    /// How far each consumer group of a partition is: the offset of what it reads next.
    pub(crate) async fn group_offsets(&self, topic: &str, partition: i32) -> Result<Vec<(String, i64)>, Problem> {
        let which = format!(
            "{{job=\"kafka\",namespace=\"{}\",topic=\"{}\",partition=\"{partition}\"}}",
            self.namespace,
            quoted(topic)
        );
        let expression = format!(
            "max by (group) (kafka_partition_current_offset{which} - on (learnflow_pubsub_name, topic, partition) \
             group_right () kafka_consumer_group_lag{which})"
        );
        let samples = self.query(&expression).await?;
        Ok(samples
            .iter()
            .map(|sample| (sample.label("group").to_owned(), sample.value as i64))
            .collect())
    }

    /// How many events each consumer group of the namespace has not read: by Component, group, topic and partition. What is
    /// older than a few turns of the collector that asks Kafka is left out: nobody knows whether it still holds.
    pub(crate) async fn group_lags(&self) -> Result<Vec<Sample>, Problem> {
        let lag = format!(
            "kafka_consumer_group_lag{{job=\"kafka\",namespace=\"{}\"}}",
            self.namespace
        );
        self.query(&format!("{lag} and timestamp({lag}) > time() - 45")).await
    }

    /// The value of an expression now, one sample a series.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<Sample>, Problem> {
        let address = self.metrics().await?;
        let text = self
            .ask(address, &format!("query?query={}", escape(expression)))
            .await?;
        samples(&text).map_err(|why| Problem::new(format!("Cannot {}: {why}.", doing(address))))
    }

    /// What Prometheus answers to a GET below `/api/v1`.
    pub(super) async fn ask(&self, address: &Address, what: &str) -> Result<String, Problem> {
        let path = format!(
            "/api/v1/namespaces/{}/{}/{}/proxy{}/api/v1/{what}",
            address.namespace,
            address.resource,
            address.proxied(),
            address.path,
        );
        let doing = doing(address);
        let request = Request::get(path)
            .body(Vec::new())
            .map_err(|e| Problem::new(format!("Cannot {doing}: {e}.")))?;
        let answer = self.impatient.request_text(request).await;
        answer.map_err(self.explain(&doing))
    }
}

fn doing(address: &Address) -> String {
    match *address == Address::own() {
        true => format!("ask Prometheus in {}", address.namespace),
        false => format!("ask Prometheus at {address}"),
    }
}

fn samples(answer: &str) -> Result<Vec<Sample>, String> {
    let answer: Answer = serde_json::from_str(answer).map_err(|e| format!("it answered something else ({e})"))?;
    if let Some(error) = answer.error {
        return Err(error);
    }
    let series = answer.data.map(|data| data.result).unwrap_or_default();
    let samples = series.into_iter().filter_map(|series| {
        let value: f64 = series.value.1.parse().ok()?;
        // A quantile of nothing is NaN: no data.
        (!value.is_nan()).then_some(Sample {
            labels: series.metric,
            value,
        })
    });
    Ok(samples.collect())
}

/// Within a string of PromQL: whoever writes a log can name a topic as he likes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn escape(query: &str) -> String {
    let mut safe = String::with_capacity(query.len() * 2);
    for byte in query.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => safe.push(byte.into()),
            _ => drop(write!(safe, "%{byte:02X}")),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_samples() {
        let answer = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"pod":"a"},"value":[1700000000.1,"1"]},
            {"metric":{"pod":"b"},"value":[1700000000.1,"NaN"]}]}}"#;
        let samples = samples(answer).expect("a vector");
        assert_eq!(samples.len(), 1, "NaN is no data");
        assert_eq!((samples[0].label("pod"), samples[0].value), ("a", 1.0));
        assert_eq!(samples[0].label("nothing"), "");
    }

    #[test]
    fn an_error_is_told() {
        let answer = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(samples(answer).expect_err("an error"), "parse error");
        assert!(samples("<html>").is_err());
    }

    #[test]
    fn a_name_ends_no_string() {
        assert_eq!(quoted("a\"} or up{b=\"\\\n"), "a\\\"} or up{b=\\\"\\\\\\n");
    }

    #[test]
    fn a_query_survives_the_address() {
        assert_eq!(escape(r#"up{a="b c"}+1"#), "up%7Ba%3D%22b%20c%22%7D%2B1");
    }
}
