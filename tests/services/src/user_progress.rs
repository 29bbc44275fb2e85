//! Receives lessons and writes them down. Dapr delivers at least once, so a
//! lesson may come twice: it is stored once, and its deliveries are counted.

mod store;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lesson::Lesson;
pub use store::Store;

/// The envelope Dapr delivers in.
#[derive(Deserialize)]
struct CloudEvent {
    data: Lesson,
}

pub fn router(store: Store) -> Router {
    Router::new()
        .route("/lesson-generated", post(receive))
        .route("/progress", get(progress))
        .with_state(Arc::new(store))
}

/// Success is said after the commit. A lesson that cannot be read never will
/// be, so it is dropped; one that cannot be written shall come again.
async fn receive(State(store): State<Arc<Store>>, body: Bytes) -> Json<Value> {
    let lesson = match serde_json::from_slice::<CloudEvent>(&body) {
        Ok(event) => event.data,
        Err(error) => {
            tracing::warn!(%error, "not a lesson");
            return Json(json!({ "status": "DROP" }));
        }
    };
    let id = lesson.id.clone();
    match blocking(move || store.record(&lesson)).await {
        Ok(deliveries) => {
            tracing::info!(id, deliveries, "recorded");
            Json(json!({ "status": "SUCCESS" }))
        }
        Err(error) => {
            tracing::error!(id, %error, "not recorded");
            Json(json!({ "status": "RETRY" }))
        }
    }
}

async fn progress(State(store): State<Arc<Store>>) -> Response {
    match blocking(move || store.progress()).await {
        Ok(progress) => Json(progress).into_response(),
        Err(error) => {
            tracing::error!(%error, "no progress to be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
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
        let app = router(Store::in_memory().unwrap());
        assert_eq!(progress_of(&app).await, r#"{"lessons":0,"deliveries":0}"#);
        for id in ["a", "b", "a"] {
            assert_eq!(deliver(&app, &event(id)).await, r#"{"status":"SUCCESS"}"#);
        }
        assert_eq!(progress_of(&app).await, r#"{"lessons":2,"deliveries":3}"#);
    }

    #[tokio::test]
    async fn drops_what_is_not_a_lesson() {
        let app = router(Store::in_memory().unwrap());
        for body in ["", "{}", r#"{"data":{"id":"a"}}"#] {
            assert_eq!(deliver(&app, body).await, r#"{"status":"DROP"}"#);
        }
        assert_eq!(progress_of(&app).await, r#"{"lessons":0,"deliveries":0}"#);
    }

    #[tokio::test]
    async fn asks_again_for_what_it_could_not_write() {
        let app = router(Store::broken().unwrap());
        assert_eq!(deliver(&app, &event("a")).await, r#"{"status":"RETRY"}"#);
    }
}
