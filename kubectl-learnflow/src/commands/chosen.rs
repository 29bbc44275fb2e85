//! What the settings mean in this cluster: the shape of the stack, the services, and what those get.

use super::{adapter, budget, host, keeper, places, states};
use crate::{
    cluster::Cluster,
    concern::{Concern, Selection},
    config::{self, Settings},
    enrolment::Enrolments,
    grafana::Host,
    kafka,
    model::{Facts, Service},
    monitoring::Keeper,
    objects::{ObjectRef, Plan, STACK_NAMESPACE},
    patches::Shape,
    preflight::{self, Check},
    problem::Problem,
    resilience, text,
};
use std::collections::BTreeSet;

/// Whose Prometheus, kube-state-metrics and Grafana, and what there is to say about that.
pub(super) struct Others {
    pub(super) keeper: Keeper,
    pub(super) host: Host,
    pub(super) checks: Vec<Check>,
}

impl Others {
    /// What somebody else does already is left out of the settings.
    pub(super) async fn choose(cluster: &Cluster, settings: &mut Settings) -> Result<Self, Problem> {
        let keeper::Chosen { keeper, mut checks } = keeper::choose(cluster, settings).await?;
        checks.extend(states::leave_out(cluster, settings, &keeper).await?);
        let (host, more) = host::choose(cluster, settings).await?;
        checks.extend(more);
        checks.extend(adapter::leave_out(cluster, settings).await?);
        Ok(Self { keeper, host, checks })
    }

    /// What is installed.
    pub(super) async fn installed(cluster: &Cluster) -> Result<Self, Problem> {
        Ok(Self {
            keeper: cluster.keeper().await?.unwrap_or_default(),
            host: cluster.host().await?.unwrap_or_default(),
            checks: Vec::new(),
        })
    }
}

/// What the settings ask for, where it matters what is there already.
pub(super) async fn shape(cluster: &Cluster, settings: &Settings, others: &Others) -> Result<Shape, Problem> {
    if settings.remote_write.value.is_some() && others.keeper != Keeper::Own {
        let what = "`remoteWrite` is for LearnFlow's own Prometheus, and another one keeps the metrics.";
        return Err(Problem::new(what).next("Set it there, and leave it out here. Nothing was changed."));
    }
    let there = async |concern, name| {
        let comes = settings.concerns.value.has(concern);
        let workload = ObjectRef::deployment(STACK_NAMESPACE, name);
        Ok::<_, Problem>(comes || cluster.existing(&workload).await?.is_some())
    };
    let gateway = there(Concern::Collector, "collector-gateway").await?;
    let shape = settings.shape(gateway, there(Concern::Tracing, "traces").await?);
    // Who was served before still is.
    let (mut namespaces, before) = cluster.installed_for().await?;
    namespaces.extend(places(cluster, settings).into_iter().map(|place| place.namespace));
    let shape = Shape {
        namespaces,
        before,
        keeper: others.keeper.clone(),
        host: others.host.clone(),
        ..shape
    };
    let fit = budget::fit(Some(cluster), settings, &shape).await?;
    Ok(shape.fitted(fit))
}

/// What is installed, with whatever there is in it: for verbs that look at it, or remove it.
pub(super) async fn installed_plan(cluster: &Cluster, app_ids: &BTreeSet<String>) -> Result<Plan, Problem> {
    Plan::shaped(&cluster.namespace, app_ids, &installed_shape(cluster).await?)
}

/// The defaults, and what stays as it was chosen.
pub(super) async fn installed_shape(cluster: &Cluster) -> Result<Shape, Problem> {
    let Others { keeper, host, .. } = Others::installed(cluster).await?;
    cluster.measured_by(&keeper);
    // It is not in every installation: elsewhere somebody else has its place.
    let (_, parts) = cluster.installed_for().await?;
    let mut concerns = Selection::all();
    if !parts.contains(&Concern::PrometheusAdapter) {
        concerns = concerns.without(Concern::PrometheusAdapter);
    }
    Ok(Shape {
        concerns,
        keeper,
        host,
        ..Shape::default()
    })
}

