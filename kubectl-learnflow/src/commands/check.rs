//! Everything `install` looks at before it writes. What is looked for and what it means is in
//! [`crate::preflight`]; here the cluster is asked.

use crate::{
    cluster::{Cluster, Mode, Tried, accesses},
    config::{Memory, Settings},
    model::{Access, Applied, Existing, Facts, Service},
    objects::{MANAGER, Object, ObjectRef, Plan, STACK_NAMESPACE, enrolment},
    preflight::{self, Check},
    printer::{Mark, Printer},
    problem::{Kind, Problem},
    text,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeSet, HashMap};

/// Requests under way at the same time.
pub(super) const AT_ONCE: usize = 16;

/// What is in the cluster under the names of a plan.
pub(super) type Before = HashMap<ObjectRef, Existing>;

/// What the checks have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) before: Before,
    /// What applying each object would make of it; not of those in a namespace that is still missing.
    pub(super) tried: HashMap<ObjectRef, Tried>,
}

/// Whether the server is asked to check each object as if it were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rehearsal {
    Skipped,
    Gentle,
    /// What is taken over from others is named, and no failure.
    Forced,
}

/// May we install? Asked first: without, nothing else can be found out.
pub(super) async fn may_install(cluster: &Cluster, plan: &Plan, printer: &Printer) -> Result<(), Problem> {
    allowed(cluster, wanted(cluster, plan), printer).await?;
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

fn wanted(cluster: &Cluster, plan: &Plan) -> BTreeSet<Access> {
    let objects: Vec<ObjectRef> = plan.all().map(Object::reference).collect();
    let members = objects.iter().filter(|object| object.kind != "Namespace");
    let deployments = [ObjectRef::deployment(&cluster.namespace, "")];
    let mut wanted = accesses(objects.iter(), &["get", "create", "patch"]);
    // What a newer version no longer has is looked for by its labels.
    wanted.extend(accesses(members, &["list"]));
    wanted.extend(accesses(deployments.iter(), &["get", "list", "patch"]));
    wanted.extend([&cluster.namespace, STACK_NAMESPACE].map(|namespace| Access {
        verb: "list",
        group: String::new(),
        resource: "pods".into(),
        namespace: Some(namespace.to_owned()),
    }));
    wanted
}

/// Looks at everything before anything is written, and says all that is wrong, not just the first.
pub(super) async fn preflight(
    cluster: &Cluster,
    facts: &Facts,
    services: &[Service],
    plan: &Plan,
    settings: &Settings,
    rehearsal: Rehearsal,
    printer: &Printer,
) -> Result<Seen, Problem> {
    let mut failed = 0;
    if plan.enrols {
        failed += show(printer, &preflight::cluster(facts, &cluster.namespace));
        failed += show(printer, &preflight::services(services, &cluster.namespace));
    } else {
        failed += show(printer, &[preflight::kubernetes(facts)]);
    }
    let pubsub = preflight::pubsub(settings.pubsub.value.as_deref(), &facts.kafka);
    failed += show(printer, pubsub.as_slice());
    stop(failed)?;

    let enrolments = enrolments(&cluster.namespace, services, plan)?;
    let mut seen = Seen {
        before: before(cluster, plan.all().chain(&enrolments)).await?,
        ..Seen::default()
    };
    let owned = |object| preflight::ownership(object, seen.before.get(&object.reference())?);
    let mut checks: Vec<Check> = plan.all().filter_map(owned).collect();
    checks.extend(storage(cluster, plan, &seen.before).await?);
    checks.extend(budget(cluster, plan, settings.budget.value.as_ref()).await?);
    stop(show(printer, &checks))?;
    if rehearsal == Rehearsal::Skipped {
        return Ok(seen);
    }
    let force = rehearsal == Rehearsal::Forced;
    let (checks, tried) = rehearse(cluster, &enrolments, plan, &seen.before, force).await?;
    stop(show(printer, &checks))?;
    seen.tried = tried;
    if restarts(plan, &seen.tried) {
        let text = format!(
            "Dapr restarts the runtime of the running sidecars in {} once",
            cluster.namespace
        );
        let why = "Dapr 1.18 does so at any write to a Configuration. Sidecars that stay out of LearnFlow lose \
                   their /metrics by it until their pods are replaced.";
        show(printer, &[Check::warn(text, why)]);
    }
    Ok(seen)
}

pub(super) async fn before(cluster: &Cluster, objects: impl Iterator<Item = &Object>) -> Result<Before, Problem> {
    let found = stream::iter(objects.map(Object::reference))
        .map(|object| async move { Ok::<_, Problem>((cluster.existing(&object).await?, object)) });
    let found: Vec<_> = found.buffered(AT_ONCE).try_collect().await?;
    let found = found
        .into_iter()
        .filter_map(|(existing, object)| Some((object, existing?)));
    Ok(found.collect())
}

/// What each service gets, as an object to apply.
pub(super) fn enrolments(namespace: &str, services: &[Service], plan: &Plan) -> Result<Vec<Object>, Problem> {
    let patches = services
        .iter()
        .map(|service| Object::new(enrolment(namespace, service, &plan.revision)));
    patches.collect::<Result<_, _>>().map_err(Problem::new)
}

/// What is there and what would become of it; stops at whatever the server refuses.
pub(super) async fn look(
    cluster: &Cluster,
    enrolments: &[Object],
    plan: &Plan,
    force: bool,
    printer: &Printer,
) -> Result<Seen, Problem> {
    let before = before(cluster, plan.all().chain(enrolments)).await?;
    let (checks, tried) = rehearse(cluster, enrolments, plan, &before, force).await?;
    let refused: Vec<Check> = checks.into_iter().filter(|check| check.mark != Mark::Good).collect();
    stop(show(printer, &refused))?;
    Ok(Seen { before, tried })
}

/// A claim that no storage answers would leave its pod pending for ever.
async fn storage(cluster: &Cluster, plan: &Plan, before: &Before) -> Result<Option<Check>, Problem> {
    let claims = plan.all().filter(|object| object.kind() == "PersistentVolumeClaim");
    let new: Vec<&Object> = claims
        .filter(|claim| !before.contains_key(&claim.reference()))
        .collect();
    match new.as_slice() {
        [] => Ok(None),
        [claim, ..] => Ok(preflight::storage(claim, cluster.default_storage_class().await?)),
    }
}

async fn budget(cluster: &Cluster, plan: &Plan, budget: Option<&Memory>) -> Result<Option<Check>, Problem> {
    let Some(budget) = budget else { return Ok(None) };
    let nodes = cluster.count_nodes().await?;
    Ok(Some(preflight::budget(plan, budget, nodes)))
}

/// Does it write to the Configuration?
fn restarts(plan: &Plan, tried: &HashMap<ObjectRef, Tried>) -> bool {
    let tried = tried.get(&plan.configuration.reference());
    tried.is_some_and(|tried| tried.applied() != Applied::Unchanged)
}

/// Lets the server check every object as if it were applied, admission included.
async fn rehearse(
    cluster: &Cluster,
    enrolments: &[Object],
    plan: &Plan,
    before: &Before,
    force: bool,
) -> Result<(Vec<Check>, HashMap<ObjectRef, Tried>), Problem> {
    let nowhere = !before.contains_key(&plan.namespace.reference());
    // What is there and not ours is left alone, but the services are of course not ours.
    let foreign = |object: &&Object| before.contains_key(&object.reference()) && !is_ours(before, object);
    let objects = plan.all().filter(|object| !foreign(object)).chain(enrolments);
    let tries = objects.map(async |object| {
        // In a namespace that is not there nothing can be tried. A throw-away name in the services'
        // namespace shows all that is wrong with the object itself.
        if nowhere && object.namespace() == Some(STACK_NAMESPACE) {
            let name = format!("learnflow-try-{}", object.name());
            let stand_in = object.moved(&cluster.namespace, &name);
            return match cluster.rehearse(&stand_in, None, Mode::DryRun).await {
                // What is forbidden there may be allowed where the object really goes.
                Err(problem) if problem.kind != Kind::Forbidden => Err(problem),
                _ => Ok((None, None)),
            };
        }
        let reference = object.reference();
        let known = before.get(&reference);
        let (tried, taken) = match cluster.rehearse(object, known, Mode::DryRun).await {
            Err(conflict) if force && conflict.kind == Kind::Conflict => {
                let tried = cluster.rehearse(object, known, Mode::ForcedDryRun).await?;
                (tried, Some(taken_over(&conflict)))
            }
            tried => (tried?, None),
        };
        Ok((Some((reference, tried)), taken))
    });
    let mut checks = Vec::new();
    let mut all = HashMap::new();
    let tries: Vec<_> = stream::iter(tries).buffered(AT_ONCE).collect().await;
    let number = tries.len();
    for tried in tries {
        match tried {
            Ok((tried, taken)) => {
                all.extend(tried);
                checks.extend(taken);
            }
            // Where the cluster does not answer, there is no use in going on.
            Err(problem) if problem.kind == Kind::Unreachable => return Err(problem),
            Err(problem) => checks.push(Check {
                mark: Mark::Bad,
                text: problem.what,
                next: problem.next,
            }),
        }
    }
    if !checks.iter().any(|check| check.mark == Mark::Bad) {
        let text = format!("Server-side dry run of {}", text::count(number, "object"));
        checks.push(Check::good(text));
    }
    Ok((checks, all))
}

fn taken_over(conflict: &Problem) -> Check {
    let text = conflict.what.trim_start_matches("Cannot apply ");
    Check::warn(format!("Taken over: {text}"), "Whoever owned it may set it back.")
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
