//! What was found, for a person and for a program.

use super::{
    super::{experiment::Lines, promises},
    judge::{Cause, End, Failure, Figures, Seen},
    load::Tally,
    scene::{ENDS, Scene},
};
use crate::{
    autoscaled::{Autoscaler, Scaled},
    cli::{Autoscaling, Format, ReportFormat},
    commands::chart::{self, Columns, most},
    model::Outcome,
    printer::{Printer, Table, Tone, plain},
    problem::Problem,
    text::{count, format_seconds},
};
use learnflow_resilience::verdict::Verdict;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Failures that are shown one by one.
const SHOWN: usize = 8;

pub(super) struct Found {
    pub(super) seen: Seen,
    pub(super) tally: Tally,
    pub(super) scaled: Scaled,
    pub(super) autoscaler: Autoscaler,
}

pub(super) fn show<P: Lines>(
    found: &Found,
    scene: &Scene<P>,
    args: &Autoscaling,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let judged = found.seen.judge();
    match args.output {
        ReportFormat::Json => {
            let promises: Vec<Value> = judged.iter().map(promises::document).collect();
            printer.document(Format::Json, &document(found, &scene.what, promises))?;
        }
        ReportFormat::Table => {
            chart(&found.seen, printer);
            printer.data("\n");
            table(found, &scene.what, printer);
            for (text, next) in advice(found) {
                printer.data_line(Tone::Warn, &format!("‼ {text}"));
                printer.data_line(Tone::Plain, &format!("    {next}"));
            }
            printer.data("\n");
            promises::show(&judged, printer);
        }
    }
    let untold = judged.iter().find(|promise| promise.verdict == Verdict::Unknown);
    let next = match untold.map(|promise| promise.id) {
        Some("scales-up") => {
            "Send more: --max-rps, --concurrency, or a --path that costs more; or lower the target of the autoscaler."
        }
        _ => "Mend the way to the API server and run it again.",
    };
    promises::outcome(&judged, next)
}

fn chart(seen: &Seen, printer: &Printer) {
    let (Some(first), Some(last)) = (seen.looks.first(), seen.looks.last()) else {
        return;
    };
    let columns = Columns::new(first.at.floor(), last.at.ceil() + 1.0);
    let row = |of: &dyn Fn(usize) -> f64| {
        let mut all = vec![f64::NAN; columns.count];
        for (number, look) in seen.looks.iter().enumerate() {
            let cell = &mut all[columns.of(look.at)];
            *cell = cell.max(of(number));
        }
        // Columns without a look are as the one before.
        let mut last = 0.0;
        for cell in &mut all {
            if cell.is_nan() {
                *cell = last;
            }
            last = *cell;
        }
        all
    };
    let looks = &seen.looks;
    let mut failed = vec![0.0; columns.count];
    for failure in &seen.failures {
        failed[columns.of(failure.at)] += 1.0;
    }
    let lines = [
        columns.axis(|seconds| format!("{seconds}s")),
        bars("load", &row(&|n| looks[n].rps), " rps"),
        bars(
            "figure",
            &row(&|n| looks[n].share.unwrap_or(0.0) * 100.0),
            " % of the target",
        ),
        bars("wanted", &row(&|n| looks[n].wanted.into()), " pods"),
        bars("ready", &row(&|n| looks[n].ready.into()), " pods"),
        bars("failed", &failed, ""),
    ];
    for line in lines {
        printer.data_line(Tone::Plain, &line);
    }
}

fn bars(name: &str, values: &[f64], unit: &str) -> String {
    let most = most(values);
    chart::bars(name, values, most, &format!("≤ {most:.0}{unit}"))
}