/// The services to enrol, and everything to apply for them.
pub(super) fn services(
    facts: &Facts,
    settings: &Settings,
    shape: &Shape,
    namespace: &str,
) -> Result<(Vec<Service>, Plan), Problem> {
    let named = &settings.services.value;
    let excluded = &settings.exclude.value;
    let names: Vec<String> = named.iter().map(|entry| entry.name.clone()).collect();
    there(&names, std::slice::from_ref(facts), namespace)?;
    for entry in named {
        let found = facts.services.iter().find(|service| service.name == entry.name);
        fits(entry, found, namespace)?;
    }
    let wanted = |service: &Service| {
        let is_named = named.is_empty() || named.iter().any(|entry| entry.name == service.name);
        is_named && !excluded.contains(&service.name)
    };
    let (mut services, left_out): (Vec<Service>, Vec<Service>) = facts.services.iter().cloned().partition(wanted);
    for service in &mut services {
        let entry = named.iter().find(|entry| entry.name == service.name);
        service.container = entry
            .and_then(|entry| entry.container.clone())
            .or(service.container.take());
    }
    // Who is enrolled and now left out stays as it is, and so needs the Component further on.
    let stay = left_out.iter().filter(|service| service.enrolled);
    let app_ids: BTreeSet<String> = services
        .iter()
        .chain(stay)
        .filter_map(|service| service.app_id.clone())
        .collect();
    let mut plan = Plan::shaped(namespace, &app_ids, shape)?;
    let components = resilience::components(settings.pubsub.value.as_deref(), facts);
    resilience::decide(&mut plan, facts, &components, &services)?;
    if plan.measures {
        let asked = shape.concerns.asks_for(Concern::Kafka);
        plan.kafka = kafka::plan(namespace, &facts.kafka, shape, asked)?;
    }
    Ok((services, plan))
}

/// Whoever is excluded is there, in one of the namespaces.
pub(super) fn known(excluded: &[String], facts: &[Facts], clusters: &[Cluster]) -> Result<(), Problem> {
    let namespaces: Vec<&str> = clusters.iter().map(|cluster| cluster.namespace.as_str()).collect();
    there(excluded, facts, &namespaces.join(", "))
}

fn there(names: &[String], facts: &[Facts], place: &str) -> Result<(), Problem> {
    let there: Vec<&str> = facts
        .iter()
        .flat_map(|facts| &facts.services)
        .map(|service| service.name.as_str())
        .collect();
    let Some(name) = names.iter().find(|name| !there.contains(&name.as_str())) else {
        return Ok(());
    };
    let what = format!("There is no Deployment {name} with a Dapr sidecar in namespace {place}.");
    Err(Problem::new(what).next(match there.as_slice() {
        [] => "Nothing was changed.".to_owned(),
        there => format!("There is {}. Nothing was changed.", text::list(there)),
    }))
}

/// What is said of a service holds.
fn fits(entry: &config::Entry, found: Option<&Service>, namespace: &str) -> Result<(), Problem> {
    let name = &entry.name;
    let real = found.and_then(|service| service.app_id.as_ref());
    if let (Some(said), Some(real)) = (&entry.app_id, real)
        && said != real
    {
        let what = format!("The app id of Deployment {namespace}/{name} is {real}, and the settings say {said}.");
        return Err(Problem::new(what).next("Correct it, or leave it out. Nothing was changed."));
    }
    if let (Some(said), Some(service)) = (&entry.container, found)
        && !service.containers.contains(said)
    {
        let what = format!("Deployment {namespace}/{name} has no container {said} of its own.");
        let next = format!("There is {}. Nothing was changed.", text::list(&service.containers));
        return Err(Problem::new(what).next(next));
    }
    Ok(())
}

/// What the services get, if they are meant.
pub(super) fn enrolments(plan: &Plan, services: &[Service], facts: &Facts) -> Option<Enrolments> {
    let quiet = preflight::announces(facts.dapr());
    plan.enrols
        .then(|| Enrolments::new(plan, services, &facts.configurations, quiet))
}
