//! When an experiment must end early. It is asked only where something is waited for: a write that is under way is waited
//! out, or it might come true after it was undone.

use crate::commands::signals::asked;
use std::time::Duration;
use tokio::{sync::watch, time::sleep};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Ctrl-C, or whoever ends this process.
    Asked,
    /// It took longer than it may.
    Late,
}

#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<Option<Why>>);

impl Stop {
    pub(super) fn on_signals(after: Duration) -> Self {
        let (tell, stop) = Self::by_hand();
        tokio::spawn(async move {
            let why = tokio::select! {
                () = asked() => Why::Asked,
                () = sleep(after) => Why::Late,
            };
            tell.send_replace(Some(why));
            // From here on signals are still caught: what is broken is put back, however often somebody presses Ctrl-C.
            loop {
                asked().await;
            }
        });
        stop
    }

    pub(super) fn by_hand() -> (watch::Sender<Option<Why>>, Self) {
        let (tell, stop) = watch::channel(None);
        (tell, Self(stop))
    }

    /// Waits for something, unless it is time to stop.
    pub(super) async fn or<T>(&self, wait: impl Future<Output = T>) -> Result<T, Why> {
        let mut stop = self.0.clone();
        let stopped = async {
            match stop.wait_for(Option::is_some).await {
                Ok(why) => why.unwrap_or(Why::Asked),
                // Nobody can ask any more.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            why = stopped => Err(why),
            ended = wait => Ok(ended),
        }
    }
}
