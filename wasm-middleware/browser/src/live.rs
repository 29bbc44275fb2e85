//! Events as they come: read, added up, and the last of them kept.

use crate::{
    graph,
    view::{self, Found, Seen, Step, Timeline, View},
};
use learnflow_core::{Direction, Outcome};
use learnflow_flow::{Event, Flow, Name, Names, Reader, Tally, Time, Window};
use std::collections::{HashMap, HashSet, VecDeque};

/// Events that can be looked at one by one.
const KEPT: usize = 20_000;
/// Topics that are counted apart: whoever makes names up cannot make the page slow. The rest is one.
const TOPICS: usize = 500;
/// Rows of the table.
const ROWS: usize = 200;
/// Steps of a timeline.
const STEPS: usize = 100;

pub struct Live {
    reader: Reader,
    names: Names,
    tally: Tally,
    topics: HashSet<Name>,
    arrows: HashMap<Flow, usize>,
    /// By arrow, since they were asked for: taken, and not.
    pulses: Vec<[u32; 2]>,
    kept: VecDeque<Event>,
    /// The number of the next event.
    next: u64,
    missed: u64,
}

impl Live {
    pub fn new(window: u32) -> Self {
        Self {
            reader: Reader::default(),
            names: Names::default(),
            tally: Tally::new(match window {
                0 => Window::All,
                seconds => Window::Seconds(seconds),
            }),
            topics: HashSet::new(),
            arrows: HashMap::new(),
            pulses: Vec::new(),
            kept: VecDeque::new(),
            next: 0,
            missed: 0,
        }
    }

    pub fn read(&mut self, bytes: &[u8]) {
        let mut events = Vec::new();
        self.reader.read(bytes, &mut self.names, |event| events.push(event));
        for event in events {
            self.add(event);
        }
    }

    fn add(&mut self, mut event: Event) {
        if !self.topics.contains(&event.topic) {
            if self.topics.len() < TOPICS {
                self.topics.insert(event.topic);
            } else {
                event.topic = Name::OTHERS;
            }
        }
        let flow = self.tally.add(&event);
        let next = self.arrows.len();
        let arrow = *self.arrows.entry(flow).or_insert(next);
        if arrow == self.pulses.len() {
            self.pulses.push([0; 2]);
        }
        self.pulses[arrow][usize::from(event.outcome != Outcome::Success)] += 1;
        self.kept.push_back(event);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        self.next += 1;
    }

