//! The live table as a picture. A narrow terminal gets fewer columns, a low one fewer lines around the list.

use super::{
    WHO_WRITES, rows,
    state::{Item, Place, State},
};
use crate::{
    printer::{Tone, plain},
    text::{count, format_duration, harmless},
};
use learnflow_flow::Window;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Widget, Wrap},
};
use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns in the order in which a narrow terminal does without them: the last two stay whatever happens.
const DISPENSABLE: [usize; rows::COLUMNS] = [rows::SKEW, 5, 7, 10, 8, 2, 6, 3, rows::LAG, 4, 1, 0];
const GAP: usize = 2;
/// A name is cut before a figure is left out, but not shorter than a fifth of the width, within these.
const SHORTEST: (usize, usize) = (11, 24);

const KEYS: &str = "q quit  ↑↓ choose  enter deeper  esc back  / filter  ←→ sort  r reverse  space pause  ? help";

const HELP: &[&str] = &[
    "↑ ↓ j k, page up and down, home, end   choose a line",
    "enter   deeper: a topic's services and partitions, their last events",
    "esc     back",
    "/       show only names with this in them; esc ends it",
    "← → < > sort by another column",
    "r       the other way round",
    "space   hold still; events are counted on",
    "q       quit, as Ctrl-C does",
    "",
    "RPS: events a second. P50 to P99: how long calls took. AGE_P95: how old events were when they were delivered.",
    "LAG: events that wait in Kafka, where Prometheus knows.",
    "RETRIES: attempts that the app did not take. SKEW: the fullest partition against the average, of a partition: itself.",
];

/// What of a terminal's height is there for what.
#[derive(Debug, Clone, Copy)]
struct Lines {
    title: bool,
    header: bool,
    note: bool,
    keys: bool,
}

impl Lines {
    fn of(state: &State, height: u16) -> Self {
        Self {
            title: height >= 4,
            header: height >= 3,
            note: height >= 6 && !state.notes.is_empty(),
            // What is typed must be seen.
            keys: height >= 5 || (state.typing && height >= 2),
        }
    }

    fn count(self) -> u16 {
        [self.title, self.header, self.note, self.keys]
            .map(u16::from)
            .iter()
            .sum()
    }
}

/// How many lines of the list a terminal of this height shows.
pub(super) fn page(state: &State, height: u16) -> usize {
    usize::from(height.saturating_sub(Lines::of(state, height).count()))
}

pub(super) fn draw(state: &State, color: bool, buffer: &mut Buffer) {
    let mut area = buffer.area;
    let lines = Lines::of(state, area.height);
    if lines.title {
        title(state, top(&mut area), buffer);
    }
    if lines.keys {
        keys(state, bottom(&mut area), buffer);
    }
    if lines.note {
        note(state, color, bottom(&mut area), buffer);
    }
    if state.help {
        let notes = state.notes.iter().map(|note| format!("‼ {}", harmless(note)));
        let help: Vec<String> = HELP
            .iter()
            .map(ToString::to_string)
            .chain([String::new()])
            .chain(notes)
            .collect();
        paragraph(&help.join("\n"), area, buffer);
        return;
    }
    let head = lines.header.then(|| top(&mut area));
    let (header, cells) = match state.level.place {
        Place::Events(..) => (vec![plain("LAST EVENTS, the newest first")], events(state, &area)),
        _ => (header(state), figures(state, &area)),
    };
    let widths = widths(&header, &cells, rows::have_lag(&state.figures), usize::from(area.width));
    if let Some(head) = head {
        line(&header, &widths, false, head, buffer);
        buffer.set_style(head, Style::default().add_modifier(Modifier::BOLD));
    }
    if cells.is_empty() {
        paragraph(&empty(state), area, buffer);
    }
    for (at, cells) in cells.iter().enumerate() {
        let here = top(&mut area);
        line(cells, &widths, color, here, buffer);
        if state.level.top + at == state.level.at {
            buffer.set_style(here, Style::default().add_modifier(Modifier::REVERSED));
        }
    }
}

