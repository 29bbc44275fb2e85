//! `flow`: events as they happen.

pub(super) mod show;

use crate::{
    cli::{Flow, FlowFormat, Format, Global},
    events::{Events, Seen},
    model::Outcome,
    printer::{Mark, Printer},
    problem::Problem,
};
use learnflow_flow::{Counts, Event};
use std::{collections::VecDeque, time::Duration};

/// Without any other wish, so many.
const LAST: usize = 20;
/// A table, or a JSON document, is made of all events at once.
const AT_ONCE: usize = 100_000;

pub(crate) async fn run(args: &Flow, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let streams = matches!(args.output, FlowFormat::Compact | FlowFormat::Jsonl);
    if args.follow && !streams {
        return Err(Problem::new("-f has no end, and a table or a JSON document has one.")
            .next("Leave -f out, or print with -o compact or -o jsonl."));
    }
    let last = match args.last {
        Some(last) => Some(last as usize),
        None if args.follow || args.since.is_some() || args.which.are_saved() => None,
        None => Some(LAST),
    };
    // A file that is followed is shown from its beginning.
    let from_now = args.follow && args.which.file.is_empty();
    let since = args.since.or(from_now.then_some(Duration::ZERO));
    let mut events = Events::open(&args.which, since, args.follow, global).await?;
    if args.follow {
        printer.hint("Waiting for events. Ctrl-C ends it.");
    }
    let mut kept = VecDeque::new();
    let mut left_out = 0_u64;
    while let Some(seen) = events.next().await {
        match seen {
            Seen::Note(note) => printer.step(Mark::Warn, &note),
            Seen::Event(event) if streams && last.is_none() => {
                if !one(&event, &events, args.output, printer)? {
                    return Ok(Outcome::Good);
                }
            }
            Seen::Event(event) => {
                kept.push_back(event);
                if kept.len() > last.unwrap_or(AT_ONCE) {
                    kept.pop_front();
                    left_out += 1;
                }
            }
        }
    }
    if last.is_none() && left_out > 0 {
        printer.step(Mark::Warn, &format!("{left_out} earlier events are left out"));
        printer.hint("Print with -o compact or -o jsonl to have all, or choose with --since, --topic, --service.");
    }
    all(&kept, &events, args.output, printer)?;
    ending(events.counts(), printer);
    Ok(Outcome::Good)
}

/// False when nobody reads any more.
fn one(event: &Event, events: &Events, format: FlowFormat, printer: &Printer) -> Result<bool, Problem> {
    let names = events.names();
    if format == FlowFormat::Jsonl {
        return printer.json_line(&show::Shown::of(event, &names));
    }
    printer.data_line(show::tone(event.outcome), &show::compact(event, &names));
    Ok(printer.is_read())
}

fn all(kept: &VecDeque<Event>, events: &Events, format: FlowFormat, printer: &Printer) -> Result<(), Problem> {
    match format {
        FlowFormat::Compact | FlowFormat::Jsonl => {
            for event in kept {
                if !one(event, events, format, printer)? {
                    break;
                }
            }
        }
        FlowFormat::Table => {
            let names = events.names();
            let mut table = show::header();
            table.rows = kept.iter().map(|event| show::row(event, &names)).collect();
            printer.table(&table);
        }
        FlowFormat::Json => {
            let names = events.names();
            let shown: Vec<_> = kept.iter().map(|event| show::Shown::of(event, &names)).collect();
            printer.document(Format::Json, &shown)?;
        }
    }
    Ok(())
}

pub(super) fn ending(counts: Counts, printer: &Printer) {
    if counts.broken > 0 {
        let text = format!(
            "{} of {} lines begin like a record and are broken or cut",
            counts.broken, counts.lines
        );
        printer.step(Mark::Warn, &text);
    }
    if counts.events == 0 {
        printer.hint(&format!(
            "No record in {} lines. Only sidecars with the middleware write them: `kubectl learnflow status` says which have it.",
            counts.lines
        ));
    }
}
