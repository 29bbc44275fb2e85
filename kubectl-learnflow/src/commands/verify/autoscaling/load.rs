//! The load: so many requests a second and no more, each once, whatever becomes of each.

use super::judge::Failure;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

/// Longer than any caller waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon a new rate counts.
const SOON: Duration = Duration::from_millis(100);
/// So many failures are kept one by one.
const KEPT: usize = 1000;

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Good,
    /// The service, or the way from the cluster's Service to it, failed; without times.
    Failed(Failure),
    /// The way to the cluster failed: nothing can be said of the service.
    Lost(String),
}

/// A way to send one request.
pub(super) trait Sender: Clone + Send + Sync + 'static {
    fn send(&self, number: u64) -> impl Future<Output = Answer> + Send;
}

/// What became of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) sent: usize,
    pub(super) good: usize,
    pub(super) failed: usize,
    pub(super) lost: usize,
    pub(super) lost_why: Option<String>,
    /// The first of them.
    pub(super) failures: Vec<Failure>,
    /// What good answers took, in seconds.
    pub(super) took: Vec<f32>,
    /// Answers, and failures among them, by the second in which they came.
    by_second: Vec<(u32, u32)>,
}

impl Tally {
    fn note(&mut self, at: f64, took: f64, answer: Answer) {
        let second = (at + took).max(0.0) as usize;
        if self.by_second.len() <= second {
            self.by_second.resize(second + 1, (0, 0));
        }
        let slot = &mut self.by_second[second];
        match answer {
            Answer::Good => {
                slot.0 += 1;
                self.good += 1;
                self.took.push(took as f32);
            }
            Answer::Failed(failure) => {
                slot.0 += 1;
                slot.1 += 1;
                self.failed += 1;
                if self.failures.len() < KEPT {
                    self.failures.push(Failure { at, took, ..failure });
                }
            }
            Answer::Lost(why) => {
                self.lost += 1;
                self.lost_why.get_or_insert(why);
            }
        }
    }

    /// The share of failures among the answers of the last seconds; none where there are too few to tell.
    pub(super) fn errors(&self, now: f64, seconds: usize) -> Option<f64> {
        let from = (now as usize).saturating_sub(seconds);
        let last = self.by_second.iter().skip(from);
        let (answers, failed) = last.fold((0, 0), |(a, f), (answers, failed)| (a + answers, f + failed));
        (answers >= 20).then(|| f64::from(failed) / f64::from(answers))
    }

    pub(super) fn answered(&self) -> usize {
        self.good + self.failed
    }

    pub(super) fn under_way(&self) -> usize {
        self.sent - self.answered() - self.lost
    }
}

/// So many a second, until then.
type Rate = (f64, Instant);

/// It ends when this is dropped, with all that is under way.
pub(super) struct Load {
    tally: Arc<Mutex<Tally>>,
    rate: Arc<Mutex<Rate>>,
    task: JoinHandle<()>,
}

impl Load {
    /// `zero`: when times begin. Nothing is sent before it has a rate.
    pub(super) fn new(sender: impl Sender, at_once: usize, zero: Instant) -> Self {
        let tally = Arc::<Mutex<Tally>>::default();
        let rate = Arc::new(Mutex::new((0.0, zero)));
        let task = tokio::spawn(send(sender, at_once, zero, tally.clone(), rate.clone()));
        Self { tally, rate, task }
    }

    pub(super) fn set(&self, rps: f64, until: Instant) {
        *lock(&self.rate) = (rps, until);
    }

