//! Events of a rehearsal: at once, or at their own pace.

use super::{
    Shared,
    merge::{BATCHES, Log},
    now,
};
use crate::{
    cli,
    problem::Problem,
    rehearsal::{BEGINNING, PODS, Rehearsal, Round},
};
use learnflow_flow::{Reader, Time};
use std::time::Duration;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, sleep_until},
};

/// Between two rounds.
const BREAK: Duration = Duration::from_secs(1);

/// A rehearsal that can be played: all that can go wrong has been tried.
pub(super) enum Rehearsed {
    Once(Round),
    Endless(Box<Rehearsal>, Round, f64),
}

impl Rehearsed {
    pub(super) fn prepare(settings: &cli::Rehearsal, follow: bool) -> Result<Self, Problem> {
        let mut rehearsal = Rehearsal::new(settings)?;
        Ok(if follow {
            let first = rehearsal.round(now())?;
            Self::Endless(Box::new(rehearsal), first, settings.speed)
        } else {
            Self::Once(rehearsal.round(BEGINNING)?)
        })
    }

    /// What is now to whoever looks at it.
    pub(super) fn now(&self) -> Time {
        match self {
            Self::Once(round) => round.end(),
            Self::Endless(..) => now(),
        }
    }

    /// One log for each sidecar.
    pub(super) fn open(self, shared: &Shared) -> Vec<Log> {
        let (writers, logs): (Vec<Sender<_>>, Vec<Receiver<_>>) = PODS.iter().map(|_| channel(BATCHES)).unzip();
        match self {
            Self::Once(round) => {
                for (pod, writer) in writers.iter().enumerate() {
                    let mut reader = Reader::default();
                    let lines = round.lines.iter().filter(|line| line.pod == pod);
                    let mut events: Vec<_> = lines
                        .flat_map(|line| shared.read(&mut reader, line.text.as_bytes()))
                        .collect();
                    events.extend(shared.end(&mut reader));
                    // One batch, for which there is room.
                    let _ = writer.try_send(events);
                }
            }
            Self::Endless(rehearsal, first, speed) => {
                tokio::spawn(play(*rehearsal, first, speed, shared.clone(), writers));
            }
        }
        logs
    }
}

/// Until nobody reads any more.
async fn play(
    mut rehearsal: Rehearsal,
    first: Round,
    speed: f64,
    shared: Shared,
    writers: Vec<Sender<Vec<learnflow_flow::Event>>>,
) {
    let mut readers: Vec<Reader> = PODS.iter().map(|_| Reader::default()).collect();
    let mut round = first;
    loop {
        let began = Instant::now();
        for line in &round.lines {
            let since = Duration::from_nanos(line.at.0.abs_diff(round.start.0));
            sleep_until(began + since.div_f64(speed)).await;
            let (Some(reader), Some(writer)) = (readers.get_mut(line.pod), writers.get(line.pod)) else {
                continue;
            };
            let events = shared.read(reader, line.text.as_bytes());
            if !events.is_empty() && writer.send(events).await.is_err() {
                return;
            }
        }
        match rehearsal.round(crate::rehearsal::later(round.end(), BREAK)) {
            Ok(next) => round = next,
            Err(problem) => return shared.note(problem.what),
        }
    }
}
