//! `status`: one screen that answers "does it work?".

mod autoscaling;
pub(super) mod judge;
mod memory;
mod resilience;
mod topics;
mod view;

use self::{
    judge::{Evidence, Part, Report, Telemetry, Verdict},
    resilience::Loaded,
};
use super::{chosen, enrolled_sidecars::EnrolledSidecars, version};
use crate::{
    cli::{Format, Status},
    cluster::{Cluster, Workload},
    concern::Selection,
    config::Share,
    enrolment::{self, Enrolments},
    kafka::COLLECTOR,
    model::{Configuration, Facts, Outcome, Pod, Rollout, Scaler, Service},
    monitoring,
    objects::{MANAGER, Object, ObjectRef, Plan},
    patches::Shape,
    preflight,
    printer::{Printer, Tone},
    problem::{Kind, Problem},
};
use futures::{StreamExt, TryStreamExt, join, stream, try_join};
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{Instant, sleep};

/// How often it looks again.
const PAUSE: Duration = Duration::from_secs(2);

/// Of the services of each namespace.
pub(super) async fn run(clusters: &[Cluster], args: &Status, printer: &Printer) -> Result<Outcome, Problem> {
    if args.watch {
        return watch(clusters, args.output, printer).await;
    }
    printer.waiting("asking the cluster");
    let reports = match args.wait {
        None => all(clusters).await?,
        Some(limit) => wait(clusters, limit, printer).await?,
    };
    printer.done_waiting();
    show(&reports, args.output, printer)?;
    let is = |verdict| reports.iter().find(|report| report.verdict == verdict);
    match is(Verdict::Unknown) {
        _ if reports.iter().all(|report| report.verdict == Verdict::Healthy) => Ok(Outcome::Good),
        Some(report) if args.wait.is_none() => {
            Err(Problem::new(report.problems.join(" ")).next("Everything that can be seen without Prometheus is well."))
        }
        _ => Ok(Outcome::Bad),
    }
}

pub(super) async fn report(cluster: &Cluster) -> Result<Report, Problem> {
    Ok(judge::judge(gather(cluster).await?))
}

async fn all(clusters: &[Cluster]) -> Result<Vec<Report>, Problem> {
    stream::iter(clusters).map(report).buffered(4).try_collect().await
}

fn show(reports: &[Report], output: Format, printer: &Printer) -> Result<(), Problem> {
    match (output, reports) {
        (Format::Json | Format::Yaml, [report]) => printer.document(output, report)?,
        (Format::Json | Format::Yaml, reports) => printer.document(output, &reports)?,
        (Format::Name, reports) => reports.iter().for_each(|report| view::names(report, printer)),
        (Format::Table | Format::Wide, reports) => {
            for (n, report) in reports.iter().enumerate() {
                if n > 0 {
                    printer.data("\n");
                }
                view::show(report, output == Format::Wide, printer);
            }
        }
    }
    Ok(())
}

/// Looks until all are healthy or time is up; what it saw last is what counts.
async fn wait(clusters: &[Cluster], limit: Duration, printer: &Printer) -> Result<Vec<Report>, Problem> {
    let began = Instant::now();
    loop {
        let over = began.elapsed() >= limit;
        let state = match all(clusters).await {
            Ok(reports) => match reports.iter().find(|report| report.verdict != Verdict::Healthy) {
                Some(report) if !over => report.problems.first().cloned().unwrap_or_default(),
                _ => return Ok(reports),
            },
            Err(problem) if problem.kind == Kind::Unreachable && !over => problem.what,
            Err(problem) => return Err(problem),
        };
        printer.waiting(&state);
        sleep(PAUSE.min(limit.saturating_sub(began.elapsed()))).await;
    }
}

