//! `install`: check everything, apply in order, wait, enrol, remove what is no longer wanted.

use super::{
    applier::Applier,
    budget,
    chosen::{self, Others},
    enrol,
    guard::{self, AT_ONCE, Seen, Wanted, is_ours},
    host, kafka, keeper, middleware, places, policies, prune, scaling,
};
use crate::{
    cli::{DryRun, Install},
    cluster::{Cluster, Mode, Patience, Progress},
    config::Settings,
    enrolment::{Enrolments, Entry},
    external, grafana,
    model::{Applied, Facts, Outcome},
    objects::{Object, ObjectRef, Plan},
    patches::Shape,
    printer::{Mark, Printer, Tone},
    problem::Problem,
    resilience,
    scaling::Autoscalers,
    text,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;

/// What was looked at for the services of one namespace.
struct Look {
    cluster: Cluster,
    plan: Plan,
    /// None: the services are left alone.
    enrolments: Option<Enrolments>,
    autoscalers: Autoscalers,
    /// What of ours in the services' namespace nobody is to have any more.
    gone: Option<ObjectRef>,
    seen: Seen,
}

/// What there is to do, after everything was looked at.
struct Job<'a> {
    cluster: &'a Cluster,
    args: &'a Install,
    printer: &'a Printer,
    plan: &'a Plan,
    shape: &'a Shape,
    /// None: the services are left alone.
    enrolments: Option<&'a Enrolments>,
    autoscalers: &'a Autoscalers,
    /// What of ours in the services' namespace nobody is to have any more.
    gone: Option<ObjectRef>,
    seen: &'a Seen,
    patience: &'a Patience<'a>,
}

pub(super) async fn run(
    cluster: &Cluster,
    args: &Install,
    mut settings: Settings,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    if args.print_config {
        let others = Others::choose(cluster, &mut settings).await?;
        let shape = chosen::shape(cluster, &settings, &others).await?;
        let found = stream::iter(places(cluster, &settings));
        let found = found.then(async |cluster| Ok::<_, Problem>((cluster.namespace.clone(), cluster.facts().await?)));
        let mut settings = settings.found(&found.try_collect::<Vec<_>>().await?);
        keeper::setting(&mut settings, &shape.keeper);
        host::setting(&mut settings, &shape.host);
        let page = settings.to_yaml(shape.fit.as_ref());
        page.lines().for_each(|line| printer.data_line(Tone::Plain, line));
        return Ok(Outcome::Good);
    }
    printer.section("Checking the cluster");
    let others = Others::choose(cluster, &mut settings).await?;
    cluster.measured_by(&others.keeper);
    let shape = chosen::shape(cluster, &settings, &others).await?;
    let clusters = places(cluster, &settings);
    let rough = clusters
        .iter()
        .map(|one| Plan::shaped(&one.namespace, &BTreeSet::new(), &shape));
    let rough = rough.collect::<Result<Vec<_>, _>>()?;
    guard::may_install(&clusters, &rough, printer).await?;
    guard::say(&others.checks, printer)?;
    let all = stream::iter(&clusters).then(Cluster::facts);
    let all: Vec<Facts> = all.try_collect().await?;
    chosen::known(&settings.exclude.value, &all, &clusters)?;
    let tell = |problem: &Problem| printer.trouble(problem);
    let patience = Patience::new(args.timeout, &tell);
    let mut looks = Vec::new();
    for (n, (cluster, facts)) in clusters.iter().zip(all).enumerate() {
        if clusters.len() > 1 {
            printer.section(&format!("Checking namespace {}", cluster.namespace));
        }
        let place = Place {
            cluster,
            facts,
            settings: settings.within(&cluster.namespace),
            first: n == 0,
        };
        looks.push(look(place, args, &shape, &patience, printer).await?);
    }
    if args.dry_run.is_some() {
        for look in &looks {
            look.list(args, &shape, printer).await?;
        }
        printer.step(Mark::Good, "Dry run: nothing was changed");
        return Ok(Outcome::Good);
    }
    for (n, look) in looks.iter().enumerate() {
        if n > 0 {
            printer.section(&format!("Namespace {}", look.cluster.namespace));
        }
        let job = Job {
            cluster: &look.cluster,
            args,
            printer,
            plan: &look.plan,
            shape: &shape,
            enrolments: look.enrolments.as_ref(),
            autoscalers: &look.autoscalers,
            gone: look.gone.clone(),
            seen: &look.seen,
            patience: &patience,
        };
        if job.install().await? == Outcome::Bad {
            return Ok(Outcome::Bad);
        }
    }
    let (done, see) = match args.waits() {
        true => ("LearnFlow is installed", "Look at it"),
        false => (
            "Everything is applied, and nothing was waited for",
            "See what becomes of it",
        ),
    };
    printer.step(Mark::Good, done);
    let file = args.choice.file.as_ref().filter(|_| clusters.len() > 1);
    let place = match file {
        Some(file) => format!("-f {}", file.display()),
        None => format!("-n {}", clusters[0].namespace),
    };
    printer.hint(&format!("{see} with `kubectl learnflow status {place}`."));
    Ok(Outcome::Good)
}

