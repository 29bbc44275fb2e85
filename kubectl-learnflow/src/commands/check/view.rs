//! How a report looks to a person.

use super::{Report, State};
use crate::{
    printer::{Printer, Tone},
    text,
};

/// Section by section; `short` leaves out what holds.
pub(super) fn show(report: &Report, short: bool, printer: &Printer) {
    let mut section = "";
    let shown = report.findings.iter().filter(|f| !short || f.state != State::Ok);
    for finding in shown {
        if finding.section != section {
            if !section.is_empty() {
                printer.data("\n");
            }
            section = finding.section;
            printer.data_line(Tone::Plain, section);
            printer.data_line(Tone::Plain, &"-".repeat(section.len()));
        }
        let (sign, tone) = match finding.state {
            State::Ok => ("√", Tone::Good),
            State::Warning => ("‼", Tone::Warn),
            State::Failed => ("×", Tone::Bad),
        };
        printer.data_line(tone, &format!("{sign} {}", finding.text));
        if let Some(next) = &finding.next {
            printer.data_line(Tone::Plain, &format!("    {next}"));
        }
    }
    if !section.is_empty() {
        printer.data("\n");
    }
    let number = |state: State| report.findings.iter().filter(|f| f.state == state).count();
    let (failed, warnings) = (number(State::Failed), number(State::Warning));
    let looked = text::count(report.findings.len(), "check");
    match (failed, warnings) {
        (0, 0) => printer.data_line(Tone::Good, &format!("√ {looked}, all hold")),
        (0, n) => printer.data_line(Tone::Warn, &format!("√ {looked}, {}", text::count(n, "warning"))),
        (f, 0) => printer.data_line(Tone::Bad, &format!("× {looked}, {f} failed")),
        (f, n) => printer.data_line(
            Tone::Bad,
            &format!("× {looked}, {f} failed, {}", text::count(n, "warning")),
        ),
    }
}
