//! `install`: check everything, apply in order, wait, enrol.

use super::enrol;
use crate::{
    cli::Install,
    cluster::{Cluster, Mode, Progress, accesses},
    model::{Access, Applied, Existing, Facts, Outcome, Service},
    objects::{Object, ObjectRef, Plan, STACK_NAMESPACE},
    preflight::{self, Check},
    printer::{Mark, Printer, Tone},
    problem::{Kind, Problem},
    text,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeSet, HashMap};

/// What is in the cluster under the names of the plan.
type Before = HashMap<ObjectRef, Existing>;

pub(super) async fn run(cluster: &Cluster, args: &Install, printer: &Printer) -> Result<Outcome, Problem> {
    printer.section("Checking the cluster");
    let facts = cluster.facts().await?;
    let (services, plan) = choose(&facts, args, &cluster.namespace)?;
    let before = preflight(cluster, &facts, &services, &plan, printer).await?;
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
    for object in plan.middleware() {
        apply(cluster, object, &before, printer).await?;
    }

    printer.section("Waiting for the stack");
    let workloads: Vec<ObjectRef> =
        plan.stack.iter().filter(|object| object.is_workload()).map(Object::reference).collect();
    let rest = cluster.wait_ready(&workloads, args.timeout, tell(printer)).await?;
    printer.done_waiting();
    if !rest.is_empty() {
        for progress in &rest {
            printer.step(Mark::Bad, &format!("not ready after {}: {progress}", text::format_duration(args.timeout)));
        }
        printer.hint("No service was touched. Mend what is named above and run `kubectl learnflow install` again.");
        return Ok(Outcome::Bad);
    }

    printer.section("Enrolling services");
    if enrol::all(cluster, &services, &plan.revision, args.timeout, printer).await? == Outcome::Bad {
        return Ok(Outcome::Bad);
    }
    let outcome = enrol::wait_for_metrics(cluster, &services, args.timeout, printer).await?;
    if outcome == Outcome::Good {
        printer.step(Mark::Good, "LearnFlow is installed");
        printer.hint(&format!("Look at it with `kubectl learnflow status -n {}`.", cluster.namespace));
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
            .next("Nothing was applied."));
        }
    }
    let (left_out, services): (Vec<Service>, Vec<Service>) =
        facts.services.iter().cloned().partition(|service| args.exclude.contains(&service.name));
    // Who is enrolled and now left out stays as it is, and so needs the Component further on.
    let stay = left_out.iter().filter(|service| service.enrolled);
    let app_ids: BTreeSet<String> =
        services.iter().chain(stay).filter_map(|service| service.app_id.clone()).collect();
    Ok((services, Plan::new(namespace, &app_ids)?))
}

/// Looks at everything before anything is written, and says all that is wrong, not just the first.
async fn preflight(
    cluster: &Cluster,
    facts: &Facts,
    services: &[Service],
    plan: &Plan,
    printer: &Printer,
) -> Result<Before, Problem> {
    let mut failed = show(printer, &preflight::cluster(facts, &cluster.namespace));
    failed += show(printer, &preflight::services(services, &cluster.namespace));
    failed += show(printer, &preflight::permissions(&cluster.refused(permissions(cluster, plan)).await?));
    stop(failed)?;

    let mut before = Before::new();
    let mut checks = Vec::new();
    let found = stream::iter(plan.all()).map(|object| async move {
        Ok::<_, Problem>((object, cluster.existing(&object.reference()).await?))
    });
    let found: Vec<_> = found.buffered(8).try_collect().await?;
    for (object, existing) in found {
        if let Some(existing) = existing {
            checks.extend(preflight::ownership(object, &existing));
            before.insert(object.reference(), existing);
        }
    }
    stop(show(printer, &checks))?;
    stop(show(printer, &rehearse(cluster, services, plan, &before).await?))?;
    if !before.contains_key(&plan.configuration.reference()) {
        let text = format!("Dapr restarts the runtime of every running sidecar in {} once", cluster.namespace);
        let why = "It does so whenever a Configuration is created. Services that are not enrolled lose \
                   their /metrics by it until their pods are replaced (Dapr 1.18).";
        show(printer, &[Check::warn(text, why)]);
    }
    Ok(before)
}

fn permissions(cluster: &Cluster, plan: &Plan) -> BTreeSet<Access> {
    let objects: Vec<ObjectRef> = plan.all().map(Object::reference).collect();
    let deployments = [ObjectRef::deployment(&cluster.namespace, "")];
    let mut wanted = accesses(objects.iter(), &["get", "create", "patch"]);
    wanted.extend(accesses(deployments.iter(), &["get", "list", "patch"]));
    for namespace in [&cluster.namespace, STACK_NAMESPACE] {
        wanted.insert(Access {
            verb: "list",
            group: String::new(),
            resource: "pods".into(),
            namespace: Some(namespace.to_owned()),
        });
    }
    wanted
}

/// Lets the server check every object as if it were applied, admission included.
async fn rehearse(
    cluster: &Cluster,
    services: &[Service],
    plan: &Plan,
    before: &Before,
) -> Result<Vec<Check>, Problem> {
    let mut failures = Vec::new();
    let nowhere = !before.contains_key(&plan.namespace.reference());
    for object in plan.all() {
        // In a namespace that is not there nothing can be tried. A throw-away name in the services'
        // namespace shows all that is wrong with the object itself.
        let stand_in = nowhere && object.namespace() == Some(STACK_NAMESPACE);
        let tried = if stand_in {
            let name = format!("learnflow-try-{}", object.name());
            cluster.apply(&object.moved(&cluster.namespace, &name), None, Mode::DryRun).await
        } else if is_ours(before, object) || !before.contains_key(&object.reference()) {
            cluster.apply(object, before.get(&object.reference()), Mode::DryRun).await
        } else {
            continue;
        };
        match tried {
            Ok(_) => {}
            // What is forbidden there may be allowed where the object really goes.
            Err(problem) if stand_in && problem.kind == Kind::Forbidden => {}
            Err(problem) if problem.kind == Kind::Unreachable => return Err(problem),
            Err(problem) => failures.push(problem),
        }
    }
    for service in services {
        match cluster.enrol(service, &plan.revision, Mode::DryRun).await {
            Ok(_) => {}
            Err(problem) if problem.kind == Kind::Unreachable => return Err(problem),
            Err(problem) => failures.push(problem),
        }
    }
    if failures.is_empty() {
        let number = plan.all().count() + services.len();
        return Ok(vec![Check::good(format!("Server-side dry run of {}", text::count(number, "object")))]);
    }
    Ok(failures
        .into_iter()
        .map(|problem| Check { mark: Mark::Bad, text: problem.what, next: problem.next })
        .collect())
}

async fn apply(cluster: &Cluster, object: &Object, before: &Before, printer: &Printer) -> Result<Applied, Problem> {
    let applied = cluster.apply(object, before.get(&object.reference()), Mode::Real).await?;
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

fn is_ours(before: &Before, object: &Object) -> bool {
    let existing = before.get(&object.reference());
    existing.is_some_and(|existing| existing.managed_by.as_deref() == Some(crate::objects::MANAGER))
}

fn show(printer: &Printer, checks: &[Check]) -> usize {
    for check in checks {
        printer.step(check.mark, &check.text);
        if let Some(next) = &check.next {
            printer.hint(next);
        }
    }
    checks.iter().filter(|check| check.mark == Mark::Bad).count()
}

fn stop(failed: usize) -> Result<(), Problem> {
    if failed == 0 {
        return Ok(());
    }
    Err(Problem::new(format!("{} failed; nothing was applied.", text::count(failed, "check"))))
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
