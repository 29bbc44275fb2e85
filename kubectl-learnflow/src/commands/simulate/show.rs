//! The answer for a person.

use super::{Answer, chart, proposal, verdict::opens};
use crate::{
    cli::{Mode, Simulate},
    printer::{Printer, Tone},
    text::{count, format_bytes, format_duration, format_seconds, list},
};
use learnflow_resilience::{
    policy::{Backoff, Policy},
    simulate::Report,
};

pub(super) fn answer(args: &Simulate, answer: &Answer, printer: &Printer) {
    let say = |text: &str| printer.data_line(Tone::Plain, text);
    let question = &answer.question;
    let who = match question.apps.is_empty() {
        true => "any service".to_owned(),
        false => list(&question.apps),
    };
    say(&format!("{who} → {}", question.component));
    say(&policy(&question.policy));
    say(&format!(
        "Kafka {} for {}; {}/s, {}, {}",
        fault(args),
        format_duration(args.outage),
        number(question.rate),
        count(args.partitions.into(), "partition"),
        count(args.runs.into(), "run"),
    ));
    say("");
    for line in chart::lines(&answer.scenario, answer.typical()) {
        say(&line);
    }
    say("");
    for (name, text) in facts(answer) {
        say(&format!("{name:<17}{text}"));
    }
    say("");
    if let Some(yaml) = proposal::yaml(args, answer) {
        printer.document_text(&yaml);
        say("");
        let beyond = answer.fitted.as_ref().map(|fitted| fitted.beyond_length);
        let beyond = format_duration(beyond.unwrap_or_default());
        say(&format!(
            "With this policy, in an outage of the budget, and beyond it in one of {beyond}:"
        ));
    }
    for (kept, text) in &answer.verdict.promises {
        let (sign, tone) = match kept {
            true => ("√", Tone::Good),
            false => ("×", Tone::Bad),
        };
        printer.data_line(tone, &format!("{sign} {text}"));
    }
}

fn fault(args: &Simulate) -> String {
    match args.mode {
        Mode::Refuse => "refuses connections".into(),
        Mode::Hang => "answers nothing".into(),
        Mode::Slow => format!("answers {} late", format_duration(args.late)),
        Mode::Flap => format!("comes and goes every {}", format_duration(args.period)),
    }
}

fn facts(answer: &Answer) -> Vec<(&'static str, String)> {
    let report = answer.typical();
    let refused: Vec<u64> = answer.reports.iter().map(|report| report.refused).collect();
    let (least, most) = (refused.iter().min().unwrap_or(&0), refused.iter().max().unwrap_or(&0));
    let range = match least == most {
        true => String::new(),
        false => format!("; {least} to {most}, by chance"),
    };
    let waits = report.answers;
    let mut facts = vec![
        (
            "refused",
            format!(
                "{} of {} since the outage began ({}{range})",
                report.refused,
                report.calls_since,
                percent(report.refused_share())
            ),
        ),
        (
            "answers",
            format!(
                "p50 {}, p95 {}, p99 {}, longest {}, for who publishes while Kafka is away",
                wait(waits.p50),
                wait(waits.p95),
                wait(waits.p99),
                wait(waits.longest)
            ),
        ),
        (
            "waiting",
            format!(
                "{} at most, about {} of the sidecar",
                report.waiting_at_most,
                format_bytes(report.memory)
            ),
        ),
        ("breaker", breaker(report, &answer.question.policy)),
    ];
    if report.extra_events > 0 {
        facts.push((
            "twice in Kafka",
            format!(
                "{}: attempts that the timeout gave up, and that arrived all the same",
                count(report.extra_events as usize, "event")
            ),
        ));
    }
    let again = match report.recovery {
        recovery if recovery <= 0.0 => "all well again at once".to_owned(),
        recovery => format!("all well again {} after Kafka is back", format_seconds(recovery)),
    };
    facts.push((
        "afterwards",
        format!(
            "{again}; its busiest second: {}, {}",
            count(report.requests_per_second as usize, "request"),
            count(report.events_per_second as usize, "event"),
        ),
    ));
    facts
}

fn breaker(report: &Report, policy: &Policy) -> String {
    let Some(breaker) = &policy.breaker else {
        return "none".into();
    };
    if !opens(report) {
        return format!(
            "never opens: {} failures in a row at most, and it opens at {}",
            report.failures_in_a_row, breaker.trip.text
        );
    }
    let first = report.breaker.first().map_or(0.0, |change| change.at);
    let closed = match report.closed_after {
        Some(after) => format!("closed for good {} after Kafka is back", format_seconds(after)),
        None => "never closed again".into(),
    };
    format!(
        "opens after {}, {closed}; while it is open 99 of 100 publishes are answered {}",
        format_seconds(first),
        within(report.fast.p99)
    )
}

/// In words.
pub(super) fn policy(policy: &Policy) -> String {
    let mut parts = Vec::new();
    if let Some(timeout) = policy.timeout {
        parts.push(format!("an attempt ends after {}", precise(timeout)));
    }
    if let Some(retry) = &policy.retry {
        let times = match retry.max_retries {
            None => "without end".to_owned(),
            Some(1) => "once".to_owned(),
            Some(most) => format!("{most} times"),
        };
        parts.push(match retry.backoff {
            Backoff::Constant { interval } => format!("retries every {}, {times}", precise(interval)),
            Backoff::Exponential { initial, max, .. } => format!(
                "retries after {} and then more, up to {}, {times}",
                precise(initial),
                precise(max)
            ),
        });
    }
    if let Some(breaker) = &policy.breaker {
        parts.push(format!(
            "a breaker that opens at {} and tries again after {}",
            breaker.trip.text,
            precise(breaker.timeout)
        ));
    }
    match parts.is_empty() {
        true => "no policy: one attempt".into(),
        false => parts.join("; "),
    }
}

fn precise(duration: std::time::Duration) -> String {
    match duration.subsec_millis() {
        0 => format_duration(duration),
        _ => format_seconds(duration.as_secs_f64()),
    }
}

pub(super) fn number(rate: f64) -> String {
    let text = format!("{rate:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn wait(seconds: f64) -> String {
    match seconds < 0.001 {
        true => "at once".into(),
        false => format_seconds(seconds),
    }
}

/// Dapr's own time is not part of the simulation.
pub(super) fn within(seconds: f64) -> String {
    match wait(seconds) {
        at_once if seconds < 0.001 => at_once,
        time => format!("within {time}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