fn header(state: &State) -> Vec<(String, Tone)> {
    let mut header = rows::header(state.of).map(plain).to_vec();
    if let Some((text, _)) = header.get_mut(rows::place(state.sort)) {
        text.push(if state.reverse { '▲' } else { '▼' });
    }
    header
}

/// What of the list is seen.
fn seen<'a>(state: &'a State, area: &Rect) -> impl Iterator<Item = &'a Item> {
    state.items.iter().skip(state.level.top).take(usize::from(area.height))
}

fn figures(state: &State, area: &Rect) -> Vec<Vec<(String, Tone)>> {
    let figures = |item: &Item| {
        let (Item::Row(row) | Item::Partition(row, _)) = *item else {
            return None;
        };
        let row = state.figures.get(row)?;
        let Item::Partition(_, number) = *item else {
            return Some(rows::cells(row, state.of).to_vec());
        };
        let of = row.partitions.get(&number).copied().unwrap_or_default();
        let lag = row.lag_of.get(&number).map(u64::to_string);
        let mut cells = vec![plain(""); rows::COLUMNS];
        cells[0] = plain(format!("  [{number}]"));
        cells[1] = plain(count(usize::try_from(of).unwrap_or(usize::MAX), "event"));
        cells[rows::LAG] = plain(lag.unwrap_or_default());
        cells[rows::SKEW] = plain(
            row.skew_of(number)
                .map_or_else(String::new, |skew| format!("{skew:.1}")),
        );
        Some(cells)
    };
    seen(state, area).filter_map(figures).collect()
}

fn events(state: &State, area: &Rect) -> Vec<Vec<(String, Tone)>> {
    let line = |item: &Item| match *item {
        Item::Event(at) => state.lines.get(at).cloned().map(|line| vec![line]),
        _ => None,
    };
    seen(state, area).filter_map(line).collect()
}

fn empty(state: &State) -> String {
    if !state.level.filter.is_empty() {
        return format!("Nothing has `{}` in it. Esc shows all.", harmless(&state.level.filter));
    }
    match (state.level.place, state.ended) {
        (Place::All, false) => format!("No events yet. {WHO_WRITES}"),
        (Place::All, true) => format!("No events. {WHO_WRITES}"),
        _ => "No events of it in this time.".into(),
    }
}

/// How wide each column is; what there is no room for has no width.
fn widths(header: &[(String, Tone)], rows: &[Vec<(String, Tone)>], lag: bool, width: usize) -> Vec<usize> {
    let of = |(text, _): &(String, Tone)| harmless(text).width();
    let mut wanted: Vec<usize> = header.iter().map(of).collect();
    for row in rows {
        for (most, cell) in wanted.iter_mut().zip(row) {
            *most = (*most).max(of(cell));
        }
    }
    if wanted.len() < rows::COLUMNS {
        return vec![width];
    }
    if !lag {
        wanted[rows::LAG] = 0;
    }
    let sum = |widths: &[usize]| {
        widths
            .iter()
            .filter(|width| **width > 0)
            .map(|width| width + GAP)
            .sum::<usize>()
    };
    let room = width + GAP;
    let shortest = (width / 5).clamp(SHORTEST.0, SHORTEST.1);
    let names: usize = wanted.iter().take(2).map(|name| (*name).min(shortest) + GAP).sum();
    for column in DISPENSABLE.iter().take(rows::COLUMNS - 2) {
        if names + sum(&wanted[2..]) > room {
            wanted[*column] = 0;
        }
    }
    // Names get what is left: the longer one is cut first.
    let left = room.saturating_sub(sum(&wanted[2..]) + 2 * GAP);
    while wanted[0] + wanted[1] > left {
        let longer = usize::from(wanted[1] > wanted[0]);
        match wanted[longer] {
            0 => break,
            _ => wanted[longer] -= 1,
        }
    }
    wanted
}

