//! A publish over Dapr's gRPC API (`dapr.proto.runtime.v1.Dapr/PublishEvent`), which passes no HTTP pipeline.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// `api`: `http://HOST:PORT` of the sidecar's gRPC API.
pub fn publish(api: &str, pubsub: &str, topic: &str, data: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let request = Request::post(format!("{api}/dapr.proto.runtime.v1.Dapr/PublishEvent"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(event(pubsub, topic, data))))?;
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let (head, body) = client.request(request).await?.into_parts();
        let body = body.collect().await?;
        // Of a call that fails at once they are the headers.
        let trailers = body.trailers().filter(|trailers| trailers.contains_key("grpc-status"));
        let said = |name| Some(trailers.unwrap_or(&head.headers).get(name)?.to_str().ok()?.to_owned());
        let status = said("grpc-status").context("no status")?;
        ensure!(
            status == "0",
            "status {status}: {}",
            said("grpc-message").unwrap_or_default()
        );
        Ok(())
    })
}

/// A `PublishEventRequest`, framed: its fields are texts and bytes alone.
fn event(pubsub: &str, topic: &str, data: &str) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, value) in [(1, pubsub), (2, topic), (3, data), (4, "application/json")] {
        message.push(number << 3 | 2);
        let mut length = value.len();
        while length > 127 {
            message.push(length as u8 | 128);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend(value.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}
