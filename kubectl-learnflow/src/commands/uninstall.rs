//! `uninstall`: lets the services go, then removes what is ours and nothing else.

use super::{applier::patiently, chosen, enrol, guard, kafka};
use crate::{
    cli::Uninstall,
    cluster::Cluster,
    external,
    model::{Outcome, Service},
    objects::{MANAGER, Object, ObjectRef, STACK_NAMESPACE},
    permissions::{self, Task},
    printer::{Mark, Printer, Tone},
    problem::Problem,
    quota, text,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep};

/// What there is to remove, in order.
#[derive(Debug, Default)]
struct Found {
    services: Vec<Service>,
    /// What goes before the services are let go: see [`super::policies`]. No pod of theirs reads it.
    first: Vec<ObjectRef>,
    middleware: Vec<ObjectRef>,
    /// They go with their Configurations.
    secrets: Vec<ObjectRef>,
    stack: Vec<ObjectRef>,
    namespaces: Vec<ObjectRef>,
    /// What holds data.
    volumes: Vec<ObjectRef>,
    /// Other namespaces whose services need the stack.
    others: Vec<String>,
}

/// For the services of each namespace: nothing is removed unless all of it may be.
pub(super) async fn run(clusters: &[Cluster], args: &Uninstall, printer: &Printer) -> Result<Outcome, Problem> {
    printer.waiting("asking the cluster");
    for cluster in clusters.iter().filter(|_| !args.dry_run) {
        let plan = chosen::installed_plan(cluster, &BTreeSet::new()).await?;
        let wanted = permissions::of(Task::Uninstall, &plan, &cluster.namespace).required;
        guard::allowed(cluster, wanted, printer).await?;
    }
    if clusters.len() > 1 && !args.unenroll && !args.dry_run {
        let all = stream::iter(clusters).then(async |cluster| {
            let services = cluster.services().await?;
            let services = services.into_iter().filter(|service| service.enrolled);
            Ok::<_, Problem>(services.map(|service| format!("{}/{}", cluster.namespace, service.name)))
        });
        let all: Vec<String> = all.try_collect::<Vec<_>>().await?.into_iter().flatten().collect();
        if !all.is_empty() {
            let named: Vec<&str> = all.iter().map(String::as_str).collect();
            return Err(enrolled(
                &named,
                "Let them go first with --unenroll (a rolling update of each).",
            ));
        }
    }
    printer.done_waiting();
    for (n, cluster) in clusters.iter().enumerate() {
        if clusters.len() > 1 {
            printer.section(&format!("Namespace {}", cluster.namespace));
        }
        let (before, later) = (&clusters[..n], &clusters[n + 1..]);
        if one(cluster, before, later, args, printer).await? == Outcome::Bad {
            return Ok(Outcome::Bad);
        }
    }
    Ok(Outcome::Good)
}

fn enrolled(named: &[&str], next: &str) -> Problem {
    let are = if named.len() == 1 { "is" } else { "are" };
    Problem::new(format!("{} {are} enrolled; nothing was removed.", text::list(named))).next(next)
}

