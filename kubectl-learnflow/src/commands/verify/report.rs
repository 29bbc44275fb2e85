//! What was found, for a person and for a program.

use super::{Scene, dead_letters::Died, promises, sidecar::Counted};
use crate::{
    cli::{Format, ReportFormat},
    model::Outcome,
    outage::Fault,
    printer::{Printer, Table, Tone, plain},
    problem::Problem,
};
use learnflow_resilience::{
    compare::{Comparison, During, compare, words},
    simulate::Mode,
    verdict::{self, Answer, Call, Delivery, Promise, Seen, State},
};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) struct Found {
    pub(super) seen: Seen,
    /// When the last pod of Kafka was gone.
    pub(super) away: Duration,
    /// Dead letters of others.
    pub(super) died: Died,
    /// What the sidecar had counted before and after; the error is its own.
    pub(super) before: Result<Counted, String>,
    pub(super) after: Result<Counted, String>,
}

pub(super) fn show(found: &Found, scene: &Scene, output: ReportFormat, printer: &Printer) -> Result<Outcome, Problem> {
    let judged = verdict::judge(&found.seen);
    let comparison = compare(&found.seen, &scene.policy, scene.args.rate);
    match output {
        ReportFormat::Json => {
            let document = document(found, scene, &judged, comparison.as_ref());
            printer.document(Format::Json, &document)?;
        }
        ReportFormat::Table => table(found, scene, &judged, comparison.as_ref(), printer),
    }
    promises::outcome(
        &judged,
        "Mend that and run it again; --skip-delivery leaves out whether events have arrived.",
    )
}

fn table(found: &Found, scene: &Scene, judged: &[Promise], comparison: Option<&Comparison>, printer: &Printer) {
    let Figures {
        sent,
        accepted,
        refused,
        unknown,
        p50,
        p95,
        slowest,
    } = Figures::of(&found.seen.calls);
    printer.data_line(Tone::Plain, "WHAT HAPPENED");
    let mut happened = Table::new(&["WHAT", "SEEN"]);
    let mut row = |what: &str, seen: String| happened.rows.push(vec![plain(what), plain(seen)]);
    row("declared", words(&scene.policy));
    row(
        "Kafka",
        format!(
            "told to go at 0.0s, gone at {}, back at {}",
            at(found.away),
            at(found.seen.back)
        ),
    );
    let mut calls = format!("{sent} sent, {accepted} accepted, {refused} refused");
    if unknown > 0 {
        calls.push_str(&format!(", {unknown} without an answer"));
    }
    row("calls", calls);
    row(
        "accepted after",
        format!("p50 {}, p95 {}, slowest {}", span(p50), span(p95), span(slowest)),
    );
    row("breaker by calls", by_calls(&found.seen));
    row("breaker by metrics", by_metrics(found));
    row("retries", retries(found));
    row("dead letters", found.died.sentence());
    if let Some(Comparison {
        seen, mode, simulated, ..
    }) = comparison
    {
        row("since it was away", during(seen));
        row("by simulation", format!("{} ({})", during(simulated), network(*mode)));
    }
    printer.table(&happened);
    for disagreement in verdict::disagreements(&found.seen) {
        printer.data_line(Tone::Warn, &format!("‼ {disagreement}"));
    }
    for topic in found.died.topics() {
        let look = format!("‼ Events died meanwhile: `kubectl learnflow dlq show {topic}`.");
        printer.data_line(Tone::Warn, &look);
    }
    for apart in comparison.iter().flat_map(|comparison| &comparison.apart) {
        printer.data_line(Tone::Warn, &format!("‼ Not as simulated: {apart}."));
    }
    printer.data("\n");
    promises::show(judged, printer);
}

/// What a network makes of connections to a Kafka that is away.
fn network(mode: Mode) -> &'static str {
    match mode {
        Mode::Hang => "connections hang",
        _ => "connections are refused",
    }
}

fn during(during: &During) -> String {
    let breaker = if during.breaker_opened {
        "breaker opened"
    } else {
        "breaker not opened"
    };
    format!(
        "{} calls, {:.0} % refused, answers after p50 {:.1}s, p95 {:.1}s, {breaker}",
        during.calls,
        during.refused * 100.0,
        during.p50.as_secs_f64(),
        during.p95.as_secs_f64()
    )
}

struct Figures {
    sent: usize,
    accepted: usize,
    refused: usize,
    unknown: usize,
    p50: Option<Duration>,
    p95: Option<Duration>,
    slowest: Option<Duration>,
}

impl Figures {
    fn of(calls: &[Call]) -> Self {
        let count = |is: fn(&Answer) -> bool| calls.iter().filter(|call| is(&call.answer)).count();
        let mut took: Vec<Duration> = calls
            .iter()
            .filter(|call| call.answer == Answer::Accepted)
            .map(|call| call.took)
            .collect();
        took.sort();
        Self {
            sent: calls.len(),
            accepted: took.len(),
            refused: count(|answer| matches!(answer, Answer::Refused { .. })),
            unknown: count(|answer| matches!(answer, Answer::Unknown(_))),
            p50: verdict::quantile(&took, 0.5),
            p95: verdict::quantile(&took, 0.95),
            slowest: took.last().copied(),
        }
    }
}