    /// No more are sent; what is under way goes on.
    pub(super) fn end(&self) {
        self.set(0.0, Instant::now());
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn send(sender: impl Sender, at_once: usize, zero: Instant, tally: Arc<Mutex<Tally>>, rate: Arc<Mutex<Rate>>) {
    let places = Arc::new(Semaphore::new(at_once));
    // Dropped with this task, and then each of them ends.
    let mut under_way = JoinSet::new();
    let mut last = Instant::now();
    for number in 0.. {
        // The rate may change meanwhile.
        loop {
            let (rps, until) = *lock(&rate);
            let rps = if Instant::now() < until { rps } else { 0.0 };
            let due = match rps > 0.0 {
                true => last + Duration::from_secs_f64(1.0 / rps),
                false => Instant::now() + SOON,
            };
            let wait = due.saturating_duration_since(Instant::now());
            if rps > 0.0 && wait.is_zero() {
                // What could not be sent in time is not made up for.
                last = if due.elapsed() > SOON { Instant::now() } else { due };
                break;
            }
            sleep(wait.min(SOON)).await;
        }
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        lock(&tally).sent += 1;
        let (sender, tally) = (sender.clone(), tally.clone());
        while under_way.try_join_next().is_some() {}
        under_way.spawn(async move {
            let began = Instant::now();
            let answer = tokio::time::timeout(PATIENCE, sender.send(number)).await;
            let answer = answer.unwrap_or_else(|_| {
                Answer::Failed(Failure {
                    text: format!("no answer within {} s", PATIENCE.as_secs()),
                    ..Failure::default()
                })
            });
            let at = began.saturating_duration_since(zero).as_secs_f64();
            lock(&tally).note(at, began.elapsed().as_secs_f64(), answer);
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers after so long.
    #[derive(Clone)]
    struct After(Duration);

    impl Sender for After {
        async fn send(&self, _: u64) -> Answer {
            sleep(self.0).await;
            Answer::Good
        }
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(test)
    }

    #[test]
    fn the_rate_is_kept_and_may_change() {
        run(async {
            let load = Load::new(After(Duration::from_millis(10)), 16, Instant::now());
            sleep(Duration::from_secs(2)).await;
            assert_eq!(load.tally().sent, 0, "nothing without a rate");
            let end = Instant::now() + Duration::from_secs(25);
            load.set(50.0, end);
            sleep(Duration::from_secs(10)).await;
            let sent = load.tally().sent;
            assert!((490..=501).contains(&sent), "{sent}");
            load.set(1.0, end);
            sleep(Duration::from_secs(10)).await;
            let more = load.tally().sent - sent;
            assert!((9..=11).contains(&more), "{more}");
            sleep(Duration::from_secs(10)).await;
            let all = load.tally().sent;
            sleep(Duration::from_secs(60)).await;
            assert_eq!(load.tally().sent, all, "it has an end, whoever forgets it");
            assert_eq!(load.tally().under_way(), 0);
        });
    }

    #[test]
    fn who_is_slow_is_not_buried() {
        run(async {
            let load = Load::new(After(Duration::from_secs(1)), 4, Instant::now());
            load.set(100.0, Instant::now() + Duration::from_secs(60));
            sleep(Duration::from_millis(10_500)).await;
            let sent = load.tally().sent;
            let under_way = load.tally().under_way();
            assert!(under_way <= 4, "{under_way}");
            assert!((40..=44).contains(&sent), "4 at a time, 1 s each: {sent}");
            let tally = load.tally.clone();
            drop(load);
            sleep(Duration::from_secs(5)).await;
            assert!(lock(&tally).sent <= sent, "it ends at once");
            assert!(lock(&tally).answered() < sent, "with all that is under way");
        });
    }

    #[test]
    fn the_share_of_errors_is_that_of_the_last_seconds() {
        let mut tally = Tally::default();
        let failed = || Answer::Failed(Failure::default());
        for second in 0..20 {
            for n in 0..10 {
                let answer = if second >= 18 && n < 5 { failed() } else { Answer::Good };
                tally.note(f64::from(second), 0.1, answer);
            }
        }
        assert_eq!(tally.errors(20.0, 10), Some(0.1));
        assert_eq!(tally.errors(20.0, 2), Some(0.5));
        assert_eq!(tally.errors(20.0, 1), None, "too few to tell");
        tally.note(20.0, 0.0, Answer::Lost("cut".into()));
        assert_eq!((tally.lost, tally.lost_why.as_deref()), (1, Some("cut")));
        assert_eq!(tally.failures.len(), 10);
        assert_eq!(tally.failures[0].at, 18.0);
    }
}
