//! The page's server.

use super::{
    door::{Door, Entry},
    feed::{Lines, Source},
};
use crate::{
    assets::page::{self, Settings},
    model::Outcome,
    printer::Printer,
    problem::Problem,
};
use futures::StreamExt;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

/// A browser opens six at most.
const CONNECTIONS: usize = 64;
/// Out of file descriptors, for a moment.
const PAUSE: Duration = Duration::from_millis(500);

/// Nothing from outside, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What each answer says.
const ALWAYS: [(&str, &str); 7] = [
    ("content-security-policy", POLICY),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

struct Server {
    door: Door,
    source: Source,
    html: String,
}

pub(super) async fn serve(
    listener: TcpListener,
    door: Door,
    source: Source,
    settings: &Settings<'_>,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let html = page::html(settings);
    let server = Arc::new(Server { door, source, html });
    // All in this one task's set: when the command ends, so do the connections.
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < CONNECTIONS => {
                let Ok((connection, _)) = accepted else {
                    sleep(PAUSE).await;
                    continue;
                };
                let server = Arc::clone(&server);
                open.spawn(async move {
                    let answer = service_fn(|request| {
                        let answer = server.answer(&request);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    // How a connection ends is between the browser and the page.
                    let _ = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(connection), answer)
                        .await;
                });
            }
            Some(ended) = open.join_next(), if !open.is_empty() => {
                if let Err(e) = ended && e.is_panic() {
                    printer.problem(&Problem::new("A connection of the page broke."));
                }
            }
        }
    }
}

impl Server {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        match self.door.entry(request.method(), request.uri(), request.headers()) {
            Entry::Refused(why) => answer(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", why),
            Entry::Exchange(cookie) => {
                // To an address without the word, which then stands in no history.
                let mut answer = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
                let headers = answer.headers_mut();
                headers.insert(header::LOCATION, header::HeaderValue::from_static("/"));
                if let Ok(cookie) = cookie.parse() {
                    headers.insert(header::SET_COOKIE, cookie);
                }
                answer
            }
            Entry::Open => self.page(request),
        }
    }

    fn page(&self, request: &Request<Incoming>) -> Answer {
        match request.uri().path() {
            "/" => answer(StatusCode::OK, "text/html; charset=utf-8", self.html.clone()),
            "/page.css" => answer(StatusCode::OK, "text/css; charset=utf-8", page::STYLE),
            "/page.js" => answer(StatusCode::OK, "text/javascript; charset=utf-8", page::script()),
            "/page.wasm" => answer(StatusCode::OK, "application/wasm", page::WASM),
            "/events" => {
                let query = request.uri().query().unwrap_or_default();
                let from = query
                    .strip_prefix("from=")
                    .and_then(|from| from.parse().ok())
                    .unwrap_or(0);
                match self.source.lines(from) {
                    Ok((first, lines)) => stream(first, lines),
                    Err(problem) => answer(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "text/plain; charset=utf-8",
                        problem.what,
                    ),
                }
            }
            _ => answer(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "There is no such page.",
            ),
        }
    }
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {});
    with_headers(Response::new(body.boxed_unsync()), status, kind)
}

/// The next event's number goes ahead, so that the page knows what it missed.
fn stream(first: u64, lines: Lines) -> Answer {
    let body = StreamBody::new(lines.map(|piece| piece.map(Frame::data)));
    let mut answer = with_headers(
        Response::new(body.boxed_unsync()),
        StatusCode::OK,
        "text/plain; charset=utf-8",
    );
    answer.headers_mut().insert("learnflow-first", first.into());
    answer
}

fn with_headers(mut answer: Answer, status: StatusCode, kind: &'static str) -> Answer {
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    for (name, value) in ALWAYS {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    answer
}
