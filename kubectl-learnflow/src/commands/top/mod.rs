//! `top`: how much goes through topics and services, and how well.

mod lag;
mod live;
mod rows;
mod state;
mod view;

use crate::{
    cli::{Format, Global, Top, TopFormat},
    events::Events,
    model::Outcome,
    printer::Printer,
    problem::Problem,
};
use lag::Lags;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);

/// A table that moves, where somebody can see it move.
pub(crate) fn moves(args: &Top) -> bool {
    !args.once && args.output == TopFormat::Table && Printer::can_draw()
}

pub(crate) async fn run(args: &Top, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    if moves(args) {
        return live::run(args, global, printer).await;
    }
    if args.follow {
        return Err(Problem::new("-f has no end, and what is printed once has one.")
            .next("Leave -f out, or look at the table that moves: on a terminal, without --once and -o."));
    }
    let (rows, events) = Events::rows(&args.which, args.window, WINDOW, global, printer).await?;
    let lags = Lags::ask(&args.which, global).await.transpose();
    let mut rows = rows::rows(rows, &mut events.names(), lags.as_ref().ok().and_then(Option::as_ref));
    rows::sort(&mut rows, args.sort, false, args.what);
    match args.output {
        TopFormat::Json => printer.document(Format::Json, &rows)?,
        TopFormat::Table if rows.is_empty() => printer.hint(&format!("No events in that time. {WHO_WRITES}")),
        TopFormat::Table => printer.table(&rows::table(&rows, args.what)),
    }
    if let Err(problem) = lags {
        printer.hint(&no_lag(&problem));
    }
    Ok(Outcome::Good)
}

fn no_lag(problem: &Problem) -> String {
    format!("No lag is shown: {}", problem.what)
}

const WHO_WRITES: &str =
    "Only sidecars with the middleware write them down: `kubectl learnflow status` says which have it.";
