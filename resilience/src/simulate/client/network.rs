//! What becomes of a request, and of a new connection, at a given time. The outage is known beforehand, so this is too.

use super::MILLISECOND;
use crate::simulate::{
    clock::{Time, nanos},
    scenario::{Client, Mode, Outage},
};

/// A refused or closed connection is noticed at once.
const AT_ONCE: Time = MILLISECOND / 5;
/// How long the client waits for an answer.
const READ_TIMEOUT: Time = 30_000 * MILLISECOND;
/// To a broker that accepts connections and is silent: it asks for versions twice, then for what it wants.
const SILENT_BROKER: Time = 3 * READ_TIMEOUT;
/// Between two rounds of asking all brokers for metadata, and how many there are.
const METADATA_PAUSE: Time = 250 * MILLISECOND;
const METADATA_ROUNDS: usize = 4;

#[derive(Debug)]
pub(super) struct Network {
    mode: Mode,
    windows: Vec<(Time, Time)>,
    latency: Time,
    /// Since when there is a connection, and when it can be used.
    connection: Option<(Time, Time)>,
    /// Whether a broker is known beside the addresses in the Component.
    known: bool,
}

impl Network {
    pub(super) fn new(client: &Client, outage: &Outage) -> Self {
        let windows = outage.windows.iter();
        Self {
            mode: outage.mode,
            windows: windows.map(|window| (nanos(window.from), nanos(window.to))).collect(),
            latency: nanos(client.latency).max(1),
            connection: Some((0, 0)),
            known: true,
        }
    }

    /// When a request by the connection ends, and whether it was answered.
    pub(super) fn request(&self, now: Time) -> (Time, bool) {
        let Some((since, ready)) = self.connection else {
            return (now + AT_ONCE, false);
        };
        let sent = now.max(ready);
        match self.mode {
            Mode::Refuse => match self.cut(since) {
                Some(cut) if cut <= sent => (now + AT_ONCE, false),
                Some(cut) if cut < sent + self.latency => (cut, false),
                _ => (sent + self.latency, true),
            },
            Mode::Hang => {
                let answered = self.after_silence(sent);
                match answered - now > READ_TIMEOUT {
                    true => (now + READ_TIMEOUT, false),
                    false => (answered, true),
                }
            }
            Mode::Slow(late) => (self.late(sent, late), true),
        }
    }

    pub(super) fn close(&mut self) {
        self.connection = None;
    }

    /// Asks the broker it knows and then the others, in rounds: when that ends, and whether it was answered.
    pub(super) fn ask(&mut self, now: Time) -> (Time, bool) {
        let mut time = now;
        for round in 0..METADATA_ROUNDS {
            if round > 0 {
                time += METADATA_PAUSE;
            }
            let brokers = 1 + usize::from(std::mem::take(&mut self.known));
            for _ in 0..brokers {
                let (ended, answered) = match self.connection {
                    Some(_) => self.request(time),
                    None => self.ask_anew(time),
                };
                time = ended;
                if answered {
                    self.known = true;
                    self.connect(time);
                    return (time, true);
                }
                self.connection = None;
            }
        }
        (time, false)
    }

    /// For what is sent from `now` on.
    fn connect(&mut self, now: Time) {
        if self.connection.is_none() {
            let ready = match self.mode {
                Mode::Refuse => now + self.latency,
                Mode::Hang => self.after_silence(now),
                Mode::Slow(late) => self.late(now, late),
            };
            self.connection = Some((now, ready));
        }
    }

    /// By a connection that is made for it: the versions first, then the question.
    fn ask_anew(&self, now: Time) -> (Time, bool) {
        match self.mode {
            Mode::Refuse => match self.window(now) {
                Some(_) => (now + AT_ONCE, false),
                None => (now + 2 * self.latency, true),
            },
            Mode::Hang => {
                let answered = self.after_silence(now) + self.latency;
                match answered - now > SILENT_BROKER {
                    true => (now + SILENT_BROKER, false),
                    false => (answered, true),
                }
            }
            Mode::Slow(late) => (self.late(self.late(now, late), late), true),
        }
    }

    fn window(&self, at: Time) -> Option<&(Time, Time)> {
        self.windows.iter().find(|(from, to)| (*from..*to).contains(&at))
    }

    /// When a connection was or will be closed that is there since then.
    fn cut(&self, since: Time) -> Option<Time> {
        let next = self.windows.iter().find(|(_, to)| *to > since);
        next.map(|(from, _)| since.max(*from))
    }

    fn after_silence(&self, sent: Time) -> Time {
        let answered = sent + self.latency;
        self.window(answered).map_or(answered, |(_, to)| to + self.latency)
    }

    fn late(&self, sent: Time, late: std::time::Duration) -> Time {
        let answered = sent + self.latency;
        self.window(answered).map_or(answered, |_| answered + nanos(late))
    }
}
