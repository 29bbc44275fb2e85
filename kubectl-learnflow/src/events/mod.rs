//! Events, wherever they are: in the logs of sidecars, as they are written, or in files.

pub(crate) mod merge;
mod rehearsed;
mod saved;

use crate::{
    cli::{Global, WhichEvents},
    cluster::{Cluster, SidecarLogs},
    printer::{Mark, Printer},
    problem::Problem,
};
use learnflow_flow::{Counts, Event, Filter, Names, Reader, Row, Tally, Time, Window};
use merge::{Log, Merge};
use rehearsed::Rehearsed;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};

/// For how long an event waits for earlier ones of other pods. A kubelet passes on what is written within 100 ms, as a rule.
const HOLD: Duration = Duration::from_millis(300);
/// How many logs are opened before somebody looks at them.
const OPENED: usize = 64;

/// What the readers of all logs have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    names: Arc<Mutex<Names>>,
    counts: Arc<Mutex<Counts>>,
    filter: Arc<Filter>,
    from: Option<Time>,
    notes: UnboundedSender<String>,
    /// Pods whose logs could not be read.
    unread: Arc<Mutex<BTreeSet<String>>>,
}

/// Events in the order of time.
pub(crate) struct Events {
    merge: Merge,
    shared: Shared,
    notes: UnboundedReceiver<String>,
}

/// An event, or something that whoever looks must know.
pub(crate) enum Seen {
    Event(Event),
    Note(String),
}

impl Shared {
    /// Notes come out at the other end.
    pub(crate) fn new(filter: Filter, from: Option<Time>) -> (Self, UnboundedReceiver<String>) {
        let (notes, noted) = unbounded_channel();
        let shared = Self {
            names: Arc::default(),
            counts: Arc::default(),
            filter: Arc::new(filter),
            from,
            notes,
            unread: Arc::default(),
        };
        (shared, noted)
    }

    /// Whether anything of this service is meant.
    pub(crate) fn means_service(&self, app: &str) -> bool {
        self.filter.takes_service(app)
    }

    fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self, reader: &mut Reader, bytes: &[u8]) -> Vec<Event> {
        let mut names = Self::lock(&self.names);
        let mut events = Vec::new();
        reader.read(bytes, &mut names, |event| events.push(event));
        self.meant(events, &names)
    }

    /// The rest, and what was counted.
    pub(crate) fn end(&self, reader: &mut Reader) -> Vec<Event> {
        let mut names = Self::lock(&self.names);
        let events = reader.end(&mut names).into_iter().collect();
        let (mut all, of) = (Self::lock(&self.counts), reader.counts());
        all.lines += of.lines;
        all.events += of.events;
        all.broken += of.broken;
        self.meant(events, &names)
    }

    fn meant(&self, mut events: Vec<Event>, names: &Names) -> Vec<Event> {
        events.retain(|event| self.from.is_none_or(|from| event.at >= from) && self.filter.takes(event, names));
        events
    }

    pub(crate) fn cannot_read(&self, pod: &str) {
        Self::lock(&self.unread).insert(pod.to_owned());
    }

    pub(crate) fn note(&self, note: String) {
        let _ = self.notes.send(note);
    }
}

impl Events {
    /// Opens the rehearsal or the files that are named, or else the logs of the sidecars.
    pub(crate) async fn open(
        which: &WhichEvents,
        since: Option<Duration>,
        follow: bool,
        global: &Global,
    ) -> Result<Self, Problem> {
        if let Some(settings) = &which.rehearsal {
            let rehearsed = Rehearsed::prepare(settings, follow)?;
            let from = since.map(|since| before(rehearsed.now(), since));
            let (shared, notes) = Shared::new(which.filter(), from);
            return Ok(Self::of(rehearsed.open(&shared), follow, shared, notes));
        }
        let from = since.map(|since| before(now(), since));
        if !which.file.is_empty() {
            return Self::in_files(which, from, follow);
        }
        let cluster = Cluster::connect_for_streams(global).await?;
        let wanted = SidecarLogs {
            everywhere: which.all_namespaces,
            since: from,
            follow,
        };
        Self::of_cluster(&cluster, wanted, which.filter()).await
    }

