//! How an explanation looks to a person, and to a program.

use super::told;
use crate::{
    printer::{Printer, Table, Tone, plain},
    text,
};
use learnflow_resilience::{
    explain::{Blocking, Explanation, Finding, Flow, Schedule, Severity, blocking, length, parts, plain as sentences},
    policy::{Backoff, Retry},
    read::{Direction, Origin, Place, Target},
};
use serde_json::{Value, json};

pub(super) fn show(explanation: &Explanation, wide: bool, printer: &Printer) {
    printer.data("POLICIES\n");
    let mut table = Table::new(&[
        "APPS",
        "TARGET",
        "DIR",
        "TIMEOUT",
        "RETRIES",
        "BREAKER OPENS WHEN",
        "BLOCKS UP TO",
    ]);
    for flow in &explanation.flows {
        let [timeout, retries, breaker] = parts(flow);
        table.rows.push(vec![
            plain(apps(flow, explanation)),
            plain(target(&flow.target)),
            plain(direction(flow.direction)),
            plain(timeout),
            plain(retries),
            plain(breaker),
            blocks(flow),
        ]);
    }
    printer.table(&table);
    let assumed = explanation.flows.iter().any(|flow| flow.assumed);
    if assumed {
        printer.data_line(
            Tone::Plain,
            "No Component was given: targets are taken for components of type pubsub.kafka.",
        );
    }
    if wide {
        for flow in &explanation.flows {
            words(flow, explanation, printer);
        }
    }
    findings(&explanation.findings, printer);
    printer.data("\n");
    let looked = text::count(explanation.flows.len(), "policy").replace("policys", "policies");
    verdict(&looked, &explanation.findings, printer);
}

pub(super) fn findings(findings: &[Finding], printer: &Printer) {
    if !findings.is_empty() {
        printer.data("\nFINDINGS\n");
    }
    for finding in findings {
        let (sign, tone) = match finding.severity {
            Severity::Error => ("×", Tone::Bad),
            Severity::Warning => ("‼", Tone::Warn),
            Severity::Note => ("·", Tone::Plain),
        };
        printer.data_line(tone, &format!("{sign} {} {}", finding.code.id, told(finding)));
        printer.data_line(Tone::Plain, &format!("    {}", finding.next));
    }
}

/// The last line: what was looked at, and how much is wrong with it.
pub(super) fn verdict(looked: &str, findings: &[Finding], printer: &Printer) {
    let number = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    match (errors, warnings) {
        (0, 0) => printer.data_line(Tone::Good, &format!("√ {looked}, nothing is wrong")),
        (0, n) => printer.data_line(Tone::Warn, &format!("√ {looked}, {}", text::count(n, "warning"))),
        (e, n) => {
            let both = format!("× {looked}, {}, {}", text::count(e, "error"), text::count(n, "warning"));
            printer.data_line(Tone::Bad, &both);
        }
    }
}

/// One flow in whole sentences.
fn words(flow: &Flow, explanation: &Explanation, printer: &Printer) {
    let title = format!(
        "\n{} {} {}\n",
        apps(flow, explanation),
        arrow(flow.direction),
        target(&flow.target)
    );
    printer.document_text(&title);
    for sentence in sentences(flow) {
        printer.data_line(Tone::Plain, &format!("    {sentence}"));
    }
    if !flow.topics.is_empty() {
        printer.data_line(Tone::Plain, &format!("    Topics: {}.", text::list(&flow.topics)));
    }
    let found = &flow.found;
    for (part, origin) in [
        ("timeout", &found.timeout),
        ("retry", &found.retry),
        ("breaker", &found.breaker),
    ] {
        if let Some(Origin { name, place }) = origin {
            let place = place
                .as_ref()
                .map_or_else(|| "built into Dapr".into(), ToString::to_string);
            printer.data_line(Tone::Plain, &format!("    {part}: {name} ({place})"));
        }
    }
}

fn apps(flow: &Flow, explanation: &Explanation) -> String {
    // Whoever is in no scope has no name.
    let named = explanation
        .flows
        .iter()
        .flat_map(|flow| &flow.apps)
        .any(|app| !app.is_empty());
    let nameless = if named { "(any other)" } else { "(every app)" };
    let (others, mut names): (Vec<&str>, Vec<&str>) =
        flow.apps.iter().map(String::as_str).partition(|name| name.is_empty());
    names.extend(others.first().map(|_| nameless));
    text::list(&names)
}

