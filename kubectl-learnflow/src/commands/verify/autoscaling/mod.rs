//! `verify autoscaling`: loads a service, with consent and within bounds, and watches what its autoscaler makes of it.

mod judge;
mod load;
mod report;
mod run;
mod scene;
mod way;

use super::{experiment::Lines, findings, stop::Stop};
use crate::{
    cli::Autoscaling, cluster::Cluster, commands::guard, model::Outcome, permissions, printer::Printer,
    problem::Problem,
};
use std::time::Duration;

/// A run that hangs has an end; the load has a bound of its own.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

pub(super) async fn run(
    cluster: &Cluster,
    ports: &impl Lines,
    args: &Autoscaling,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    run_until(cluster, ports, args, Stop::on_signals(LONGEST), printer).await
}

async fn run_until<P: Lines>(
    cluster: &Cluster,
    ports: &P,
    args: &Autoscaling,
    stop: Stop,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let namespace = &cluster.namespace;
    let mut needed = permissions::verify_autoscaling(namespace).required;
    if args.events.topic.is_some() {
        needed.extend(permissions::verify_looks(namespace).required);
    }
    let looks = async {
        guard::allowed(cluster, needed, printer).await?;
        scene::of(cluster, ports, args).await
    };
    let Ok(scene) = stop.or(looks).await else {
        return Ok(Outcome::Interrupted);
    };
    let scene = scene?;
    if !args.load {
        return findings::show(&scene.findings(args), args.output, printer);
    }
    if let Some(problem) = scene.at_its_limit() {
        return Err(problem);
    }
    if let Some(proxied) = &scene.proxied {
        let verb = match args.requests.method.as_str() {
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "get",
        };
        guard::allowed(
            cluster,
            permissions::verify_requests(namespace, proxied, verb).required,
            printer,
        )
        .await?;
    }
    run::run(cluster, &scene, args, &stop, printer).await
}

#[cfg(test)]
#[path = "autoscaling_tests.rs"]
pub(in crate::commands) mod tests;
