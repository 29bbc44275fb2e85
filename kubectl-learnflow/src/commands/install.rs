//! `install`: check everything, apply in order, wait, enrol, remove what is no longer wanted.

use super::{
    check::{self, AT_ONCE, Rehearsal, Seen, is_ours},
    confirm, enrol, prune,
};
use crate::{
    cli::{DryRun, Install},
    cluster::{Cluster, Mode, Patience, Progress},
    concern::Concern,
    config::Settings,
    model::{Applied, Facts, Outcome, Service},
    objects::{Object, ObjectRef, Plan, STACK_NAMESPACE},
    patches::Shape,
    printer::{Mark, Printer, Tone},
    problem::Problem,
    text,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;

/// What there is to do, after everything was looked at.
struct Job<'a> {
    cluster: &'a Cluster,
    args: &'a Install,
    printer: &'a Printer,
    plan: Plan,
    shape: Shape,
    services: Vec<Service>,
    seen: Seen,
}

pub(super) async fn run(
    cluster: &Cluster,
    args: &Install,
    settings: Settings,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    if args.print_config {
        let settings = settings.found(&cluster.namespace, &cluster.facts().await?);
        settings
            .to_yaml()
            .lines()
            .for_each(|line| printer.data_line(Tone::Plain, line));
        return Ok(Outcome::Good);
    }
    printer.section("Checking the cluster");
    let shape = shape(cluster, &settings).await?;
    let rough = Plan::shaped(&cluster.namespace, &BTreeSet::new(), &shape)?;
    check::may_install(cluster, &rough, printer).await?;
    let facts = cluster.facts().await?;
    let (services, plan) = choose(&facts, &settings, &shape, &cluster.namespace)?;
    let rehearsal = match (args.dry_run, args.force_conflicts) {
        (Some(DryRun::Client), _) => Rehearsal::Skipped,
        (_, false) => Rehearsal::Gentle,
        (_, true) => Rehearsal::Forced,
    };
    let seen = check::preflight(cluster, &facts, &services, &plan, &settings, rehearsal, printer).await?;
    let job = Job {
        cluster,
        args,
        printer,
        plan,
        shape,
        services,
        seen,
    };
    match args.dry_run {
        Some(_) => job.list().await,
        None => job.install().await,
    }
}

/// What the settings ask for, where it matters what is there already.
pub(super) async fn shape(cluster: &Cluster, settings: &Settings) -> Result<Shape, Problem> {
    let comes = settings.concerns.value.has(Concern::Collector);
    let gateway = ObjectRef::deployment(STACK_NAMESPACE, "collector-gateway");
    Ok(settings.shape(comes || cluster.existing(&gateway).await?.is_some()))
}

/// The services to enrol, and everything to apply for them.
pub(super) fn choose(
    facts: &Facts,
    settings: &Settings,
    shape: &Shape,
    namespace: &str,
) -> Result<(Vec<Service>, Plan), Problem> {
    let named = &settings.services.value;
    let excluded = &settings.exclude.value;
    for name in named.iter().map(|entry| &entry.name).chain(excluded) {
        if !facts.services.iter().any(|service| service.name == *name) {
            let there: Vec<&str> = facts.services.iter().map(|service| service.name.as_str()).collect();
            return Err(Problem::new(format!(
                "There is no Deployment {name} with a Dapr sidecar in namespace {namespace}."
            ))
            .next(match there.as_slice() {
                [] => "Nothing was changed.".to_owned(),
                there => format!("There is {}. Nothing was changed.", text::list(there)),
            }));
        }
    }
    for entry in named {
        let found = facts.services.iter().find(|service| service.name == entry.name);
        let real = found.and_then(|service| service.app_id.as_ref());
        if let (Some(said), Some(real)) = (&entry.app_id, real)
            && said != real
        {
            return Err(Problem::new(format!(
                "The app id of Deployment {namespace}/{} is {real}, and the settings say {said}.",
                entry.name
            ))
            .next("Correct it, or leave it out. Nothing was changed."));
        }
    }
    let wanted = |service: &Service| {
        let is_named = named.is_empty() || named.iter().any(|entry| entry.name == service.name);
        is_named && !excluded.contains(&service.name)
    };
    let (services, left_out): (Vec<Service>, Vec<Service>) = facts.services.iter().cloned().partition(wanted);
    // Who is enrolled and now left out stays as it is, and so needs the Component further on.
    let stay = left_out.iter().filter(|service| service.enrolled);
    let app_ids: BTreeSet<String> = services
        .iter()
        .chain(stay)
        .filter_map(|service| service.app_id.clone())
        .collect();
    let plan = Plan::shaped(namespace, &app_ids, shape)?;
    let services = if plan.enrols { services } else { Vec::new() };
    Ok((services, plan))
}