/// One namespace, after those `before` it. Those that come `later` still need what all share.
async fn one(
    cluster: &Cluster,
    before: &[Cluster],
    later: &[Cluster],
    args: &Uninstall,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    printer.waiting("asking the cluster");
    let found = find(cluster, before).await?;
    printer.done_waiting();
    let here = &cluster.namespace;
    let named = |other: &String| later.iter().any(|cluster| cluster.namespace == *other);
    if !found.others.iter().all(named) {
        printer.step(
            Mark::Warn,
            &format!(
                "{STACK_NAMESPACE} stays: namespace {} uses it",
                text::list(&found.others)
            ),
        );
        printer.hint("Run `kubectl learnflow uninstall -n NAMESPACE` for each of them to remove it too.");
    }
    if found.is_empty() {
        printer.step(Mark::Good, &format!("Nothing is installed for namespace {here}"));
        return Ok(Outcome::Good);
    }
    let named: Vec<&str> = found.services.iter().map(|service| service.name.as_str()).collect();
    let next = format!(
        "Let them go first with `kubectl learnflow uninstall --unenroll -n {here}` (a rolling update of each), or \
         one by one with `kubectl learnflow unenroll NAME`."
    );
    let refused = !named.is_empty() && !args.unenroll;
    if args.dry_run {
        for object in &found.first {
            printer.data_line(Tone::Plain, &format!("delete {object}"));
        }
        for service in &found.services {
            let line = format!("release and roll Deployment {here}/{}", service.name);
            printer.data_line(Tone::Plain, &line);
        }
        let objects = found.middleware.iter().chain(&found.stack);
        for object in objects
            .chain(found.volumes.iter().filter(|_| args.delete_data))
            .chain(&found.namespaces)
        {
            printer.data_line(Tone::Plain, &format!("delete {object}"));
        }
        if refused {
            printer.step(
                Mark::Warn,
                &format!("Refused without --unenroll: {} enrolled", text::list(&named)),
            );
        }
        printer.step(Mark::Good, "Dry run: nothing was changed");
        return Ok(Outcome::Good);
    }
    if refused {
        return Err(enrolled(&named, &next));
    }

    if !found.first.is_empty() {
        printer.section("Removing policies, autoscalers and collectors");
    }
    if !remove(cluster, &found.first, args.timeout, printer).await? {
        return Ok(Outcome::Bad);
    }
    if !found.services.is_empty() {
        printer.section("Releasing services");
        let released = enrol::release_all(cluster, &found.services, args.timeout, printer).await?;
        if released == Outcome::Bad {
            return Ok(Outcome::Bad);
        }
    }
    printer.section("Removing");
    if !last_pods(cluster, &found.middleware, args.timeout, printer).await? {
        return Ok(Outcome::Bad);
    }
    // In order: a pod that starts now must not look for a file that is about to go.
    for object in &found.middleware {
        if !remove(cluster, std::slice::from_ref(object), args.timeout, printer).await? {
            return Ok(Outcome::Bad);
        }
    }
    // Before the pods behind it.
    let (registrations, stack): (Vec<ObjectRef>, Vec<ObjectRef>) =
        found.stack.into_iter().partition(external::is_registration);
    if !wait_gone(cluster, &found.secrets, args.timeout, printer).await?
        || !remove(cluster, &registrations, args.timeout, printer).await?
        || !remove(cluster, &stack, args.timeout, printer).await?
    {
        return Ok(Outcome::Bad);
    }
    if args.delete_data && !remove(cluster, &found.volumes, args.timeout, printer).await? {
        return Ok(Outcome::Bad);
    }
    let data_stays = !args.delete_data && !found.volumes.is_empty();
    if data_stays {
        printer.step(
            Mark::Warn,
            &format!("{STACK_NAMESPACE} stays, with its data: {}", shown(&found.volumes)),
        );
        printer.hint("Remove that too with `kubectl learnflow uninstall --delete-data`.");
    }
    for namespace in found.namespaces {
        // Volumes are in that one.
        let stays = data_stays && namespace.name == STACK_NAMESPACE;
        if !stays && !remove_namespace(cluster, namespace, args.timeout, printer).await? {
            return Ok(Outcome::Bad);
        }
    }
    let what = match later {
        [] => "LearnFlow is removed".to_owned(),
        _ => format!("Nothing of LearnFlow is left in namespace {here}"),
    };
    printer.step(Mark::Good, &what);
    Ok(Outcome::Good)
}

async fn find(cluster: &Cluster, before: &[Cluster]) -> Result<Found, Problem> {
    // First alone: if this one fails, all would.
    cluster.kubernetes_version().await?;
    let mut services = cluster.services().await?;
    services.retain(|service| service.enrolled);
    let plan = chosen::installed_plan(cluster, &BTreeSet::new()).await?;
    let mut others: Vec<String> = cluster
        .middlewares()
        .await?
        .into_iter()
        .map(|(namespace, _)| namespace)
        .collect();
    let gone = |namespace: &String| before.iter().any(|cluster| cluster.namespace == *namespace);
    others.retain(|namespace| *namespace != cluster.namespace && !gone(namespace));

    // Applied: file, Component, Configuration, Secret. Removed: Component, Configuration (and with it
    // its Secret), file.
    let mut middleware = ours(cluster, std::iter::once(&plan.component)).await?;
    middleware.extend(cluster.guests_and_configurations().await?);
    let configurations = middleware.iter().filter(|object| object.kind == "Configuration");
    let secrets = configurations.map(secret_of).collect();
    let policies = cluster.resiliencies().await?.into_iter().filter(|found| found.ours);
    let mut first: Vec<ObjectRef> = policies
        .map(|found| ObjectRef::resiliency(&cluster.namespace, &found.name))
        .collect();
    let scalers = cluster.scalers().await?.into_iter().filter(|found| found.ours);
    first.extend(scalers.map(|found| found.reference(&cluster.namespace)));
    let budgets = cluster.disruptions(&[]).await?.into_iter().filter(|found| found.ours);
    first.extend(budgets.map(|found| ObjectRef::disruption(&cluster.namespace, &found.name)));
    first.extend(kafka::of(cluster).await?);
    let (stack, namespaces, volumes) = if others.is_empty() {
        let namespaces = ours(cluster, plan.namespaces.iter()).await?;
        let mut stack = ours(cluster, plan.stack.iter()).await?;
        stack.extend(those_of_ours(cluster, quota::references()).await?);
        (stack, namespaces, cluster.volumes().await?)
    } else {
        (Vec::new(), Vec::new(), Vec::new())
    };
    Ok(Found {
        services,
        first,
        middleware,
        secrets,
        stack,
        namespaces,
        volumes,
        others,
    })
}