    /// Opens the files that are named.
    pub(crate) fn saved(which: &WhichEvents) -> Result<Self, Problem> {
        Self::in_files(which, None, false)
    }

    fn in_files(which: &WhichEvents, from: Option<Time>, follow: bool) -> Result<Self, Problem> {
        let (shared, notes) = Shared::new(which.filter(), from);
        let mut opened = Vec::new();
        for file in &which.file {
            opened.extend(saved::open(file, follow, &shared)?);
        }
        Ok(Self::of(opened, follow, shared, notes))
    }

    /// Of these logs, and no others.
    fn of(opened: Vec<Log>, follow: bool, shared: Shared, notes: UnboundedReceiver<String>) -> Self {
        let (logs, coming) = channel(opened.len().max(1));
        for log in opened {
            // There is room for all.
            let _ = logs.try_send(log);
        }
        Self::new(coming, follow, shared, notes)
    }

    pub(crate) async fn of_cluster(cluster: &Cluster, wanted: SidecarLogs, filter: Filter) -> Result<Self, Problem> {
        let (shared, notes) = Shared::new(filter, wanted.since);
        let (logs, coming) = channel(OPENED);
        let follow = wanted.follow;
        cluster.open_sidecar_logs(wanted, shared.clone(), logs).await?;
        Ok(Self::new(coming, follow, shared, notes))
    }

    fn new(coming: Receiver<Log>, follow: bool, shared: Shared, notes: UnboundedReceiver<String>) -> Self {
        let merge = if follow {
            Merge::live(coming, HOLD)
        } else {
            Merge::whole(coming)
        };
        Self { merge, shared, notes }
    }

    /// The next event, if it is here and need not wait: quicker than to ask for what may come.
    pub(crate) fn ready(&mut self) -> Option<Event> {
        self.merge.ready()
    }

    /// `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        tokio::select! {
            biased;
            event = self.merge.next() => match event {
                Some(event) => Some(Seen::Event(event)),
                None => self.notes.try_recv().ok().map(Seen::Note),
            },
            Some(note) = self.notes.recv() => Some(Seen::Note(note)),
        }
    }

    /// All there was in a window that ends now, added up. What is in files may be of any day: their window ends with their
    /// last event, and without one all of it counts.
    pub(crate) async fn rows(
        which: &WhichEvents,
        window: Option<Duration>,
        usual: Duration,
        global: &Global,
        printer: &Printer,
    ) -> Result<(Vec<Row>, Self), Problem> {
        let saved = which.are_saved();
        let window = window.or((!saved).then_some(usual));
        let mut events = Self::open(which, window.filter(|_| !saved), false, global).await?;
        let mut tally = Tally::new(window.map_or(Window::All, seconds));
        while let Some(seen) = events.next().await {
            match seen {
                Seen::Note(note) => printer.step(Mark::Warn, &note),
                Seen::Event(event) => {
                    tally.add(&event);
                    while let Some(event) = events.ready() {
                        tally.add(&event);
                    }
                }
            }
        }
        let now = if saved { tally.last() } else { now() };
        Ok((tally.rows(now), events))
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        Shared::lock(&self.shared.names)
    }

    /// Pods whose logs could not be read, of those that are there.
    pub(crate) fn unread(&self) -> BTreeSet<String> {
        Shared::lock(&self.shared.unread).clone()
    }

    /// Of the logs that were read to their ends.
    pub(crate) fn counts(&self) -> Counts {
        *Shared::lock(&self.shared.counts)
    }
}

pub(crate) fn seconds(window: Duration) -> Window {
    Window::Seconds(u32::try_from(window.as_secs()).unwrap_or(u32::MAX))
}

fn before(now: Time, since: Duration) -> Time {
    Time(now.0 - i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

pub(crate) fn now() -> Time {
    Time(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
}
