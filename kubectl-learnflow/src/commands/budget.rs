//! A budget of memory: counting what there is to look after, and keeping the quotas out of the way of a rolling update.

use super::applier::Applier;
use crate::{
    budget::{self, Fit, GATEWAY, Load, PROMETHEUS, Shipped, Workload},
    capacity::{self, Needs},
    cluster::{Cluster, Mode},
    concern::{Concern, Profile, Selection},
    config::{Expected, Memory, Settings, Share, bytes},
    model::Applied,
    objects::{MANAGER, OUR_NAMESPACES, Object, Plan},
    patches::{RETENTION_SIZE, RETENTION_TIME, Shape, decision_wait},
    printer::{Mark, Printer},
    problem::{Kind, Problem},
    quota, text,
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep};

/// How long pods that end are waited for: three times the usual grace.
const ENDING: Duration = Duration::from_secs(90);

/// What the settings' budget becomes here; `None` without one. No cluster: what is not said is assumed.
pub(super) async fn fit(cluster: Option<&Cluster>, settings: &Settings, shape: &Shape) -> Result<Option<Fit>, Problem> {
    let Some(budget) = &settings.budget.value else {
        return Ok(None);
    };
    let plan = Plan::shaped("default", &BTreeSet::new(), shape)?;
    let expected = &settings.expected.value;
    let counted = match cluster {
        Some(cluster) if !expected.is_complete() => cluster.load().await?,
        _ => Expected::default(),
    };
    let load = load(expected, &counted);
    let mut workloads = workloads(&plan.stack);
    if plan.measures {
        workloads.extend(beside_services(shape, settings.namespaces.value.len().max(1))?);
    }
    if let Some(cluster) = cluster {
        workloads.extend(left_out(cluster, &plan, shape).await?);
    }
    budget::fit(budget, load, &workloads, shipped(&plan.stack, shape))
        .map(Some)
        .map_err(|least| {
            let total = budget::total(&least);
            Problem::new(format!(
                "A budget of {budget} is too small for {load}: the least is {total}Mi ({}).",
                budget::shown(&least)
            ))
            .next(format!(
                "Raise it to {total}Mi or more, or leave parts out with --skip. Nothing was changed."
            ))
        })
}

/// Some budget, for the kinds of objects that come with one.
pub(super) fn any() -> Fit {
    Fit {
        budget: Memory::default(),
        load: Load::default(),
        sizes: Vec::new(),
        streams: 0,
        retention: (0, 0),
        traces: None,
        begun: Share::ALL,
    }
}

/// What is said is meant; what was counted gets room to grow.
fn load(said: &Expected, counted: &Expected) -> Load {
    let found = Load {
        nodes: counted.nodes.unwrap_or_default(),
        pods: counted.pods.unwrap_or_default(),
        topics: counted.topics.unwrap_or_default(),
    }
    .with_room();
    Load {
        nodes: said.nodes.unwrap_or(found.nodes),
        pods: said.pods.unwrap_or(found.pods),
        topics: said.topics.unwrap_or(found.topics),
    }
}

/// What is not installed now and is there from before: it takes its memory all the same.
async fn left_out(cluster: &Cluster, plan: &Plan, shape: &Shape) -> Result<Vec<Workload>, Problem> {
    let everything = Shape {
        concerns: Selection::all(),
        ..shape.clone()
    };
    let everything = Plan::shaped("default", &BTreeSet::new(), &everything)?;
    let mut there = Vec::new();
    for object in everything.stack.iter().filter(|object| object.is_workload()) {
        let reference = object.reference();
        if plan.stack.iter().any(|wanted| wanted.reference() == reference) {
            continue;
        }
        match cluster.existing(&reference).await {
            Ok(Some(found)) if found.managed_by.as_deref() == Some(MANAGER) => there.push(Object::known(found.value)),
            Ok(_) => {}
            Err(problem) if problem.kind == Kind::Forbidden => {}
            Err(problem) => return Err(problem),
        }
    }
    let stays = |workload| Workload {
        stays: true,
        ..workload
    };
    Ok(workloads(&there).into_iter().map(stays).collect())
}

/// The collector that asks Kafka: one in each namespace with services, whatever its Components say.
fn beside_services(shape: &Shape, namespaces: usize) -> Result<Vec<Workload>, Problem> {
    let mut each = workloads(&Concern::Kafka.objects(shape.profile)?);
    for workload in &mut each {
        workload.pods = u64::try_from(namespaces).ok();
    }
    Ok(each)
}

