//! `explain`: what Dapr's policies come to, of a cluster or of files; and what autoscaling does.

pub(super) mod autoscaling;
mod files;
mod junit;
mod sarif;
mod view;

use super::guard;
use crate::{
    cli::{Explain as Args, ExplainFormat, Explained, Format, Global, Rate},
    cluster::Cluster,
    model::Outcome,
    permissions,
    printer::{Mark, Printer},
    problem::Problem,
    text,
};
pub(super) use files::read as read_files;
use learnflow_resilience::{
    explain::{CODES, Code, Explanation, Finding, Question, Rates, Severity, explain, publishes},
    read::{Objects, Wrong},
};
use std::{collections::BTreeSet, path::PathBuf};

/// More would take more than a moment, or than the memory.
const PUBLISHES: f64 = 5e6;
/// What of files is bad input, where in a cluster it is a finding.
const CONTRADICTS: [&str; 2] = ["LF103", "LF104"];

pub(super) async fn run(args: &Args, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    if args.what == Explained::Autoscaling {
        return autoscaling::run(args, global, printer).await;
    }
    if let Some(service) = &args.service {
        return Err(
            Problem::new(format!("Policies are explained together, not of {service} alone."))
                .next("Leave it out, or say `explain autoscaling NAME`."),
        );
    }
    if args.files.is_empty() {
        return of_cluster(&Cluster::connect(global).await?, args, printer).await;
    }
    let rates = match args.rate {
        Some(Rate::Live) => {
            return Err(Problem::new("--rate live asks the cluster, and files were named.")
                .next("Say the rate, for example --rate 5/s, or leave -f out."));
        }
        Some(Rate::PerSecond(rate)) => Rates::Said(rate),
        None => Rates::Unknown,
    };
    let question = question(args, rates)?;
    let objects = of_files(&args.files, global, printer)?;
    let explanation = explain(&objects, &question);
    let bad = explanation.findings.iter();
    let bad = bad.filter(|finding| CONTRADICTS.contains(&finding.code.id));
    let bad: Vec<(String, String)> = bad.map(|finding| (told(finding), finding.next.clone())).collect();
    match bad.is_empty() {
        true => print(&objects, &explanation, args, printer),
        false => Err(refuse(bad, printer)),
    }
}

fn question(args: &Args, rates: Rates) -> Result<Question, Problem> {
    let most = match &rates {
        Rates::Unknown => 0.0,
        Rates::Said(rate) => *rate,
        Rates::Measured(rates) => rates.values().copied().fold(0.0, f64::max),
    };
    let question = Question {
        rates,
        partitions: Some(args.partitions.into()),
        outage: args.outage,
        apps: None,
        ending_at_once: BTreeSet::new(),
    };
    match publishes(most, &question) {
        many if many > PUBLISHES => Err(Problem::new(format!(
            "At {most}/s that would be {many:.0} publishes to simulate."
        ))
        .next("Say a shorter --outage or a lower --rate.")),
        _ => Ok(question),
    }
}

fn print(objects: &Objects, explanation: &Explanation, args: &Args, printer: &Printer) -> Result<Outcome, Problem> {
    match args.output {
        ExplainFormat::Json => printer.document(Format::Json, &view::document(explanation))?,
        ExplainFormat::Sarif => printer.document(Format::Json, &sarif::document(explanation))?,
        ExplainFormat::Junit => printer.document_text(&junit::document(objects, explanation)),
        ExplainFormat::Table => view::show(explanation, false, printer),
        ExplainFormat::Wide => view::show(explanation, true, printer),
    }
    Ok(match explanation.worst() {
        Some(Severity::Error) => Outcome::Bad,
        _ => Outcome::Good,
    })
}

