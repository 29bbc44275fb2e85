//! Lines for pages: of events as they happen, or of files.

use crate::{
    cli::{Ui, WhichEvents},
    events::{Events, Seen},
    model::Outcome,
    printer::{Mark, Printer},
    problem::Problem,
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use hyper::body::Bytes;
use learnflow_flow::Time;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// For a page that comes late, or again: at most so many events, and so many bytes. A page that is slower than the events
/// misses some and says so.
const KEPT: usize = 20_000;
const KEPT_BYTES: usize = 16 << 20;
/// Sent at a time.
const BATCH: usize = 64 * 1024;

/// Pieces of a log. An error breaks the connection off, and the page asks anew.
pub(super) type Lines = BoxStream<'static, io::Result<Bytes>>;

#[derive(Clone)]
pub(super) enum Source {
    Live(Arc<Live>),
    Saved(Arc<Saved>),
}

impl Source {
    pub(super) fn saved(args: &Ui, printer: &Arc<Printer>) -> Self {
        Self::Saved(Arc::new(Saved {
            which: args.page.which.clone(),
            speed: args.speed,
            printer: Arc::clone(printer),
        }))
    }

    /// From the event of this number on, and the number that it really begins with.
    pub(super) fn lines(&self, from: u64) -> Result<(u64, Lines), Problem> {
        match self {
            Self::Live(live) => Ok(live.lines(from)),
            Self::Saved(saved) => saved.lines(from),
        }
    }
}

/// The last events, and who waits for more.
pub(super) struct Live {
    ring: Mutex<Ring>,
    next: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<String>,
    bytes: usize,
    /// The number of the first line.
    first: u64,
}

/// Takes events out of the logs, whether or not there is a page.
pub(super) struct Pump {
    events: Events,
    live: Arc<Live>,
}

pub(super) fn live(events: Events) -> (Source, Pump) {
    let live = Arc::new(Live::new());
    (Source::Live(Arc::clone(&live)), Pump { events, live })
}

impl Pump {
    pub(super) async fn run(mut self, printer: &Printer) -> Result<Outcome, Problem> {
        while let Some(seen) = self.events.next().await {
            match seen {
                Seen::Note(note) => printer.step(Mark::Warn, &note),
                Seen::Event(event) => {
                    let line = event.log_line(&self.events.names());
                    self.live.push(line + "\n");
                }
            }
        }
        Ok(Outcome::Good)
    }
}

impl Live {
    fn new() -> Self {
        Self {
            ring: Mutex::default(),
            next: watch::Sender::new(0),
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: String) {
        self.ring().push(line);
        self.next.send_modify(|next| *next += 1);
    }

    fn lines(self: &Arc<Self>, from: u64) -> (u64, Lines) {
        let first = self.ring().clamp(from);
        let state = (Arc::clone(self), self.next.subscribe(), Some(first));
        let lines = stream::unfold(state, async |(live, mut news, at)| {
            let at = at?;
            // Whoever writes ends with this.
            news.wait_for(|next| *next > at).await.ok()?;
            let taken = live.ring().batch(at);
            Some(match taken {
                Some((bytes, next)) => (Ok(bytes), (live, news, Some(next))),
                None => (Err(io::Error::other("the page is too slow")), (live, news, None)),
            })
        });
        (first, lines.boxed())
    }
}

impl Ring {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(line) = self.lines.pop_front() else { break };
            self.bytes -= line.len();
            self.first += 1;
        }
    }

    fn clamp(&self, number: u64) -> u64 {
        number.clamp(self.first, self.first + self.lines.len() as u64)
    }

    /// Some lines from this number on, and the number behind them. `None`: they are not kept any more.
    fn batch(&self, from: u64) -> Option<(Bytes, u64)> {
        let at = usize::try_from(from.checked_sub(self.first)?).ok()?;
        let mut text = String::new();
        let mut next = from;
        for line in self.lines.iter().skip(at) {
            text.push_str(line);
            next += 1;
            if text.len() >= BATCH {
                break;
            }
        }
        Some((text.into(), next))
    }
}