/// In the order in which they are applied.
fn workloads(stack: &[Object]) -> Vec<Workload> {
    let workloads = stack.iter().filter(|object| object.is_workload());
    let each = workloads.map(|object| Workload {
        stays: false,
        namespace: object.namespace().unwrap_or_default().to_owned(),
        name: object.name().to_owned(),
        pods: (object.kind() != "DaemonSet").then(|| at_once(object)),
        limit: object.memory_limit().div_ceil(1 << 20),
    });
    each.collect()
}

/// The most pods that a workload has at one time, its rolling updates included.
fn at_once(object: &Object) -> u64 {
    let replicas = object.replicas();
    let spec = &object.value()["spec"];
    if object.kind() != "Deployment" || spec["strategy"]["type"] == "Recreate" {
        return replicas;
    }
    let surge = match &spec["strategy"]["rollingUpdate"]["maxSurge"] {
        Value::Number(pods) => pods.as_u64().unwrap_or(1),
        Value::String(share) => {
            let percent: u64 = share.trim_end_matches('%').parse().unwrap_or(100);
            (replicas * percent).div_ceil(100)
        }
        // What Kubernetes takes for it: a quarter.
        _ => replicas.div_ceil(4),
    };
    replicas + surge
}

/// What the profile keeps, as the manifest says it.
fn shipped(stack: &[Object], shape: &Shape) -> Shipped {
    let prometheus = stack
        .iter()
        .find(|object| object.is_workload() && object.name() == PROMETHEUS);
    let arguments = prometheus.and_then(|object| {
        object
            .value()
            .pointer("/spec/template/spec/containers/0/args")?
            .as_array()
    });
    let argument = |name: &str| {
        let mut arguments = arguments.into_iter().flatten().filter_map(Value::as_str);
        arguments.find_map(|text| text.strip_prefix(name)?.strip_prefix('='))
    };
    let hours = argument(RETENTION_TIME).and_then(|time| {
        let (number, unit) = time.split_at(time.len().checked_sub(1)?);
        Some(number.parse::<u64>().ok()? * if unit == "d" { 24 } else { 1 })
    });
    let megabytes = argument(RETENTION_SIZE).and_then(|size| bytes(size.trim_end_matches('B')));
    Shipped {
        hours: hours.unwrap_or_default(),
        megabytes: megabytes.unwrap_or_default() / 1_000_000,
        production: shape.profile == Profile::Production,
        wait: decision_wait(shape.sampling),
    }
}

/// Says what a budget has become, and what of it rests on nothing that was counted or said.
pub(super) fn say(shape: &Shape, settings: &Settings, asked: bool, printer: &Printer) {
    let Some(fit) = shape.fit.as_ref().filter(|fit| !fit.sizes.is_empty()) else {
        return;
    };
    let (hours, megabytes) = fit.retention;
    let mut line = format!(
        "Memory by limits: {}Mi of the budget of {}, for {}: {}",
        budget::total(&fit.sizes),
        fit.budget,
        fit.load,
        budget::shown(&fit.sizes)
    );
    if fit.size(PROMETHEUS).is_some() {
        line.push_str(&format!("; metrics for {hours}h or {megabytes}MB"));
    }
    if fit.size(GATEWAY).is_some() {
        line.push_str(&format!("; {} streams by topic", fit.streams));
    }
    if fit.begun != Share::ALL {
        line.push_str(&format!("; the sidecars begin {} of all traces", fit.begun));
    }
    printer.step(Mark::Good, &line);
    let said = &settings.expected.value;
    if !asked && !said.is_complete() {
        let Load { nodes, pods, topics } = fit.load;
        let each = [
            (said.nodes, nodes, "nodes"),
            (said.pods, pods, "pods with a sidecar"),
            (said.topics, topics, "topics"),
        ];
        let assumed = each.iter().filter(|(said, ..)| said.is_none());
        let assumed: Vec<String> = assumed.map(|(_, number, of)| format!("{of}: {number}")).collect();
        let what = format!("No cluster was asked. Assumed are {}", text::list(&assumed));
        printer.step(Mark::Warn, &what);
        printer.hint("Say what there is with --expect nodes=…,pods=…,topics=…, or `expect` in learnflow.yaml.");
    }
}

