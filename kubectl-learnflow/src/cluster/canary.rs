//! A line to a sidecar's own API, for many calls at a time, and to its metrics.

use super::{Cluster, forward::API};
use crate::problem::Problem;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Bytes,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A sidecar takes 250 calls at a time on one connection; more would wait in line here, and count as slow.
const AT_ONCE: usize = 200;
const ANSWER: usize = 64 << 10;

/// One forwarded port with HTTP/2 in it, which a sidecar takes without TLS: calls do not wait for each other.
#[derive(Clone)]
pub(crate) struct Line {
    sender: SendRequest<Full<Bytes>>,
    under_way: Arc<AtomicUsize>,
}

impl Cluster {
    pub(crate) async fn line(&self, pod: &str) -> Result<Line, Problem> {
        let stream = self.open(&self.namespace, pod, API).await?;
        let failed = |e: &dyn std::fmt::Display| {
            Problem::new(format!(
                "The sidecar of Pod {}/{pod} does not answer: {e}.",
                self.namespace
            ))
            .next("See `kubectl logs` of its container daprd.")
        };
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|e| failed(&e))?;
        tokio::spawn(connection);
        Ok(Line {
            sender,
            under_way: Arc::default(),
        })
    }

    /// What a sidecar counts, as text.
    pub(crate) async fn metrics_of(&self, pod: &str, port: u16) -> Result<String, String> {
        match self.get_from(pod, port, "/metrics").await {
            Ok(Ok((StatusCode::OK, body))) => Ok(String::from_utf8_lossy(&body).into_owned()),
            Ok(Ok((code, _))) => Err(format!("/metrics answers {}", code.as_u16())),
            Ok(Err(why)) => Err(why),
            Err(problem) => Err(problem.what),
        }
    }
}

impl Line {
    pub(crate) fn takes_more(&self) -> bool {
        !self.sender.is_closed() && self.under_way.load(Ordering::Relaxed) < AT_ONCE
    }

    /// What the sidecar answers; the error is that of the way to it.
    pub(crate) async fn post(&self, path: &str, body: String) -> Result<(u16, String), String> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let answer = self.send(path, body).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    async fn send(&self, path: &str, body: String) -> Result<(u16, String), String> {
        let request = Request::post(format!("http://localhost{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| e.to_string())?;
        let mut sender = self.sender.clone();
        let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let code = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER).collect().await;
        let body = body.map_err(|e| e.to_string())?.to_bytes();
        Ok((code, String::from_utf8_lossy(&body).into_owned()))
    }
}
