//! Events of many logs, in the order of time.

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use learnflow_flow::{Event, Time};
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, VecDeque, binary_heap::PeekMut},
    time::Duration,
};
use tokio::{
    sync::mpsc::{Receiver, error::TryRecvError},
    time::{Instant, sleep_until},
};

/// Events of one log, in its order. Whoever writes into it waits when nobody takes them out: that is how a log that is
/// far ahead, or a slow reader of ours, costs no memory.
pub(crate) type Log = Receiver<Vec<Event>>;

/// How many batches of a log wait.
pub(crate) const BATCHES: usize = 4;

pub(crate) struct Merge {
    /// Logs that are opened later.
    coming: Receiver<Log>,
    all_have_come: bool,
    /// Logs of which nothing is here.
    waiting: FuturesUnordered<BoxFuture<'static, (Option<Vec<Event>>, Log)>>,
    /// Logs of which something is here.
    heads: BinaryHeap<Head>,
    /// For how long an event waits for earlier ones of other logs; `None`: until all have said theirs.
    hold: Option<Duration>,
    /// In the order in which they came.
    arrived: VecDeque<Arrived>,
    /// Events up to here have waited long enough.
    released: Time,
}

struct Head {
    events: VecDeque<Event>,
    log: Log,
    arrived: Arrived,
}

/// When a batch came, and the time of the last event in it.
type Arrived = (Instant, Time);

impl Head {
    fn at(&self) -> Time {
        self.events.front().map_or(Time::default(), |event| event.at)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.at() == other.at()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest, since the heap gives out that one.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at().cmp(&self.at())
    }
}

impl Merge {
    /// Logs that have an end.
    pub(crate) fn whole(coming: Receiver<Log>) -> Self {
        Self::new(coming, None)
    }

    /// Logs that go on.
    pub(crate) fn live(coming: Receiver<Log>, hold: Duration) -> Self {
        Self::new(coming, Some(hold))
    }

    fn new(coming: Receiver<Log>, hold: Option<Duration>) -> Self {
        Self {
            coming,
            all_have_come: false,
            waiting: FuturesUnordered::new(),
            heads: BinaryHeap::new(),
            hold,
            arrived: VecDeque::new(),
            released: Time(i64::MIN),
        }
    }

    /// The next event; `None` at the end of all logs.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if self.may_go() {
                return self.pop();
            }
            if self.all_have_come && self.waiting.is_empty() && self.heads.is_empty() {
                return None;
            }
            let due = self
                .hold
                .zip(self.arrived.front())
                .map(|(hold, (arrived, _))| *arrived + hold);
            tokio::select! {
                log = self.coming.recv(), if !self.all_have_come => match log {
                    Some(log) => self.wait_for(log, None),
                    None => self.all_have_come = true,
                },
                Some((events, log)) = self.waiting.next(), if !self.waiting.is_empty() => self.take(events, log, Instant::now()),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some((_, last)) = self.arrived.pop_front() {
                        self.released = self.released.max(last);
                    }
                }
            }
        }
    }

    /// The next event, if it is here and need not wait.
    pub(crate) fn ready(&mut self) -> Option<Event> {
        if self.may_go() { self.pop() } else { None }
    }

    fn may_go(&self) -> bool {
        let Some(head) = self.heads.peek() else { return false };
        let all_here = self.all_have_come && self.waiting.is_empty();
        all_here || (self.hold.is_some() && head.at() <= self.released)
    }

    fn pop(&mut self) -> Option<Event> {
        let mut head = self.heads.peek_mut()?;
        let event = head.events.pop_front();
        if head.events.is_empty() {
            let Head { log, arrived, .. } = PeekMut::pop(head);
            self.wait_for(log, Some(arrived));
        }
        event
    }

    /// What is there already is taken at once: it may be earlier than what others have. It came while the batch before it was
    /// held, as much later as its events are; if it were held anew, each would fall further behind.
    fn wait_for(&mut self, mut log: Log, before: Option<Arrived>) {
        match log.try_recv() {
            Ok(events) => {
                let now = Instant::now();
                let came = before.zip(events.last()).map_or(now, |((arrived, at), last)| {
                    let later = u64::try_from(last.at.0.saturating_sub(at.0)).unwrap_or_default();
                    (arrived + Duration::from_nanos(later)).min(now)
                });
                self.take(Some(events), log, came);
            }
            Err(TryRecvError::Disconnected) => {}
            Err(TryRecvError::Empty) => self.wait(log),
        }
    }

    fn wait(&self, mut log: Log) {
        self.waiting.push(async move { (log.recv().await, log) }.boxed());
    }

    /// A log whose writer has gone is at its end.
    fn take(&mut self, events: Option<Vec<Event>>, log: Log, came: Instant) {
        let Some(events) = events else { return };
        let Some(last) = events.last() else {
            return self.wait_for(log, None);
        };
        let arrived = (came, last.at);
        if self.hold.is_some() {
            let place = self.arrived.partition_point(|(other, _)| *other <= came);
            self.arrived.insert(place, arrived);
        }
        self.heads.push(Head {
            events: events.into(),
            log,
            arrived,
        });
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
