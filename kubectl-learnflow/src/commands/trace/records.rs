//! The records of the sidecars, of the cluster or in files.

use crate::{
    cli::{Global, Trace, WhichEvents},
    events::{Events, Seen},
    printer::{Mark, Printer},
    problem::Problem,
    trace::{Known, Records, Sieve},
};

pub(super) async fn read(args: &Trace, known: &Known, global: &Global, printer: &Printer) -> Result<Records, Problem> {
    let which = WhichEvents {
        file: args.file.clone(),
        all_namespaces: args.all_namespaces,
        ..WhichEvents::default()
    };
    let mut events = Events::open(&which, args.since, false, global).await?;
    let mut sieve = Sieve::new(known);
    while let Some(seen) = events.next().await {
        match seen {
            Seen::Note(note) => printer.step(Mark::Warn, &note),
            Seen::Event(event) => sieve.take(event, &events.names()),
        }
    }
    if sieve.left_out > 0 {
        let text = format!(
            "{} records more of this event or its trace are left out",
            sieve.left_out
        );
        printer.step(Mark::Warn, &text);
    }
    let mut records = sieve.found;
    records.counts = events.counts();
    Ok(records)
}
