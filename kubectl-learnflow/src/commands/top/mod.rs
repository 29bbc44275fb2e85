//! `top`: how much goes through topics and services, and how well.

mod rows;

use crate::{
    cli::{Format, Global, Top, TopFormat},
    events::{Events, Seen},
    model::Outcome,
    printer::{Mark, Printer},
    problem::Problem,
};
use learnflow_flow::{Tally, Time, Window};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);

pub(crate) async fn run(args: &Top, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let saved = !args.which.file.is_empty();
    let window = args.window.or((!saved).then_some(WINDOW));
    // What is in files may be of any day: their window ends with their last event.
    let since = window.filter(|_| !saved);
    let mut events = Events::open(&args.which, since, false, global).await?;
    let mut tally = Tally::new(window.map_or(Window::All, seconds));
    while let Some(seen) = events.next().await {
        match seen {
            Seen::Note(note) => printer.step(Mark::Warn, &note),
            Seen::Event(event) => tally.add(&event),
        }
    }
    let now = if saved { tally.last() } else { now() };
    let names = events.names();
    let mut rows = rows::rows(tally.rows(now), &names, args.what);
    rows::sort(&mut rows, args.sort);
    match args.output {
        TopFormat::Json => printer.document(Format::Json, &rows)?,
        TopFormat::Table if rows.is_empty() => printer.hint(&nothing(window)),
        TopFormat::Table => printer.table(&rows::table(&rows, args.what)),
    }
    Ok(Outcome::Good)
}

fn nothing(window: Option<Duration>) -> String {
    let when = window.map_or_else(String::new, |window| {
        format!(" in the last {}", crate::text::format_duration(window))
    });
    format!(
        "No events{when}. Only sidecars with the middleware write them down: `kubectl learnflow status` says which have it."
    )
}

pub(super) fn seconds(window: Duration) -> Window {
    Window::Seconds(u32::try_from(window.as_secs()).unwrap_or(u32::MAX))
}

pub(super) fn now() -> Time {
    Time(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
}
