//! Everything `install` looks at before it writes. What is looked for and what it means is in
//! [`crate::preflight`]; here the cluster is asked.

use super::{chosen, prune};
use crate::{
    applyset,
    cluster::{Cluster, Mode, Patience, Tried},
    config::Settings,
    enrolment::{Enrolments, owned},
    model::{Access, Existing, Facts, Service},
    objects::{MANAGER, OUR_NAMESPACES, Object, ObjectRef, Plan, STACK_NAMESPACE},
    permissions::{self, Task},
    preflight::{self, Check},
    printer::{Mark, Printer},
    problem::{Kind, Problem},
    resilience,
    scaling::Autoscalers,
    text, unchanged,
};
use futures::{StreamExt, TryStreamExt, stream, try_join};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Requests under way at the same time.
pub(super) const AT_ONCE: usize = 16;

/// What is in the cluster under the names of a plan, and the members of the stack's set that have its kinds.
pub(super) type Before = HashMap<ObjectRef, Existing>;

/// What the checks have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) before: Before,
    /// What applying each object would make of it; not of those in a namespace that is still missing.
    pub(super) tried: HashMap<ObjectRef, Tried>,
    /// Fields of others that would be taken over for that.
    pub(super) conflicts: HashMap<ObjectRef, Problem>,
    /// What the server refuses.
    failures: Vec<Problem>,
    /// How many it was asked about.
    asked: usize,
}

/// What a command is about to apply.
pub(super) struct Wanted<'a> {
    /// What does not go to the services' namespace.
    pub(super) outside: Vec<&'a Object>,
    /// None: the services are left alone.
    pub(super) enrolments: Option<&'a Enrolments>,
    pub(super) autoscalers: &'a [Object],
    pub(super) kafka: &'a [Object],
    /// Fields that a tool owns may be taken over.
    pub(super) force_conflicts: bool,
    /// None: only a look, which does not wait for a webhook that is away.
    pub(super) patience: Option<&'a Patience<'a>>,
}

impl<'a> Wanted<'a> {
    /// In the order in which they are applied.
    pub(super) fn objects(&self) -> impl Iterator<Item = &'a Object> {
        let enrolments = self.enrolments.into_iter().flat_map(Enrolments::objects);
        let objects = self.outside.clone().into_iter().chain(enrolments);
        objects.chain(self.autoscalers).chain(self.kafka)
    }

    /// What applying it would make of an object.
    async fn rehearse(
        &self,
        cluster: &Cluster,
        object: &Object,
        before: Option<&Existing>,
        mode: Mode,
    ) -> Result<Tried, Problem> {
        let rehearse = async || cluster.rehearse(object, before, mode).await;
        match self.patience {
            Some(patience) => patience.with(rehearse).await,
            None => rehearse().await,
        }
    }

    /// What the services' Deployments get, and whether that takes something over which is remembered.
    pub(super) fn deployments(&self, namespace: &str) -> Vec<(Object, bool)> {
        let entries = self.enrolments.into_iter().flat_map(|enrolments| &enrolments.entries);
        let deployment = |entry: &crate::enrolment::Entry| {
            let patch = entry.enrolment.patch(namespace, &entry.service);
            (Object::known(patch), !entry.replaces().is_empty())
        };
        entries.map(deployment).collect()
    }
}