/// Before pods are replaced, the quotas have room for the old ones beside the new ones: a quota that is full would keep a
/// DaemonSet from replacing any, for ever. A quota that nobody wants any more goes.
pub(super) async fn make_room(applier: &Applier<'_>, plan: &Plan) -> Result<(), Problem> {
    let cluster = applier.cluster;
    if plan.namespaces.is_empty() {
        return Ok(());
    }
    for namespace in OUR_NAMESPACES {
        let reference = quota::of(namespace);
        let Some(wanted) = quota_of(plan, namespace) else {
            let look = async || cluster.existing(&reference).await;
            let there = applier.patience.with(look).await?;
            if there.is_some_and(|there| quota::read(&there.value).is_some())
                && applier.patience.with(async || cluster.delete(&reference).await).await?
            {
                applier
                    .printer
                    .step(Mark::Good, &format!("removed {reference}: there is no budget"));
            }
            continue;
        };
        let leaving = leaving(applier, plan, namespace);
        if leaving == 0.0 {
            applier.apply(wanted).await?;
            continue;
        }
        let roomy = quota::with_room(wanted, leaving);
        let known = applier.seen.before.get(&reference);
        let mode = Mode::Real.forced(applier.force);
        applier
            .patience
            .with(async || cluster.apply(&roomy, known, mode).await)
            .await?;
        applier.printer.step(
            Mark::Good,
            &format!("applied {wanted} (with room for the pods that go)"),
        );
    }
    Ok(())
}

/// When the old pods are gone.
pub(super) async fn settle(applier: &Applier<'_>, plan: &Plan) -> Result<(), Problem> {
    for namespace in OUR_NAMESPACES {
        let Some(wanted) = quota_of(plan, namespace) else {
            continue;
        };
        if leaving(applier, plan, namespace) == 0.0 {
            continue;
        }
        until_it_fits(applier, wanted).await?;
        let mode = Mode::Real.forced(applier.force);
        let apply = async || applier.cluster.apply(wanted, None, mode).await;
        applier.patience.with(apply).await?;
        applier.printer.step(Mark::Good, &format!("applied {wanted}"));
    }
    Ok(())
}

/// A pod that is ending counts until it has ended; the gateway's takes some seconds. One that hangs is no reason to wait on.
async fn until_it_fits(applier: &Applier<'_>, wanted: &Object) -> Result<(), Problem> {
    let amount = |value: &Value| capacity::quantity(value["limits.memory"].as_str()?);
    let hard = amount(&wanted.value()["spec"]["hard"]);
    let reference = wanted.reference();
    let begun = Instant::now();
    while begun.elapsed() < ENDING {
        let there = applier
            .patience
            .with(async || applier.cluster.existing(&reference).await)
            .await?;
        let used = there.and_then(|there| amount(&there.value["status"]["used"]));
        if used <= hard {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

pub(super) fn is_quota(object: &Object) -> bool {
    object.kind() == "ResourceQuota"
}

fn quota_of<'a>(plan: &'a Plan, namespace: &str) -> Option<&'a Object> {
    plan.stack
        .iter()
        .find(|object| is_quota(object) && object.namespace() == Some(namespace))
}

/// Bytes of the pods there are, by their limits, when any of them is about to be replaced.
fn leaving(applier: &Applier<'_>, plan: &Plan, namespace: &str) -> f64 {
    let seen = applier.seen;
    let here = plan
        .stack
        .iter()
        .filter(|object| object.is_workload() && object.namespace() == Some(namespace));
    let there: Vec<(&Object, Object, usize)> = here
        .filter_map(|object| {
            let existing = seen.before.get(&object.reference())?;
            let pods = existing.value["status"]["currentNumberScheduled"].as_u64().unwrap_or(1);
            Some((
                object,
                Object::known(existing.value.clone()),
                usize::try_from(pods).unwrap_or(usize::MAX),
            ))
        })
        .collect();
    let stays = |object: &Object| {
        let tried = seen.tried.get(&object.reference());
        tried.is_some_and(|tried| tried.applied() == Applied::Unchanged)
    };
    if there.iter().all(|(object, ..)| stays(object)) {
        return 0.0;
    }
    let needs = there.iter().map(|(wanted, old, pods)| {
        let copies = if wanted.kind() == "DaemonSet" {
            *pods
        } else {
            usize::try_from(at_once(old)).unwrap_or(1)
        };
        let needs = Needs::of_pods(&old.value()["spec"]["template"]["spec"], copies, &[]);
        needs.amounts.get("limits.memory").copied().unwrap_or_default()
    });
    needs.sum()
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