fn target(target: &Target) -> String {
    match target {
        Target::Component { name, .. } => name.clone(),
        Target::App(name) if name.is_empty() => "apps without an entry".into(),
        Target::App(name) => format!("app {name}"),
        Target::Actor(name) => format!("actor {name}"),
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "out",
        Direction::Inbound => "in",
    }
}

fn arrow(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "→",
        Direction::Inbound => "←",
    }
}

fn blocks(flow: &Flow) -> (String, Tone) {
    match blocking(&flow.found.policy) {
        Blocking::Most(longest) => plain(length(longest)),
        Blocking::Pauses(pauses, attempts) if pauses.is_zero() => plain(text::count(attempts as usize, "attempt")),
        Blocking::Pauses(pauses, attempts) => plain(format!(
            "{} + {}",
            length(pauses),
            text::count(attempts as usize, "attempt")
        )),
        Blocking::Endless => ("∞".into(), Tone::Warn),
    }
}

pub(super) fn document(explanation: &Explanation) -> Value {
    json!({
        "policies": explanation.flows.iter().map(flow_document).collect::<Vec<_>>(),
        "findings": explanation.findings.iter().map(finding_document).collect::<Vec<_>>(),
    })
}

fn flow_document(flow: &Flow) -> Value {
    let found = &flow.found;
    let (kind, name) = match &flow.target {
        Target::Component { name, .. } => ("component", name),
        Target::App(name) => ("app", name),
        Target::Actor(name) => ("actor", name),
    };
    let origin = |origin: &Option<Origin>| {
        origin
            .as_ref()
            .map(|origin| json!({ "name": origin.name, "place": origin.place.as_ref().map(place_document) }))
    };
    let breaker = found.policy.breaker.as_ref().map(|breaker| {
        json!({
            "trip": breaker.trip.text,
            "failuresInARow": breaker.trip.failures(),
            "timeoutSeconds": breaker.timeout.as_secs_f64(),
            "intervalSeconds": breaker.interval.map(|interval| interval.as_secs_f64()),
            "maxRequests": breaker.max_requests,
            "origin": origin(&found.breaker),
        })
    });
    let timeout = found.policy.timeout;
    json!({
        "apps": flow.apps,
        "target": { "kind": kind, "name": name, "assumed": flow.assumed },
        "direction": match flow.direction { Direction::Outbound => "outbound", Direction::Inbound => "inbound" },
        "topics": flow.topics,
        "timeout": timeout.map(|timeout| json!({ "seconds": timeout.as_secs_f64(), "origin": origin(&found.timeout) })),
        "retry": found.policy.retry.as_ref().map(|retry| {
            let mut document = retry_document(retry);
            document["origin"] = json!(origin(&found.retry));
            document["httpStatusCodes"] = json!(found.http_codes);
            document["gRPCStatusCodes"] = json!(found.grpc_codes);
            document
        }),
        "circuitBreaker": breaker,
        "componentRetry": found.around.as_ref().map(retry_document),
        "builtInRetry": found.within.as_ref().map(retry_document),
        "blocking": match blocking(&found.policy) {
            Blocking::Most(longest) => json!({ "seconds": longest.as_secs_f64(), "attempts": 0 }),
            Blocking::Pauses(pauses, attempts) => json!({ "seconds": pauses.as_secs_f64(), "attempts": attempts }),
            Blocking::Endless => Value::Null,
        },
        "plain": sentences(flow),
    })
}

fn retry_document(retry: &Retry) -> Value {
    let schedule = Schedule::of(retry);
    let seconds =
        |(least, most): &(std::time::Duration, std::time::Duration)| json!([least.as_secs_f64(), most.as_secs_f64()]);
    json!({
        "policy": match retry.backoff { Backoff::Constant { .. } => "constant", Backoff::Exponential { .. } => "exponential" },
        "maxRetries": retry.max_retries,
        "attempts": schedule.attempts,
        "pausesSeconds": schedule.pauses.iter().map(seconds).collect::<Vec<_>>(),
        "waitingSeconds": schedule.waiting.as_ref().map(seconds),
    })
}

pub(super) fn finding_document(finding: &Finding) -> Value {
    json!({
        "code": finding.code.id,
        "name": finding.code.name,
        "severity": severity(finding.severity),
        "text": finding.what,
        "next": finding.next,
        "places": finding.places.iter().map(place_document).collect::<Vec<_>>(),
        "apps": finding.apps,
    })
}

pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn place_document(place: &Place) -> Value {
    json!({ "file": place.file, "line": place.line, "object": place.object, "field": place.field })
}