/// One namespace with services. The first brings the stack.
struct Place<'a> {
    cluster: &'a Cluster,
    facts: Facts,
    settings: Settings,
    first: bool,
}

/// Looks at everything there is for the services of one namespace.
async fn look(
    place: Place<'_>,
    args: &Install,
    shape: &Shape,
    patience: &Patience<'_>,
    printer: &Printer,
) -> Result<Look, Problem> {
    let Place {
        cluster,
        facts,
        settings,
        first,
    } = place;
    let (services, mut plan) = chosen::services(&facts, &settings, shape, &cluster.namespace)?;
    if !first {
        plan.leave_stack();
    }
    let autoscalers = scaling::plan(cluster, &plan, &facts, &services, &settings).await?;
    if first {
        budget::say(shape, &settings, true, printer);
    }
    guard::settings(cluster, &facts, &settings, &plan, &services, &autoscalers, printer).await?;
    let gone = resilience::leftover(&plan, &facts);
    let enrolments = chosen::enrolments(&plan, &services, &facts);
    let wanted = Wanted {
        outside: plan.outside().collect(),
        enrolments: enrolments.as_ref(),
        autoscalers: &autoscalers.objects,
        kafka: &plan.kafka.objects,
        force_conflicts: args.force_conflicts,
        patience: Some(patience),
    };
    let rehearsed = args.dry_run != Some(DryRun::Client);
    let seen = guard::preflight(cluster, &facts, &wanted, rehearsed, printer).await?;
    Ok(Look {
        cluster: cluster.clone(),
        plan,
        enrolments,
        autoscalers,
        gone,
        seen,
    })
}

impl Look {
    /// What would be done.
    async fn list(&self, args: &Install, shape: &Shape, printer: &Printer) -> Result<(), Problem> {
        let wanted = Wanted {
            outside: self.plan.outside().collect(),
            enrolments: self.enrolments.as_ref(),
            autoscalers: &self.autoscalers.objects,
            kafka: &self.plan.kafka.objects,
            force_conflicts: args.force_conflicts,
            patience: None,
        };
        list(&wanted, &self.seen, &self.cluster.namespace, printer);
        let orphans = prune::orphans(&self.cluster, &self.plan, shape, &self.seen.before).await?;
        let kafka = kafka::leftovers(&self.cluster, &self.plan).await?;
        let services = self.gone.iter().chain(&self.autoscalers.gone).chain(&kafka);
        for object in services.chain(&orphans) {
            printer.data_line(Tone::Plain, &format!("remove {object}"));
        }
        Ok(())
    }
}

