//! `check`: what must hold before an installation, and whether what is installed is well.

mod autoscaling;
mod dead_letters;
mod look;
mod view;

use super::{chosen, guard, status};
use crate::{
    cli::{Check as Args, CheckFormat, Format},
    cluster::Cluster,
    enrolment::Enrolments,
    kafka,
    model::Outcome,
    patches::Shape,
    permissions::{self, Task},
    preflight::Check,
    printer::{Mark, Printer},
    problem::Problem,
};
use serde::Serialize;
use std::collections::BTreeSet;

/// What one look found; the order is that of the report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    pub(super) section: &'static str,
    /// What was looked at; it stays the same from version to version.
    pub(super) id: &'static str,
    pub(super) state: State,
    pub(super) text: String,
    /// What to do about it.
    pub(super) next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    Ok,
    Warning,
    Failed,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    /// The worst of all findings.
    pub(super) verdict: State,
    /// Only what must hold before an installation was looked at.
    pub(super) pre: bool,
    pub(super) namespace: String,
    pub(super) findings: Vec<Finding>,
}

pub(super) async fn run(cluster: &Cluster, args: &Args, printer: &Printer) -> Result<Outcome, Problem> {
    printer.waiting("asking the cluster");
    let report = report(cluster, args.pre, printer).await?;
    printer.done_waiting();
    match args.output {
        CheckFormat::Json => printer.document(Format::Json, &report)?,
        CheckFormat::Table => view::show(&report, false, printer),
        CheckFormat::Short => view::show(&report, true, printer),
    }
    Ok(match report.verdict {
        State::Ok | State::Warning => Outcome::Good,
        State::Failed => Outcome::Bad,
    })
}

pub(super) async fn report(cluster: &Cluster, pre: bool, printer: &Printer) -> Result<Report, Problem> {
    // Who may not look would get a report with holes.
    let mut plan = chosen::installed_plan(cluster, &BTreeSet::new()).await?;
    let own = permissions::of(Task::Check, &plan, &cluster.namespace).required;
    guard::allowed(cluster, own, printer).await?;
    let facts = cluster.facts().await?;
    plan.kafka = kafka::plan(&cluster.namespace, &facts.kafka, &Shape::default(), false)?;
    let mut findings = Findings::default();
    findings.add("kubernetes", look::kubernetes(cluster, &facts).await?);
    findings.add("dapr", look::dapr(cluster, &facts).await?);
    let lag = plan.kafka.checks.iter().cloned().map(|check| check.id("kafka-lag"));
    findings.add("kafka", lag.collect());
    if facts.namespace_exists {
        let enrolments = chosen::enrolments(&plan, &facts.services, &facts);
        let enrolments = enrolments.unwrap_or_else(|| Enrolments::new(&plan, &[], &[], false));
        let services = crate::preflight::services(&enrolments, &facts, &cluster.namespace, false);
        findings.add("services", services);
        findings.add("sidecars", look::sidecars(cluster, &facts.pubsubs()).await?);
        findings.add("autoscaling", autoscaling::look(cluster, &facts.services).await?);
    }
    if pre {
        let wanted = permissions::of(Task::Install, &plan, &cluster.namespace).required;
        findings.add("permissions", look::permissions(cluster, wanted).await?);
    }
    let (names, coming) = look::names(cluster, &plan).await?;
    findings.add("names", names);
    findings.add("capacity", look::capacity(cluster, &coming).await?);
    findings.add("surroundings", look::surroundings(cluster, &facts).await?);
    if !pre {
        findings.add("learnflow", look::installed(&status::report(cluster).await?));
    }
    let findings = findings.0;
    Ok(Report {
        verdict: findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok),
        pre,
        namespace: cluster.namespace.clone(),
        findings,
    })
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, section: &'static str, checks: Vec<Check>) {
        self.0.extend(checks.into_iter().map(|check| Finding {
            section,
            id: check.id,
            state: match check.mark {
                Mark::Good => State::Ok,
                Mark::Warn => State::Warning,
                Mark::Bad => State::Failed,
            },
            text: check.text,
            next: check.next,
        }));
    }
}

#[cfg(test)]
mod tests;