impl Job<'_> {
    async fn install(self) -> Result<Outcome, Problem> {
        let Self {
            args, printer, plan, ..
        } = &self;
        let tell = |problem: &Problem| {
            printer.step(Mark::Warn, &problem.what);
            printer.hint("Trying again until it passes.");
        };
        let patience = Patience::new(args.timeout, &tell);
        printer.section("Applying");
        self.apply_stack(&patience).await?;
        if args.waits() && self.wait_for_stack().await? == Outcome::Bad {
            return Ok(Outcome::Bad);
        }
        if plan.enrols {
            // Only now anything in the services' own namespace.
            printer.section("Enrolling services");
            for object in plan.middleware() {
                self.apply(object, &patience).await?;
            }
        }
        if !args.waits() {
            return self.enrol_without_waiting(&patience).await;
        }
        let mode = Mode::Real.forced(args.force_conflicts);
        let services = &self.services;
        let revision = &plan.revision;
        if enrol::all(self.cluster, services, revision, mode, args.timeout, printer).await? == Outcome::Bad {
            return Ok(Outcome::Bad);
        }
        if plan.enrols && confirm::all(self.cluster, plan, services, args.timeout, printer).await? == Outcome::Bad {
            return Ok(Outcome::Bad);
        }
        self.prune(&patience).await?;
        printer.step(Mark::Good, "LearnFlow is installed");
        printer.hint(&format!(
            "Look at it with `kubectl learnflow status -n {}`.",
            self.cluster.namespace
        ));
        Ok(Outcome::Good)
    }

    async fn apply_stack(&self, patience: &Patience<'_>) -> Result<(), Problem> {
        let plan = &self.plan;
        let Some((set, members)) = plan.stack.split_first() else {
            return Ok(());
        };
        let before = &self.seen.before;
        if !before.contains_key(&plan.namespace.reference()) || is_ours(before, &plan.namespace) {
            self.apply(&plan.namespace, patience).await?;
        }
        self.apply(set, patience).await?;
        for workloads in [false, true] {
            stream::iter(members.iter().filter(|object| object.is_workload() == workloads))
                .map(|object| self.apply(object, patience))
                .buffered(AT_ONCE)
                .try_for_each(|_| async { Ok(()) })
                .await?;
        }
        Ok(())
    }

    async fn apply(&self, object: &Object, patience: &Patience<'_>) -> Result<Applied, Problem> {
        let reference = object.reference();
        let is_set = prune::sets(&self.plan).any(|set| set == object);
        let object = match is_set {
            true => &prune::widened(object, &self.seen.before),
            false => object,
        };
        // The server has just said that nothing would change.
        let tried = self.seen.tried.get(&reference);
        let applied = if tried.is_some_and(|tried| tried.applied() == Applied::Unchanged) {
            Applied::Unchanged
        } else {
            let mode = Mode::Real.forced(self.args.force_conflicts);
            let before = self.seen.before.get(&reference);
            patience
                .with(async || self.cluster.apply(object, before, mode).await)
                .await?
        };
        match applied {
            Applied::Unchanged => self.printer.step(Mark::Good, &format!("{object} unchanged")),
            applied => self.printer.step(Mark::Good, &format!("applied {object} ({applied})")),
        }
        Ok(applied)
    }

    async fn wait_for_stack(&self) -> Result<Outcome, Problem> {
        let printer = self.printer;
        let workloads = self.plan.stack.iter().filter(|object| object.is_workload());
        let workloads: Vec<ObjectRef> = workloads.map(Object::reference).collect();
        if workloads.is_empty() {
            return Ok(Outcome::Good);
        }
        printer.section("Waiting for the stack");
        let timeout = self.args.timeout;
        let rest = self.cluster.wait_ready(&workloads, timeout, tell(printer)).await?;
        printer.done_waiting();
        for progress in &rest {
            printer.step(
                Mark::Bad,
                &format!("not ready after {}: {progress}", text::format_duration(timeout)),
            );
        }
        if rest.is_empty() {
            return Ok(Outcome::Good);
        }
        printer.hint(
            "Nothing of the services was touched. Mend what is named above and run `kubectl learnflow install` again.",
        );
        Ok(Outcome::Bad)
    }

    async fn enrol_without_waiting(&self, patience: &Patience<'_>) -> Result<Outcome, Problem> {
        let mode = Mode::Real.forced(self.args.force_conflicts);
        for service in &self.services {
            let object = ObjectRef::deployment(&self.cluster.namespace, &service.name);
            let revision = &self.plan.revision;
            let applied = patience
                .with(async || self.cluster.enrol(service, revision, mode).await)
                .await?;
            let what = match applied {
                Applied::Unchanged => format!("{object} unchanged"),
                _ => format!("enrolled {object}"),
            };
            self.printer.step(Mark::Good, &what);
        }
        self.printer
            .step(Mark::Good, "Everything is applied, and nothing was waited for");
        self.printer.hint(&format!(
            "See what becomes of it with `kubectl learnflow status -n {}`.",
            self.cluster.namespace
        ));
        Ok(Outcome::Good)
    }

    /// Removes what nothing asks for any more, then lets the sets forget those kinds.
    async fn prune(&self, patience: &Patience<'_>) -> Result<(), Problem> {
        let before = &self.seen.before;
        let orphans = prune::orphans(self.cluster, &self.plan, &self.shape, before).await?;
        for orphan in &orphans {
            patience.with(async || self.cluster.delete(orphan).await).await?;
            self.printer.step(
                Mark::Good,
                &format!("removed {orphan}, which this version does not have"),
            );
        }
        for set in prune::sets(&self.plan) {
            if prune::widened(set, before) != *set {
                let mode = Mode::Real.forced(self.args.force_conflicts);
                let known = before.get(&set.reference());
                patience
                    .with(async || self.cluster.apply(set, known, mode).await)
                    .await?;
            }
        }
        Ok(())
    }

    async fn list(self) -> Result<Outcome, Problem> {
        let Self {
            cluster, plan, seen, ..
        } = &self;
        for object in plan.all() {
            let known = seen.before.contains_key(&object.reference());
            let tried = seen.tried.get(&object.reference()).map(|tried| tried.applied());
            let what = match (known, is_ours(&seen.before, object), tried) {
                (false, ..) => "create",
                (true, false, _) => "leave",
                (true, true, Some(Applied::Unchanged)) => "keep",
                (true, true, _) => "change",
            };
            self.printer.data_line(Tone::Plain, &format!("{what} {object}"));
        }
        for service in &self.services {
            let object = ObjectRef::deployment(&cluster.namespace, &service.name);
            let tried = seen.tried.get(&object).map(|tried| tried.applied());
            let again = service.revision.as_deref() == Some(&plan.revision);
            let what = match tried {
                Some(Applied::Unchanged) => "keep",
                None if again => "keep",
                _ => "enrol and roll",
            };
            self.printer.data_line(Tone::Plain, &format!("{what} {object}"));
        }
        for orphan in prune::orphans(cluster, plan, &self.shape, &seen.before).await? {
            self.printer.data_line(Tone::Plain, &format!("remove {orphan}"));
        }
        self.printer.step(Mark::Good, "Dry run: nothing was changed");
        Ok(Outcome::Good)
    }
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

#[cfg(test)]
#[path = "install_tests.rs"]
pub(super) mod tests;