/// May we install? Asked first: without, nothing else can be found out.
pub(super) async fn may_install(clusters: &[Cluster], plans: &[Plan], printer: &Printer) -> Result<(), Problem> {
    let each = clusters.iter().zip(plans);
    let each = each.flat_map(|(cluster, plan)| permissions::of(Task::Install, plan, &cluster.namespace).required);
    allowed(&clusters[0], each.collect(), printer).await?;
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
pub(super) async fn to_enrol(cluster: &Cluster) -> Result<BTreeSet<Access>, Problem> {
    let plan = chosen::installed_plan(cluster, &BTreeSet::new()).await?;
    Ok(permissions::of(Task::Enroll, &plan, &cluster.namespace).required)
}

/// Do the settings fit this cluster?
pub(super) async fn settings(
    cluster: &Cluster,
    facts: &Facts,
    settings: &Settings,
    plan: &Plan,
    services: &[Service],
    autoscalers: &Autoscalers,
    printer: &Printer,
) -> Result<(), Problem> {
    let mut checks = Vec::new();
    let pubsub = settings.pubsub.value.as_deref();
    checks.extend(preflight::pubsub(pubsub, &facts.pubsubs()));
    checks.extend(resilience::checks(
        plan,
        facts,
        &resilience::components(pubsub, facts),
        services,
    ));
    checks.extend(autoscalers.checks.iter().chain(&plan.kafka.checks).cloned());
    // A claim that no storage answers would leave its pod pending for ever.
    for claim in plan.outside().filter(|object| object.kind() == "PersistentVolumeClaim") {
        if cluster.existing(&claim.reference()).await?.is_none() {
            checks.extend(preflight::storage(claim, cluster.default_storage_class().await?));
        }
    }
    stop(show(printer, &checks))
}

/// Looks at everything before anything is written, and says all that is wrong, not just the first.
pub(super) async fn preflight(
    cluster: &Cluster,
    facts: &Facts,
    wanted: &Wanted<'_>,
    rehearsed: bool,
    printer: &Printer,
) -> Result<Seen, Problem> {
    let failed = match wanted.enrolments {
        Some(enrolments) => {
            let force = wanted.force_conflicts;
            show(printer, &preflight::cluster(facts, &cluster.namespace))
                + show(
                    printer,
                    &preflight::services(enrolments, facts, &cluster.namespace, force),
                )
        }
        None => show(printer, &[preflight::kubernetes(facts)]),
    };
    stop(failed)?;

    let before = before(cluster, wanted).await?;
    let owned = |object: &Object| preflight::ownership(object, before.get(&object.reference())?);
    let checks: Vec<Check> = wanted.objects().filter_map(owned).collect();
    stop(show(printer, &checks))?;
    if !rehearsed {
        return Ok(Seen {
            before,
            ..Seen::default()
        });
    }
    let seen = rehearse(cluster, wanted, before).await?;
    let mut checks = seen.refused();
    checks.extend(seen.conflicts.values().map(taken_over));
    if seen.failures.is_empty() {
        let all = wanted.objects().count() + wanted.deployments(&cluster.namespace).len();
        checks.push(Check::good(match (seen.asked, all - seen.asked) {
            (0, all) => format!("Nothing to do for {}", text::count(all, "object")),
            (asked, 0) => format!("Server-side dry run of {}", text::count(asked, "object")),
            (asked, rest) => format!(
                "Server-side dry run of {}; nothing to do for {rest} more",
                text::count(asked, "object")
            ),
        }));
    }
    stop(show(printer, &checks))?;
    Ok(seen)
}

/// What is there and what would become of it, were all conflicts taken over; stops at whatever else the
/// server refuses.
pub(super) async fn look(cluster: &Cluster, wanted: &Wanted<'_>, printer: &Printer) -> Result<Seen, Problem> {
    let before = before(cluster, wanted).await?;
    let seen = rehearse(cluster, wanted, before).await?;
    stop(show(printer, &seen.refused()))?;
    Ok(seen)
}

async fn before(cluster: &Cluster, wanted: &Wanted<'_>) -> Result<Before, Problem> {
    let deployments = wanted.deployments(&cluster.namespace);
    let deployments = deployments.iter().map(|(deployment, _)| deployment.reference());
    // Members of the stack's set are found by their labels, all of a kind at once; whatever else, by its name.
    let is_member = |object: &&&Object| applyset::has(STACK_NAMESPACE, object.value()) && prune::is_at_home(object);
    let members = wanted.outside.iter().filter(is_member);
    let members: Vec<(String, ObjectRef)> = members
        .map(|object| (applyset::kind(object), object.reference()))
        .collect();
    let kinds: BTreeMap<String, ObjectRef> = members.iter().cloned().collect();
    let names = kinds.keys().cloned().collect();
    let members: BTreeSet<ObjectRef> = members.into_iter().map(|(_, member)| member).collect();
    let all: Vec<ObjectRef> = wanted.objects().map(Object::reference).chain(deployments).collect();
    let others = all.iter().filter(|object| !members.contains(object));
    let (found, others) = try_join!(
        cluster.members(STACK_NAMESPACE, &OUR_NAMESPACES, &names, &kinds),
        existing(cluster, others)
    )?;
    let mut before: Before = found.into_iter().chain(others).collect();
    // What has such a name and is not ours has other labels.
    let rest = members.iter().filter(|object| !before.contains_key(object));
    let rest = existing(cluster, rest).await?;
    before.extend(rest);
    Ok(before)
}

async fn existing<'a>(
    cluster: &Cluster,
    objects: impl Iterator<Item = &'a ObjectRef>,
) -> Result<Vec<(ObjectRef, Existing)>, Problem> {
    let found = stream::iter(objects).map(async |object| Ok::<_, Problem>((object, cluster.existing(object).await?)));
    let found: Vec<_> = found.buffered(AT_ONCE).try_collect().await?;
    let there = |(object, existing): (&ObjectRef, Option<Existing>)| Some((object.clone(), existing?));
    Ok(found.into_iter().filter_map(there).collect())
}