/// Files, which are read anew for each page.
pub(super) struct Saved {
    which: WhichEvents,
    speed: Option<f64>,
    printer: Arc<Printer>,
}

impl Saved {
    fn lines(self: &Arc<Self>, from: u64) -> Result<(u64, Lines), Problem> {
        let replay = Replay {
            saved: Arc::clone(self),
            events: Events::saved(&self.which)?,
            skip: from,
            began: None,
            waits: None,
        };
        let lines = stream::unfold(replay, async |mut replay| {
            let bytes = replay.batch().await?;
            Some((Ok(bytes), replay))
        });
        Ok((from, lines.boxed()))
    }
}

struct Replay {
    saved: Arc<Saved>,
    events: Events,
    /// Events that the page has already.
    skip: u64,
    /// When the first event was sent, and its own time.
    began: Option<(Instant, Time)>,
    /// A line whose time has not come.
    waits: Option<(Instant, String)>,
}

impl Replay {
    async fn batch(&mut self) -> Option<Bytes> {
        let mut text = String::new();
        if let Some((due, line)) = self.waits.take() {
            sleep_until(due).await;
            text.push_str(&line);
        }
        while text.len() < BATCH {
            let event = match self.events.next().await {
                None => break,
                Some(Seen::Note(note)) => {
                    self.saved.printer.step(Mark::Warn, &note);
                    continue;
                }
                Some(Seen::Event(event)) => event,
            };
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            let line = event.log_line(&self.events.names()) + "\n";
            let due = self.due(event.at);
            if due.is_some_and(|due| due > Instant::now()) {
                self.waits = due.map(|due| (due, line));
                if text.is_empty() {
                    return Box::pin(self.batch()).await;
                }
                break;
            }
            text.push_str(&line);
        }
        (!text.is_empty()).then(|| text.into())
    }

    fn due(&mut self, at: Time) -> Option<Instant> {
        let speed = self.saved.speed?;
        let (began, first) = *self.began.get_or_insert((Instant::now(), at));
        let passed = (at.0 - first.0).max(0) as f64 / 1e9 / speed;
        Duration::try_from_secs_f64(passed)
            .ok()
            .and_then(|passed| began.checked_add(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[&str]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    async fn piece(lines: &mut Lines) -> String {
        let piece = lines.next().await.expect("it goes on").expect("it is not broken off");
        String::from_utf8(piece.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn a_page_gets_what_was_and_then_what_comes() {
        let live = Arc::new(Live::new());
        for line in ["0\n", "1\n", "2\n"] {
            live.push(line.into());
        }
        let (first, mut lines) = live.lines(1);
        assert_eq!((first, piece(&mut lines).await), (1, text(&["1", "2"])));
        assert!(futures::poll!(lines.next()).is_pending());
        live.push("3\n".into());
        assert_eq!(piece(&mut lines).await, text(&["3"]));
        // It knows of more than there is: that was another one.
        assert_eq!(live.lines(99).0, 4);
    }

    #[tokio::test]
    async fn a_slow_page_costs_no_memory_and_is_told_what_it_missed() {
        let live = Arc::new(Live::new());
        let (_, mut slow) = live.lines(0);
        for number in 0..KEPT + 5 {
            live.push(format!("{number}\n"));
        }
        assert_eq!(live.ring().lines.len(), KEPT);
        assert!(slow.next().await.is_some_and(|piece| piece.is_err()));
        assert!(slow.next().await.is_none());
        let (first, mut again) = live.lines(0);
        assert_eq!(first, 5);
        assert!(piece(&mut again).await.starts_with("5\n6\n"));
        for _ in 0..KEPT_BYTES / 1_000_000 + 2 {
            live.push("x".repeat(1_000_000));
        }
        assert!(live.ring().bytes <= KEPT_BYTES);
    }
}
