//! How a report looks to a person.

use super::{
    autoscaling,
    judge::{Report, Row, Verdict},
    resilience, topics,
};
use crate::printer::{Printer, Table, Tone, plain};

pub(super) fn show(report: &Report, wide: bool, printer: &Printer) {
    let version = |version: &Option<String>| version.as_deref().unwrap_or("-").trim_start_matches('v').to_owned();
    printer.data_line(
        Tone::Plain,
        &format!(
            "LearnFlow {} (plugin {})   Kubernetes {}   Dapr {}   namespace {}",
            version(&report.versions.installed),
            report.versions.plugin,
            version(&report.versions.kubernetes),
            version(&report.versions.dapr),
            report.namespace
        ),
    );
    if report.verdict != Verdict::NotInstalled {
        printer.data("\nSTACK\n");
        printer.table(&stack_table(report, wide));
        if let Some(memory) = &report.memory {
            printer.data(&format!("Memory: {}\n", memory.line()));
        }
        printer.data("\nSERVICES\n");
        printer.table(&service_table(&report.services, wide));
        if !report.resilience.is_empty() {
            printer.data("\nRESILIENCE\n");
            printer.table(&resilience::table(&report.resilience));
        }
        if !report.autoscaling.is_empty() {
            printer.data("\nAUTOSCALING\n");
            printer.table(&autoscaling::table(&report.autoscaling));
        }
        printer.data(&format!(
            "\nTOPICS of the last hour (COUNT since they came up, the rest over {})\n",
            topics::WINDOW
        ));
        match report.topics.as_deref() {
            None => printer.data("Unknown: Prometheus does not answer.\n"),
            Some([]) => printer.data("No event was seen in the last hour.\n"),
            Some(topics) => {
                let shown = if wide { topics.to_vec() } else { topics::busiest(topics) };
                printer.table(&topics::table(&shown, wide));
                if shown.len() < topics.len() {
                    let more = topics.len() - shown.len();
                    printer.data(&format!("… and {more} that are less busy: -o wide shows them.\n"));
                }
            }
        }
    }
    printer.data("\n");
    for note in &report.notes {
        printer.data_line(Tone::Warn, &format!("‼ {note}"));
    }
    if report.verdict == Verdict::Unknown {
        // The error that follows says it.
        return;
    }
    for problem in &report.problems {
        printer.data_line(Tone::Bad, &format!("× {problem}"));
    }
    match report.verdict {
        Verdict::Healthy => printer.data_line(Tone::Good, "√ healthy"),
        Verdict::NotInstalled => {
            printer.data_line(
                Tone::Plain,
                &format!("  Install it with `kubectl learnflow install -n {}`.", report.namespace),
            );
        }
        _ => printer.data_line(Tone::Bad, "× unhealthy"),
    }
}

fn stack_table(report: &Report, wide: bool) -> Table {
    let mut table = Table::new(&["KIND", "NAME", "READY", "STATE"]);
    if wide {
        table.header.push("MEMORY");
    }
    for part in &report.stack {
        let ready = match (part.ready, part.desired) {
            (Some(ready), Some(desired)) => format!("{ready}/{desired}"),
            _ => "-".into(),
        };
        let state = match (&part.reason, part.present) {
            (_, false) => ("missing".into(), Tone::Bad),
            (Some(reason), _) => (reason.clone(), Tone::Bad),
            (None, true) if !part.is_well() => ("not ready".into(), Tone::Bad),
            (None, true) => ("ok".into(), Tone::Good),
        };
        let name = part
            .namespace
            .as_ref()
            .map_or_else(|| part.name.clone(), |ns| format!("{ns}/{}", part.name));
        let mut cells = vec![plain(&part.kind), plain(name), plain(ready), state];
        if wide {
            let memory = report
                .memory
                .as_ref()
                .and_then(|memory| memory.of(part.namespace.as_deref(), &part.name));
            cells.push(plain(memory.unwrap_or_else(|| "-".into())));
        }
        table.rows.push(cells);
    }
    table
}

fn service_table(rows: &[Row], wide: bool) -> Table {
    let mut table = Table::new(&["DEPLOYMENT", "APP ID", "ENROLLED", "PODS", "MIDDLEWARE", "METRICS"]);
    if wide {
        table.header.push("REASON");
    }
    for row in rows {
        let of = |n: Option<usize>| match n {
            Some(n) if n < row.pods && row.enrolled => (format!("{n}/{}", row.pods), Tone::Bad),
            Some(n) => plain(format!("{n}/{}", row.pods)),
            None => plain("-"),
        };
        let enrolled = if row.enrolled {
            ("yes".into(), Tone::Good)
        } else {
            ("no".into(), Tone::Warn)
        };
        let pods = (
            format!("{}/{}", row.pods_ready, row.pods_desired),
            match row.pods_ready >= row.pods_desired {
                true => Tone::Plain,
                false => Tone::Bad,
            },
        );
        let mut cells = vec![
            plain(&row.deployment),
            plain(row.app_id.as_deref().unwrap_or("-")),
            enrolled,
            pods,
            of(row.middleware_loaded),
            of(row.metrics_scraped),
        ];
        if wide {
            cells.push(plain(row.reason.as_deref().unwrap_or("-")));
        }
        table.rows.push(cells);
    }
    table
}

pub(super) fn names(report: &Report, printer: &Printer) {
    let parts = report.stack.iter().filter(|part| part.present);
    for name in parts.map(|part| format!("{}/{}", part.kind.to_lowercase(), part.name)) {
        printer.data_line(Tone::Plain, &name);
    }
    for row in report.resilience.iter().filter(|row| row.learnflow) {
        printer.data_line(Tone::Plain, &format!("resiliency/{}", row.name));
    }
    for row in report.autoscaling.iter().filter(|row| row.learnflow) {
        printer.data_line(Tone::Plain, &format!("horizontalpodautoscaler/{}", row.deployment));
    }
    for row in report.services.iter().filter(|row| row.enrolled) {
        printer.data_line(Tone::Plain, &format!("deployment/{}", row.deployment));
    }
}
