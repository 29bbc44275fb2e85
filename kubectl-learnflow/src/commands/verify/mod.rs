//! `verify resilience`: takes Kafka away with consent, watches what the policies make of it, and always brings it back.
//! Its sister `verify autoscaling` is in a folder of its own.

pub(super) mod autoscaling;
mod dead_letters;
mod delivery;
mod experiment;
mod fault;
mod findings;
mod look;
mod promises;
mod publish;
mod report;
mod sidecar;
mod stop;

use super::guard;
use crate::{
    cli::{Consent, Resilience, Subject, Verify},
    cluster::Cluster,
    kafka::Component,
    model::{Facts, Outcome, Resiliency, SidecarPod},
    outage::{self, Fault, Named},
    permissions,
    printer::{Mark, Printer},
    problem::Problem,
    text::{format_duration, list},
};
use experiment::Lines;
use fault::warn_of_note;
use learnflow_resilience::{
    policy::Policy,
    read::{ComponentKind, Direction, Objects, Target, policy_of},
};
use serde_json::{Value, json};
use stop::Stop;

/// What takes part.
#[derive(Debug, Clone)]
struct Scene {
    pod: SidecarPod,
    /// The Component for Kafka.
    pubsub: String,
    fault: Fault,
    component: Component,
    /// What is declared for what this service publishes.
    policy: Policy,
    /// Kafka's disk goes with its pods.
    forgets: bool,
    args: Plan,
}

/// What was asked for.
#[derive(Debug, Clone)]
struct Plan {
    topic: String,
    outage: std::time::Duration,
    budget: std::time::Duration,
    rate: f64,
    skip_delivery: bool,
}

/// `ports`: the same cluster, for ports that may be silent for long.
pub(super) async fn run(
    cluster: &Cluster,
    ports: &Cluster,
    args: &Verify,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let args = match &args.what {
        Subject::Resilience(args) => args,
        Subject::Autoscaling(args) => return autoscaling::run(cluster, ports, args, printer).await,
    };
    let mode = args.mode()?;
    let stop = Stop::on_signals(args.max_duration);
    run_until(cluster, ports, args, mode, stop, printer).await
}

async fn run_until(
    cluster: &Cluster,
    ports: &impl Lines,
    args: &Resilience,
    mode: Consent<'_>,
    stop: Stop,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let needed = match mode {
        Consent::Restore(_) => permissions::verify_restores(&cluster.namespace),
        _ => permissions::verify_looks(&cluster.namespace),
    };
    guard::allowed(cluster, needed.required, printer).await?;
    match mode {
        Consent::Restore(command) => return fault::restore(cluster, command, printer).await,
        Consent::Look => {
            warn_of_note(cluster, printer).await?;
            return look::run(cluster, ports, args, printer).await;
        }
        Consent::Ask | Consent::Disrupt => {}
    }
    if let Some(note) = cluster.note().await? {
        return Err(Problem::new(format!("{}.", note.sentence())).next(note.next(&cluster.namespace)));
    }
    let scene = scene(cluster, args).await?;
    if mode == Consent::Ask {
        return Err(Problem::new(scene.what_it_would_do()).next(
            "Run it again with --disrupt to do that, or with --no-disrupt to look only at what the sidecars have loaded.",
        ));
    }
    guard::allowed(
        cluster,
        permissions::verify_breaks(&cluster.namespace, &scene.fault).required,
        printer,
    )
    .await?;
    experiment::run(cluster, ports, &scene, stop, args.output, printer).await
}

async fn scene(cluster: &Cluster, args: &Resilience) -> Result<Scene, Problem> {
    let facts = cluster.facts().await?;
    let component = component(&facts, args.pubsub.as_deref(), &cluster.namespace)?;
    let pod = sidecar_of(cluster, &facts, &args.service).await?;
    let (fault, forgets) = match (&args.break_with, &args.restore) {
        (Some(breaks), Some(Some(restores))) => {
            let fault = Fault::Commands {
                breaks: breaks.clone(),
                restores: restores.clone(),
            };
            (fault, args.discard_data)
        }
        _ => {
            let object = match &args.workload {
                Some(Named(object)) => object.clone(),
                None => cluster.behind(&component.broker_list()).await?,
            };
            let (found, around) = cluster.victim(&object).await?;
            let fault = outage::may_be_scaled(&object, &found, &around, args.discard_data)?;
            (fault, outage::loses_data(&found).is_some())
        }
    };
    Ok(Scene {
        policy: declared(&facts.resiliencies, &cluster.namespace, &pod.app_id, &component.name),
        pod,
        pubsub: component.name.clone(),
        component: component.clone(),
        fault,
        forgets,
        args: Plan {
            topic: args.topic.clone(),
            outage: args.outage,
            budget: args.budget,
            rate: args.rate,
            skip_delivery: args.skip_delivery,
        },
    })
}

