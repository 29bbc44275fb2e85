//! `graph`: who publishes to, and who receives from, which topic.

mod draw;

use crate::{
    cli::{Format, Global, Graph, GraphFormat},
    events::Events,
    model::Outcome,
    printer::{Printer, Table, Tone, plain},
    problem::Problem,
};
use draw::Arrow;
use learnflow_flow::Names;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(600);

pub(crate) async fn run(args: &Graph, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let (rows, events) = Events::rows(&args.which, args.window, WINDOW, global, printer).await?;
    let arrows = arrows(&rows, &events.names());
    match args.output {
        GraphFormat::Json => printer.document(Format::Json, &arrows)?,
        GraphFormat::Dot => printer.data(&draw::dot(&arrows)),
        GraphFormat::Mermaid => printer.data(&draw::mermaid(&arrows)),
        GraphFormat::Svg => printer.data(&draw::svg(&arrows)),
        GraphFormat::Text if arrows.is_empty() => printer.hint("No events."),
        GraphFormat::Text => printer.table(&table(&arrows)),
    }
    Ok(Outcome::Good)
}

fn arrows(rows: &[learnflow_flow::Row], names: &Names) -> Vec<Arrow> {
    let mut arrows: Vec<Arrow> = rows
        .iter()
        .map(|row| {
            let topic = names.text(row.flow.topic);
            Arrow {
                topic: if row.flow.route {
                    format!("(bulk) {topic}")
                } else {
                    topic.to_owned()
                },
                service: names.text(row.flow.app).to_owned(),
                dir: if row.flow.delivers { "deliver" } else { "publish" },
                events: row.events(),
                failed: row.events() - row.success,
                rate: row.rate,
            }
        })
        .collect();
    arrows.sort_by(|a, b| (&a.topic, b.dir, &a.service).cmp(&(&b.topic, a.dir, &b.service)));
    arrows
}

/// One line a topic and direction, so that a long list can be searched.
fn table(arrows: &[Arrow]) -> Table {
    let mut table = Table::new(&["FROM", "", "TO", "RPS", "EVENTS", "FAILED"]);
    for arrow in arrows {
        let (from, to) = arrow.ends();
        let tone = if arrow.failed > 0 { Tone::Bad } else { Tone::Plain };
        table.rows.push(vec![
            plain(from),
            plain("→"),
            plain(to),
            plain(format!("{:.1}", arrow.rate)),
            plain(arrow.events.to_string()),
            (arrow.failed.to_string(), tone),
        ]);
    }
    table
}