/// Shows what has changed, until somebody ends it or nobody reads it any more.
async fn watch(clusters: &[Cluster], output: Format, printer: &Printer) -> Result<Outcome, Problem> {
    let between = if output == Format::Yaml { "---\n" } else { "\n" };
    loop {
        let reports = all(clusters).await;
        printer.begin_frame();
        match reports {
            Ok(reports) => {
                show(&reports, output, printer)?;
                let unknown = reports.iter().filter(|report| report.verdict == Verdict::Unknown);
                for report in unknown.filter(|_| matches!(output, Format::Table | Format::Wide)) {
                    printer.data_line(Tone::Bad, &format!("× {}", report.problems.join(" ")));
                }
            }
            // An API server that restarts is no reason to end.
            Err(problem) if problem.kind == Kind::Unreachable => match output {
                Format::Table | Format::Wide => printer.data_line(Tone::Bad, &format!("× {problem}")),
                _ => printer.problem(&problem),
            },
            Err(problem) => return Err(problem),
        }
        if !printer.end_frame(between) {
            return Ok(Outcome::Good);
        }
        sleep(PAUSE).await;
    }
}

async fn gather(cluster: &Cluster) -> Result<Evidence, Problem> {
    // First alone: if this one fails, all would.
    let versions = version::of(cluster).await?;
    let (broken, at_work, configurations, resiliencies, scalers) = try_join!(
        broken(cluster),
        cluster.services_at_work(),
        cluster.configurations(),
        cluster.resiliencies(),
        scalers(cluster),
    )?;
    let services = at_work.iter().map(|(service, _)| service);
    let services: Vec<Service> = services.cloned().collect();
    let app_ids: BTreeSet<String> = services.iter().filter_map(|s| s.app_id.clone()).collect();
    let (_, parts) = cluster.installed_for().await?;
    let shape = Shape {
        concerns: Selection::of_stack(&parts),
        begun: begun(&services, &configurations),
        ..chosen::installed_shape(cluster).await?
    };
    let mut plan = Plan::shaped(&cluster.namespace, &app_ids, &shape)?;
    // What is in force, not what this plugin would bring: others may decide.
    plan.polices = false;
    let facts = Facts {
        resiliencies,
        ..Facts::default()
    };
    crate::resilience::decide(&mut plan, &facts, &[], &[])?;
    let quiet = preflight::announces(versions.dapr.as_deref());
    let enrolled: Vec<Service> = services.iter().filter(|service| service.enrolled).cloned().collect();
    let wanted = Enrolments::new(&plan, &enrolled, &configurations, quiet).entries;
    let component = plan.component.reference();
    let workloads = plan.stack.iter().filter(|object| object.is_workload());
    let mut parts: Vec<ObjectRef> = workloads.map(Object::reference).collect();
    parts.extend(plan.keeper.object());
    parts.extend(kafka(cluster).await?);
    parts.push(component.clone());
    parts.extend(enrolment::in_use(&cluster.namespace, &enrolled, &configurations));
    let seen = async {
        try_join!(
            cluster.memory(),
            stream::iter(parts)
                .map(|object| part(cluster, object))
                .buffered(8)
                .try_filter_map(async |part| Ok(part))
                .try_collect(),
            cluster.existing(&component),
            pods(cluster, at_work),
        )
    };
    // What Prometheus does not tell is no failure.
    let (seen, telemetry) = join!(seen, telemetry(cluster));
    let (memory, parts, component, services) = seen?;
    Ok(Evidence {
        namespace: cluster.namespace.clone(),
        versions,
        wanted: wanted
            .into_iter()
            .map(|entry| (entry.service.name, entry.enrolment))
            .collect(),
        parts,
        component,
        services,
        resiliencies: facts.resiliencies,
        broken,
        scalers,
        memory,
        now: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs().cast_signed()),
        telemetry,
    })
}

/// The share of traces that the sidecars begin: settings are not remembered, and another share is no other version.
fn begun(services: &[Service], configurations: &[Configuration]) -> Share {
    let in_use = |name: &String| {
        let mut configs = services.iter().filter_map(|service| service.config.as_ref());
        configs.any(|config| config.value == *name)
    };
    let mut ours = configurations.iter().filter(|found| found.ours && in_use(&found.name));
    let share = ours.find_map(|found| Share::parse(found.spec["tracing"]["samplingRate"].as_str()?).ok());
    share.unwrap_or(Share::ALL)
}

