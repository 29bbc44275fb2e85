//! What an outage came to: counted by id, and held against what is promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Result, ensure};
use jiff::Timestamp;

use crate::{
    callers::Call,
    outage::{Fault, Outage, Promise},
    watch::{Change, Seen},
};

/// Of the shipped policies, and a second for the measurement.
const BUDGET: Duration = Duration::from_secs(31);

#[derive(Debug)]
pub struct Measured {
    pub outage: Outage,
    /// The load.
    pub began: Timestamp,
    /// Kafka.
    pub away: Timestamp,
    pub back: Timestamp,
    pub calls: Vec<Call>,
    /// Each event that arrived, and in how many places in Kafka it is.
    pub events: BTreeMap<u64, usize>,
    pub deliveries: usize,
    pub seen: Seen,
    pub logged: Vec<Change>,
    /// Of the broker, since it first ran.
    pub requests: Vec<(i64, String)>,
}

impl Measured {
    pub fn accepted(&self) -> usize {
        self.calls.iter().filter(|call| call.accepted()).count()
    }

    pub fn refused(&self) -> usize {
        self.calls.len() - self.accepted()
    }

    /// Accepted, and never delivered.
    pub fn lost(&self) -> usize {
        let lost = |call: &&Call| call.accepted() && !self.events.contains_key(&call.id);
        self.calls.iter().filter(lost).count()
    }

    /// In Kafka more than once.
    pub fn twice(&self) -> usize {
        self.events.values().filter(|places| **places > 1).count()
    }

    /// Refused, and delivered all the same.
    pub fn ghosts(&self) -> usize {
        let ghost = |call: &&Call| !call.accepted() && self.events.contains_key(&call.id);
        self.calls.iter().filter(ghost).count()
    }

    pub fn lasted(&self) -> Duration {
        between(self.away, self.back)
    }

    /// Of those that were accepted.
    pub fn took(&self, share: f64) -> Duration {
        quantile(
            self.calls.iter().filter(|call| call.accepted()).map(|call| call.took),
            share,
        )
    }

    /// Calls that began while the breaker was not closed, until it was closed again.
    pub fn fail_fast(&self) -> Option<Duration> {
        let spans = self.not_closed();
        let during = |call: &&Call| {
            let sent = self.began + call.sent;
            spans.iter().any(|(from, to)| sent > *from && sent < *to)
        };
        let refused: Vec<_> = self
            .calls
            .iter()
            .filter(during)
            .filter(|call| !call.accepted())
            .collect();
        (!refused.is_empty()).then(|| quantile(refused.iter().map(|call| call.took), 0.99))
    }

    fn not_closed(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut spans = Vec::new();
        let mut since = None;
        for Change { at, to } in &self.logged {
            match to.as_str() {
                "closed" => spans.extend(since.take().map(|since| (since, *at))),
                _ => {
                    since.get_or_insert(*at);
                }
            }
        }
        spans.extend(since.map(|since| (since, Timestamp::MAX)));
        spans
    }

    /// After the outage had begun.
    pub fn opened(&self) -> Option<Duration> {
        let open = self.logged.iter().find(|change| change.to == "open")?;
        Some(between(self.away, open.at))
    }

    /// After Kafka was back. `None`: it never opened, or is open still.
    pub fn closed(&self) -> Option<Duration> {
        let last = self.logged.last().filter(|change| change.to == "closed")?;
        Some(between(self.back, last.at))
    }

    /// The same by the metrics, which are asked four times a second.
    pub fn closed_by_metrics(&self) -> Option<Duration> {
        let opened = self.seen.breaker.iter().any(|change| change.to == "open");
        let last = self
            .seen
            .breaker
            .last()
            .filter(|change| opened && change.to == "closed")?;
        Some(between(self.back, last.at))
    }

    /// From Kafka's return to the first call that was accepted after it.
    pub fn first_success(&self) -> Option<Duration> {
        let answers = self.calls.iter().filter(|call| call.accepted());
        let answers = answers.map(|call| self.began + call.answered());
        answers
            .filter(|at| *at > self.back)
            .min()
            .map(|at| between(self.back, at))
    }

    /// Calls under way at a time, at most.
    pub fn waiting(&self) -> usize {
        let mut changes: Vec<_> = self
            .calls
            .iter()
            .flat_map(|call| [(call.sent, 1), (call.answered(), -1)])
            .collect();
        changes.sort();
        let mut now = 0_i64;
        let most = changes.iter().map(|(_, change)| {
            now += change;
            now
        });
        usize::try_from(most.max().unwrap_or(0)).unwrap_or(0)
    }

    /// Requests to publish that the broker answered in its busiest second: before the outage, and after it.
    pub fn stampede(&self) -> (usize, usize) {
        let (away, back) = (self.away.as_millisecond(), self.back.as_millisecond());
        let began = self.began.as_millisecond();
        (self.busiest(began, away), self.busiest(back, i64::MAX))
    }

    fn busiest(&self, from: i64, to: i64) -> usize {
        let mut seconds = BTreeMap::<i64, usize>::new();
        for (at, kind) in &self.requests {
            if kind == "PRODUCE" && *at >= from && *at < to {
                *seconds.entry((at - from) / 1000).or_default() += 1;
            }
        }
        seconds.into_values().max().unwrap_or(0)
    }

    /// What callers were told: status, and the beginning of the body.
    pub fn refusals(&self) -> BTreeSet<(u16, String)> {
        let refused = self.calls.iter().filter(|call| !call.accepted());
        refused.map(|call| (call.status, call.body.clone())).collect()
    }

    pub fn judge(&self) -> Result<()> {
        let name = self.outage.name;
        ensure!(
            self.lost() == 0,
            "{name}: {} events were accepted and never arrived",
            self.lost()
        );
        match self.outage.promise {
            // On a busy machine Kafka may take longer to start, and was away for longer than is promised.
            Promise::Bridged if !matches!(self.outage.fault, Fault::Flaps) && self.lasted() > BUDGET => {}
            Promise::Bridged => ensure!(
                self.refused() == 0,
                "{name}: {} were refused: {:?}",
                self.refused(),
                self.refusals()
            ),
            Promise::FailsFast => {
                let fast = self.fail_fast();
                ensure!(
                    fast.is_some_and(|fast| fast < Duration::from_millis(100)),
                    "{name}: refusals took {fast:?}"
                );
                let closed = self.closed();
                ensure!(
                    closed.is_some_and(|closed| closed <= Duration::from_secs(10)),
                    "{name}: closed after {closed:?}"
                );
            }
            Promise::Kept => {}
        }
        Ok(())
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn quantile(values: impl Iterator<Item = Duration>, share: f64) -> Duration {
    let mut values: Vec<_> = values.collect();
    values.sort();
    let at = (values.len() as f64 * share).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or_default()
}