/// As Dapr reads it: the policy that is in force, whoever wrote it.
fn declared(resiliencies: &[Resiliency], namespace: &str, app_id: &str, component: &str) -> Policy {
    let object = |resiliency: &Resiliency| {
        json!({ "apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "spec": resiliency.spec, "scopes": resiliency.scopes,
            "metadata": { "name": resiliency.name, "namespace": namespace } })
    };
    let values: Vec<Value> = resiliencies.iter().map(object).collect();
    // What Dapr would refuse is not in force; `--no-disrupt` and `explain` tell of it.
    let (objects, _) = Objects::of_cluster(&values);
    let target = Target::Component {
        name: component.to_owned(),
        kind: ComponentKind::Pubsub,
    };
    policy_of(&objects, app_id, &target, Direction::Outbound).policy
}

fn component<'a>(facts: &'a Facts, named: Option<&str>, namespace: &str) -> Result<&'a Component, Problem> {
    let names = facts.pubsubs();
    match (named, facts.kafka.as_slice()) {
        (Some(named), all) => all.iter().find(|component| component.name == named).ok_or_else(|| {
            let problem = Problem::new(format!(
                "There is no Component {named} of type pubsub.kafka in namespace {namespace}."
            ));
            match names.is_empty() {
                true => problem.next("Name the namespace of the services with -n."),
                false => problem.next(format!("Choose one with --pubsub: {}.", list(&names))),
            }
        }),
        (None, [one]) => Ok(one),
        (None, []) => Err(Problem::new(format!(
            "There is no Component of type pubsub.kafka in namespace {namespace}."
        ))
        .next("Name the namespace of the services with -n.")),
        (None, _) => Err(Problem::new(format!(
            "There are several Components for Kafka in namespace {namespace}."
        ))
        .next(format!("Choose one with --pubsub: {}.", list(&names)))),
    }
}

async fn sidecar_of(cluster: &Cluster, facts: &Facts, name: &str) -> Result<SidecarPod, Problem> {
    let Some(service) = facts.services.iter().find(|service| service.name == name) else {
        let names: Vec<&str> = facts.services.iter().map(|service| service.name.as_str()).collect();
        let problem = Problem::new(format!(
            "There is no Deployment {name} with a Dapr sidecar in namespace {}.",
            cluster.namespace
        ));
        return Err(match names.is_empty() {
            true => problem.next("Name the namespace of the services with -n."),
            false => problem.next(format!("Choose one that publishes with --service: {}.", list(&names))),
        });
    };
    let id = service.app_id.clone().unwrap_or_default();
    let pods = cluster.sidecars().await?;
    pods.into_iter().find(|pod| pod.app_id == id).ok_or_else(|| {
        Problem::new(format!(
            "Deployment {}/{name} has no running pod with a sidecar.",
            cluster.namespace
        ))
        .next("Verify when it runs: see `kubectl learnflow status`.")
    })
}

impl Scene {
    fn what_it_would_do(&self) -> String {
        let Plan {
            topic, outage, rate, ..
        } = &self.args;
        let how = match &self.fault {
            Fault::Scale { object, replicas } => format!("scale {object} from {replicas} to 0 and back"),
            Fault::Commands { breaks, restores } => format!("run `{breaks}`, and then `{restores}`"),
        };
        format!(
            "Nothing was done. This would take Kafka away for {} and the time in which it stops and starts ({how}), and publish \
             {rate} canaries a second to topic {topic} of {} through the sidecar of pod {}. Everybody who uses this Kafka \
             feels it.",
            format_duration(*outage),
            self.pubsub,
            self.pod.name
        )
    }
}

/// One thing that was reached.
fn done(printer: &Printer, text: &str) {
    printer.done_waiting();
    printer.step(Mark::Good, text);
}

#[cfg(test)]
pub(super) mod tests;
