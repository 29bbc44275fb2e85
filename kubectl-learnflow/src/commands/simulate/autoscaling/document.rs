//! The answer for a program.

use super::{Answer, proposal, verdict::Verdict};
use crate::{cli::SimulateAutoscaling, problem::Problem};
use learnflow_autoscaling::{
    Limit,
    simulate::{Report, Scenario},
};
use serde_json::{Value, json};

pub(super) fn of(args: &SimulateAutoscaling, answer: &Answer) -> Result<Value, Problem> {
    let scenario = &answer.question.scenario;
    let flags = &scenario.flags;
    let fitted = match &answer.fitted {
        None => Value::Null,
        Some((fitted, verdict)) => json!({
            "object": proposal::object(&answer.question, fitted),
            "holds": verdict.holds(),
            "promises": promises(verdict),
            "inRuns": spread(&fitted.reports),
            "tried": fitted.tried,
        }),
    };
    Ok(json!({
        "target": { "kind": scenario.hpa.target.0, "name": scenario.hpa.target.1 },
        "minReplicas": scenario.hpa.min,
        "maxReplicas": scenario.hpa.max,
        "seed": args.seed,
        "runs": args.runs,
        "notes": answer.question.notes,
        "controller": {
            "syncPeriodSeconds": flags.sync_period as f64 / 1e3,
            "tolerance": flags.tolerance,
            "downscaleStabilizationSeconds": flags.downscale_stabilization as f64 / 1e3,
            "cpuInitializationPeriodSeconds": flags.cpu_initialization as f64 / 1e3,
            "initialReadinessDelaySeconds": flags.initial_readiness as f64 / 1e3,
            "metricResolutionSeconds": scenario.figures.resolution as f64 / 1e3,
        },
        "holds": answer.verdict.holds(),
        "promises": promises(&answer.verdict),
        "allowedSaturationSeconds": scenario.allowance(),
        "inRuns": spread(&answer.reports),
        "run": report(scenario, answer.typical()),
        "proposal": fitted,
    }))
}

fn promises(verdict: &Verdict) -> Vec<Value> {
    let promises = verdict.promises.iter();
    promises
        .map(|(kept, text)| json!({"kept": kept, "text": text}))
        .collect()
}

/// The least and the most.
fn spread(reports: &[Report]) -> Value {
    let of = |of: &dyn Fn(&Report) -> f64| {
        let all = || reports.iter().map(of);
        json!({ "least": rounded(all().fold(f64::INFINITY, f64::min)), "most": rounded(all().fold(0.0, f64::max)) })
    };
    json!({
        "podHours": of(&|report| report.pod_seconds / 3600.0),
        "mostPods": of(&|report| report.most_pods.into()),
        "unmetShare": of(&|report| report.unmet_share),
        "saturatedSecondsLongest": of(&|report| report.saturated_longest),
        "takenBack": of(&|report| report.taken_back.into()),
        "turns": of(&|report| report.turns.into()),
        "lagMost": of(&|report| report.lag_most),
    })
}

fn report(scenario: &Scenario, report: &Report) -> Value {
    let changes = report.changes.iter().map(|change| {
        let limit = match change.limit {
            Limit::Rate => Some("rate"),
            Limit::Maximum => Some("maximum"),
            Limit::Minimum => Some("minimum"),
            Limit::Window => Some("window"),
            _ => None,
        };
        json!({ "second": rounded(change.at), "from": change.from, "to": change.to, "limitedBy": limit })
    });
    let events = scenario.load.events.is_some();
    let timeline = report.slices.iter().map(|slice| {
        let mut point = json!({
            "second": slice.at.round(), "desired": slice.desired, "ready": slice.ready,
            "cpu": rounded(slice.load / 1e3), "cpuUnmet": rounded(slice.unmet / 1e3),
        });
        if events {
            point["arrivals"] = json!(rounded(slice.arrivals));
            point["lag"] = json!(slice.lag.round());
        }
        point
    });
    json!({
        "podHours": rounded(report.pod_seconds / 3600.0),
        "mostPods": report.most_pods,
        "unmetShare": rounded(report.unmet_share),
        "saturatedSeconds": rounded(report.saturated),
        "saturatedSecondsLongest": rounded(report.saturated_longest),
        "atMaximumSeconds": report.at_maximum,
        "firstNewPodReadySeconds": report.first_ready.map(rounded),
        "backAtMinimumSeconds": report.back_at_minimum.map(rounded),
        "turns": report.turns,
        "takenBack": report.taken_back,
        "lagMost": report.lag_most.round(),
        "lagEnd": report.lag_end.round(),
        "changes": changes.collect::<Vec<_>>(),
        "timeline": timeline.collect::<Vec<_>>(),
    })
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