fn by_calls(seen: &Seen) -> String {
    let refused = |call: &&Call| matches!(call.answer, Answer::Refused { by_breaker: true, .. });
    let ended: Vec<Duration> = seen.calls.iter().filter(refused).map(Call::ended).collect();
    match (ended.iter().min(), ended.iter().max()) {
        (Some(first), Some(last)) => format!(
            "open from {} to {}: {} refused by it",
            at(*first),
            at(*last),
            ended.len()
        ),
        _ => "never open: no answer says so".into(),
    }
}

fn by_metrics(found: &Found) -> String {
    if let Err(why) = &found.after {
        return format!("not seen: {why}");
    }
    let states = transitions(&found.seen.states);
    match states.as_slice() {
        [] => "not seen: the metrics were never read".into(),
        [(_, State::None)] => "none".into(),
        all => {
            let each: Vec<String> = all
                .iter()
                .map(|(when, state)| format!("{} at {}", name(*state), at(*when)))
                .collect();
            each.join(", ")
        }
    }
}

fn transitions(states: &[(Duration, State)]) -> Vec<(Duration, State)> {
    let mut changes: Vec<(Duration, State)> = Vec::new();
    for (when, state) in states {
        if changes.last().is_none_or(|(_, last)| last != state) {
            changes.push((*when, *state));
        }
    }
    changes
}

fn name(state: State) -> &'static str {
    match state {
        State::None => "none",
        State::Closed => "closed",
        State::HalfOpen => "half-open",
        State::Open => "open",
    }
}

fn retried(found: &Found) -> Option<f64> {
    let (before, after) = (found.before.as_ref().ok()?, found.after.as_ref().ok()?);
    Some(after.retries - before.retries)
}

fn retries(found: &Found) -> String {
    match retried(found) {
        Some(retries) => format!("{retries} counted by the sidecar"),
        None => "not seen: the metrics cannot be read".into(),
    }
}

fn at(when: Duration) -> String {
    format!("{:.1}s", when.as_secs_f64())
}

fn span(duration: Option<Duration>) -> String {
    duration.map_or("-".into(), |duration| {
        crate::text::format_seconds(duration.as_secs_f64())
    })
}

fn document(found: &Found, scene: &Scene, judged: &[Promise], comparison: Option<&Comparison>) -> Value {
    let seen = &found.seen;
    let figures = Figures::of(&seen.calls);
    let seconds = |duration: Duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0;
    let of = |duration: Option<Duration>| duration.map(seconds);
    let fault = match &scene.fault {
        Fault::Scale { object, replicas } => json!({ "scaled": object.to_string(), "from": replicas }),
        Fault::Commands { breaks, restores } => json!({ "break": breaks, "restore": restores }),
    };
    let delivery = match &seen.delivery {
        Delivery::Skipped => json!({ "checked": false }),
        Delivery::Failed(why) => json!({ "checked": false, "why": why }),
        Delivery::Checked {
            delivered,
            twice,
            discarded,
        } => {
            json!({ "checked": true, "delivered": delivered.len(), "twice": twice.len(), "discarded": discarded.len() })
        }
    };
    let call = |call: &Call| {
        let (answer, code, text) = match &call.answer {
            Answer::Accepted => ("accepted", None, None),
            Answer::Refused { code, text, .. } => ("refused", Some(*code), Some(text)),
            Answer::Unknown(why) => ("unknown", None, Some(why)),
        };
        json!({ "number": call.number, "begun_s": seconds(call.begun), "took_s": seconds(call.took), "answer": answer,
            "code": code, "text": text })
    };
    let during = |during: &During| {
        json!({ "calls": during.calls, "refused_share": during.refused, "p50_s": seconds(during.p50), "p95_s": seconds(during.p95),
            "breaker_opened": during.breaker_opened })
    };
    let comparison = comparison.map(|comparison| {
        json!({ "from_s": seconds(comparison.from), "seen": during(&comparison.seen), "simulated": during(&comparison.simulated), "network": network(comparison.mode),
            "apart": comparison.apart })
    });
    let states = transitions(&seen.states);
    let states: Vec<Value> = states
        .iter()
        .map(|(at, state)| json!({ "at_s": seconds(*at), "state": name(*state) }))
        .collect();
    json!({
        "promises": judged.iter().map(promises::document).collect::<Vec<_>>(),
        "fault": fault,
        "declared": words(&scene.policy),
        "comparison": comparison,
        "pod": scene.pod.name, "pubsub": scene.pubsub, "topic": scene.args.topic, "rate": scene.args.rate,
        "budget_s": seconds(seen.budget), "gone_s": seconds(found.away), "back_s": seconds(seen.back),
        "calls": { "sent": figures.sent, "accepted": figures.accepted, "refused": figures.refused, "unknown": figures.unknown,
            "p50_s": of(figures.p50), "p95_s": of(figures.p95), "slowest_s": of(figures.slowest) },
        "breaker": { "by_calls": by_calls(seen), "by_metrics": states },
        "retries": retried(found),
        "disagreements": verdict::disagreements(seen),
        "delivery": delivery,
        "dead_letters": found.died.document(),
        "each": seen.calls.iter().map(call).collect::<Vec<_>>(),
    })
}
