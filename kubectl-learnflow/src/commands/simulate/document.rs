//! The answer for a program.

use super::{Answer, proposal, show};
use crate::cli::Simulate;
use clap::ValueEnum;
use learnflow_resilience::simulate::{Report, State, Times};
use serde_json::{Value, json};

pub(super) fn of(args: &Simulate, answers: &[Answer]) -> Value {
    let mode = args.mode.to_possible_value();
    json!({
        "outageSeconds": args.outage.as_secs_f64(),
        "budgetSeconds": args.budget().as_secs_f64(),
        "mode": mode.map(|mode| mode.get_name().to_owned()),
        "partitions": args.partitions,
        "seed": args.seed,
        "runs": args.runs,
        "holds": answers.iter().all(|answer| answer.verdict.holds),
        "answers": answers.iter().map(|one| answer(args, one)).collect::<Vec<_>>(),
    })
}

fn answer(args: &Simulate, answer: &Answer) -> Value {
    let promises = answer.verdict.promises.iter();
    let promises = promises.map(|(kept, text)| json!({"kept": kept, "text": text}));
    let refused: Vec<u64> = answer.reports.iter().map(|report| report.refused).collect();
    json!({
        "apps": answer.question.apps,
        "component": answer.question.component,
        "policy": show::policy(&answer.question.policy),
        "ratePerSecond": answer.question.rate,
        "holds": answer.verdict.holds,
        "promises": promises.collect::<Vec<_>>(),
        "refusedInRuns": { "least": refused.iter().min(), "most": refused.iter().max() },
        "run": report(answer.typical()),
        "budgetRefusedAtMost": answer.budget.as_ref().and_then(|runs| runs.iter().map(|report| report.refused).max()),
        "proposal": proposal::yaml(args, answer),
    })
}

fn report(report: &Report) -> Value {
    let slices = report.slices.iter().map(|slice| {
        json!({
            "second": slice.at.round(), "published": slice.made, "accepted": slice.accepted,
            "refused": slice.refused, "waiting": slice.waiting,
        })
    });
    let breaker = report.breaker.iter().map(|change| {
        let state = match change.state {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
        };
        json!({"second": thousandths(change.at), "state": state})
    });
    json!({
        "published": report.calls,
        "accepted": report.accepted,
        "refused": report.refused,
        "refusedByBreaker": report.stopped,
        "publishedSinceOutage": report.calls_since,
        "refusedShare": report.refused_share(),
        "answerSeconds": times(&report.answers),
        "refusalSeconds": times(&report.refusals),
        "openBreakerSeconds": times(&report.fast),
        "refusalBeyondBudgetSeconds": times(&report.beyond),
        "waitingAtMost": report.waiting_at_most,
        "memoryBytes": report.memory,
        "extraEvents": report.extra_events,
        "failedAttempts": report.failures,
        "failuresInARow": report.failures_in_a_row,
        "retriesAtMost": report.retries_at_most,
        "recoverySeconds": thousandths(report.recovery),
        "breakerClosedAfterSeconds": report.closed_after.map(thousandths),
        "requestsPerSecondAtMost": report.requests_per_second,
        "eventsPerSecondAtMost": report.events_per_second,
        "breaker": breaker.collect::<Vec<_>>(),
        "timeline": slices.collect::<Vec<_>>(),
    })
}

fn times(times: &Times) -> Value {
    json!({
        "count": times.count, "p50": thousandths(times.p50), "p95": thousandths(times.p95),
        "p99": thousandths(times.p99), "longest": thousandths(times.longest),
    })
}

fn thousandths(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}
