//! The page and its events in one file that needs no server.

use crate::{
    assets::page::{self, Settings},
    events::{Events, Seen},
    model::Outcome,
    printer::{Mark, Printer},
    problem::Problem,
    text::format_bytes,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use std::{collections::VecDeque, fs, io::Write, path::Path};

/// A browser holds these without effort; packed, an event is a few dozen bytes.
const MOST: usize = 200_000;

pub(super) async fn write(
    mut events: Events,
    settings: &Settings<'_>,
    file: &Path,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let mut lines = VecDeque::new();
    let mut left_out = 0_u64;
    while let Some(seen) = events.next().await {
        match seen {
            Seen::Note(note) => printer.step(Mark::Warn, &note),
            Seen::Event(event) => {
                lines.push_back(event.log_line(&events.names()) + "\n");
                if lines.len() > MOST {
                    lines.pop_front();
                    left_out += 1;
                }
            }
        }
    }
    let cannot = |e: std::io::Error| Problem::new(format!("Cannot write {}: {e}.", file.display()));
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    for line in &lines {
        packed.write_all(line.as_bytes()).map_err(cannot)?;
    }
    let data = STANDARD.encode(packed.finish().map_err(cannot)?);
    let html = page::whole(settings, &data);
    fs::write(file, &html).map_err(cannot)?;
    if left_out > 0 {
        printer.step(Mark::Warn, &format!("{left_out} earlier events are left out"));
    }
    let (count, size) = (lines.len(), format_bytes(html.len() as u64));
    printer.step(Mark::Good, &format!("{}: {count} events, {size}", file.display()));
    Ok(Outcome::Good)
}