async fn telemetry(cluster: &Cluster) -> Result<Telemetry, Problem> {
    let (sidecars, loaded, topics) =
        try_join!(EnrolledSidecars::of(cluster), Loaded::of(cluster), topics::of(cluster))?;
    Ok(Telemetry {
        sidecars,
        loaded,
        topics,
    })
}

/// What `verify` has broken on purpose and not put back yet.
async fn broken(cluster: &Cluster) -> Result<Option<String>, Problem> {
    match cluster.note().await {
        Ok(note) => Ok(note.map(|note| format!("{}. {}", note.sentence(), note.next(&cluster.namespace)))),
        Err(problem) if problem.kind == Kind::Forbidden => Ok(None),
        // It is there, and cannot be read.
        Err(problem) if problem.kind == Kind::Other => Ok(Some(problem.what)),
        Err(problem) => Err(problem),
    }
}

/// None when we may not look: whoever asks how things are need not be whoever installs.
async fn scalers(cluster: &Cluster) -> Result<Vec<Scaler>, Problem> {
    match cluster.scalers().await {
        Err(problem) if problem.kind == Kind::Forbidden => Ok(Vec::new()),
        scalers => scalers,
    }
}

/// The collector that asks Kafka, where there is one: it comes only where a Component says how.
async fn kafka(cluster: &Cluster) -> Result<Option<ObjectRef>, Problem> {
    let collector = ObjectRef::deployment(&cluster.namespace, COLLECTOR);
    let found = cluster.existing(&collector).await?;
    let ours = found.is_some_and(|found| found.managed_by.as_deref() == Some(MANAGER));
    Ok(ours.then_some(collector))
}

/// None: it is not for us to see.
async fn part(cluster: &Cluster, object: ObjectRef) -> Result<Option<Part>, Problem> {
    let (present, rollout, reason) = if matches!(object.kind.as_str(), "Deployment" | "DaemonSet") {
        match cluster.workload(&object).await? {
            None => (false, None, None),
            Some(workload) if workload.rollout.is_settled() => (true, Some(workload.rollout), None),
            Some(workload) => (true, Some(workload.rollout), cluster.trouble(&workload).await?),
        }
    } else if object.kind == "Prometheus" {
        let found = cluster.existing(&object).await?;
        let rollout = found.as_ref().map(monitoring::rollout);
        (found.is_some(), rollout, None)
    } else {
        match cluster.existing(&object).await {
            // Whoever may look at a status need not be one who may read Secrets.
            Err(problem) if problem.kind == Kind::Forbidden && object.kind == "Secret" => return Ok(None),
            found => (found?.is_some(), None, None),
        }
    };
    Ok(Some(Part {
        kind: object.kind,
        namespace: object.namespace,
        name: object.name,
        present,
        ready: rollout.map(|rollout: Rollout| rollout.ready),
        desired: rollout.map(|rollout| rollout.desired),
        reason,
    }))
}

/// Each service with its pods, and why it is not ready.
async fn pods(
    cluster: &Cluster,
    services: Vec<(Service, Workload)>,
) -> Result<Vec<(Service, Vec<Pod>, Option<String>)>, Problem> {
    let (services, workloads): (Vec<Service>, Vec<Workload>) = services.into_iter().unzip();
    let trouble = async |workload: &Workload| match workload.rollout.is_settled() {
        true => Ok(None),
        false => cluster.trouble(workload).await,
    };
    let troubles = stream::iter(&workloads).map(trouble).buffered(8).try_collect();
    let (troubles, pods): (Vec<_>, _) = try_join!(troubles, cluster.pods_of(&workloads))?;
    let all = services.into_iter().zip(pods).zip(troubles);
    Ok(all.map(|((service, pods), trouble)| (service, pods, trouble)).collect())
}
