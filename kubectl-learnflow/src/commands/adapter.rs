//! Who tells autoscalers about lag. Where KEDA or somebody else's adapter has the cluster's one place for that, LearnFlow's
//! stays out; and where nothing is scaled by lag, it is of no use. Ours that is there stays.

use super::places;
use crate::{
    broker::{Kafka, Way},
    cluster::Cluster,
    concern::Concern,
    config::Settings,
    external::{self, Server},
    kafka::{COLLECTOR, Component},
    model::{Facts, Scaling},
    objects::{ObjectRef, Plan},
    preflight::Check,
    problem::{Kind, Problem},
    scaling::{self, Lag, Told},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// For each answer of Kafka: what does not come soon is not known, and that is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// Leaves ours out of the settings where it has no place or no use, and says so.
pub(super) async fn leave_out(cluster: &Cluster, settings: &mut Settings) -> Result<Vec<Check>, Problem> {
    let concerns = settings.concerns.value.clone();
    if !concerns.has(Concern::PrometheusAdapter) {
        return Ok(Vec::new());
    }
    let asked = concerns.asks_for(Concern::PrometheusAdapter);
    let check = match cluster.external_metrics().await? {
        Server::Ours => return Ok(Vec::new()),
        Server::Nobody if asked => return Ok(Vec::new()),
        Server::Nobody => match followed(cluster, settings).await? {
            true => return Ok(Vec::new()),
            false => None,
        },
        Server::Keda if asked => return Err(taken("KEDA")),
        Server::Other { name, .. } if asked => return Err(taken(&format!("Service {name}"))),
        Server::Keda => {
            let mut check = Check::good("KEDA is there: consumers are scaled by lag with its ScaledObjects");
            check.next = Some("LearnFlow brings no prometheus-adapter.".into());
            Some(check)
        }
        Server::Other { name, serves: true } => {
            let mut check = Check::good(format!("Service {name} tells autoscalers about lag"));
            check.next = Some("LearnFlow brings no prometheus-adapter.".into());
            Some(check)
        }
        Server::Other { name, serves: false } => match followed(cluster, settings).await? {
            true => Some(Check::warn(
                format!(
                    "Service {name} has the API external.metrics.k8s.io and no metric {}, so nothing is scaled by lag",
                    external::METRIC
                ),
                format!(
                    "A cluster has one place for that API, and LearnFlow leaves it alone. If it is a prometheus-adapter which \
                     asks the same Prometheus, add this to its configuration and run this again:\n{}",
                    external::rules()?.trim_end()
                ),
            )),
            false => None,
        },
    };
    settings.concerns.value = concerns.without(Concern::PrometheusAdapter);
    Ok(check.into_iter().collect())
}

fn taken(who: &str) -> Problem {
    let what = format!("prometheus-adapter has no place here: {who} serves the API external.metrics.k8s.io.");
    Problem::new(what).next("A cluster has one place for that API. Leave the part out. Nothing was changed.")
}

/// Whether any service would be scaled by its lag.
async fn followed(cluster: &Cluster, settings: &Settings) -> Result<bool, Problem> {
    for place in places(cluster, settings) {
        match of_place(&place).await {
            Ok(false) => {}
            // What may not be looked at is said by whoever needs it.
            Err(problem) if problem.kind == Kind::Forbidden => {}
            other => return other,
        }
    }
    Ok(false)
}

async fn of_place(cluster: &Cluster) -> Result<bool, Problem> {
    let services = cluster.services().await?;
    if !cluster.has_consumers(&services).await? {
        return Ok(false);
    }
    let mut seen = cluster.scaling(&services).await?;
    seen.lag.told = Told::Metric;
    seen.lag.components = cluster.kafka().await?;
    Ok(scaling::follows(&cluster.namespace, &services, &seen))
}

/// What is known about lag in a namespace.
pub(super) async fn lag(cluster: &Cluster, plan: &Plan, facts: &Facts, settings: &Settings) -> Result<Lag, Problem> {
    let collector = ObjectRef::deployment(&cluster.namespace, COLLECTOR);
    let measured = !plan.kafka.objects.is_empty() || (!plan.measures && cluster.existing(&collector).await?.is_some());
    let told = match measured {
        false => Told::Not,
        true if settings.concerns.value.has(Concern::PrometheusAdapter) => Told::Metric,
        true => match cluster.external_metrics().await? {
            Server::Ours | Server::Other { serves: true, .. } => Told::Metric,
            Server::Keda => Told::Keda(external::url(&plan.keeper.address())),
            Server::Nobody | Server::Other { .. } => Told::Not,
        },
    };
    Ok(Lag {
        told,
        components: facts.kafka.clone(),
        partitions: BTreeMap::new(),
    })
}

/// What consumers read, and how many partitions that has, as Prometheus knows it.
pub(super) async fn look(cluster: &Cluster, seen: &mut Scaling) -> Result<(), Problem> {
    if seen.consumed.is_empty() {
        return Ok(());
    }
    seen.lag.components = cluster.kafka().await?;
    seen.lag.partitions = cluster.partitions_measured().await.into_iter().collect();
    Ok(())
}

/// How many partitions these topics have, by Component and topic: as Prometheus knows it, and what it does not know yet, as
/// Kafka says.
pub(super) async fn partitions(
    cluster: &Cluster,
    components: &[Component],
    wanted: &BTreeSet<(String, String)>,
) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return found;
    }
    found.extend(cluster.partitions_measured().await);
    for component in components {
        let open = |(of, topic): &&(String, String)| {
            *of == component.name && !found.contains_key(&(of.clone(), topic.clone()))
        };
        let open: Vec<_> = wanted.iter().filter(open).cloned().collect();
        if open.is_empty() {
            continue;
        }
        // Not known is no reason to fail.
        let Ok(topics) = asked(cluster, component).await else {
            continue;
        };
        let known = open.into_iter().filter_map(|key| {
            let partitions = topics.get(&key.1)?.len();
            Some((key, partitions))
        });
        found.extend(known.collect::<Vec<_>>());
    }
    found
}

async fn asked(cluster: &Cluster, component: &Component) -> Result<BTreeMap<String, BTreeSet<i32>>, Problem> {
    let credentials = cluster.kafka_credentials(component).await?;
    let way = Way::Through(cluster.broker_streams());
    let kafka = Kafka::connect(&credentials, way, PATIENCE).await?;
    kafka.topics().await
}

#[cfg(test)]
#[path = "adapter_tests.rs"]
mod tests;
