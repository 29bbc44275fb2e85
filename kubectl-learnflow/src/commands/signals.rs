//! What somebody asks of this process from outside.

/// Ctrl-C, `kill`, or a terminal that is closed.
#[cfg(unix)]
pub(crate) async fn asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let of = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = of(SignalKind::interrupt()) => {}
        () = of(SignalKind::terminate()) => {}
        () = of(SignalKind::hangup()) => {}
    }
}

#[cfg(not(unix))]
pub(crate) async fn asked() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// That it stops, until it is to go on: `kill -TSTP`.
pub(crate) struct Stopped {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

pub(crate) fn stopped() -> Stopped {
    Stopped {
        #[cfg(unix)]
        signal: {
            use tokio::signal::unix::{SignalKind, signal};
            signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGTSTP as i32)).ok()
        },
    }
}

impl Stopped {
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
