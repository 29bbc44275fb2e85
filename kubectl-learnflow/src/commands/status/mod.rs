//! `status`: one screen that answers "does it work?".

mod autoscaling;
mod judge;
mod resilience;
mod topics;
mod view;

use self::{
    judge::{Evidence, Part, Telemetry, Verdict},
    resilience::Loaded,
};
use super::{coverage::Coverage, version};
use crate::{
    cli::{Format, Status},
    cluster::{Cluster, Workload},
    enrolment::{self, Enrolments},
    model::{Facts, Outcome, Pod, Rollout, Scaler, Service},
    objects::{Object, ObjectRef, Plan},
    preflight,
    printer::Printer,
    problem::{Kind, Problem},
};
use futures::{StreamExt, TryStreamExt, stream, try_join};
use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

pub(super) async fn run(cluster: &Cluster, args: &Status, printer: &Printer) -> Result<Outcome, Problem> {
    printer.waiting("asking the cluster");
    let report = judge::judge(gather(cluster).await?);
    printer.done_waiting();
    match args.output {
        Format::Json | Format::Yaml => printer.document(args.output, &report)?,
        Format::Name => view::names(&report, printer),
        Format::Table | Format::Wide => view::show(&report, args.output == Format::Wide, printer),
    }
    match report.verdict {
        Verdict::Healthy => Ok(Outcome::Good),
        Verdict::Unhealthy | Verdict::NotInstalled => Ok(Outcome::Bad),
        Verdict::Unknown => {
            Err(Problem::new(report.problems.join(" ")).next("Everything that can be seen without Prometheus is well."))
        }
    }
}

async fn gather(cluster: &Cluster) -> Result<Evidence, Problem> {
    // First alone: if this one fails, all would.
    let versions = version::of(cluster).await?;
    let (services, configurations, resiliencies, scalers) = try_join!(
        cluster.services(),
        cluster.configurations(),
        cluster.resiliencies(),
        scalers(cluster),
    )?;
    let app_ids: BTreeSet<String> = services.iter().filter_map(|s| s.app_id.clone()).collect();
    let mut plan = Plan::new(&cluster.namespace, &app_ids)?;
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
    parts.push(component.clone());
    parts.extend(enrolment::in_use(&cluster.namespace, &enrolled, &configurations));
    let (parts, component, services) = try_join!(
        stream::iter(parts)
            .map(|object| part(cluster, object))
            .buffered(8)
            .try_collect(),
        cluster.existing(&component),
        pods(cluster, services),
    )?;
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
        scalers,
        now: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs().cast_signed()),
        telemetry: telemetry(cluster).await,
    })
}

async fn telemetry(cluster: &Cluster) -> Result<Telemetry, Problem> {
    let (coverage, loaded, topics) = try_join!(Coverage::of(cluster), Loaded::of(cluster), topics::of(cluster))?;
    Ok(Telemetry {
        coverage,
        loaded,
        topics,
    })
}

/// None when we may not look: whoever asks how things are need not be whoever installs.
async fn scalers(cluster: &Cluster) -> Result<Vec<Scaler>, Problem> {
    match cluster.scalers().await {
        Err(problem) if problem.kind == Kind::Forbidden => Ok(Vec::new()),
        scalers => scalers,
    }
}

async fn part(cluster: &Cluster, object: ObjectRef) -> Result<Part, Problem> {
    let (present, rollout, reason) = if matches!(object.kind.as_str(), "Deployment" | "DaemonSet") {
        match cluster.workload(&object).await? {
            None => (false, None, None),
            Some(workload) if workload.rollout.is_settled() => (true, Some(workload.rollout), None),
            Some(workload) => (true, Some(workload.rollout), cluster.trouble(&workload).await?),
        }
    } else {
        (cluster.existing(&object).await?.is_some(), None, None)
    };
    Ok(Part {
        kind: object.kind,
        namespace: object.namespace,
        name: object.name,
        present,
        ready: rollout.map(|rollout: Rollout| rollout.ready),
        desired: rollout.map(|rollout| rollout.desired),
        reason,
    })
}

/// Each service with its pods, and why it is not ready.
async fn pods(cluster: &Cluster, services: Vec<Service>) -> Result<Vec<(Service, Vec<Pod>, Option<String>)>, Problem> {
    let found = stream::iter(&services).map(|service| async {
        let object = ObjectRef::deployment(&cluster.namespace, &service.name);
        let workload = cluster.workload(&object).await?;
        let trouble = match &workload {
            Some(workload) if !workload.rollout.is_settled() => cluster.trouble(workload).await?,
            _ => None,
        };
        Ok::<_, Problem>(workload.map(|workload| (workload, trouble)))
    });
    let found: Vec<Option<(Workload, Option<String>)>> = found.buffered(8).try_collect().await?;
    let (services, found): (Vec<_>, Vec<_>) = services
        .into_iter()
        .zip(found)
        .filter_map(|(s, w)| Some((s, w?)))
        .unzip();
    let (workloads, troubles): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let pods = cluster.pods_of(&workloads).await?;
    let all = services.into_iter().zip(pods).zip(troubles);
    Ok(all.map(|((service, pods), trouble)| (service, pods, trouble)).collect())
}
