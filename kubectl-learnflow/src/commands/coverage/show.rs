//! Rows of the table, and what to do about them.

use crate::{
    cli::{Coverage, CoverageFormat, Format},
    coverage::Row,
    printer::{Mark, Printer, Table, Tone, plain, success},
    problem::Problem,
    text::format_duration,
};
use serde_json::json;
use std::collections::BTreeSet;

pub(super) fn rows(rows: &[Row], notes: &[String], args: &Coverage, printer: &Printer) -> Result<(), Problem> {
    match args.output {
        CoverageFormat::Json => {
            let document = json!({
                "windowSeconds": args.window.as_secs_f64(),
                "min": args.min.map(|min| min.0),
                "rows": rows,
                "notes": notes,
            });
            printer.document(Format::Json, &document)
        }
        CoverageFormat::Table if rows.is_empty() => {
            let window = format_duration(args.window);
            printer.hint(&format!(
                "Nothing was published or delivered in {window}. Look for longer with --window."
            ));
            Ok(())
        }
        CoverageFormat::Table => {
            printer.table(&table(rows));
            advice(rows, printer);
            Ok(())
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "SERVICE", "TOPIC", "DIR", "BROKER", "SIDECAR", "RECORDS", "SPANS", "COVERED", "WHY",
    ]);
    let pubsubs: BTreeSet<&str> = rows
        .iter()
        .map(|row| row.pubsub.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    for row in rows {
        let number = |number: Option<u64>| plain(number.map_or_else(|| "-".into(), |number| number.to_string()));
        let topic = match pubsubs.len() > 1 && !row.pubsub.is_empty() {
            true => format!("{}/{}", row.pubsub, row.topic),
            false => row.topic.clone(),
        };
        let why: Vec<String> = row.why.iter().map(|why| why.words()).collect();
        let tone = match row.covered {
            Some(covered) if covered < 1.0 => Tone::Warn,
            _ => Tone::Plain,
        };
        table.rows.push(vec![
            plain(row.service.clone()),
            plain(topic),
            plain(row.dir.as_str()),
            number(row.broker),
            number(row.sidecar),
            number(row.records),
            number(row.spans),
            success(row.covered),
            (if why.is_empty() { "-".into() } else { why.join("; ") }, tone),
        ]);
    }
    table
}

/// The same advice is given once.
fn advice(rows: &[Row], printer: &Printer) {
    let mut said = BTreeSet::new();
    for row in rows {
        for why in &row.why {
            if said.insert(why.advice()) {
                printer.step(Mark::Warn, &format!("{}: {}", row.arrow(), why.words()));
                printer.hint(why.advice());
            }
        }
    }
}
