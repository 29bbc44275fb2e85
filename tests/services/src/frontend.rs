//! What a learner sees: a page with a form, the call behind it, and a preview that costs as much as it is told to.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::sidecar::Sidecar;
use crate::trace_parent::{self, TRACEPARENT};

const INVOKE: &str = "/v1.0/invoke/course-agent/method/lessons";

pub fn router(sidecar: Sidecar) -> Router {
    Router::new()
        .route("/", get(Html(include_str!("frontend.html"))))
        .route("/preview", get(preview))
        .route("/lessons", post(ask_for_lesson))
        .with_state(sidecar)
}

/// A preview costs so many milliseconds of a processor, about; never more than this.
const DEAREST: u32 = 100;
/// Rounds that take about a millisecond.
const ROUNDS: u32 = 750_000;

#[derive(Deserialize)]
struct Cost {
    #[serde(default)]
    cost: u32,
}

/// Renders a lesson; its cost does not depend on how busy the machine is, so that load is what it is.
async fn preview(Query(Cost { cost }): Query<Cost>) -> String {
    let cost = cost.min(DEAREST);
    let work = move || (0..cost * ROUNDS).fold(0x811c_9dc5_u32, |hash, n| (hash ^ n).wrapping_mul(0x0100_0193));
    let seal = tokio::task::spawn_blocking(work).await.unwrap_or_default();
    format!("Borrowing. What rust means by it, an example, and an exercise. ({cost}, {seal:08x})\n")
}

/// Hands the wish to course-agent and its answer back, with the trace's id in
/// the answer, so that whoever asked can find the trace.
async fn ask_for_lesson(State(sidecar): State<Sidecar>, headers: HeaderMap, wish: Bytes) -> Response {
    let traceparent = trace_parent::from_caller_or_new(&headers);
    let (status, later, body) = match sidecar.post(INVOKE, &traceparent, wish).await {
        Ok(answer) => (answer.status, answer.retry_after, answer.body),
        Err(error) => {
            tracing::warn!(%error, "course-agent cannot be asked");
            let body = r#"{"error":"course-agent cannot be reached"}"#;
            (
                StatusCode::SERVICE_UNAVAILABLE,
                None,
                Bytes::from_static(body.as_bytes()),
            )
        }
    };
    tracing::info!(status = status.as_u16(), trace = ?traceparent, "asked for a lesson");

    let mut response = (status, [(CONTENT_TYPE, "application/json")], body).into_response();
    let headers = response.headers_mut();
    headers.insert(TRACEPARENT, traceparent);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, later.unwrap_or_else(|| 1.into()));
    }
    response
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::testing::{FakeSidecar, send};

    const WISH: &str = r#"{"course":"rust","title":"Borrowing"}"#;
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn serves_the_page() {
        let app = router(FakeSidecar::absent().await);
        let answer = send(&app, Method::GET, "/", &[], "").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.contains("<form"));
    }

    #[tokio::test]
    async fn a_preview_costs_what_it_is_told_to_and_never_too_much() {
        let app = router(FakeSidecar::absent().await);
        let answer = async |query: &str| {
            let answer = send(&app, Method::GET, &format!("/preview{query}"), &[], "").await;
            (answer.status, answer.body)
        };
        assert_eq!(answer("").await, answer("?cost=0").await);
        assert_ne!(answer("?cost=1").await.1, answer("?cost=2").await.1, "the work is done");
        let (status, dearest) = answer("?cost=4000000000").await;
        assert_eq!(status, StatusCode::OK);
        assert!(dearest.contains("(100, "), "{dearest}");
        assert_eq!(answer("?cost=much").await.0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn relays_wish_and_answer() {
        let fake = FakeSidecar::answering(StatusCode::CREATED, r#"{"id":"1"}"#).await;
        let app = router(fake.client());
        let answer = send(&app, Method::POST, "/lessons", &[(TRACEPARENT, TRACE)], WISH).await;

        assert_eq!((answer.status, &*answer.body), (StatusCode::CREATED, r#"{"id":"1"}"#));
        assert_eq!(answer.headers[TRACEPARENT], TRACE);
        let asked = fake.requests();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].uri, INVOKE);
        assert_eq!(asked[0].headers[TRACEPARENT], TRACE);
        assert_eq!(asked[0].body, WISH);
    }

    #[tokio::test]
    async fn begins_a_trace_and_says_which() {
        let fake = FakeSidecar::answering(StatusCode::CREATED, "{}").await;
        let answer = send(&router(fake.client()), Method::POST, "/lessons", &[], WISH).await;
        assert_eq!(answer.headers[TRACEPARENT], fake.requests()[0].headers[TRACEPARENT]);
    }

    #[tokio::test]
    async fn says_when_to_come_back() {
        let app = router(FakeSidecar::absent().await);
        let answer = send(&app, Method::POST, "/lessons", &[], WISH).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers[RETRY_AFTER], "1");
    }
}