impl Job<'_> {
    async fn install(self) -> Result<Outcome, Problem> {
        let Self { args, printer, .. } = &self;
        let applier = Applier {
            cluster: self.cluster,
            seen: self.seen,
            force: args.force_conflicts,
            patience: self.patience,
            printer,
        };
        if !self.plan.stack.is_empty() {
            printer.section("Applying");
            self.apply_stack(&applier).await?;
            if args.waits() {
                if self.wait_for_stack().await? == Outcome::Bad {
                    return Ok(Outcome::Bad);
                }
                budget::settle(&applier, self.plan).await?;
            }
            self.register(&applier).await?;
        }
        if let Some(enrolments) = self.enrolments {
            // Only now anything in the services' own namespace.
            printer.section("Enrolling services");
            middleware::prepare(&applier, enrolments).await?;
            let enrolled = match args.waits() {
                true => self.enrol(&applier, enrolments.clone()).await?,
                false => self.enrol_without_waiting(&applier, enrolments).await?,
            };
            if enrolled == Outcome::Bad {
                return Ok(Outcome::Bad);
            }
        }
        if !self.autoscalers.objects.is_empty() || !self.autoscalers.gone.is_empty() {
            printer.section("Scaling services");
            scaling::apply(&applier, self.autoscalers).await?;
        }
        if self.plan.measures {
            kafka::prune(&applier, self.plan).await?;
        }
        if !self.plan.kafka.objects.is_empty() {
            printer.section("Asking Kafka for lag");
            kafka::apply(&applier, self.plan).await?;
            if args.waits() && self.wait_for(&self.plan.kafka.objects).await? == Outcome::Bad {
                printer
                    .hint("All else is installed. Mend what is named above and run `kubectl learnflow install` again.");
                return Ok(Outcome::Bad);
            }
        }
        if args.waits() {
            self.prune(&applier).await?;
        }
        Ok(Outcome::Good)
    }

    async fn apply_stack(&self, applier: &Applier<'_>) -> Result<(), Problem> {
        let Some((set, members)) = self.plan.stack.split_first() else {
            return Ok(());
        };
        let before = &self.seen.before;
        for namespace in &self.plan.namespaces {
            if !before.contains_key(&namespace.reference()) || is_ours(before, namespace) {
                applier.apply(namespace).await?;
            }
        }
        applier.apply(&prune::widened(set, before)).await?;
        budget::make_room(applier, self.plan).await?;
        // Pods last: a ReplicaSet that misses its ServiceAccount backs off for longer than all this takes.
        for workloads in [false, true] {
            let now = |object: &&Object| {
                object.is_workload() == workloads
                    && !budget::is_quota(object)
                    && !external::is_registration(&object.reference())
            };
            stream::iter(members.iter().filter(now))
                .map(|object| applier.apply(object))
                .buffered(AT_ONCE)
                .try_for_each(|_| async { Ok(()) })
                .await?;
            if !workloads && members.iter().any(|object| object.reference() == grafana::secret()) {
                let give = async || {
                    self.cluster
                        .give_password(&grafana::secret(), grafana::PASSWORD.1)
                        .await
                };
                if applier.patience.with(give).await? {
                    let what = "chose a password for Grafana; `kubectl learnflow dashboard` says how to read it";
                    self.printer.step(Mark::Good, what);
                }
            }
        }
        Ok(())
    }

    /// What leads to pods of ours for the whole cluster comes when they answer.
    async fn register(&self, applier: &Applier<'_>) -> Result<(), Problem> {
        let all = self.plan.stack.iter();
        for object in all.filter(|object| external::is_registration(&object.reference())) {
            if self.args.waits() || self.seen.before.contains_key(&object.reference()) {
                applier.apply(object).await?;
                continue;
            }
            self.printer
                .step(Mark::Warn, &format!("{object} is left for the next `install`"));
            self.printer.hint(
                "It comes when prometheus-adapter is ready: without, the whole cluster's API discovery has errors.",
            );
        }
        Ok(())
    }

    async fn wait_for_stack(&self) -> Result<Outcome, Problem> {
        self.printer.section("Waiting for the stack");
        let outcome = self.wait_for(&self.plan.stack).await?;
        if outcome == Outcome::Bad {
            self.printer.hint(
                "Nothing of the services was touched. Mend what is named above and run `kubectl learnflow install` again.",
            );
        }
        Ok(outcome)
    }

    /// Waits for the workloads among these.
    async fn wait_for(&self, objects: &[Object]) -> Result<Outcome, Problem> {
        let printer = self.printer;
        let workloads = objects.iter().filter(|object| object.is_workload());
        let workloads: Vec<ObjectRef> = workloads.map(Object::reference).collect();
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
        // ErrImagePull, ImagePullBackOff, ErrImageNeverPull.
        if rest
            .iter()
            .any(|one| one.trouble.as_ref().is_some_and(|why| why.contains("Image")))
        {
            printer.hint(
                "A node cannot get an image. Name a registry that has it with --registry (`render --images` lists all), \
                 or, with --image-pull-secret, a Secret to pull it with.",
            );
        }
        Ok(Outcome::Bad)
    }

    async fn enrol(&self, applier: &Applier<'_>, mut enrolments: Enrolments) -> Result<Outcome, Problem> {
        let Self {
            cluster, args, printer, ..
        } = self;
        let enrolments = &mut enrolments;
        if policies::settle(cluster, enrolments, args.timeout, printer).await? == Outcome::Bad
            || policies::apply(applier, enrolments, args.timeout).await? == Outcome::Bad
        {
            return Ok(Outcome::Bad);
        }
        if enrol::carefully(cluster, enrolments, args.timeout, printer).await? == Outcome::Bad {
            return Ok(Outcome::Bad);
        }
        middleware::prune(cluster, Some(enrolments), args.timeout, printer).await?;
        if let Some(object) = &self.gone
            && applier.patience.with(async || cluster.delete(object).await).await?
        {
            printer.step(Mark::Good, &format!("removed {object}: others decide for all services"));
        }
        Ok(Outcome::Good)
    }

    async fn enrol_without_waiting(&self, applier: &Applier<'_>, enrolments: &Enrolments) -> Result<Outcome, Problem> {
        let policed = policies::can_come(applier, enrolments).await?;
        if policed && let Some(resiliency) = &enrolments.resiliency {
            applier.apply(resiliency).await?;
        } else if let Some(resiliency) = &enrolments.resiliency {
            self.printer
                .step(Mark::Warn, &format!("{resiliency} is left for the next `install`"));
            self.printer
                .hint("It comes when all services are enrolled and ready: sidecars would restart in place.");
        }
        for entry in &enrolments.entries {
            let entry = &if policed { entry.clone() } else { entry.plainly() };
            let object = ObjectRef::deployment(&self.cluster.namespace, &entry.service.name);
            let taken_over = !entry.replaces().is_empty();
            let enrol = async || {
                let Entry { service, enrolment, .. } = entry;
                self.cluster.enrol(service, enrolment, taken_over, Mode::Real).await
            };
            let what = match applier.patience.with(enrol).await? {
                Applied::Unchanged => format!("{object} unchanged"),
                _ => format!("enrolled {object}"),
            };
            self.printer.step(Mark::Good, &what);
        }
        Ok(Outcome::Good)
    }

    /// Removes what nothing asks for any more, then lets the set forget those kinds.
    async fn prune(&self, applier: &Applier<'_>) -> Result<(), Problem> {
        let before = &self.seen.before;
        let orphans = async || prune::orphans(self.cluster, self.plan, self.shape, before).await;
        for orphan in applier.patience.with(orphans).await? {
            let delete = async || self.cluster.delete(&orphan).await;
            if applier.patience.with(delete).await? {
                let what = format!("removed {orphan}, which this version does not have");
                self.printer.step(Mark::Good, &what);
            }
        }
        if let Some(set) = self.plan.set().filter(|set| prune::widened(set, before) != **set) {
            let mode = Mode::Real.forced(applier.force);
            let known = before.get(&set.reference());
            let apply = async || self.cluster.apply(set, known, mode).await;
            applier.patience.with(apply).await?;
        }
        Ok(())
    }
}

