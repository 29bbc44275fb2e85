//! Does it hold?

use crate::text::{count, format_seconds};
use learnflow_autoscaling::simulate::{Report, Scenario};

pub(super) struct Verdict {
    /// Each promise, and whether it is kept.
    pub(super) promises: Vec<(bool, String)>,
}

impl Verdict {
    /// By all runs.
    pub(super) fn of(scenario: &Scenario, reports: &[Report]) -> Self {
        let mut promises = Vec::new();
        if scenario.load.cpu.is_some() {
            promises.push(done(scenario, reports));
        }
        if scenario.load.events.is_some() {
            promises.push(in_time(scenario, reports));
            promises.push(drained(scenario, reports));
        }
        promises.push(steady(reports));
        Self { promises }
    }

    pub(super) fn holds(&self) -> bool {
        self.promises.iter().all(|(kept, _)| *kept)
    }
}

fn worst(reports: &[Report], of: impl Fn(&Report) -> f64) -> f64 {
    reports.iter().map(of).fold(0.0, f64::max)
}

fn done(scenario: &Scenario, reports: &[Report]) -> (bool, String) {
    if scenario.service.capacity.is_none() {
        let text =
            "how much one pod can do is not known, so all that is asked for counts as done; say it with --capacity";
        return (true, text.into());
    }
    let (longest, allowed) = (worst(reports, |report| report.saturated_longest), scenario.allowance());
    let allowance = allowance(allowed);
    match longest {
        0.0 => (
            true,
            format!("all of the load is done ({})", count(reports.len(), "run")),
        ),
        longest if longest <= allowed => (
            true,
            format!(
                "the load is done, but for up to {} while new pods start (allowed are {allowance})",
                format_seconds(longest)
            ),
        ),
        longest => {
            let most = reports.iter().map(|report| report.needed_most).max().unwrap_or(0);
            let at_maximum = worst(reports, |report| report.at_maximum) > 0.0 && most > scenario.hpa.max;
            let why = match at_maximum {
                true => format!("; its maximum is {}, and the target asks for {most}", scenario.hpa.max),
                false => String::new(),
            };
            (
                false,
                format!(
                    "for up to {} at a time more is asked for than pods can do (allowed are {allowance}){why}",
                    format_seconds(longest)
                ),
            )
        }
    }
}

fn allowance(seconds: f64) -> String {
    format!(
        "{}: figures, a round of the controller, a start",
        format_seconds(seconds)
    )
}

fn in_time(scenario: &Scenario, reports: &[Report]) -> (bool, String) {
    let (longest, allowed) = (worst(reports, |report| report.wait_most), scenario.allowance());
    let time = match longest {
        longest if longest < 1.0 => return (true, "no event waits for a second".into()),
        longest if longest > 86_400.0 => "days".into(),
        longest => format_seconds(longest),
    };
    let text = format!("an event waits for up to {time} (allowed are {})", allowance(allowed));
    (longest <= allowed, text)
}

fn steady(reports: &[Report]) -> (bool, String) {
    let most = reports.iter().map(|report| report.taken_back).max().unwrap_or(0);
    match most {
        0 => (true, "no pod is taken away and wanted back within 5m".into()),
        most => {
            let times = if most == 1 {
                "once".to_owned()
            } else {
                format!("{most} times")
            };
            let runs = reports.iter().filter(|report| report.taken_back > 0).count();
            (
                false,
                format!(
                    "pods are taken away and wanted back within 5m, up to {times} (in {runs} of {})",
                    count(reports.len(), "run")
                ),
            )
        }
    }
}

fn drained(scenario: &Scenario, reports: &[Report]) -> (bool, String) {
    let left = worst(reports, |report| report.lag_end);
    match reports.iter().all(|report| scenario.drained(report)) {
        true => (true, "what waits is done in the end".into()),
        false => (false, format!("up to {left:.0} events still wait in the end")),
    }
}
