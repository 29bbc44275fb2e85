//! What a look has found that sends nothing and breaks nothing.

use crate::{
    cli::{Format, ReportFormat},
    model::Outcome,
    printer::{Printer, Tone},
    problem::Problem,
};
use serde_json::json;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) holds: bool,
    pub(super) text: String,
    pub(super) next: Option<String>,
}

pub(super) fn good(text: String) -> Finding {
    Finding {
        holds: true,
        text,
        next: None,
    }
}

pub(super) fn bad(text: String, next: &str) -> Finding {
    Finding {
        holds: false,
        text,
        next: Some(next.to_owned()),
    }
}

pub(super) fn show(findings: &[Finding], output: ReportFormat, printer: &Printer) -> Result<Outcome, Problem> {
    let broken = findings.iter().filter(|finding| !finding.holds).count();
    match output {
        ReportFormat::Json => {
            let each = |f: &Finding| json!({ "holds": f.holds, "text": f.text, "next": f.next });
            let each: Vec<_> = findings.iter().map(each).collect();
            printer.document(Format::Json, &json!({ "findings": each }))?;
        }
        ReportFormat::Table => {
            for finding in findings {
                let (sign, tone) = match finding.holds {
                    true => ("√", Tone::Good),
                    false => ("×", Tone::Bad),
                };
                printer.data_line(tone, &format!("{sign} {}", finding.text));
                if let Some(next) = &finding.next {
                    printer.data_line(Tone::Plain, &format!("    {next}"));
                }
            }
        }
    }
    Ok(if broken == 0 { Outcome::Good } else { Outcome::Bad })
}
