//! JUnit's XML: one test case for each object, which fails with its errors.

use super::told;
use learnflow_resilience::{
    explain::{Explanation, Finding, Severity},
    read::Objects,
};
use std::{collections::BTreeSet, fmt::Write};

pub(super) fn document(objects: &Objects, explanation: &Explanation) -> String {
    let mut names: BTreeSet<&str> = objects.metas().map(|meta| meta.place.object.as_str()).collect();
    // Those that could not be read are among no objects.
    names.extend(explanation.findings.iter().map(about));
    let failed = names.iter().filter(|name| fails(explanation, name)).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\"", names.len());
    let _ = writeln!(
        text,
        "<testsuites {counts}>\n  <testsuite name=\"learnflow explain\" {counts}>"
    );
    for name in &names {
        let here = || explanation.findings.iter().filter(|finding| about(finding) == *name);
        let _ = writeln!(text, "    <testcase classname=\"policies\" name=\"{}\">", escaped(name));
        for finding in here().filter(|finding| finding.severity == Severity::Error) {
            let (what, next) = (escaped(&told(finding)), escaped(&finding.next));
            let id = finding.code.id;
            let _ = writeln!(text, "      <failure type=\"{id}\" message=\"{what}\">{next}</failure>");
        }
        let rest: Vec<&Finding> = here().filter(|finding| finding.severity != Severity::Error).collect();
        if !rest.is_empty() {
            text.push_str("      <system-out>");
            for finding in rest {
                let line = format!("{} {} {}\n", finding.code.id, told(finding), finding.next);
                text.push_str(&escaped(&line));
            }
            text.push_str("</system-out>\n");
        }
        text.push_str("    </testcase>\n");
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn fails(explanation: &Explanation, name: &str) -> bool {
    let mut findings = explanation.findings.iter();
    findings.any(|finding| finding.severity == Severity::Error && about(finding) == name)
}

/// The object that it is about.
fn about(finding: &Finding) -> &str {
    finding
        .places
        .first()
        .map_or("Dapr's own policies", |place| place.object.as_str())
}

/// XML takes no control characters at all.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
