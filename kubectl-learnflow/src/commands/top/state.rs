//! What the live table shows, and what keys do to it. It knows no terminal and no clock: who has them tells it.

use super::{
    lag::Lags,
    no_lag,
    rows::{self, Figures},
};
use crate::{
    cli::{Sort, TopOf},
    commands::flow::show,
    printer::Tone,
    problem::Problem,
};
use clap::ValueEnum;
use learnflow_flow::{Event, Flow, Names, Tally, Time, Window};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Events of each flow that are kept to be looked at.
const RECENT: usize = 100;
const NOTES: usize = 100;
/// Nobody types more.
const FILTER: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
    Enter,
    Back,
    Erase,
    Char(char),
}

/// Where one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    All,
    /// The topic, or the service, of this flow, with its partitions.
    One(Flow),
    /// The last events of a flow, or of one of its partitions.
    Events(Flow, Option<u32>),
}

/// A line of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// By its place among the figures.
    Row(usize),
    Partition(usize, u32),
    /// By its place among the lines.
    Event(usize),
}

#[derive(Debug)]
pub(super) struct Level {
    pub(super) place: Place,
    /// What it is of, in words.
    pub(super) name: String,
    pub(super) filter: String,
    /// The line that is chosen.
    pub(super) at: usize,
    /// The first one that is seen.
    pub(super) top: usize,
    /// What was chosen, wherever it moves to. Nobody chooses the first line by not moving.
    chosen: Option<(Flow, Option<u32>)>,
}

pub(super) struct State {
    pub(super) of: TopOf,
    pub(super) window: Window,
    pub(super) sort: Sort,
    pub(super) reverse: bool,
    pub(super) typing: bool,
    pub(super) paused: bool,
    pub(super) help: bool,
    /// There is no more to come.
    pub(super) ended: bool,
    pub(super) notes: VecDeque<String>,
    pub(super) level: Level,
    below: Vec<Level>,
    tally: Tally,
    lags: Option<Lags>,
    /// That it is not known has been said.
    lag_missed: bool,
    recent: HashMap<Flow, VecDeque<Event>>,
    pub(super) figures: Vec<Figures>,
    pub(super) items: Vec<Item>,
    pub(super) lines: Vec<(String, Tone)>,
    /// How many lines of the list are seen.
    page: usize,
}

impl Level {
    fn new(place: Place, name: String) -> Self {
        Self {
            place,
            name,
            filter: String::new(),
            at: 0,
            top: 0,
            chosen: None,
        }
    }
}

impl State {
    pub(super) fn new(of: TopOf, sort: Sort, window: Window) -> Self {
        Self {
            of,
            window,
            sort,
            reverse: false,
            typing: false,
            paused: false,
            help: false,
            ended: false,
            notes: VecDeque::new(),
            level: Level::new(
                Place::All,
                match of {
                    TopOf::Topics => "topics".into(),
                    TopOf::Services => "services".into(),
                },
            ),
            below: Vec::new(),
            tally: Tally::new(window),
            lags: None,
            lag_missed: false,
            recent: HashMap::new(),
            figures: Vec::new(),
            items: Vec::new(),
            lines: Vec::new(),
            page: 1,
        }
    }