pub(super) async fn of_cluster(cluster: &Cluster, args: &Args, printer: &Printer) -> Result<Outcome, Problem> {
    printer.waiting("asking the cluster");
    let needed = permissions::explain(&cluster.namespace).required;
    guard::allowed(cluster, needed, printer).await?;
    let found = cluster.dapr_objects().await?;
    let services = cluster.services().await?;
    printer.done_waiting();
    if found.is_empty() {
        let what = format!(
            "There is no Component, Resiliency or Subscription of Dapr in namespace {}.",
            cluster.namespace
        );
        return Err(Problem::new(what).next("Name the namespace of the services with -n, or files with -f."));
    }
    let rates = match args.rate {
        Some(Rate::Live) => live(cluster, printer).await?,
        Some(Rate::PerSecond(rate)) => Rates::Said(rate),
        None => Rates::Unknown,
    };
    let mut question = question(args, rates)?;
    let at_once = services.iter().filter(|service| service.ends_at_once());
    question.ending_at_once = at_once.filter_map(|service| service.app_id.clone()).collect();
    question.apps = Some(services.into_iter().filter_map(|service| service.app_id).collect());
    let (objects, wrong) = Objects::of_cluster(&found);
    let mut explanation = explain(&objects, &question);
    // A sidecar goes on without such an object, so the rest is explained without it.
    let unreadable = CODES.iter().find(|code| code.id == "LF101").copied();
    let errors = wrong.into_iter().filter_map(|wrong| Some(refused(unreadable?, wrong)));
    explanation.findings.splice(0..0, errors);
    print(&objects, &explanation, args, printer)
}

/// The most that one sidecar of each service has published.
async fn live(cluster: &Cluster, printer: &Printer) -> Result<Rates, Problem> {
    let say = "Say the rate yourself, for example --rate 5/s.";
    let rates = cluster.publish_rates().await.map_err(|problem| problem.next(say))?;
    let said = rates.iter().filter(|(_, rate)| **rate > 0.0);
    let said: Vec<String> = said
        .map(|((app, component), rate)| format!("{app} to {component} {rate:.3}/s"))
        .collect();
    if said.is_empty() {
        return Err(Problem::new("No sidecar of this namespace has published in the last day.").next(say));
    }
    let text = format!(
        "rates, the highest of one sidecar in the last day: {}",
        text::list(&said)
    );
    printer.step(Mark::Good, &text);
    Ok(Rates::Measured(rates))
}

fn refused(code: Code, wrong: Wrong) -> Finding {
    Finding {
        code,
        severity: Severity::Error,
        what: format!("Dapr cannot read it, and applies none of its targets: {}", wrong.what),
        next: wrong.next,
        places: vec![wrong.place],
        apps: Vec::new(),
    }
}

pub(super) fn of_files(paths: &[PathBuf], global: &Global, printer: &Printer) -> Result<Objects, Problem> {
    let files = files::read(paths)?;
    let texts = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let (objects, wrong) = Objects::read(texts);
    if !wrong.is_empty() {
        let wrong = wrong.into_iter().map(|wrong| (wrong.to_string(), wrong.next));
        return Err(refuse(wrong.collect(), printer));
    }
    let named: BTreeSet<&String> = objects.metas().filter_map(|meta| meta.namespace.as_ref()).collect();
    let objects = match (&global.namespace, named.len()) {
        (None, 0 | 1) => objects,
        (None, _) => {
            let named: Vec<&String> = named.into_iter().collect();
            let what = format!("The files have objects of several namespaces: {}.", text::list(&named));
            return Err(Problem::new(what).next("Name one of them with -n."));
        }
        (Some(namespace), _) => {
            let namespace = namespace.clone();
            objects.in_namespace(&namespace)
        }
    };
    if objects.metas().next().is_none() {
        let what = "The files have no Component, Resiliency or Subscription of Dapr.";
        return Err(
            Problem::new(what).next("Name files with objects of apiVersion dapr.io/…, or another namespace with -n.")
        );
    }
    Ok(objects)
}

/// Everything that is wrong at once: who mends one at a time would run it many times.
pub(super) fn refuse(mut wrong: Vec<(String, String)>, printer: &Printer) -> Problem {
    let last = wrong.pop();
    for (what, next) in wrong {
        printer.step(Mark::Bad, &what);
        printer.hint(&next);
    }
    let (what, next) = last.unwrap_or_default();
    Problem::new(what).next(next)
}

/// One line, with where it is.
fn told(finding: &Finding) -> String {
    match finding.places.as_slice() {
        [] => format!("{}.", finding.what),
        [place] => format!("{place}: {}.", finding.what),
        [place, others @ ..] => {
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            format!("{place}: {} (and {}).", finding.what, others.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