/// What would be done, one line an object.
pub(super) fn list(wanted: &Wanted<'_>, seen: &Seen, namespace: &str, printer: &Printer) {
    let tried = |object: &ObjectRef| seen.tried.get(object).map(|tried| tried.applied());
    for object in wanted.objects() {
        let known = seen.before.contains_key(&object.reference());
        let what = match (known, is_ours(&seen.before, object), tried(&object.reference())) {
            (false, ..) => "create",
            (true, false, _) => "leave",
            (true, true, Some(Applied::Unchanged)) => "keep",
            (true, true, Some(_)) => "change",
            // The server was not asked.
            (true, true, None) => "apply",
        };
        printer.data_line(Tone::Plain, &format!("{what} {object}"));
    }
    for entry in wanted.enrolments.into_iter().flat_map(|enrolments| &enrolments.entries) {
        let what = match (entry.is_done(), entry.reloads()) {
            (true, _) => "keep",
            (false, false) => "enrol and roll",
            // The second time for the Resiliency.
            (false, true) => "enrol and roll twice",
        };
        printer.data_line(
            Tone::Plain,
            &format!("{what} Deployment {namespace}/{}", entry.service.name),
        );
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
#[path = "install_services_tests.rs"]
mod services_tests;
#[cfg(test)]
#[path = "install_tests.rs"]
pub(super) mod tests;
