//! Everything `install` looks at before it writes. What is looked for and what it means is in
//! [`crate::preflight`]; here the cluster is asked.

use crate::{
    cluster::{Cluster, Mode},
    model::{Access, Applied, Existing, Facts, Service},
    objects::{MANAGER, Object, ObjectRef, Plan, STACK_NAMESPACE},
    permissions::{self, Task},
    preflight::{self, Check},
    printer::{Mark, Printer},
    problem::{Kind, Problem},
    text,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeSet, HashMap};

/// What is in the cluster under the names of a plan.
pub(super) type Before = HashMap<ObjectRef, Existing>;

/// May we install? Asked first: without, nothing else can be found out.
pub(super) async fn may_install(cluster: &Cluster, printer: &Printer) -> Result<(), Problem> {
    let plan = Plan::new(&cluster.namespace, &BTreeSet::new())?;
    let wanted = permissions::of(Task::Install, &plan, &cluster.namespace).required;
    allowed(cluster, wanted, printer).await?;
    printer.step(Mark::Good, "Permissions");
    Ok(())
}

/// Says which permissions are missing, and stops if any is.
pub(super) async fn allowed(cluster: &Cluster, wanted: BTreeSet<Access>, printer: &Printer) -> Result<(), Problem> {
    let refused = cluster.refused(wanted).await?;
    if refused.is_empty() {
        return Ok(());
    }
    let caller = cluster.caller().await;
    stop(show(printer, &preflight::permissions(&refused, caller.as_deref())))
}

/// Looks at everything before anything is written, and says all that is wrong, not just the first.
pub(super) async fn preflight(
    cluster: &Cluster,
    facts: &Facts,
    services: &[Service],
    plan: &Plan,
    printer: &Printer,
) -> Result<Before, Problem> {
    let mut failed = show(printer, &preflight::cluster(facts, &cluster.namespace));
    failed += show(printer, &preflight::services(services, &cluster.namespace));
    stop(failed)?;

    let mut before = Before::new();
    let mut checks = Vec::new();
    let found = stream::iter(plan.all())
        .map(|object| async move { Ok::<_, Problem>((object, cluster.existing(&object.reference()).await?)) });
    let found: Vec<_> = found.buffered(8).try_collect().await?;
    for (object, existing) in found {
        if let Some(existing) = existing {
            checks.extend(preflight::ownership(object, &existing));
            before.insert(object.reference(), existing);
        }
    }
    stop(show(printer, &checks))?;
    let (checks, restarts) = rehearse(cluster, services, plan, &before).await?;
    stop(show(printer, &checks))?;
    if restarts {
        let text = format!(
            "Dapr restarts the runtime of the running sidecars in {} once",
            cluster.namespace
        );
        let why = "Dapr 1.18 does so at any write to a Configuration. Sidecars that stay out of LearnFlow lose \
                   their /metrics by it until their pods are replaced.";
        show(printer, &[Check::warn(text, why)]);
    }
    Ok(before)
}

/// Lets the server check every object as if it were applied, admission included. Also says whether the
/// Configuration would be written.
async fn rehearse(
    cluster: &Cluster,
    services: &[Service],
    plan: &Plan,
    before: &Before,
) -> Result<(Vec<Check>, bool), Problem> {
    let mut failures = Vec::new();
    let mut restarts = false;
    let nowhere = !before.contains_key(&plan.namespace.reference());
    for object in plan.all() {
        // In a namespace that is not there nothing can be tried. A throw-away name in the services'
        // namespace shows all that is wrong with the object itself.
        let stand_in = nowhere && object.namespace() == Some(STACK_NAMESPACE);
        let tried = if stand_in {
            let name = format!("learnflow-try-{}", object.name());
            cluster
                .apply(&object.moved(&cluster.namespace, &name), None, Mode::DryRun)
                .await
        } else if is_ours(before, object) || !before.contains_key(&object.reference()) {
            cluster
                .apply(object, before.get(&object.reference()), Mode::DryRun)
                .await
        } else {
            continue;
        };
        match tried {
            Ok(applied) => restarts |= applied != Applied::Unchanged && *object == plan.configuration,
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
        let text = format!("Server-side dry run of {}", text::count(number, "object"));
        return Ok((vec![Check::good(text)], restarts));
    }
    let failures = failures.into_iter().map(|problem| Check {
        id: "dry-run",
        mark: Mark::Bad,
        text: problem.what,
        next: problem.next,
    });
    Ok((failures.collect(), restarts))
}

pub(super) fn is_ours(before: &Before, object: &Object) -> bool {
    let existing = before.get(&object.reference());
    existing.is_some_and(|existing| existing.managed_by.as_deref() == Some(MANAGER))
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
    Err(Problem::new(format!(
        "{} failed; nothing was changed.",
        text::count(failed, "check")
    )))
}
