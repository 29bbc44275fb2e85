//! The one peer a service has: its Dapr sidecar, on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use thiserror::Error;

use crate::server::parsed_env;
use crate::trace_parent::TRACEPARENT;

const MAX_ANSWER: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub struct Sidecar {
    address: SocketAddr,
    timeout: Duration,
    client: Client<HttpConnector, Body>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

#[derive(Debug, Error)]
pub(crate) enum SidecarError {
    #[error("the sidecar did not answer within {0:?}")]
    Timeout(Duration),
    #[error("the sidecar cannot be reached: {0}")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("not a request: {0}")]
    Request(#[from] http::Error),
    #[error("the answer broke off: {0}")]
    Answer(#[from] axum::Error),
}

impl Sidecar {
    /// By `$DAPR_HTTP_PORT`. The patience (`$SIDECAR_TIMEOUT_SECONDS`) is long,
    /// because a sidecar that rides out a broker's outage holds the call.
    pub fn from_env() -> Self {
        let port = parsed_env("DAPR_HTTP_PORT", 3500);
        let seconds = parsed_env("SIDECAR_TIMEOUT_SECONDS", 120);
        Self::new(
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            Duration::from_secs(seconds),
        )
    }

    pub(crate) fn new(address: SocketAddr, timeout: Duration) -> Self {
        Self {
            address,
            timeout,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Posts JSON to a path of the sidecar's API, as part of the given trace.
    pub(crate) async fn post(
        &self,
        path: &str,
        traceparent: &HeaderValue,
        json: impl Into<Body>,
    ) -> Result<Answer, SidecarError> {
        let request = Request::post(format!("http://{}{path}", self.address))
            .header(CONTENT_TYPE, "application/json")
            .header(TRACEPARENT, traceparent)
            .body(json.into())?;
        let exchange = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            let body = to_bytes(Body::new(body), MAX_ANSWER).await?;
            Ok(Answer {
                status: head.status,
                retry_after: head.headers.get(RETRY_AFTER).cloned(),
                body,
            })
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or(Err(SidecarError::Timeout(self.timeout)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeSidecar;

    const TRACE: HeaderValue = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

    #[tokio::test]
    async fn brings_status_and_body_back() {
        let fake = FakeSidecar::answering(StatusCode::IM_A_TEAPOT, "short and stout").await;
        let answer = fake.client().post("/v1.0/x", &TRACE, "{}").await.unwrap();
        assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
        assert_eq!(answer.body, "short and stout");
    }

    #[tokio::test]
    async fn says_when_nobody_is_there() {
        let error = FakeSidecar::absent().await.post("/", &TRACE, "{}").await.unwrap_err();
        assert!(matches!(error, SidecarError::Unreachable(_)), "{error}");
    }

    #[tokio::test]
    async fn does_not_wait_for_ever() {
        // Accepts by the kernel's backlog, never answers.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let patience = Duration::from_millis(50);
        let sidecar = Sidecar::new(silent.local_addr().unwrap(), patience);
        let error = sidecar.post("/", &TRACE, "{}").await.unwrap_err();
        assert!(matches!(error, SidecarError::Timeout(p) if p == patience), "{error}");
    }
}
