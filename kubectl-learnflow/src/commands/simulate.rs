//! `simulate`: what happens to publishes while Kafka is away, before it is; and what an autoscaler makes of a load.

mod autoscaling;
mod chart;
mod document;
mod proposal;
mod question;
mod show;
mod verdict;

use crate::{
    cli::{Global, Mode, Simulate, SimulateFormat, What},
    cluster::Cluster,
    model::Outcome,
    printer::Printer,
    problem::Problem,
    text,
};
use learnflow_resilience::simulate::{
    Arrivals, Client, Fitted, Mode as Fault, Outage, Report, Scenario, fit, simulate,
};
use question::Question;
use std::time::Duration;
use verdict::Verdict;

/// Publishes before the outage, and how long they go on after it: longer than any recovery that was ever seen.
const LEAD: Duration = Duration::from_secs(5);
const TAIL: Duration = Duration::from_secs(30);
/// As many as memory is there for.
const CALLS: f64 = 20e6;

/// What one policy does.
struct Answer {
    question: Question,
    scenario: Scenario,
    /// One for each run. The first is the one in the middle by what it refuses.
    reports: Vec<Report>,
    /// The same for the budget, when the outage is longer.
    budget: Option<Vec<Report>>,
    fitted: Option<Fitted>,
    verdict: Verdict,
}

pub(super) async fn run(args: &Simulate, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    if let Some(What::Autoscaling(args)) = &args.what {
        return autoscaling::run(args, global, printer).await;
    }
    args.sensible()?;
    if args.shipped || !args.files.is_empty() {
        let questions = question::without_cluster(args, global, printer).await?;
        return answer(args, questions, printer);
    }
    let cluster = Cluster::connect(global).await.map_err(question::no_cluster)?;
    of_cluster(&cluster, args, printer).await
}

/// Under the policies that are in force there.
pub(super) async fn of_cluster(cluster: &Cluster, args: &Simulate, printer: &Printer) -> Result<Outcome, Problem> {
    let questions = question::of_cluster(cluster, args, printer).await?;
    answer(args, questions, printer)
}

fn answer(args: &Simulate, questions: Vec<Question>, printer: &Printer) -> Result<Outcome, Problem> {
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        answers.push(Answer::of(args, question)?);
    }
    match args.output {
        SimulateFormat::Table => {
            for (number, answer) in answers.iter().enumerate() {
                if number > 0 {
                    printer.data("\n");
                }
                show::answer(args, answer, printer);
            }
        }
        SimulateFormat::Json => printer.document(crate::cli::Format::Json, &document::of(args, &answers))?,
        SimulateFormat::Yaml => printer.document_text(&proposals(args, &answers)),
    }
    let holds = answers.iter().all(|answer| answer.verdict.holds);
    Ok(if holds { Outcome::Good } else { Outcome::Bad })
}

/// As one file.
fn proposals(args: &Simulate, answers: &[Answer]) -> String {
    let texts = answers.iter().filter_map(|answer| proposal::yaml(args, answer));
    texts.collect::<Vec<_>>().join("---\n")
}

impl Answer {
    fn of(args: &Simulate, question: Question) -> Result<Self, Problem> {
        let scenario = args.scenario(&question, args.outage);
        let calls = question.rate * (LEAD + args.outage + TAIL).as_secs_f64();
        if calls > CALLS {
            return Err(Problem::new(format!("That would be {calls:.0} publishes in each run."))
                .next("Say a shorter --outage or a lower --rate."));
        }
        let mut reports = runs(&scenario, args.runs);
        let budget = args.budget();
        let within = (budget < args.outage).then(|| runs(&args.scenario(&question, budget), args.runs));
        let fitted = args
            .fit
            .then(|| fit(&args.scenario(&question, budget), u64::from(args.runs)));
        let verdict = match &fitted {
            Some(fitted) => Verdict::of(&fitted.within, Some(&fitted.beyond)),
            None => match &within {
                Some(within) => Verdict::of(within, Some(&reports)),
                None => Verdict::of(&reports, None),
            },
        };
        reports.sort_by_key(|report| report.refused);
        let middle = (reports.len() - 1) / 2;
        reports.swap(0, middle);
        Ok(Self {
            question,
            scenario,
            reports,
            budget: within,
            fitted,
            verdict,
        })
    }

    fn typical(&self) -> &Report {
        &self.reports[0]
    }
}

fn runs(scenario: &Scenario, runs: u16) -> Vec<Report> {
    seeded(scenario.seed, runs, |seed| {
        simulate(&Scenario {
            seed,
            ..scenario.clone()
        })
    })
}

/// One run for each of so many seeds, from this one on.
fn seeded<T>(seed: u64, runs: u16, run: impl Fn(u64) -> T) -> Vec<T> {
    (0..u64::from(runs))
        .map(|number| run(seed.wrapping_add(number)))
        .collect()
}

impl Simulate {
    fn budget(&self) -> Duration {
        self.budget.unwrap_or(self.outage)
    }

    fn sensible(&self) -> Result<(), Problem> {
        const LONGEST: Duration = Duration::from_secs(24 * 3600);
        if self.outage > LONGEST {
            return Err(Problem::new(format!(
                "--outage {} is longer than a day.",
                text::format_duration(self.outage)
            )));
        }
        if self.budget() > self.outage {
            return Err(Problem::new(format!(
                "--budget {} is longer than --outage {}: an outage that short says nothing about it.",
                text::format_duration(self.budget()),
                text::format_duration(self.outage)
            ))
            .next("Leave --budget out, or simulate an outage as long as the budget or longer."));
        }
        if self.output == SimulateFormat::Yaml && !self.fit {
            return Err(
                Problem::new("-o yaml prints the policy that --fit proposes.").next("Add --fit, or leave it out.")
            );
        }
        Ok(())
    }

    fn scenario(&self, question: &Question, length: Duration) -> Scenario {
        let outage = match self.mode {
            Mode::Refuse => Outage::once(Fault::Refuse, LEAD, length),
            Mode::Hang => Outage::once(Fault::Hang, LEAD, length),
            Mode::Slow => Outage::once(Fault::Slow(self.late), LEAD, length),
            Mode::Flap => Outage::flapping(LEAD, length, self.period),
        };
        Scenario {
            policy: question.policy.clone(),
            outage,
            budget: self.budget(),
            rate: question.rate,
            arrivals: if self.random { Arrivals::Poisson } else { Arrivals::Even },
            seed: self.seed,
            tail: TAIL,
            client: Client {
                partitions: self.partitions.into(),
                call_bytes: u64::from(self.call_kib) * 1024,
                ..Client::default()
            },
        }
    }
}

#[cfg(test)]
#[path = "simulate_tests.rs"]
mod tests;
