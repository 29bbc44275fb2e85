//! The answer for a person.

use super::super::super::chart::{Columns, bars, most};
use super::{Answer, proposal, verdict::Verdict};
use crate::{
    printer::{Printer, Tone},
    text::{count, format_duration, format_seconds},
};
use learnflow_autoscaling::{
    Limit, Metric, Source, Target,
    simulate::{Change, Report, Scenario, Slice},
};
use std::time::Duration;

/// Changes that are told one by one.
const TOLD: usize = 16;

pub(super) fn answer(answer: &Answer, printer: &Printer) {
    let say = |text: &str| printer.data_line(Tone::Plain, text);
    let scenario = &answer.question.scenario;
    say(&title(scenario));
    say(&load(scenario, answer.reports.len()));
    for note in &answer.question.notes {
        say(&format!("Note: {note}."));
    }
    say("");
    for line in chart(scenario, answer.typical()) {
        say(&line);
    }
    say("");
    for (name, text) in facts(scenario, &answer.reports) {
        say(&format!("{name:<17}{text}"));
    }
    say("");
    promises(&answer.verdict, printer);
    if let Some((fitted, verdict)) = &answer.fitted {
        say("");
        if let Ok(yaml) = proposal::yaml(&answer.question, fitted) {
            printer.document_text(&yaml);
        }
        say("");
        say(&format!(
            "With this one, the cheapest that holds of {}:",
            count(fitted.tried, "candidate")
        ));
        let with = Scenario {
            hpa: fitted.hpa.clone(),
            ..scenario.clone()
        };
        for (name, text) in facts(&with, &fitted.reports) {
            say(&format!("{name:<17}{text}"));
        }
        say("");
        promises(verdict, printer);
    }
}

fn promises(verdict: &Verdict, printer: &Printer) {
    for (kept, text) in &verdict.promises {
        let (sign, tone) = match kept {
            true => ("√", Tone::Good),
            false => ("×", Tone::Bad),
        };
        printer.data_line(tone, &format!("{sign} {text}"));
    }
}

fn title(scenario: &Scenario) -> String {
    let hpa = &scenario.hpa;
    let metrics: Vec<String> = hpa.metrics.iter().map(|metric| described(metric, scenario)).collect();
    format!(
        "{} {}, {} to {}: {}",
        hpa.target.0,
        hpa.target.1,
        hpa.min,
        count(hpa.max as usize, "pod"),
        metrics.join("; ")
    )
}

fn described(metric: &Metric, scenario: &Scenario) -> String {
    let name = match &metric.source {
        Source::Resource(resource) => format!("{} of the whole pod", resource.name()),
        Source::Container(resource, container) => format!("{} of container {container}", resource.name()),
        Source::Pods(name) => format!("{name} of a pod"),
        Source::Object(name) | Source::External(name) => name.clone(),
    };
    match metric.target {
        Target::Utilization(percent) => {
            let request = scenario.service.request(&metric.source).unwrap_or(0);
            format!("{name} at {percent} % of {}", amount(&metric.source, request as f64))
        }
        Target::AverageValue(value) => format!("{name} at {} a pod", amount(&metric.source, value as f64)),
        Target::Value(value) => format!("{name} at {}", amount(&metric.source, value as f64)),
    }
}

/// Thousandths, as one writes them.
fn amount(source: &Source, milli: f64) -> String {
    match source.resource() {
        Some(learnflow_autoscaling::Resource::Cpu) => cores(milli),
        Some(learnflow_autoscaling::Resource::Memory) => crate::text::format_bytes((milli / 1e3) as u64),
        None => format!("{}", milli / 1e3),
    }
}

