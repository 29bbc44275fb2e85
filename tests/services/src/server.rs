//! What all three have in common: logs, a port, `/healthz`, an orderly end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Serves `router` on `$PORT` until SIGTERM, then finishes what is under way.
pub async fn serve(service: &'static str, router: Router) -> io::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_ansi(false)
        .init();

    let port = parsed_env("PORT", 8080);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    tracing::info!(service, port, "listening");
    axum::serve(listener, with_health(router))
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!(service, "finishing");
        })
        .await
}

fn with_health(router: Router) -> Router {
    router.route("/healthz", get(async || "ok"))
}

/// The variable's value, or `default` if it is unset or not of that type.
pub(crate) fn parsed_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::*;
    use crate::testing::send;

    #[tokio::test]
    async fn is_healthy() {
        let answer = send(&with_health(Router::new()), Method::GET, "/healthz", &[], "").await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "ok"));
    }
}
