//! What was measured, for eyes and for `cargo xtask bench`.

use std::time::Duration;

use crate::{inbound::Taken, measured::Measured};

pub fn outages(rows: &[Measured]) {
    if rows.is_empty() {
        return;
    }
    println!();
    println!(
        "{:<25} {:>5} {:>6} {:>6} {:>8} {:>7} {:>5} {:>6} {:>7} {:>7} {:>8} {:>7} {:>7} {:>8} {:>6} {:>10}",
        "OUTAGE",
        "RATE",
        "LASTED",
        "CALLS",
        "ACCEPTED",
        "REFUSED",
        "LOST",
        "TWICE",
        "P50",
        "P99",
        "FAST_P99",
        "OPENED",
        "CLOSED",
        "WAITING",
        "MB",
        "PRODUCE/s"
    );
    for row in rows {
        let (before, after) = row.stampede();
        println!(
            "{:<25} {:>3}/s {:>5.0}s {:>6} {:>8} {:>7} {:>5} {:>6} {:>7} {:>7} {:>8} {:>7} {:>7} {:>8} {:>6} {:>10}",
            row.outage.name,
            row.outage.rate,
            row.lasted().as_secs_f64(),
            row.calls.len(),
            row.accepted(),
            row.refused(),
            row.lost(),
            row.twice(),
            time(Some(row.took(0.5))),
            time(Some(row.took(0.99))),
            time(row.fail_fast()),
            time(row.opened()),
            time(row.closed()),
            row.waiting(),
            row.seen.memory / 1_000_000,
            format!("{before} -> {after}"),
        );
    }
    for row in rows {
        for (status, body) in row.refusals() {
            println!("{}: {status} {body}", row.outage.name);
        }
        let redelivered = row.deliveries - row.events.values().sum::<usize>();
        println!(
            "{}: first success {} after Kafka was back, closed by metrics {}, refused and delivered all the same {}, delivered \
             again {redelivered}; {}; calls that failed at first {}",
            row.outage.name,
            time(row.first_success()),
            time(row.closed_by_metrics()),
            row.ghosts(),
            timeline(row),
            failures(row),
        );
    }
    println!();
}

pub fn inbound(rows: &[(&str, Taken)]) {
    if rows.is_empty() {
        return;
    }
    println!(
        "{:<33} {:>9} {:>7} {:>4} {:>10} {:>5} {:>4} {:>6}",
        "INBOUND", "PUBLISHED", "HANDLED", "DEAD", "DELIVERIES", "MOST", "HELD", "TOOK"
    );
    for (name, taken) in rows {
        println!(
            "{name:<33} {:>9} {:>7} {:>4} {:>10} {:>5} {:>4.0} {:>5.0}s",
            taken.published, taken.handled, taken.dead, taken.deliveries, taken.most, taken.held, taken.seconds
        );
    }
    println!();
}

/// For `cargo xtask bench`: of the budget, and of what is beyond it.
pub fn figures(rows: &[Measured]) {
    if let Some(row) = rows.iter().find(|row| row.outage.name == "refused_30s") {
        println!("figure resilience.refused_30s {}", row.refused());
    }
    if !rows.is_empty() {
        println!(
            "figure resilience.lost {}",
            rows.iter().map(Measured::lost).sum::<usize>()
        );
    }
    if let Some(row) = rows.iter().find(|row| row.outage.name == "refused_90s") {
        if let Some(fast) = row.fail_fast() {
            println!("figure resilience.failfast_p99_ms {:.1}", fast.as_secs_f64() * 1e3);
        }
        if let Some(closed) = row.closed() {
            println!("figure resilience.close_after_recovery_s {:.2}", closed.as_secs_f64());
        }
    }
}

/// At each ten seconds of the outage.
fn failures(row: &Measured) -> String {
    let at = |seconds: i64| {
        let then = row.away + jiff::SignedDuration::from_secs(seconds);
        let before = row.seen.failed.iter().take_while(|(at, _)| *at <= then).last();
        format!("{seconds}s {:.0}", before.map_or(0.0, |(_, failed)| *failed))
    };
    let lasted = i64::try_from(row.lasted().as_secs()).unwrap_or(0);
    (1..=(lasted / 10 + 1))
        .map(|ten| at(ten * 10))
        .collect::<Vec<_>>()
        .join(", ")
}

fn timeline(row: &Measured) -> String {
    let changes = row.logged.iter().map(|change| {
        let since = change.at.duration_since(row.away).as_secs_f64();
        format!("{since:+.1}s {}", change.to)
    });
    let changes: Vec<_> = changes.collect();
    if changes.is_empty() {
        "the breaker stayed closed".into()
    } else {
        changes.join(", ")
    }
}

fn time(time: Option<Duration>) -> String {
    match time {
        None => "-".into(),
        Some(time) if time < Duration::from_secs(1) => format!("{:.0}ms", time.as_secs_f64() * 1e3),
        Some(time) => format!("{:.1}s", time.as_secs_f64()),
    }
}