pub(super) fn cores(milli: f64) -> String {
    match milli {
        milli if milli < 1000.0 => format!("{milli:.0}m"),
        milli => {
            let text = format!("{:.2}", milli / 1e3);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        0.0 => "0s".into(),
        seconds => format_duration(Duration::from_secs(seconds.round() as u64)),
    }
}

fn load(scenario: &Scenario, runs: usize) -> String {
    let Scenario { load, service, .. } = scenario;
    let mut parts = Vec::new();
    if let Some(curve) = &load.cpu {
        parts.push(format!("up to {} of CPU asked for", cores(curve.peak())));
    }
    if let Some(events) = &load.events {
        let partitions = events
            .partitions
            .map(|most| format!(" in {}", count(most as usize, "partition")));
        parts.push(format!(
            "up to {:.0} events/s{}, a pod does {}/s",
            events.arrivals.peak(),
            partitions.unwrap_or_default(),
            events.drain
        ));
    }
    if let Some(capacity) = service.capacity.filter(|_| load.cpu.is_some()) {
        parts.push(format!("a pod can do {}", cores(capacity)));
    }
    format!(
        "{}; ready {} after it is created; {}, then {} more; {}",
        parts.join("; "),
        time((service.pending + service.startup) as f64 / 1e3),
        time(load.end() as f64 / 1e3),
        time(scenario.tail as f64 / 1e3),
        count(runs, "run"),
    )
}

fn chart(scenario: &Scenario, report: &Report) -> Vec<String> {
    let end = report.slices.last().map_or(0.0, |slice| slice.at) + 1.0;
    let columns = Columns::new(0.0, end);
    let at_most = |of: fn(&Slice) -> f64| {
        let moments = report.slices.iter().map(|slice| slice.at);
        columns.each(moments, |cell, number| *cell = cell.max(of(&report.slices[number])))
    };
    let mut lines = vec![columns.axis(time)];
    if scenario.load.cpu.is_some() {
        let (load, unmet) = (at_most(|slice| slice.load), at_most(|slice| slice.unmet));
        let peak = most(&load);
        lines.push(bars("load", &load, peak, &format!("≤ {}", cores(peak))));
        // On the same scale: how much of it.
        let missing = most(&unmet);
        if missing > 1.0 {
            lines.push(bars("not done", &unmet, peak, &format!("≤ {}", cores(missing))));
        }
    }
    if scenario.load.events.is_some() {
        let (arrivals, lag) = (at_most(|slice| slice.arrivals), at_most(|slice| slice.lag));
        lines.push(bars(
            "arriving",
            &arrivals,
            most(&arrivals),
            &format!("≤ {:.0}/s", most(&arrivals)),
        ));
        lines.push(bars("waiting", &lag, most(&lag), &format!("≤ {:.0}", most(&lag))));
    }
    let (desired, ready) = (
        at_most(|slice| slice.desired.into()),
        at_most(|slice| slice.ready.into()),
    );
    let top = most(&desired).max(most(&ready));
    lines.push(bars("wanted", &desired, top, &format!("≤ {}", most(&desired))));
    lines.push(bars("ready", &ready, top, &format!("≤ {}", most(&ready))));
    lines
}

/// The least, the one in the middle, and the most of the runs; the first report is in the middle.
fn spread(reports: &[Report], of: impl Fn(&Report) -> f64, text: impl Fn(f64) -> String) -> String {
    let middle = text(of(&reports[0]));
    let least = text(reports.iter().map(&of).fold(f64::INFINITY, f64::min));
    let most = text(reports.iter().map(&of).fold(0.0, f64::max));
    match least == most {
        true => middle,
        false => format!("{middle} ({least} to {most}, by chance)"),
    }
}

fn facts(scenario: &Scenario, reports: &[Report]) -> Vec<(&'static str, String)> {
    let report = &reports[0];
    let hours = |seconds: f64| format!("{:.2}", seconds / 3600.0);
    let mut facts = vec![
        ("pod-hours", spread(reports, |report| report.pod_seconds, hours)),
        (
            "most pods",
            spread(reports, |report| report.most_pods.into(), |pods| format!("{pods}")),
        ),
    ];
    if reports.iter().any(|report| report.saturated > 0.0) {
        facts.push((
            "not done",
            format!(
                "{} of the load; more was asked for than pods can do for {}, at most for {} at a time",
                spread(
                    reports,
                    |report| report.unmet_share,
                    |share| format!("{:.1} %", share * 100.0)
                ),
                time(report.saturated),
                time(report.saturated_longest),
            ),
        ));
    }
    if scenario.load.events.is_some() {
        let wait = |seconds: f64| match seconds {
            seconds if seconds > 86_400.0 => "for ever".into(),
            seconds => format_seconds(seconds),
        };
        facts.push((
            "waiting",
            format!(
                "{} events at most, the last of them for {}; {:.0} in the end",
                spread(reports, |report| report.lag_most, |lag| format!("{lag:.0}")),
                wait(report.wait_most),
                report.lag_end
            ),
        ));
    }
    let known = |of: fn(&Report) -> Option<f64>| reports.iter().all(|report| of(report).is_some());
    if known(|report| report.first_ready) {
        let text = spread(reports, |report| report.first_ready.unwrap_or(0.0), time);
        facts.push((
            "first new pod",
            format!("ready {text} after the load was over the target"),
        ));
    }
    if known(|report| report.back_at_minimum) {
        let text = spread(reports, |report| report.back_at_minimum.unwrap_or(0.0), time);
        facts.push(("back at minimum", format!("{text} after the load needed no more")));
    }
    facts.push((
        "turns",
        format!(
            "{} from adding pods to taking them away, or back; {} taken away and wanted back within 5m",
            spread(reports, |report| report.turns.into(), |turns| format!("{turns}")),
            spread(reports, |report| report.taken_back.into(), |times| format!("{times}")),
        ),
    ));
    facts.push(("changes", changes(&report.changes)));
    facts
}

fn changes(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "none".into();
    }
    let told = changes.iter().take(TOLD).map(|change| {
        let why = match change.limit {
            Limit::Rate => " (rate)",
            Limit::Maximum => " (maximum)",
            _ => "",
        };
        format!("{} {}→{}{why}", time(change.at), change.from, change.to)
    });
    let mut text = told.collect::<Vec<_>>().join(", ");
    if changes.len() > TOLD {
        text.push_str(&format!(" and {} more", changes.len() - TOLD));
    }
    text
}
