//! Asking again while the API server is busy, or away for a moment. Below everything else, so that nobody
//! who reads or writes needs to think of it.
//!
//! Every request that we make may be made twice: reads, server-side apply, deletes, and the merge patch
//! with which a service is let go.

use super::explain::unreachable;
use crate::problem::{Kind, Problem};
use http::{HeaderMap, Request, Response, StatusCode, header::RETRY_AFTER};
use kube::client::Body;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};
use tower::{BoxError, retry::Policy};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// For a look: whoever looks is waiting.
const BRIEFLY: Duration = Duration::from_secs(15);

type Tell = Box<dyn Fn(&Problem) + Send + Sync>;

/// What all requests of a command know together.
#[derive(Default)]
pub(super) struct Endurance {
    /// Who never answered is probably a wrong address: no reason to wait.
    answered: AtomicBool,
    /// How long a command that changes things goes on asking, and who is told of it.
    changing: OnceLock<(Duration, Tell)>,
}

impl Endurance {
    pub(super) fn of_changes(&self, patience: Duration, tell: Tell) {
        drop(self.changing.set((patience, tell)));
    }
}

/// One request's way through trouble.
#[derive(Clone)]
pub(super) struct Again {
    endurance: Arc<Endurance>,
    server: Arc<str>,
    context: Arc<str>,
    pause: Duration,
    until: Option<Instant>,
}

impl Again {
    pub(super) fn new(endurance: Arc<Endurance>, server: &str, context: &str) -> Self {
        Self {
            endurance,
            server: server.into(),
            context: context.into(),
            pause: FIRST,
            until: None,
        }
    }

    fn trouble<B>(&self, result: &Result<Response<B>, BoxError>) -> Option<(Problem, Option<Duration>)> {
        match result {
            Ok(response) => {
                self.endurance.answered.store(true, Ordering::Relaxed);
                let status = response.status();
                let busy = matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
                );
                let what = format!("The API server {} is busy: it answers {status}.", self.server);
                busy.then(|| {
                    (
                        Problem::new(what).kind(Kind::Unreachable),
                        retry_after(response.headers()),
                    )
                })
            }
            // A look would rather say at once that the cluster is gone.
            Err(error) => {
                let waits = self.endurance.changing.get().is_some() && self.endurance.answered.load(Ordering::Relaxed);
                let no_login = matches!(error.downcast_ref(), Some(kube::Error::Auth(_)));
                (waits && !no_login).then(|| (unreachable(&**error, &self.server, &self.context), None))
            }
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Again {
    type Future = Sleep;

    fn retry(&mut self, _: &mut Request<Body>, result: &mut Result<Response<B>, BoxError>) -> Option<Sleep> {
        let (problem, asked) = self.trouble(result)?;
        let endurance = self.endurance.clone();
        let changing = endurance.changing.get();
        let patience = changing.map_or(BRIEFLY, |(patience, _)| *patience);
        let until = *self.until.get_or_insert_with(|| Instant::now() + patience);
        let pause = asked.unwrap_or_default().max(self.pause);
        if Instant::now() + pause >= until {
            return None;
        }
        if let Some((_, tell)) = changing {
            tell(&problem);
        }
        self.pause = (self.pause * 2).min(LONGEST);
        Some(sleep(pause))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let mut clone = Request::new(request.body().try_clone()?);
        clone.method_mut().clone_from(request.method());
        clone.uri_mut().clone_from(request.uri());
        *clone.version_mut() = request.version();
        clone.headers_mut().clone_from(request.headers());
        clone.extensions_mut().clone_from(request.extensions());
        Some(clone)
    }
}

#[cfg(test)]
#[path = "again_tests.rs"]
mod tests;