    pub fn resume(&mut self, number: u64) {
        // A line that was cut is sent again.
        self.reader.resume();
        // What was before the page was opened is not missed.
        if self.next > 0 {
            self.missed += number.saturating_sub(self.next);
        }
        if number != self.next {
            self.kept.clear();
        }
        self.next = number;
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    pub fn pulses(&mut self) -> Vec<u32> {
        let mut told = Vec::new();
        for (arrow, pulse) in self.pulses.iter_mut().enumerate() {
            if *pulse != [0; 2] {
                told.extend([arrow as u32, pulse[0], pulse[1]]);
                *pulse = [0; 2];
            }
        }
        told
    }

    /// The logs have their own clock: what the page's says is only how long nothing came.
    pub fn view(&self, idle: f64, search: &str) -> View {
        let last = self.tally.last();
        let now = Time(last.0.saturating_add((idle.max(0.0) * 1e6) as i64));
        let rows = self.tally.rows(now);
        let mut view = View {
            read: self.reader.counts().events,
            broken: self.reader.counts().broken,
            missed: self.missed,
            last: view::millis(last),
            ..View::default()
        };
        for row in &rows {
            view.events += row.events();
            view.failed += row.events() - row.success;
            view.rate += row.rate;
        }
        view.graph = graph::laid_out(&rows, &self.names, |flow| self.arrow(flow));
        let wanted = Search::of(search);
        let mut found: Vec<_> = rows
            .iter()
            .filter(|row| wanted.finds(&[self.names.text(row.flow.topic), self.names.text(row.flow.app)]))
            .collect();
        // The busiest of them, by name, so that they stay where they are.
        found.sort_by(|a, b| b.rate.total_cmp(&a.rate).then_with(|| a.flow.cmp(&b.flow)));
        view.more = found.len().saturating_sub(ROWS);
        found.truncate(ROWS);
        found.sort_by_key(|row| {
            (
                self.names.text(row.flow.topic),
                row.flow.delivers,
                self.names.text(row.flow.app),
            )
        });
        view.rows = found.into_iter().map(|row| view::Row::of(row, &self.names)).collect();
        view
    }

    fn arrow(&self, flow: &Flow) -> usize {
        self.arrows.get(flow).copied().unwrap_or_default()
    }

    pub fn events(&self, topic: &str, search: &str, failed: bool, most: usize) -> Vec<Seen> {
        let topic = (!topic.is_empty()).then(|| self.names.known(topic));
        let wanted = Search::of(search);
        let found = self.numbered().rev().filter(|(_, event)| {
            topic.is_none_or(|topic| topic == Some(event.topic))
                && (!failed || event.outcome != Outcome::Success)
                && (wanted.is_empty() || wanted.finds(&self.texts(event)))
        });
        found
            .take(most)
            .map(|(number, event)| Seen::of(event, number, &self.names))
            .collect()
    }

    /// What one may look for an event by.
    fn texts<'a>(&'a self, event: &'a Event) -> [&'a str; 6] {
        [
            self.names.text(event.topic),
            self.names.text(event.app),
            self.names.text(event.pod),
            event.direction.as_str(),
            event.outcome.as_str(),
            event.trace.as_ref().map_or("", |trace| trace.as_str()),
        ]
    }

    fn numbered(&self) -> impl DoubleEndedIterator<Item = (u64, &Event)> + ExactSizeIterator {
        let first = self.next - self.kept.len() as u64;
        self.kept
            .iter()
            .enumerate()
            .map(move |(at, event)| (first + at as u64, event))
    }

    pub fn timeline(&self, number: u64) -> Option<Timeline> {
        let first = self.next - self.kept.len() as u64;
        let event = self.kept.get(usize::try_from(number.checked_sub(first)?).ok()?)?;
        let mut related: Vec<_> = self
            .numbered()
            .filter_map(|(other_number, other)| {
                let found = if other_number == number {
                    Found::Itself
                } else if same_message(event, other) {
                    Found::Message
                } else if event.trace.is_some() && event.trace == other.trace {
                    Found::Trace
                } else {
                    return None;
                };
                Some((other_number, other, found))
            })
            .collect();
        let left_out = related.len().saturating_sub(STEPS);
        // The event itself is always among them.
        let from = related.iter().position(|(other, ..)| *other == number)?.min(left_out);
        related = related.split_off(from);
        related.truncate(STEPS);
        let mut steps: Vec<Step> = related
            .iter()
            .map(|(number, other, found)| Step::of(other, *number, *found, &self.names))
            .collect();
        for (at, (_, other, _)) in related.iter().enumerate() {
            let same = |range: &[(u64, &Event, Found)]| range.iter().filter(|(_, e, _)| same_message(e, other)).count();
            if other.direction == Direction::Deliver && other.offset.is_some() {
                steps[at].attempt = Some(same(&related[..=at]));
            }
        }
        steps.sort_by(|a, b| a.begin.total_cmp(&b.begin));
        Some(Timeline {
            event: Seen::of(event, number, &self.names),
            steps,
            left_out,
        })
    }
}

/// Two attempts of one service at one event of Kafka's.
fn same_message(one: &Event, other: &Event) -> bool {
    let place = |event: &Event| Some((event.topic, event.partition?, event.offset?, event.app));
    place(one).is_some_and(|one| Some(one) == place(other))
}

/// Words that must all be found, whatever their case.
struct Search(Vec<String>);

impl Search {
    fn of(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_lowercase).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn finds(&self, texts: &[&str]) -> bool {
        let within = |word: &String| texts.iter().any(|text| text.to_lowercase().contains(word));
        self.0.iter().all(within)
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
