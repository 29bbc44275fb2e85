//! Doing something again while the cluster does not answer just now: a webhook is away, somebody wrote at
//! the same moment. A server that is busy or away itself is waited for below this, in [`super::again`].

use crate::problem::{Kind, Problem};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// How long waiting is worth it, for each act of a command.
pub(crate) struct Patience<'a> {
    timeout: Duration,
    tell: &'a dyn Fn(&Problem),
}

impl<'a> Patience<'a> {
    /// `tell` hears of each trouble.
    pub(crate) fn new(timeout: Duration, tell: &'a dyn Fn(&Problem)) -> Self {
        Self { timeout, tell }
    }

    pub(crate) async fn with<T>(&self, act: impl AsyncFn() -> Result<T, Problem>) -> Result<T, Problem> {
        let until = Instant::now() + self.timeout;
        let mut pause = FIRST;
        loop {
            match act().await {
                Err(problem) if problem.kind == Kind::Unreachable && Instant::now() + pause < until => {
                    (self.tell)(&problem);
                }
                ended => return ended,
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn run(timeout: Duration, fails: u32, kind: Kind) -> (Result<u32, Problem>, u32) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let said = Cell::new(0);
        let tell = |_: &Problem| said.set(said.get() + 1);
        let tries = Cell::new(0);
        let ended = runtime.expect("a runtime").block_on(async {
            let patience = Patience::new(timeout, &tell);
            patience
                .with(async || {
                    tries.set(tries.get() + 1);
                    match tries.get() > fails {
                        true => Ok(tries.get()),
                        false => Err(Problem::new("No.").kind(kind)),
                    }
                })
                .await
        });
        (ended, said.get())
    }

    #[test]
    fn trouble_that_passes_is_waited_for_and_told() {
        assert_eq!(run(Duration::from_secs(60), 5, Kind::Unreachable), (Ok(6), 5));
        assert_eq!(run(Duration::from_secs(60), 0, Kind::Unreachable), (Ok(1), 0));
    }

    #[test]
    fn it_ends_with_the_timeout_and_at_once_where_waiting_does_not_help() {
        let (ended, said) = run(Duration::from_secs(1), u32::MAX, Kind::Unreachable);
        assert!(ended.is_err());
        assert!(said > 0);
        let (ended, said) = run(Duration::from_secs(60), u32::MAX, Kind::Forbidden);
        assert!(ended.is_err());
        assert_eq!(said, 0);
    }
}