    pub(super) fn see(&mut self, event: &Event) {
        let flow = self.tally.add(event);
        let recent = self.recent.entry(flow).or_default();
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(*event);
    }

    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() == NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }

    /// What is not known any more is not shown any more.
    pub(super) fn told(&mut self, lags: Result<Lags, Problem>) {
        match lags {
            Ok(lags) => self.lags = Some(lags),
            Err(problem) => {
                self.lags = None;
                if !std::mem::replace(&mut self.lag_missed, true) {
                    self.note(no_lag(&problem));
                }
            }
        }
    }

    /// The names of where one is, from all down to here.
    pub(super) fn path(&self) -> impl Iterator<Item = &str> {
        self.below.iter().chain([&self.level]).map(|level| level.name.as_str())
    }

    /// When the last event was.
    pub(super) fn last(&self) -> Time {
        self.tally.last()
    }

    /// Takes the figures of the window that ends `now`.
    pub(super) fn refresh(&mut self, now: Time, names: &mut Names) {
        if !self.paused {
            self.figures = rows::rows(self.tally.rows(now), names, self.lags.as_ref());
            self.arrange(names);
        }
    }

    /// So many lines of the list can be seen.
    pub(super) fn fit(&mut self, page: usize) {
        self.page = page.max(1);
        self.scroll();
    }

    /// False: it is to end.
    pub(super) fn key(&mut self, key: Key, names: &Names) -> bool {
        match key {
            Key::Char('q') if !self.typing => return false,
            _ if self.help => self.help = false,
            Key::Up => self.go(self.level.at.saturating_sub(1)),
            Key::Down => self.go(self.level.at + 1),
            Key::PageUp => self.go(self.level.at.saturating_sub(self.page)),
            Key::PageDown => self.go(self.level.at + self.page),
            Key::First => self.go(0),
            Key::Last => self.go(usize::MAX),
            _ if self.typing => self.typed(key),
            Key::Char('k') => self.go(self.level.at.saturating_sub(1)),
            Key::Char('j') => self.go(self.level.at + 1),
            Key::Char('g') => self.go(0),
            Key::Char('G') => self.go(usize::MAX),
            Key::Left | Key::Char('<') => self.sort_by(-1),
            Key::Right | Key::Char('>') => self.sort_by(1),
            Key::Char('r') => self.reverse = !self.reverse,
            Key::Char(' ') => self.paused = !self.paused,
            Key::Char('/') => self.typing = true,
            Key::Char('?') => self.help = true,
            Key::Enter => self.enter(),
            Key::Back => self.back(),
            Key::Char(_) | Key::Erase => return true,
        }
        self.arrange(names);
        true
    }

    /// The column beside, of those that are there.
    fn sort_by(&mut self, step: isize) {
        self.sort = beside(self.sort, step);
        if self.sort == Sort::Lag && !rows::have_lag(&self.figures) {
            self.sort = beside(self.sort, step);
        }
    }

    fn typed(&mut self, key: Key) {
        match key {
            Key::Char(c) if self.level.filter.chars().count() < FILTER => self.level.filter.push(c),
            Key::Erase => drop(self.level.filter.pop()),
            Key::Enter => self.typing = false,
            Key::Back => {
                self.typing = false;
                self.level.filter.clear();
            }
            _ => {}
        }
    }

    /// One level deeper: from all to one topic, from there to its events.
    fn enter(&mut self) {
        let (row, partition) = match self.items.get(self.level.at) {
            Some(Item::Row(row)) => (*row, None),
            Some(Item::Partition(row, number)) => (*row, Some(*number)),
            Some(Item::Event(_)) | None => return,
        };
        let Some(row) = self.figures.get(row) else { return };
        let (one, other) = match self.of {
            TopOf::Topics => (&row.topic, &row.service),
            TopOf::Services => (&row.service, &row.topic),
        };
        let deeper = match (self.level.place, partition) {
            (Place::All, _) => Level::new(Place::One(row.flow), one.clone()),
            (_, None) => Level::new(Place::Events(row.flow, None), format!("{other} {}", row.dir)),
            (_, Some(number)) => Level::new(Place::Events(row.flow, partition), format!("{other} [{number}]")),
        };
        self.level.chosen = Some((row.flow, partition));
        self.below.push(std::mem::replace(&mut self.level, deeper));
    }

    fn back(&mut self) {
        if !self.level.filter.is_empty() {
            self.level.filter.clear();
        } else if let Some(level) = self.below.pop() {
            self.level = level;
        }
    }

    fn go(&mut self, at: usize) {
        self.level.at = at.min(self.items.len().saturating_sub(1));
        self.level.chosen = self
            .items
            .get(self.level.at)
            .filter(|_| self.level.at > 0)
            .and_then(|item| self.identity(*item));
    }

    fn identity(&self, item: Item) -> Option<(Flow, Option<u32>)> {
        match item {
            Item::Row(row) => Some((self.figures.get(row)?.flow, None)),
            Item::Partition(row, number) => Some((self.figures.get(row)?.flow, Some(number))),
            Item::Event(_) => None,
        }
    }

    /// Puts into the list what belongs into it, in its order.
    fn arrange(&mut self, names: &Names) {
        rows::sort(&mut self.figures, self.sort, self.reverse, self.of);
        let filter = self.level.filter.to_lowercase();
        let passes = |text: &str| filter.is_empty() || text.to_lowercase().contains(&filter);
        self.items.clear();
        if let Place::Events(flow, partition) = self.level.place {
            let events = self.recent.get(&flow).into_iter().flatten().rev();
            let lines = events
                .filter(|event| partition.is_none_or(|partition| event.partition == Some(partition)))
                .map(|event| (show::compact(event, names), show::tone(event.outcome)));
            self.lines = lines.filter(|(line, _)| passes(line)).collect();
            self.items.extend((0..self.lines.len()).map(Item::Event));
        } else {
            let place = self.level.place;
            for (number, row) in self.figures.iter().enumerate() {
                if !self.belongs(row.flow) || !(passes(&row.topic) || passes(&row.service)) {
                    continue;
                }
                self.items.push(Item::Row(number));
                if place != Place::All {
                    let partitions: BTreeSet<u32> = row.partitions.keys().chain(row.lag_of.keys()).copied().collect();
                    self.items.extend(
                        partitions
                            .into_iter()
                            .map(|partition| Item::Partition(number, partition)),
                    );
                }
            }
        }
        let chosen = self.level.chosen;
        let moved = chosen.and_then(|_| self.items.iter().position(|item| self.identity(*item) == chosen));
        self.level.at = moved.unwrap_or(self.level.at).min(self.items.len().saturating_sub(1));
        self.scroll();
    }

    fn belongs(&self, flow: Flow) -> bool {
        match (self.level.place, self.of) {
            (Place::One(one), TopOf::Topics) => (one.topic, one.route) == (flow.topic, flow.route),
            (Place::One(one), TopOf::Services) => one.app == flow.app,
            _ => true,
        }
    }

    /// The chosen line is always seen, and no room is left empty.
    fn scroll(&mut self) {
        let Level { at, top, .. } = &mut self.level;
        let least = (*at + 1).saturating_sub(self.page);
        let most = (*at).min(self.items.len().saturating_sub(self.page));
        *top = (*top).clamp(least, most.max(least));
    }
}

/// The next column, or the one before; behind the last comes the first.
fn beside(sort: Sort, step: isize) -> Sort {
    let all = Sort::value_variants();
    let at = all.iter().position(|other| *other == sort).unwrap_or_default();
    let next = (at as isize + step).rem_euclid(all.len() as isize);
    all.get(next as usize).copied().unwrap_or(sort)
}

#[cfg(test)]
#[path = "state_tests.rs"]
pub(super) mod tests;