fn table(found: &Found, what: &str, printer: &Printer) {
    let Found {
        seen,
        tally,
        autoscaler,
        ..
    } = found;
    let figures = seen.figures();
    let mut happened = Table::new(&["WHAT", "SEEN"]);
    let mut row = |what: &str, seen: String| happened.rows.push(vec![plain(what), plain(seen)]);
    row(
        "autoscaler",
        format!("{}, {} to {} pods", autoscaler.name, autoscaler.min, autoscaler.max),
    );
    row("load", format!("{what}, {:.0} rps at most", seen.most_rps));
    let lost = match tally.lost {
        0 => String::new(),
        lost => format!(", {lost} lost on the way to the cluster"),
    };
    row(
        "requests",
        format!(
            "{} sent, {} good, {} failed{lost}",
            tally.sent, tally.good, tally.failed
        ),
    );
    let (p50, p95, slowest) = quantiles(&tally.took);
    row("good after", format!("p50 {p50}, p95 {p95}, slowest {slowest}"));
    row("more wanted", span(figures.decision, "after the load began"));
    row("new pod ready", span(figures.first_ready, "after the load began"));
    let needed = figures
        .needed
        .map_or_else(String::new, |needed| format!(", {needed} by its figures in the end"));
    row(
        "pods",
        format!("{} before, {} at most{needed}", seen.from, figures.most),
    );
    row(
        "load ended",
        format!("after {:.0} s: {}", seen.load_ended, why(seen.end)),
    );
    if seen.waited_until.is_some() {
        row("fewer wanted", span(figures.down_began, "after the load"));
        row("pods gone", span(figures.down, "after the load"));
    }
    let owners = seen.owners();
    let owners = if owners.is_empty() {
        "nobody".into()
    } else {
        owners.join(", ")
    };
    row("replicas' owner", owners);
    printer.data_line(Tone::Plain, "WHAT HAPPENED");
    printer.table(&happened);
    for failure in seen.failures.iter().take(SHOWN) {
        printer.data_line(Tone::Bad, &format!("× {}", told(seen, failure)));
    }
    if tally.failed > SHOWN {
        printer.data_line(
            Tone::Plain,
            &format!("  and {} more, see -o json", tally.failed - SHOWN),
        );
    }
}

fn told(seen: &Seen, failure: &Failure) -> String {
    let why = match seen.cause(failure) {
        Cause::Leaving(pod) => format!(" (pod {pod} was ending)"),
        Cause::Fresh(pod) => format!(" (pod {pod} had just come)"),
        Cause::Nobody | Cause::Service => String::new(),
    };
    format!("{:.1} s: {}{why}", failure.at, failure.text)
}

fn why(end: End) -> &'static str {
    match end {
        End::Held => "it was held as long as it was to",
        End::NotWanted => "no more pods were wanted",
        End::NotReady => "no new pod became ready",
        End::Errors => "too many requests failed",
        End::Late => "--max-duration was over",
    }
}

/// What to do about what failed, and about what will.
fn advice(found: &Found) -> Vec<(String, String)> {
    let Found { seen, scaled, .. } = found;
    let mut causes: BTreeMap<u8, (usize, String)> = BTreeMap::new();
    for failure in &seen.failures {
        let (kind, what) = match seen.cause(failure) {
            Cause::Leaving(pod) => (0, pod),
            Cause::Fresh(pod) => (1, pod),
            Cause::Nobody => (2, String::new()),
            Cause::Service => (3, failure.text.clone()),
        };
        causes.entry(kind).or_insert((0, what)).0 += 1;
    }
    let mut advice: Vec<(String, String)> = causes
        .into_iter()
        .map(|(kind, (failed, what))| {
            let failed = count(failed, "request");
            match kind {
                0 if scaled.ends_at_once.is_empty() => (
                    format!("{failed} failed at a pod that was ending ({what})"),
                    "Its preStop hook is too short for its callers, or what follows it drops requests.".into(),
                ),
                0 => (
                    format!(
                        "{failed} failed at a pod that was ending ({what}): no preStop hook in {}",
                        scaled.ends_at_once.join(", ")
                    ),
                    ENDS.into(),
                ),
                1 if scaled.unprobed.is_empty() => (
                    format!("{failed} failed at a pod that had just come ({what})"),
                    "Its readiness probe says yes before it serves.".into(),
                ),
                1 => (
                    format!("{failed} failed at a pod that had just come ({what}): no readiness probe"),
                    "Give each container a readinessProbe.".into(),
                ),
                2 => (
                    format!("{failed} found no pod that was ready"),
                    "Look at its readiness probe: under load it may fail. A minimum of two pods helps.".into(),
                ),
                _ => (
                    format!("{failed} failed at the service itself: {what}"),
                    "It may be at its limit: see its log, raise its limits, or send less with --max-rps.".into(),
                ),
            }
        })
        .collect();
    advice.extend(scaled.applied().map(|(text, next)| (text, next.to_owned())));
    advice
}

