//! `explain autoscaling`: each service in words, and what is wrong.

use super::view;
use crate::{
    cli::{Explain as Args, ExplainFormat, Format, Global},
    cluster::Cluster,
    commands::{adapter, guard},
    model::{Outcome, Service},
    permissions,
    printer::{Printer, Tone},
    problem::Problem,
    scaling::explain::{Evidence, Explained, Explanation, explain},
    text,
};
use futures::try_join;
use learnflow_resilience::explain::Severity;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) async fn run(args: &Args, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let only = |flag: &str| {
        let what = format!("{flag} is for policies, and autoscaling was asked for.");
        Err(Problem::new(what).next("Leave it out."))
    };
    if !args.files.is_empty() {
        return only("--filename");
    }
    if args.rate.is_some() {
        return only("--rate");
    }
    if args.outage.is_some() {
        return only("--outage");
    }
    if matches!(args.output, ExplainFormat::Junit | ExplainFormat::Sarif) {
        return only("That output");
    }
    of_cluster(&Cluster::connect(global).await?, args, printer).await
}

pub(super) async fn of_cluster(cluster: &Cluster, args: &Args, printer: &Printer) -> Result<Outcome, Problem> {
    printer.waiting("asking the cluster");
    let needed = permissions::explain_scaling(&cluster.namespace).required;
    guard::allowed(cluster, needed, printer).await?;
    let services = cluster.services().await?;
    let explanation = look(cluster, &services).await?;
    printer.done_waiting();
    let explanation = match &args.service {
        Some(name) if services.iter().any(|service| service.name == *name) => explanation.only(name),
        Some(name) => return Err(unknown(name, &services, &cluster.namespace)),
        None if services.is_empty() => {
            let what = format!("No Deployment with a Dapr sidecar in namespace {}.", cluster.namespace);
            return Err(Problem::new(what).next("Name the namespace of your services with -n."));
        }
        None => explanation,
    };
    match args.output {
        ExplainFormat::Json => printer.document(Format::Json, &document(&explanation, &cluster.namespace))?,
        _ => show(&explanation, printer),
    }
    Ok(match explanation.worst() {
        Some(Severity::Error) => Outcome::Bad,
        _ => Outcome::Good,
    })
}

/// Asks for all that it takes, and explains it.
pub(in crate::commands) async fn look(cluster: &Cluster, services: &[Service]) -> Result<Explanation, Problem> {
    let (mut seen, nodes) = try_join!(cluster.scaling(services), cluster.nodes())?;
    adapter::look(cluster, &mut seen).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(explain(&Evidence {
        namespace: &cluster.namespace,
        services,
        seen: &seen,
        nodes: nodes.as_ref(),
        now: now.map_or(0, |now| now.as_secs().cast_signed()),
    }))
}

fn unknown(name: &str, services: &[Service], namespace: &str) -> Problem {
    let there: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    let what = format!("There is no Deployment {name} with a Dapr sidecar in namespace {namespace}.");
    Problem::new(what).next(match there.as_slice() {
        [] => "Name the namespace of your services with -n.".into(),
        there => format!("There is {}.", text::list(there)),
    })
}

fn show(explanation: &Explanation, printer: &Printer) {
    for (n, service) in explanation.services.iter().enumerate() {
        if n > 0 {
            printer.data("\n");
        }
        printer.data_line(Tone::Plain, &title(service));
        for sentence in &service.words {
            printer.data_line(Tone::Plain, &format!("    {sentence}"));
        }
    }
    view::findings(&explanation.findings, printer);
    printer.data("\n");
    view::verdict(
        &text::count(explanation.services.len(), "service"),
        &explanation.findings,
        printer,
    );
}

fn title(service: &Explained) -> String {
    let now = text::count(service.pods.max(0) as usize, "pod");
    match &service.autoscaler {
        None => format!("{}: no autoscaler, {now} now", service.deployment),
        Some(by) => {
            let whose = if by.learnflow { "LearnFlow's " } else { "" };
            format!("{}: {whose}{} {}, {now} now", service.deployment, by.kind, by.name)
        }
    }
}

fn document(explanation: &Explanation, namespace: &str) -> serde_json::Value {
    json!({
        "namespace": namespace,
        "services": explanation.services,
        "findings": explanation.findings.iter().map(view::finding_document).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
#[path = "autoscaling_tests.rs"]
mod tests;
