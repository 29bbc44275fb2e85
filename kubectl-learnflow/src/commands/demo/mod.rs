//! `demo`: a rehearsal without a cluster, told as a story or looked at with the verbs that show events.

mod story;

use super::{flow, graph, top, ui};
use crate::{
    cli::{Demo, DemoVerb, Global, Rehearsal, WhichEvents},
    model::Outcome,
    printer::{Mark, Printer, Tone},
    problem::Problem,
    rehearsal,
};
use std::sync::Arc;

pub(super) async fn run(args: Demo, global: &Global, printer: &Arc<Printer>) -> Result<Outcome, Problem> {
    let settings = args.rehearsal;
    match args.verb {
        None => story::tell(&settings, global, printer).await,
        Some(DemoVerb::Flow(mut flow)) => {
            rehearse(&mut flow.which, settings, printer)?;
            flow::run(&flow, global, printer).await
        }
        Some(DemoVerb::Top(mut top)) => {
            rehearse(&mut top.which, settings, printer)?;
            top::run(&top, global, printer).await
        }
        Some(DemoVerb::Graph(mut graph)) => {
            rehearse(&mut graph.which, settings, printer)?;
            graph::run(&graph, global, printer).await
        }
        Some(DemoVerb::Ui(mut page)) => {
            rehearse(&mut page.which, settings, printer)?;
            ui::run(&page.begun_now(), global, printer).await
        }
        Some(DemoVerb::Log) => log(&settings, printer),
    }
}

/// Gives a verb the rehearsal's events in place of a cluster's.
fn rehearse(which: &mut WhichEvents, settings: Rehearsal, printer: &Printer) -> Result<(), Problem> {
    if !which.file.is_empty() || which.all_namespaces {
        return Err(
            Problem::new("A rehearsal has events of its own, in no file and no namespace.")
                .next("Leave --file and -A out, or leave `demo` out to look at these."),
        );
    }
    which.rehearsal = Some(settings);
    printer.step(
        Mark::Warn,
        "A rehearsal: the middleware and its records are real; the services, Dapr and Kafka are a script",
    );
    Ok(())
}

fn log(settings: &Rehearsal, printer: &Printer) -> Result<Outcome, Problem> {
    let round = rehearsal::Rehearsal::new(settings)?.round(rehearsal::BEGINNING)?;
    for line in &round.lines {
        printer.data_line(Tone::Plain, line.text.trim_end());
        if !printer.is_read() {
            break;
        }
    }
    Ok(Outcome::Good)
}

#[cfg(test)]
mod tests;
