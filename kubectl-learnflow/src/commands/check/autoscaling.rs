//! What `explain autoscaling` finds, as checks.

use crate::{
    cluster::Cluster,
    commands::explain::autoscaling,
    model::Service,
    preflight::Check,
    printer::Mark,
    problem::{Kind, Problem},
    text::count,
};
use learnflow_resilience::explain::{Finding, Severity};

pub(super) async fn look(cluster: &Cluster, services: &[Service]) -> Result<Vec<Check>, Problem> {
    let explanation = match autoscaling::look(cluster, services).await {
        Err(problem) if problem.kind == Kind::Forbidden => {
            let next = "Ask for that permission to have it looked at.";
            let text = format!("Autoscaling was not looked at: {problem}");
            return Ok(vec![Check::warn(text, next).id("autoscaling")]);
        }
        explanation => explanation?,
    };
    let scaled = explanation
        .services
        .iter()
        .filter(|service| service.autoscaler.is_some())
        .count();
    let mut checks: Vec<Check> = explanation.findings.iter().filter_map(check).collect();
    if checks.is_empty() && scaled > 0 {
        checks.push(Check::good(format!(
            "{} scaled, with room for all pods",
            count(scaled, "service")
        )));
    }
    Ok(checks.into_iter().map(|check| check.id("autoscaling")).collect())
}

/// Notes are for `explain` alone.
fn check(finding: &Finding) -> Option<Check> {
    let mark = match finding.severity {
        Severity::Error => Mark::Bad,
        Severity::Warning => Mark::Warn,
        Severity::Note => return None,
    };
    let place = finding
        .places
        .first()
        .map(|place| format!("{place}: "))
        .unwrap_or_default();
    Some(Check {
        id: "",
        mark,
        text: format!("{} {place}{}", finding.code.id, finding.what),
        next: Some(finding.next.clone()),
    })
}