fn quantiles(took: &[f32]) -> (String, String, String) {
    let mut took = took.to_vec();
    took.sort_by(f32::total_cmp);
    let at = |share: f64| {
        let place = ((took.len() as f64 * share).ceil() as usize).saturating_sub(1);
        took.get(place)
            .map_or_else(|| "-".to_owned(), |seconds| format_seconds((*seconds).into()))
    };
    (at(0.5), at(0.95), at(1.0))
}

fn span(seconds: Option<f64>, from: &str) -> String {
    seconds.map_or_else(|| "never".into(), |seconds| format!("{seconds:.0} s {from}"))
}

fn document(found: &Found, what: &str, promises: Vec<Value>) -> Value {
    let Found {
        seen,
        tally,
        scaled,
        autoscaler,
    } = found;
    let Figures {
        decision,
        first_ready,
        most,
        needed,
        overshoot,
        turns,
        down_began,
        down,
        failed_up,
        failed_down,
    } = seen.figures();
    let short = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
    let of = |seconds: Option<f64>| seconds.map(short);
    let failure = |failure: &Failure| {
        let (cause, pod) = match seen.cause(failure) {
            Cause::Leaving(pod) => ("pod-ending", Some(pod)),
            Cause::Fresh(pod) => ("pod-new", Some(pod)),
            Cause::Nobody => ("no-pod-ready", None),
            Cause::Service => ("service", None),
        };
        let by_ip = || {
            seen.pods
                .iter()
                .find(|(_, life)| failure.ip.is_some() && life.ip == failure.ip)
        };
        let pod = pod.or_else(|| by_ip().map(|(pod, _)| pod.clone()));
        json!({ "at_s": short(failure.at), "took_s": short(failure.took), "code": failure.code, "pod": pod, "cause": cause,
            "text": failure.text })
    };
    let mut took: Vec<f32> = tally.took.clone();
    took.sort_by(f32::total_cmp);
    let quantile = |share: f64| {
        let place = ((took.len() as f64 * share).ceil() as usize).saturating_sub(1);
        took.get(place).map(|seconds| short(f64::from(*seconds)))
    };
    let looks: Vec<Value> = seen
        .looks
        .iter()
        .map(|look| {
            json!({ "at_s": short(look.at), "wanted": look.wanted, "replicas": look.told, "ready": look.ready, "pods": look.there,
                "rps": short(look.rps), "of_target": of(look.share), "figure": look.figure })
        })
        .collect();
    let pods: Vec<Value> = seen
        .pods
        .iter()
        .map(|(name, life)| json!({ "name": name, "ready_s": of(life.ready), "leaving_s": of(life.leaving) }))
        .collect();
    json!({
        "promises": promises,
        "service": scaled.name,
        "autoscaler": { "name": autoscaler.name, "min": autoscaler.min, "max": autoscaler.max },
        "sent_to": what,
        "scaling": { "before": seen.from, "most": most, "needed": needed, "overshoot": overshoot, "direction_changes": turns,
            "decision_s": of(decision), "first_replica_s": of(first_ready), "held_from_s": of(seen.held_from),
            "load_ended_s": short(seen.load_ended), "load_ended_why": why(seen.end),
            "fewer_wanted_after_s": of(down_began), "gone_after_s": of(down) },
        "requests": { "sent": tally.sent, "good": tally.good, "failed": tally.failed, "failed_scaling_up": failed_up,
            "failed_scaling_down": failed_down, "lost": tally.lost, "lost_why": tally.lost_why,
            "most_rps": short(seen.most_rps), "p50_s": quantile(0.5), "p95_s": quantile(0.95), "slowest_s": quantile(1.0) },
        "failures": seen.failures.iter().map(failure).collect::<Vec<_>>(),
        "replicas_owners": seen.owners(),
        "set_by_others": seen.others().iter().map(|(at, told)| json!({ "at_s": short(*at), "replicas": told })).collect::<Vec<_>>(),
        "advice": advice(found).iter().map(|(text, next)| json!({ "text": text, "next": next })).collect::<Vec<_>>(),
        "pods": pods,
        "timeline": looks,
    })
}