fn line(cells: &[(String, Tone)], widths: &[usize], color: bool, area: Rect, buffer: &mut Buffer) {
    let mut spans = Vec::new();
    for ((text, tone), width) in cells.iter().zip(widths).filter(|(_, width)| **width > 0) {
        let text = cut(&harmless(text), *width);
        let fill = " ".repeat(width.saturating_sub(text.width()) + GAP);
        spans.push(Span::styled(text, style(*tone, color)));
        spans.push(Span::raw(fill));
    }
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
}

fn style(tone: Tone, color: bool) -> Style {
    match tone {
        _ if !color => Style::default(),
        Tone::Plain => Style::default(),
        Tone::Good => Style::default().fg(Color::Green),
        Tone::Warn => Style::default().fg(Color::Yellow),
        Tone::Bad => Style::default().fg(Color::Red),
    }
}

/// Where one is on the left, what is special now on the right.
fn title(state: &State, area: Rect, buffer: &mut Buffer) {
    let path: Vec<_> = state.path().map(harmless).collect();
    let text = path.join(" › ");
    let mut said = vec![match state.window {
        Window::All => "all there is".to_owned(),
        Window::Seconds(seconds) => format!("last {}", format_duration(Duration::from_secs(seconds.into()))),
    }];
    if !state.level.filter.is_empty() {
        said.push(format!("with `{}`", harmless(&state.level.filter)));
    }
    if state.ended {
        said.push("at its end".into());
    }
    if state.paused {
        said.push("PAUSED".into());
    }
    let right = said.join(", ");
    let width = usize::from(area.width);
    let left = width.saturating_sub(right.width() + GAP);
    if left < SHORTEST.0 {
        buffer.set_string(area.x, area.y, cut(&text, width), Style::default());
        return;
    }
    let text = cut(&text, left);
    let fill = " ".repeat(width.saturating_sub(text.width() + right.width()));
    buffer.set_string(area.x, area.y, text + &fill + &right, Style::default());
}

fn keys(state: &State, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    if state.typing {
        let prompt = format!("/{}█", harmless(&state.level.filter));
        buffer.set_string(area.x, area.y, cut(&prompt, width), Style::default());
        return;
    }
    // Whole words only.
    let mut text = String::new();
    for key in KEYS.split("  ") {
        if text.width() + key.width() + GAP > width {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { "  " });
        text.push_str(key);
    }
    buffer.set_string(area.x, area.y, text, Style::default().add_modifier(Modifier::DIM));
}

fn note(state: &State, color: bool, area: Rect, buffer: &mut Buffer) {
    let Some(last) = state.notes.back() else { return };
    let more = match state.notes.len() {
        1 => String::new(),
        notes => format!("({} more: ?) ", notes - 1),
    };
    let text = cut(&format!("‼ {more}{}", harmless(last)), usize::from(area.width));
    buffer.set_string(area.x, area.y, text, style(Tone::Warn, color));
}

fn paragraph(text: &str, area: Rect, buffer: &mut Buffer) {
    Paragraph::new(text).wrap(Wrap { trim: false }).render(area, buffer);
}

/// What fits, with `…` for the rest.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = |c: &char| {
        let rest = room.checked_sub(c.width().unwrap_or_default());
        room = rest.unwrap_or_default();
        rest.is_some()
    };
    let begin: String = text.chars().take_while(fits).collect();
    if width == 0 { begin } else { begin + "…" }
}

/// Takes the first line off.
fn top(area: &mut Rect) -> Rect {
    let first = Rect {
        height: area.height.min(1),
        ..*area
    };
    area.y += first.height;
    area.height -= first.height;
    first
}

/// Takes the last line off.
fn bottom(area: &mut Rect) -> Rect {
    let height = area.height.min(1);
    area.height -= height;
    Rect {
        y: area.y + area.height,
        height,
        ..*area
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
