//! Everything `install` looks at before it writes. What is looked for and what it means is in
//! [`crate::preflight`]; here the cluster is asked.

use crate::{
    cluster::{Cluster, Mode, accesses},
    enrolment::Enrolments,
    model::{Access, Existing, Facts},
    objects::{MANAGER, Object, ObjectRef, Plan, STACK_NAMESPACE},
    preflight::{self, Check},
    printer::{Mark, Printer},
    problem::{Kind, Problem},
    text,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeSet, HashMap};

/// What is in the cluster under the names of a plan.
pub(super) type Before = HashMap<ObjectRef, Existing>;

/// What a command is about to apply.
pub(super) struct Wanted<'a> {
    /// What does not go to the services' namespace.
    pub(super) outside: Vec<&'a Object>,
    pub(super) enrolments: &'a Enrolments,
    /// Fields that a tool owns may be taken over.
    pub(super) force_conflicts: bool,
}

impl<'a> Wanted<'a> {
    /// In the order in which they are applied.
    pub(super) fn objects(&self) -> impl Iterator<Item = &'a Object> {
        self.outside.clone().into_iter().chain(self.enrolments.objects())
    }
}

/// May we install? Asked first: without, nothing else can be found out.
pub(super) async fn may_install(cluster: &Cluster, printer: &Printer) -> Result<(), Problem> {
    let plan = Plan::new(&cluster.namespace, &BTreeSet::new())?;
    let outside: Vec<ObjectRef> = plan.outside().map(Object::reference).collect();
    let mut wanted = to_enrol(cluster)?;
    wanted.extend(accesses(outside.iter(), &["get", "create", "patch"]));
    wanted.extend([to_list("", "pods", STACK_NAMESPACE)]);
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

/// What it takes to enrol services, and to let them go.
pub(super) fn to_enrol(cluster: &Cluster) -> Result<BTreeSet<Access>, Problem> {
    let here = &cluster.namespace;
    let plan = Plan::new(here, &BTreeSet::new())?;
    let objects = plan.middleware().map(Object::reference);
    let secret = ObjectRef {
        api_version: "v1".into(),
        kind: "Secret".into(),
        namespace: Some(here.clone()),
        name: String::new(),
    };
    let deployments = [ObjectRef::deployment(here, "")];
    let mut wanted = accesses(objects.iter(), &["get", "list", "create", "patch", "delete"]);
    wanted.extend(accesses([secret].iter(), &["get", "create", "patch"]));
    wanted.extend(accesses(deployments.iter(), &["get", "list", "patch"]));
    wanted.extend([to_list("", "pods", here), to_list("apps", "replicasets", here)]);
    Ok(wanted)
}

fn to_list(group: &str, resource: &str, namespace: &str) -> Access {
    Access {
        verb: "list",
        group: group.into(),
        resource: resource.into(),
        namespace: Some(namespace.to_owned()),
    }
}

/// Looks at everything before anything is written, and says all that is wrong, not just the first.
pub(super) async fn preflight(
    cluster: &Cluster,
    facts: &Facts,
    wanted: &Wanted<'_>,
    printer: &Printer,
) -> Result<Before, Problem> {
    let mut failed = show(printer, &preflight::cluster(facts, &cluster.namespace));
    failed += show(
        printer,
        &preflight::services(wanted.enrolments, facts, &cluster.namespace, wanted.force_conflicts),
    );
    stop(failed)?;

    let mut before = Before::new();
    let mut checks = Vec::new();
    let found = stream::iter(wanted.objects())
        .map(|object| async move { Ok::<_, Problem>((object, cluster.existing(&object.reference()).await?)) });
    let found: Vec<_> = found.buffered(8).try_collect().await?;
    for (object, existing) in found {
        if let Some(existing) = existing {
            checks.extend(preflight::ownership(object, &existing));
            before.insert(object.reference(), existing);
        }
    }
    stop(show(printer, &checks))?;
    stop(show(printer, &rehearse(cluster, wanted, &before).await?))?;
    Ok(before)
}

/// Lets the server check every object as if it were applied, admission included.
async fn rehearse(cluster: &Cluster, wanted: &Wanted<'_>, before: &Before) -> Result<Vec<Check>, Problem> {
    let mut failures = Vec::new();
    let nowhere = wanted
        .outside
        .iter()
        .any(|object| object.kind() == "Namespace" && !before.contains_key(&object.reference()));
    for object in wanted.objects() {
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
            Ok(_) => {}
            // What is forbidden there may be allowed where the object really goes.
            Err(problem) if stand_in && problem.kind == Kind::Forbidden => {}
            Err(problem) if problem.kind == Kind::Unreachable => return Err(problem),
            Err(problem) => failures.push(problem),
        }
    }
    let entries = &wanted.enrolments.entries;
    for entry in entries {
        let taken_over = !entry.replaces().is_empty();
        match cluster
            .enrol(&entry.service, &entry.enrolment, taken_over, Mode::DryRun)
            .await
        {
            Ok(_) => {}
            Err(problem) if problem.kind == Kind::Unreachable => return Err(problem),
            Err(problem) => failures.push(problem),
        }
    }
    if failures.is_empty() {
        let number = wanted.objects().count() + entries.len();
        let text = format!("Server-side dry run of {}", text::count(number, "object"));
        return Ok(vec![Check::good(text)]);
    }
    let failures = failures.into_iter().map(|problem| Check {
        mark: Mark::Bad,
        text: problem.what,
        next: problem.next,
    });
    Ok(failures.collect())
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
