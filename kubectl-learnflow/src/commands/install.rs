//! `install`: check everything, apply in order, wait, enrol.

use super::{
    confirm, enrol,
    preflight::{self, Before, is_ours},
};
use crate::{
    cli::Install,
    cluster::{Cluster, Mode, Progress},
    model::{Applied, Facts, Outcome, Service},
    objects::{Object, ObjectRef, Plan},
    printer::{Mark, Printer, Tone},
    problem::Problem,
    text,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;

pub(super) async fn run(cluster: &Cluster, args: &Install, printer: &Printer) -> Result<Outcome, Problem> {
    printer.section("Checking the cluster");
    preflight::may_install(cluster, printer).await?;
    let facts = cluster.facts().await?;
    let (services, plan) = choose(&facts, args, &cluster.namespace)?;
    let before = preflight::preflight(cluster, &facts, &services, &plan, printer).await?;
    if args.dry_run {
        list(&plan, &services, &before, &cluster.namespace, printer);
        return Ok(Outcome::Good);
    }

    printer.section("Applying");
    if !before.contains_key(&plan.namespace.reference()) || is_ours(&before, &plan.namespace) {
        apply(cluster, &plan.namespace, &before, printer).await?;
    }
    // Pods last: a ReplicaSet that misses its ServiceAccount backs off for longer than all this takes.
    for workloads in [false, true] {
        stream::iter(plan.stack.iter().filter(|object| object.is_workload() == workloads))
            .map(|object| apply(cluster, object, &before, printer))
            .buffered(8)
            .try_for_each(|_| async { Ok(()) })
            .await?;
    }

    printer.section("Waiting for the stack");
    let workloads: Vec<ObjectRef> = plan
        .stack
        .iter()
        .filter(|object| object.is_workload())
        .map(Object::reference)
        .collect();
    let rest = cluster.wait_ready(&workloads, args.timeout, tell(printer)).await?;
    printer.done_waiting();
    if !rest.is_empty() {
        for progress in &rest {
            printer.step(
                Mark::Bad,
                &format!("not ready after {}: {progress}", text::format_duration(args.timeout)),
            );
        }
        printer.hint(
            "Nothing of the services was touched. Mend what is named above and run `kubectl learnflow install` again.",
        );
        return Ok(Outcome::Bad);
    }

    // Only now anything in the services' own namespace.
    printer.section("Enrolling services");
    for object in plan.middleware() {
        apply(cluster, object, &before, printer).await?;
    }
    if enrol::all(cluster, &services, &plan.revision, args.timeout, printer).await? == Outcome::Bad {
        return Ok(Outcome::Bad);
    }
    let outcome = confirm::all(cluster, &plan, &services, args.timeout, printer).await?;
    if outcome == Outcome::Good {
        printer.step(Mark::Good, "LearnFlow is installed");
        printer.hint(&format!(
            "Look at it with `kubectl learnflow status -n {}`.",
            cluster.namespace
        ));
    }
    Ok(outcome)
}

/// The services to enrol, and everything to apply for them.
fn choose(facts: &Facts, args: &Install, namespace: &str) -> Result<(Vec<Service>, Plan), Problem> {
    for name in &args.exclude {
        if !facts.services.iter().any(|service| service.name == *name) {
            return Err(Problem::new(format!(
                "--exclude {name}: there is no such Deployment with a Dapr sidecar in namespace {namespace}."
            ))
            .next("Nothing was changed."));
        }
    }
    let (left_out, services): (Vec<Service>, Vec<Service>) = facts
        .services
        .iter()
        .cloned()
        .partition(|service| args.exclude.contains(&service.name));
    // Who is enrolled and now left out stays as it is, and so needs the Component further on.
    let stay = left_out.iter().filter(|service| service.enrolled);
    let app_ids: BTreeSet<String> = services
        .iter()
        .chain(stay)
        .filter_map(|service| service.app_id.clone())
        .collect();
    Ok((services, Plan::new(namespace, &app_ids)?))
}

async fn apply(cluster: &Cluster, object: &Object, before: &Before, printer: &Printer) -> Result<Applied, Problem> {
    let applied = cluster
        .apply(object, before.get(&object.reference()), Mode::Real)
        .await?;
    match applied {
        Applied::Unchanged => printer.step(Mark::Good, &format!("{object} unchanged")),
        applied => printer.step(Mark::Good, &format!("applied {object} ({applied})")),
    }
    Ok(applied)
}

/// Reports a wait: each workload once when it is ready, the others as long as they are not.
fn tell(printer: &Printer) -> impl FnMut(&[Progress]) {
    let mut said = BTreeSet::new();
    move |all| {
        for progress in all.iter().filter(|progress| progress.is_done()) {
            if said.insert(progress.object.clone()) {
                printer.step(Mark::Good, &progress.to_string());
            }
        }
        let rest: Vec<String> = all.iter().filter(|p| !p.is_done()).map(ToString::to_string).collect();
        if !rest.is_empty() {
            printer.waiting(&rest.join(" · "));
        }
    }
}

fn list(plan: &Plan, services: &[Service], before: &Before, namespace: &str, printer: &Printer) {
    for object in plan.all() {
        let known = before.contains_key(&object.reference());
        let what = match (known, is_ours(before, object)) {
            (false, _) => "create",
            (true, true) => "apply",
            (true, false) => "leave",
        };
        printer.data_line(Tone::Plain, &format!("{what} {object}"));
    }
    for service in services {
        let again = service.revision.as_deref() == Some(&plan.revision);
        let what = if again { "keep" } else { "enrol and roll" };
        printer.data_line(Tone::Plain, &format!("{what} Deployment {namespace}/{}", service.name));
    }
    printer.step(Mark::Good, "Dry run: nothing was changed");
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
