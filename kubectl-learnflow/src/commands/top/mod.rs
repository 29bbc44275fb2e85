//! `top`: how much goes through topics and services, and how well.

mod rows;

use crate::{
    cli::{Format, Global, Top, TopFormat},
    events::Events,
    model::Outcome,
    printer::Printer,
    problem::Problem,
};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);

pub(crate) async fn run(args: &Top, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let (rows, events) = Events::rows(&args.which, args.window, WINDOW, global, printer).await?;
    let mut rows = rows::rows(rows, &events.names(), args.what);
    rows::sort(&mut rows, args.sort);
    match args.output {
        TopFormat::Json => printer.document(Format::Json, &rows)?,
        TopFormat::Table if rows.is_empty() => printer.hint(
            "No events in that time. Only sidecars with the middleware write them down: `kubectl learnflow status` says which \
             have it.",
        ),
        TopFormat::Table => printer.table(&rows::table(&rows, args.what)),
    }
    Ok(Outcome::Good)
}
