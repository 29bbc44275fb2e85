//! For the routers' tests: a call without a socket, and a sidecar that is not
//! one. Only unit tests may use the latter; everything else runs the real Dapr.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::Sidecar;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

pub(crate) async fn send(router: &Router, method: Method, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: text(body).await,
    }
}

async fn text(body: Body) -> String {
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    String::from_utf8(bytes.into()).unwrap()
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Answers every call alike, and remembers the calls.
#[derive(Clone)]
pub(crate) struct FakeSidecar {
    address: SocketAddr,
    status: StatusCode,
    body: &'static str,
    requests: Arc<Mutex<Vec<Asked>>>,
}

impl FakeSidecar {
    pub(crate) async fn answering(status: StatusCode, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Self {
            address,
            status,
            body,
            requests: Arc::default(),
        };
        let router = Router::new().fallback(remember).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    /// A client for a port at which nobody listens.
    pub(crate) async fn absent() -> Sidecar {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        client(listener.local_addr().unwrap())
    }

    pub(crate) fn client(&self) -> Sidecar {
        client(self.address)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.requests.lock().unwrap().clone()
    }
}

fn client(address: SocketAddr) -> Sidecar {
    Sidecar::new(address, Duration::from_secs(5))
}

async fn remember(State(fake): State<FakeSidecar>, request: Request<Body>) -> (StatusCode, &'static str) {
    let (head, body) = request.into_parts();
    let asked = Asked {
        uri: head.uri.to_string(),
        headers: head.headers,
        body: text(body).await,
    };
    fake.requests.lock().unwrap().push(asked);
    (fake.status, fake.body)
}
