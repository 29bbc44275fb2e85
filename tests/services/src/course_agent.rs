//! Generates lessons and publishes them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::lesson::{Lesson, Wish};
use crate::server::parsed_env;
use crate::sidecar::Sidecar;
use crate::trace_parent;

#[derive(Clone)]
struct Publisher {
    sidecar: Sidecar,
    path: String,
}

pub fn router(sidecar: Sidecar) -> Router {
    let pubsub: String = parsed_env("PUBSUB_NAME", "kafka-pubsub".into());
    let topic: String = parsed_env("TOPIC", "lesson.generated".into());
    let path = format!("/v1.0/publish/{pubsub}/{topic}");
    Router::new()
        .route("/lessons", post(generate))
        .with_state(Publisher { sidecar, path })
}

/// Who asks again names its wish by this header: then it is the same lesson, and stored once however often it comes.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// As long as an open breaker of the sidecar lets nobody try.
const OPEN: u64 = 5;

/// 201 if, and only if, Dapr took the event. A 503 leaves open whether it did: the sidecar may have given up an attempt that
/// reached Kafka all the same. So it says when to ask again, and whoever does so names the wish.
async fn generate(State(publisher): State<Publisher>, headers: HeaderMap, Json(wish): Json<Wish>) -> Response {
    let traceparent = trace_parent::from_caller_or_new(&headers);
    let key = headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
    let lesson = Lesson::generate(wish, key.filter(|key| (1..=64).contains(&key.len())));
    let event = json!(lesson).to_string();

    let refusal = match publisher.sidecar.post(&publisher.path, &traceparent, event).await {
        Ok(answer) if answer.status.is_success() => {
            tracing::info!(id = lesson.id, trace = ?traceparent, "published");
            return (StatusCode::CREATED, Json(json!({ "id": lesson.id }))).into_response();
        }
        Ok(answer) => {
            let reason = String::from_utf8_lossy(&answer.body);
            format!("{}: {reason}", answer.status)
        }
        Err(error) => error.to_string(),
    };
    tracing::warn!(id = lesson.id, trace = ?traceparent, refusal, "not published");
    let body = Json(json!({ "error": "the lesson could not be published" }));
    let later = [(RETRY_AFTER, retry_after().to_string())];
    (StatusCode::SERVICE_UNAVAILABLE, later, body).into_response()
}

/// Seconds. Not the same for all: those who failed together would come back together.
fn retry_after() -> u64 {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    OPEN + u64::from(byte[0]) % OPEN
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::testing::{FakeSidecar, send};
    use crate::trace_parent::TRACEPARENT;

    const WISH: &str = r#"{"course":"rust","title":"Borrowing"}"#;
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const HEADERS: &[(&str, &str)] = &[("content-type", "application/json"), (TRACEPARENT, TRACE)];

    #[tokio::test]
    async fn publishes_the_lesson_it_answers_with() {
        let fake = FakeSidecar::answering(StatusCode::NO_CONTENT, "").await;
        let app = router(fake.client());
        let answer = send(&app, Method::POST, "/lessons", HEADERS, WISH).await;

        assert_eq!(answer.status, StatusCode::CREATED);
        let asked = fake.requests();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].uri, "/v1.0/publish/kafka-pubsub/lesson.generated");
        assert_eq!(asked[0].headers[TRACEPARENT], TRACE);
        let lesson: Lesson = serde_json::from_str(&asked[0].body).unwrap();
        assert_eq!((&*lesson.course, &*lesson.title), ("rust", "Borrowing"));
        assert_eq!(answer.body, json!({ "id": lesson.id }).to_string());
    }

    #[tokio::test]
    async fn a_refused_publish_is_not_a_lesson() {
        let refusing = FakeSidecar::answering(StatusCode::INTERNAL_SERVER_ERROR, "no Kafka").await;
        for sidecar in [refusing.client(), FakeSidecar::absent().await] {
            let answer = send(&router(sidecar), Method::POST, "/lessons", HEADERS, WISH).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            let seconds: u64 = answer.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert!((5..10).contains(&seconds), "{seconds}");
        }
    }

    #[tokio::test]
    async fn who_asks_again_gets_the_same_lesson() {
        let fake = FakeSidecar::answering(StatusCode::NO_CONTENT, "").await;
        let app = router(fake.client());
        let named = [("content-type", "application/json"), (IDEMPOTENCY_KEY, "wish-1")];
        for _ in 0..2 {
            let answer = send(&app, Method::POST, "/lessons", &named, WISH).await;
            assert_eq!(answer.body, json!({ "id": "wish-1" }).to_string());
        }
        assert_eq!(fake.requests()[0].body, fake.requests()[1].body);
    }

    #[tokio::test]
    async fn an_incomplete_wish_publishes_nothing() {
        let fake = FakeSidecar::answering(StatusCode::NO_CONTENT, "").await;
        let app = router(fake.client());
        let answer = send(&app, Method::POST, "/lessons", HEADERS, r#"{"course":"rust"}"#).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(fake.requests().is_empty());
    }
}
