//! Receives lessons and writes them down. Dapr delivers at least once, so a
//! lesson may come twice: it is stored once, and its deliveries are counted.

mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lesson::Lesson;
use crate::server::parsed_env;
use crate::spans::{Kind, Span, Spans};
pub use store::Store;

/// The envelope Dapr delivers in.
#[derive(Deserialize)]
struct CloudEvent {
    data: Lesson,
}

#[derive(Clone)]
struct Recorder {
    store: Arc<Store>,
    slow: Arc<Slow>,
    spans: Spans,
}

/// As if the database took so many milliseconds (`$TAKE_MS`) for each lesson, one after another: what a pod can do has a bound
/// that burns no CPU.
struct Slow {
    turn: tokio::sync::Mutex<()>,
    takes: Duration,
}

impl Slow {
    fn from_env() -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            takes: Duration::from_millis(parsed_env("TAKE_MS", 0)),
        }
    }

    async fn wait(&self) {
        if !self.takes.is_zero() {
            let _turn = self.turn.lock().await;
            tokio::time::sleep(self.takes).await;
        }
    }
}

pub fn router(store: Store, spans: Spans) -> Router {
    let store = Arc::new(store);
    Router::new()
        .route("/lesson-generated", post(receive))
        .route("/progress", get(progress))
        .route("/metrics", get(metrics))
        .with_state(Recorder {
            store,
            slow: Arc::new(Slow::from_env()),
            spans,
        })
}

/// Success is said after the commit. A lesson that cannot be read never will
/// be, so it is dropped; one that cannot be written shall come again.
async fn receive(State(recorder): State<Recorder>, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let span = recorder.spans.begin(&headers, "POST /lesson-generated", Kind::Server);
    let span = span.map(|span| described(span, &headers));
    recorder.slow.wait().await;
    let status = take(recorder.store, &body, span.as_ref()).await;
    if let Some(span) = span {
        span.end(status == "RETRY");
    }
    Json(json!({ "status": status }))
}

/// Of which event it is: Kafka's words, which Dapr passes on.
fn described(span: Span, headers: &HeaderMap) -> Span {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let mut span = span.text("messaging.system", "kafka");
    if let Some(topic) = header("__topic") {
        span = span.text("messaging.destination.name", topic);
    }
    if let Some(partition) = header("__partition") {
        span = span.text("messaging.destination.partition.id", partition);
    }
    if let Some(offset) = header("__offset").and_then(|offset| offset.parse().ok()) {
        span = span.number("messaging.kafka.offset", offset);
    }
    span
}

async fn take(store: Arc<Store>, body: &[u8], span: Option<&Span>) -> &'static str {
    let lesson = match serde_json::from_slice::<CloudEvent>(body) {
        Ok(event) => event.data,
        Err(error) => {
            tracing::warn!(%error, "not a lesson");
            return "DROP";
        }
    };
    let id = lesson.id.clone();
    let write = span.map(|span| span.begin("INSERT lessons", Kind::Client));
    let written = blocking(move || store.record(&lesson)).await;
    if let Some(write) = write {
        let write = write
            .text("db.system.name", "sqlite")
            .text("db.operation.name", "INSERT");
        write.text("db.collection.name", "lessons").end(written.is_err());
    }
    match written {
        Ok(deliveries) => {
            tracing::info!(id, deliveries, "recorded");
            "SUCCESS"
        }
        Err(error) => {
            tracing::error!(id, %error, "not recorded");
            "RETRY"
        }
    }
}

async fn progress(State(recorder): State<Recorder>) -> Response {
    match blocking(move || recorder.store.progress()).await {
        Ok(progress) => Json(progress).into_response(),
        Err(error) => {
            tracing::error!(%error, "no progress to be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The same for Prometheus.
async fn metrics(State(recorder): State<Recorder>) -> Response {
    match blocking(move || recorder.store.progress()).await {
        Ok(progress) => progress.to_string().into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// SQLite blocks; the runtime's own threads must not.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> rusqlite::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the store does not panic")
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::testing::send;

    fn event(id: &str) -> String {
        json!({
            "specversion": "1.0", "type": "com.dapr.event.sent", "topic": "lesson.generated",
            "data": { "id": id, "course": "rust", "title": "Borrowing", "text": "…" },
        })
        .to_string()
    }

    async fn deliver(app: &Router, body: &str) -> String {
        let headers = [("content-type", "application/cloudevents+json")];
        let answer = send(app, Method::POST, "/lesson-generated", &headers, body).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.body
    }

    async fn progress_of(app: &Router) -> String {
        send(app, Method::GET, "/progress", &[], "").await.body
    }

    #[tokio::test]
    async fn stores_once_and_counts_each_delivery() {
        let app = router(Store::in_memory().unwrap(), Spans::default());
        assert_eq!(progress_of(&app).await, r#"{"lessons":0,"deliveries":0}"#);
        for id in ["a", "b", "a"] {
            assert_eq!(deliver(&app, &event(id)).await, r#"{"status":"SUCCESS"}"#);
        }
        assert_eq!(progress_of(&app).await, r#"{"lessons":2,"deliveries":3}"#);
        let metrics = send(&app, Method::GET, "/metrics", &[], "").await.body;
        assert!(metrics.ends_with("\nuser_progress_lessons 2\n"), "{metrics}");
    }

    #[tokio::test]
    async fn drops_what_is_not_a_lesson() {
        let app = router(Store::in_memory().unwrap(), Spans::default());
        for body in ["", "{}", r#"{"data":{"id":"a"}}"#] {
            assert_eq!(deliver(&app, body).await, r#"{"status":"DROP"}"#);
        }
        assert_eq!(progress_of(&app).await, r#"{"lessons":0,"deliveries":0}"#);
    }

    #[tokio::test]
    async fn asks_again_for_what_it_could_not_write() {
        let app = router(Store::broken().unwrap(), Spans::default());
        assert_eq!(deliver(&app, &event("a")).await, r#"{"status":"RETRY"}"#);
    }
}