fn secret_of(configuration: &ObjectRef) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Secret".into(),
        ..configuration.clone()
    }
}

fn shown(objects: &[ObjectRef]) -> String {
    text::list(&objects.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// Those that are there and carry our label.
async fn ours(cluster: &Cluster, objects: impl Iterator<Item = &Object>) -> Result<Vec<ObjectRef>, Problem> {
    those_of_ours(cluster, objects.map(Object::reference).collect()).await
}

async fn those_of_ours(cluster: &Cluster, references: Vec<ObjectRef>) -> Result<Vec<ObjectRef>, Problem> {
    let found = stream::iter(references).map(|object| async move {
        let existing = cluster.existing(&object).await?;
        let ours = existing.is_some_and(|found| {
            found.managed_by.as_deref() == Some(MANAGER) && !external::is_taken(&object, &found.value)
        });
        Ok::<_, Problem>(ours.then_some(object))
    });
    let found: Vec<Option<ObjectRef>> = found.buffered(8).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

impl Found {
    fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.first.is_empty()
            && self.middleware.is_empty()
            && self.stack.is_empty()
            && self.namespaces.is_empty()
    }
}

/// Deletes all at once and waits until the last is gone.
async fn remove(
    cluster: &Cluster,
    objects: &[ObjectRef],
    timeout: Duration,
    printer: &Printer,
) -> Result<bool, Problem> {
    stream::iter(objects)
        .map(async |object| patiently(timeout, printer, async || cluster.delete(object).await).await)
        .buffered(8)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    wait_gone(cluster, objects, timeout, printer).await
}

/// Waits until the last is gone.
async fn wait_gone(
    cluster: &Cluster,
    objects: &[ObjectRef],
    timeout: Duration,
    printer: &Printer,
) -> Result<bool, Problem> {
    let mut gone = BTreeSet::new();
    let rest = cluster
        .wait_gone(objects, timeout, |left| {
            for object in objects.iter().filter(|object| !left.contains(object)) {
                if gone.insert(object.clone()) {
                    printer.step(Mark::Good, &format!("removed {object}"));
                }
            }
            if !left.is_empty() {
                let names: Vec<String> = left.iter().map(ToString::to_string).collect();
                printer.waiting(&format!("still there: {}", text::list(&names)));
            }
        })
        .await?;
    printer.done_waiting();
    for object in &rest {
        let time = text::format_duration(timeout);
        printer.step(Mark::Bad, &format!("{object} is not gone after {time}"));
        let held_by = cluster
            .existing(object)
            .await?
            .map(|existing| existing.held_by)
            .unwrap_or_default();
        for holder in held_by {
            printer.hint(&format!("It waits for: {holder}"));
        }
    }
    if !rest.is_empty() {
        printer.hint(
            "A finalizer is taken off by the program that set it. When that program is gone, take it off with \
             `kubectl edit`, then run this again.",
        );
    }
    Ok(rest.is_empty())
}

/// Waits for pods that still have what is to go. A run that was killed may have left them behind.
async fn last_pods(
    cluster: &Cluster,
    objects: &[ObjectRef],
    timeout: Duration,
    printer: &Printer,
) -> Result<bool, Problem> {
    let began = Instant::now();
    loop {
        let carried = if objects.is_empty() {
            BTreeSet::new()
        } else {
            cluster.carried_by_pods().await?
        };
        let held: Vec<ObjectRef> = objects
            .iter()
            .filter(|object| carried.contains(&object.name))
            .cloned()
            .collect();
        if held.is_empty() {
            printer.done_waiting();
            return Ok(true);
        }
        if began.elapsed() >= timeout {
            printer.done_waiting();
            printer.step(Mark::Bad, &format!("pods still use {}", shown(&held)));
            printer.hint("Look at them with `kubectl get pods`, and run this again when their rolling update is over.");
            return Ok(false);
        }
        printer.waiting(&format!("pods that still use {}", shown(&held)));
        sleep(Duration::from_secs(1)).await;
    }
}

/// A namespace goes only when nothing of anybody else's would go with it.
async fn remove_namespace(
    cluster: &Cluster,
    namespace: ObjectRef,
    timeout: Duration,
    printer: &Printer,
) -> Result<bool, Problem> {
    let foreign = cluster.contents(&namespace.name).await?;
    if !foreign.is_empty() {
        printer.step(
            Mark::Warn,
            &format!("{namespace} stays: it also holds {}", text::list(&foreign)),
        );
        return Ok(true);
    }
    remove(cluster, &[namespace], timeout, printer).await
}

#[cfg(test)]
#[path = "uninstall_tests.rs"]
pub(crate) mod tests;
