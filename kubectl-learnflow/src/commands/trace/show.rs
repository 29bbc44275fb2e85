//! A timeline, as a person or a program reads it.

use crate::{
    commands::flow::show::{outcome, tone},
    printer::{Mark, Printer, Table, Tone, plain},
    text::format_seconds,
    trace::{Asked, Hop, Missing, Place, Step, Timeline},
};
use learnflow_core::Outcome;
use learnflow_flow::Time;
use serde::Serialize;

/// How long a bar can be.
const BAR: usize = 24;

pub(super) fn print(asked: &Asked, timeline: &Timeline, printer: &Printer) {
    let Some(first) = timeline.steps.first() else {
        printer.step(Mark::Bad, &format!("Nothing is known of {asked}"));
        for Missing { what, why } in &timeline.missing {
            printer.hint(&format!("{what}: {why}"));
        }
        return;
    };
    let places: Vec<String> = timeline.places.iter().map(Place::to_string).collect();
    let trace = timeline.trace.clone();
    for (name, values) in [
        ("Place", places),
        ("Event", timeline.events.clone()),
        ("Trace", trace.into_iter().collect()),
        ("Begins", vec![first.begin.rfc3339()]),
    ] {
        for value in values {
            printer.data_line(Tone::Plain, &format!("{:<8}{value}", format!("{name}:")));
        }
    }
    printer.data("\n");
    printer.table(&table(timeline, first.begin));
    if !timeline.missing.is_empty() {
        printer.data("\n");
    }
    for Missing { what, why } in &timeline.missing {
        printer.data_line(Tone::Warn, &format!("‼ No {what}: {why}"));
    }
}

fn table(timeline: &Timeline, begin: Time) -> Table {
    let mut table = Table::new(&["START", "TOOK", "SERVICE", "STEP", "OUTCOME", "FROM", ""]);
    let end = timeline.steps.iter().map(|step| step.end.unwrap_or(step.begin)).max();
    let scale = Scale {
        begin,
        whole: end.map_or(0, |end| end.0 - begin.0),
    };
    for step in &timeline.steps {
        let (outcome, tone) = became(step);
        table.rows.push(vec![
            plain(format!("+{}", format_seconds(seconds(step.begin.0 - begin.0)))),
            plain(took(step).map_or_else(|| "-".into(), |took| format_seconds(seconds(took)))),
            plain(&step.service),
            plain(format!("{}{}", "  ".repeat(step.depth), words(step))),
            (outcome, tone),
            plain(sources(step).join(", ")),
            (scale.bar(step), tone),
        ]);
    }
    table
}

/// Clocks of two machines differ; nothing took less than no time.
fn seconds(nanos: i64) -> f64 {
    nanos.max(0) as f64 / 1e9
}

fn took(step: &Step) -> Option<i64> {
    step.end.map(|end| end.0 - step.begin.0)
}

fn words(step: &Step) -> String {
    let attempt = match step.attempt {
        Some(attempt) if attempt > 1 => format!(", attempt {attempt}"),
        _ => String::new(),
    };
    let name = match step.hop {
        Hop::Request => "request",
        Hop::Publish => "publish to",
        Hop::Broker => "stored at",
        Hop::Delivery => "delivery of",
        Hop::DeadLetter => "dead letter at",
        Hop::Work => "work",
        Hop::Database => "database",
    };
    let what = match &step.dead_letter {
        Some(topic) => format!("{}, as a dead letter from {topic}", step.what),
        None => step.what.clone(),
    };
    let bulk = if step.record.is_some_and(|event| event.bulk) {
        ", in bulk"
    } else {
        ""
    };
    let likely = if step.likely { " (by its time alone)" } else { "" };
    format!("{name} {what}{attempt}{bulk}{likely}")
}

/// The record knows more than the span.
fn became(step: &Step) -> (String, Tone) {
    match (&step.record, step.failed) {
        (Some(event), _) => (outcome(event), tone(event.outcome)),
        (None, Some(true)) => ("failed".into(), Tone::Bad),
        (None, Some(false) | None) => plain("ok"),
    }
}

fn sources(step: &Step) -> Vec<&'static str> {
    let each = [
        step.record.is_some().then_some("record"),
        step.failed.is_some().then_some("span"),
        matches!(step.hop, Hop::Broker | Hop::DeadLetter).then_some("Kafka"),
    ];
    each.into_iter().flatten().collect()
}

struct Scale {
    begin: Time,
    whole: i64,
}

impl Scale {
    fn bar(&self, step: &Step) -> String {
        let cells = |nanos: i64| match self.whole {
            0 => 0,
            whole => (nanos.max(0) as f64 / whole as f64 * BAR as f64).round() as usize,
        };
        let from = cells(step.begin.0 - self.begin.0).min(BAR - 1);
        match took(step) {
            Some(took) => format!("{}{}", " ".repeat(from), "█".repeat(cells(took).clamp(1, BAR - from))),
            None => format!("{}│", " ".repeat(from)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
    places: &'a [Place],
    events: &'a [String],
    steps: Vec<Shown<'a>>,
    missing: &'a [Missing],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    hop: Hop,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    us: Option<i64>,
    depth: usize,
    service: &'a str,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    from: Vec<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    likely: bool,
}

pub(super) fn document(timeline: &Timeline) -> Document<'_> {
    let shown = timeline.steps.iter().map(|step| Shown {
        hop: step.hop,
        time: step.begin.rfc3339(),
        us: took(step).map(|nanos| nanos / 1000),
        depth: step.depth,
        service: &step.service,
        what: &step.what,
        attempt: step.attempt,
        dead_letter: step.dead_letter.as_deref(),
        outcome: match (&step.record, step.failed) {
            (Some(event), _) => Some(event.outcome.as_str()),
            (None, failed) => failed.map(|failed| if failed { Outcome::Error } else { Outcome::Success }.as_str()),
        },
        status: step.record.and_then(|event| event.status),
        from: sources(step),
        likely: step.likely,
    });
    Document {
        trace: timeline.trace.as_deref(),
        places: &timeline.places,
        events: &timeline.events,
        steps: shown.collect(),
        missing: &timeline.missing,
    }
}