/// Lets the server check every object as if it were applied, admission included.
async fn rehearse(cluster: &Cluster, wanted: &Wanted<'_>, before: Before) -> Result<Seen, Problem> {
    let missing = |namespace: &str| {
        let mut namespaces = wanted.outside.iter().filter(|object| object.kind() == "Namespace");
        namespaces.any(|object| object.name() == namespace && !before.contains_key(&object.reference()))
    };
    // What is there and not ours is left alone, but the services are of course not ours.
    let foreign = |object: &&Object| before.contains_key(&object.reference()) && !is_ours(&before, object);
    let mut objects: Vec<(Object, bool)> = wanted
        .objects()
        .filter(|object| !foreign(object))
        .map(|object| (as_applied(object, wanted, &before), false))
        .collect();
    objects.extend(wanted.deployments(&cluster.namespace));

    let known = |object: &Object| before.get(&object.reference());
    let (kept, objects): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|(object, _)| known(object).is_some_and(|known| unchanged::by_apply(&known.value, object.value())));
    let kept = kept.into_iter().filter_map(|(object, _)| {
        let reference = object.reference();
        Some((reference, Tried::unchanged(known(&object)?)))
    });
    let mut seen = Seen {
        tried: kept.collect(),
        asked: objects.len(),
        ..Seen::default()
    };
    let tries = objects.iter().map(async |(object, remembered)| {
        // In a namespace that is not there nothing can be tried. A throw-away name in the services'
        // namespace shows all that is wrong with the object itself.
        if object.namespace().is_some_and(missing) {
            let name = format!("learnflow-try-{}", object.name());
            let stand_in = object.moved(&cluster.namespace, &name);
            return match wanted.rehearse(cluster, &stand_in, None, Mode::DryRun).await {
                // What is forbidden there may be allowed where the object really goes; and where that namespace
                // is missing as well, there is none to try it in.
                Err(problem) if !matches!(problem.kind, Kind::Forbidden | Kind::NotFound) => Err(problem),
                _ => Ok(None),
            };
        }
        let reference = object.reference();
        let known = before.get(&reference);
        let mode = Mode::DryRun.forced(*remembered);
        let (tried, conflict) = match wanted.rehearse(cluster, object, known, mode).await {
            Err(conflict) if wanted.force_conflicts && conflict.kind == Kind::Conflict => {
                let tried = wanted.rehearse(cluster, object, known, Mode::ForcedDryRun).await?;
                (tried, Some(conflict))
            }
            tried => (tried?, None),
        };
        Ok(Some((reference, tried, conflict)))
    });
    let tries: Vec<_> = stream::iter(tries).buffered(AT_ONCE).collect().await;
    for tried in tries {
        match tried {
            Ok(None) => {}
            Ok(Some((reference, tried, conflict))) => {
                seen.conflicts
                    .extend(conflict.map(|conflict| (reference.clone(), conflict)));
                seen.tried.insert(reference, tried);
            }
            // Where the cluster does not answer, there is no use in going on.
            Err(problem) if problem.kind == Kind::Unreachable => return Err(problem),
            Err(problem) => seen.failures.push(problem),
        }
    }
    Ok(Seen { before, ..seen })
}

impl Seen {
    fn refused(&self) -> Vec<Check> {
        let refused = self.failures.iter().cloned().map(|problem| Check {
            id: "dry-run",
            mark: Mark::Bad,
            text: problem.what,
            next: problem.next,
        });
        refused.collect()
    }
}

/// A Secret belongs to its Configuration, once that is there.
fn as_applied(object: &Object, wanted: &Wanted<'_>, before: &Before) -> Object {
    let mut secrets = wanted.enrolments.into_iter().flat_map(Enrolments::secrets);
    let owner = secrets
        .find(|(secret, _)| *secret == object)
        .and_then(|(_, configuration)| {
            let uid = &before.get(&configuration.reference())?.uid;
            Some((configuration, uid))
        });
    match owner {
        Some((configuration, uid)) => owned(object, configuration, uid),
        None => object.clone(),
    }
}

fn taken_over(conflict: &Problem) -> Check {
    let text = conflict.what.trim_start_matches("Cannot apply ");
    Check::warn(format!("Taken over: {text}"), "Whoever owned it may set it back.")
}

pub(super) fn is_ours(before: &Before, object: &Object) -> bool {
    let existing = before.get(&object.reference());
    existing.is_some_and(|existing| existing.managed_by.as_deref() == Some(MANAGER))
}

/// Says it all; stops at what is wrong.
pub(super) fn say(checks: &[Check], printer: &Printer) -> Result<(), Problem> {
    stop(show(printer, checks))
}

/// Says what is worth knowing; stops at what is wrong.
pub(super) fn remark(checks: &[Check], printer: &Printer) -> Result<(), Problem> {
    let remarks: Vec<Check> = checks
        .iter()
        .filter(|check| check.mark != Mark::Good)
        .cloned()
        .collect();
    stop(show(printer, &remarks))
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
