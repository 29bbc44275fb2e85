//! `simulate autoscaling`: how many pods an autoscaler makes of a load, before it does.

mod document;
mod proposal;
mod question;
mod show;
mod verdict;

use crate::{
    cli::{Format, Global, SimulateAutoscaling, SimulateFormat},
    cluster::Cluster,
    model::Outcome,
    printer::Printer,
    problem::Problem,
};
use learnflow_autoscaling::{
    Fitted, fit,
    simulate::{Report, Scenario, simulate},
};
use question::Question;
use verdict::Verdict;

/// Seconds of all runs together: what a person waits for.
const LONGEST: f64 = 2e7;

struct Answer {
    question: Question,
    /// One for each run. The first is the one in the middle by its pod-hours.
    reports: Vec<Report>,
    verdict: Verdict,
    /// What is proposed, and what comes of it.
    fitted: Option<(Fitted, Verdict)>,
}

pub(super) async fn run(args: &SimulateAutoscaling, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    if args.output == SimulateFormat::Yaml && !args.fit {
        return Err(Problem::new("-o yaml prints what --fit proposes.").next("Add --fit, or leave it out."));
    }
    let load = question::load(args)?;
    let question = match args.shipped || !args.files.is_empty() {
        true => question::without_cluster(args, global, load, printer)?,
        false => {
            let cluster = Cluster::connect(global).await.map_err(question::no_cluster)?;
            question::of_cluster(&cluster, args, load, printer).await?
        }
    };
    answer(args, question, printer)
}

fn answer(args: &SimulateAutoscaling, question: Question, printer: &Printer) -> Result<Outcome, Problem> {
    let answer = Answer::of(args, question)?;
    match args.output {
        SimulateFormat::Table => show::answer(&answer, printer),
        SimulateFormat::Json => printer.document(Format::Json, &document::of(args, &answer)?)?,
        SimulateFormat::Yaml => {
            if let Some((fitted, _)) = &answer.fitted {
                printer.document_text(&proposal::yaml(&answer.question, fitted)?);
            }
        }
    }
    let verdict = answer.fitted.as_ref().map_or(&answer.verdict, |(_, verdict)| verdict);
    Ok(if verdict.holds() { Outcome::Good } else { Outcome::Bad })
}

impl Answer {
    fn of(args: &SimulateAutoscaling, question: Question) -> Result<Self, Problem> {
        let scenario = &question.scenario;
        let seconds = (scenario.load.end() + scenario.tail) as f64 / 1e3;
        if seconds * f64::from(args.runs) > LONGEST {
            return Err(
                Problem::new(format!("That would be {seconds:.0} s in each of {} runs.", args.runs))
                    .next("Give a shorter curve, or fewer --runs."),
            );
        }
        let mut reports = runs(scenario, args.runs);
        let verdict = Verdict::of(scenario, &reports);
        let fitted = match args.fit {
            false => None,
            true => {
                let fitted = fit(scenario, u64::from(args.runs)).ok_or_else(|| nothing_fits(scenario))?;
                let with = Scenario {
                    hpa: fitted.hpa.clone(),
                    ..scenario.clone()
                };
                let verdict = Verdict::of(&with, &fitted.reports);
                Some((fitted, verdict))
            }
        };
        reports.sort_by(|one, other| one.pod_seconds.total_cmp(&other.pod_seconds));
        let middle = (reports.len() - 1) / 2;
        reports.swap(0, middle);
        Ok(Self {
            question,
            reports,
            verdict,
            fitted,
        })
    }

    fn typical(&self) -> &Report {
        &self.reports[0]
    }
}

fn runs(scenario: &Scenario, runs: u16) -> Vec<Report> {
    super::seeded(scenario.seed, runs, |seed| {
        simulate(&Scenario {
            seed,
            ..scenario.clone()
        })
    })
}

fn nothing_fits(scenario: &Scenario) -> Problem {
    let next = match &scenario.load.events {
        Some(events) if events.partitions.is_some() => {
            "Give the topic more partitions, let a pod do more (--drain), or begin with more pods (minReplicas)."
        }
        _ => "Begin with more pods (minReplicas), let them start sooner (--startup), or give a pod more CPU.",
    };
    Problem::new("No target and behaviour that were tried hold under this load.").next(next)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
