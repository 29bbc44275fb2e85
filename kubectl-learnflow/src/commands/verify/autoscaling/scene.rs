//! What is there: the service, its autoscaler, and a way to it. What makes a run useless is named here, before anything is sent.

use super::{
    super::{
        component,
        experiment::Lines,
        findings::{Finding, bad, good},
    },
    way::{Events, Way},
};
use crate::{
    autoscaled::{Autoscaler, Front, Port, Scaled},
    cli::Autoscaling,
    cluster::{Ask, Cluster, Sight},
    problem::Problem,
    text::{format_duration, list},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::Mutex;

pub(super) struct Scene<P: Lines> {
    pub(super) sight: Sight,
    pub(super) way: Way<P>,
    /// What is sent, and where: `GET / to Service frontend, port 80`.
    pub(super) what: String,
    /// How the proxy calls the Service; none, for events.
    pub(super) proxied: Option<String>,
}

pub(super) async fn of<P: Lines>(cluster: &Cluster, ports: &P, args: &Autoscaling) -> Result<Scene<P>, Problem> {
    let namespace = &cluster.namespace;
    let scalers = cluster.autoscalers().await?;
    let name = chosen(args.service.as_deref(), &scalers, namespace)?;
    let Some(scaled) = cluster.scaled(&name).await? else {
        let targets: BTreeSet<&String> = scalers.iter().map(|(target, _)| target).collect();
        let targets: Vec<&String> = targets.into_iter().collect();
        let problem = Problem::new(format!("There is no Deployment {name} in namespace {namespace}."));
        return Err(match targets.is_empty() {
            true => problem.next("Name the namespace of the services with -n."),
            false => problem.next(format!("Choose one that has an autoscaler: {}.", list(&targets))),
        });
    };
    let of_it = scalers
        .iter()
        .filter(|(target, _)| *target == name)
        .map(|(_, scaler)| scaler);
    let scaler = only(namespace, &name, &of_it.collect::<Vec<_>>())?;
    can_move(namespace, &scaled, scaler)?;
    let groups: BTreeSet<&str> = scaler.without_figures().iter().map(|figure| figure.served_as).collect();
    for group in groups {
        if !cluster.serves_metrics(group).await? {
            return Err(Problem::new(format!(
                "HorizontalPodAutoscaler {namespace}/{} wants {}, and nobody in this cluster serves {group}.",
                scaler.name,
                wants(scaler)
            ))
            .next(match group {
                "metrics.k8s.io/v1beta1" => "Install metrics-server: https://github.com/kubernetes-sigs/metrics-server",
                _ => "Install what serves it: KEDA or prometheus-adapter.",
            }));
        }
    }
    measured(namespace, scaler)?;
    let sight = cluster.sight(&name, &scaler.name).await?;
    let fronts = cluster.fronts(&scaled).await?;
    let (way, what, proxied) = match &args.events.topic {
        Some(topic) => events(cluster, ports, args, &sight.scaled, topic).await?,
        None => requests(cluster, args, &fronts, &name)?,
    };
    Ok(Scene {
        sight,
        way,
        what,
        proxied,
    })
}

fn chosen(named: Option<&str>, scalers: &[(String, Autoscaler)], namespace: &str) -> Result<String, Problem> {
    let targets: BTreeSet<&String> = scalers.iter().map(|(target, _)| target).collect();
    let targets: Vec<&String> = targets.into_iter().collect();
    match (named, targets.as_slice()) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, [one]) => Ok((*one).clone()),
        (None, []) => Err(Problem::new(format!(
            "No Deployment in namespace {namespace} has a HorizontalPodAutoscaler."
        ))
        .next(GIVE)),
        (None, several) => Err(Problem::new(format!(
            "{} Deployments in namespace {namespace} have an autoscaler.",
            several.len()
        ))
        .next(format!("Name one of them: {}.", list(several)))),
    }
}

const GIVE: &str =
    "`kubectl learnflow install --only autoscaling` gives services one, where that is safe; it says why not.";

fn only<'a>(namespace: &str, name: &str, scalers: &[&'a Autoscaler]) -> Result<&'a Autoscaler, Problem> {
    match scalers {
        [one] => Ok(one),
        [] => Err(Problem::new(format!("Deployment {namespace}/{name} has no HorizontalPodAutoscaler.")).next(GIVE)),
        several => {
            let names: Vec<&String> = several.iter().map(|scaler| &scaler.name).collect();
            Err(Problem::new(format!(
                "{} HorizontalPodAutoscalers scale Deployment {namespace}/{name}: {}. Kubernetes lets none of them do it.",
                several.len(),
                list(&names)
            ))
            .next("Delete all but one."))
        }
    }
}

/// Whether there is anything to see.
fn can_move(namespace: &str, scaled: &Scaled, scaler: &Autoscaler) -> Result<(), Problem> {
    let whose = format!("HorizontalPodAutoscaler {namespace}/{}", scaler.name);
    let (min, max) = (scaler.min, scaler.max);
    if scaled.replicas == 0 {
        return Err(Problem::new(format!(
            "Deployment {namespace}/{} is scaled to no pod at all, so its autoscaler does nothing.",
            scaled.name
        ))
        .next(format!(
            "Start it: `kubectl -n {namespace} scale deployment/{} --replicas=1`.",
            scaled.name
        )));
    }
    if min >= max {
        return Err(
            Problem::new(format!("{whose} can never move: at least {min}, at most {max} pods.")).next(format!(
                "Raise its maximum: `kubectl -n {namespace} edit hpa {}`.",
                scaler.name
            )),
        );
    }
    Ok(())
}

/// Its figures are there.
fn measured(namespace: &str, scaler: &Autoscaler) -> Result<(), Problem> {
    let whose = format!("HorizontalPodAutoscaler {namespace}/{}", scaler.name);
    if let Some(condition) = scaler.hindered() {
        return Err(Problem::new(format!(
            "{whose} does not work as it is ({}): {}.",
            condition.kind,
            condition.message.trim_end_matches('.')
        ))
        .next("Mend that first; a container that is measured by its request needs one."));
    }
    match scaler.without_figures().as_slice() {
        [] => Ok(()),
        missing => {
            let names: Vec<&String> = missing.iter().map(|figure| &figure.name).collect();
            Err(
                Problem::new(format!("{whose} has no figures for {} yet.", list(&names)))
                    .next("They come some 30 s after a pod is ready: wait, and run this again."),
            )
        }
    }
}

fn wants(scaler: &Autoscaler) -> String {
    let names: Vec<&String> = scaler
        .without_figures()
        .into_iter()
        .map(|figure| &figure.name)
        .collect();
    list(&names)
}

type Found<P> = (Way<P>, String, Option<String>);

fn requests<P: Lines>(
    cluster: &Cluster,
    args: &Autoscaling,
    fronts: &[Front],
    name: &str,
) -> Result<Found<P>, Problem> {
    let namespace = &cluster.namespace;
    let named = fronts.iter().find(|front| front.name == name);
    let Some(front) = named.or_else(|| fronts.first()) else {
        return Err(Problem::new(format!(
            "No Service in namespace {namespace} leads to the pods of Deployment {name}, so no request can be sent to it."
        ))
        .next("A consumer gets events: name a topic that it subscribes to, with --topic."));
    };
    let port = port(front, args.requests.port.as_deref())?;
    let scheme = if port.tls { "https:" } else { "" };
    let proxied = format!("{scheme}{}:{}", front.name, port.number);
    let path = &args.requests.path;
    let ask = Ask {
        method: args.requests.method.clone(),
        uri: format!("/api/v1/namespaces/{namespace}/services/{proxied}/proxy{path}"),
        json: args
            .requests
            .body
            .as_ref()
            .is_some_and(|body| serde_json::from_str::<serde_json::Value>(body).is_ok()),
        body: args.requests.body.clone(),
    };
    let what = format!("{} {path} to Service {}, port {}", ask.method, front.name, port.number);
    Ok((Way::Requests(Arc::new((cluster.clone(), ask))), what, Some(proxied)))
}

fn port<'a>(front: &'a Front, named: Option<&str>) -> Result<&'a Port, Problem> {
    let ports = &front.ports;
    let found = match named {
        Some(named) => ports
            .iter()
            .find(|port| port.name == named || port.number.to_string() == named),
        None => ports
            .iter()
            .find(|port| port.name.starts_with("http"))
            .or_else(|| ports.first()),
    };
    found.ok_or_else(|| {
        let shown = |port: &Port| format!("{} {}", port.name, port.number).trim().to_owned();
        let all: Vec<String> = ports.iter().map(shown).collect();
        Problem::new(format!(
            "Service {} has no port {}.",
            front.name,
            named.unwrap_or("for TCP")
        ))
        .next(format!("Choose one with --port: {}.", list(&all)))
    })
}

async fn events<P: Lines>(
    cluster: &Cluster,
    ports: &P,
    args: &Autoscaling,
    scaled: &Scaled,
    topic: &str,
) -> Result<Found<P>, Problem> {
    let facts = cluster.facts().await?;
    let pubsub = component(&facts, args.events.pubsub.as_deref(), &cluster.namespace)?
        .name
        .clone();
    let pods = cluster.sidecars().await?;
    let own = scaled.app_id.clone().unwrap_or_default();
    let Some(consumer) = pods.iter().find(|pod| pod.app_id == own) else {
        return Err(Problem::new(format!(
            "Deployment {} has no running pod with a Dapr sidecar.",
            scaled.name
        ))
        .next("Without --topic it gets requests."));
    };
    let through = match &args.events.through {
        None => None,
        Some(name) => Some(
            facts
                .services
                .iter()
                .find(|service| service.name == *name)
                .ok_or_else(|| {
                    Problem::new(format!("There is no Deployment {name} with a Dapr sidecar."))
                        .next("Correct --through.")
                })?,
        ),
    };
    // Only a real cluster has sidecars to ask.
    if let Some(asked) = ports.for_kafka() {
        let probe = asked.probe(consumer).await?;
        let of_it = |one: &&crate::model::Subscribed| one.pubsub == pubsub;
        let topics: Vec<String> = probe
            .subscriptions
            .iter()
            .filter(of_it)
            .map(|one| one.topic.clone())
            .collect();
        subscribes(&scaled.name, topic, &topics)?;
    }
    let mut pod = None;
    let wanted = through.and_then(|service| service.app_id.as_ref());
    // The service's own pods come and go: another's, if it may publish.
    let others = pods
        .iter()
        .filter(|pod| wanted.map_or(pod.app_id != own, |id| pod.app_id == *id));
    for other in others {
        let has = match ports.for_kafka() {
            Some(asked) => asked
                .probe(other)
                .await?
                .components
                .is_ok_and(|all| all.contains(&pubsub)),
            None => true,
        };
        if has {
            pod = Some(other);
            break;
        }
    }
    let pod = match (pod, through) {
        (Some(pod), _) => pod,
        (None, None) => consumer,
        (None, Some(service)) => {
            return Err(
                Problem::new(format!("No sidecar of {} has loaded Component {pubsub}.", service.name))
                    .next("Choose another one with --through."),
            );
        }
    };
    let what = format!(
        "events to topic {topic} of {pubsub} through the sidecar of pod {}",
        pod.name
    );
    let events = Events {
        ports: ports.clone(),
        pod: pod.name.clone(),
        path: format!("/v1.0/publish/{pubsub}/{topic}"),
        body: args.requests.body.clone(),
        run: crate::commands::new_run()?,
        line: Mutex::default(),
    };
    Ok((Way::Events(Arc::new(events)), what, None))
}

fn subscribes(name: &str, topic: &str, topics: &[String]) -> Result<(), Problem> {
    match topics.iter().any(|one| one == topic) {
        true => Ok(()),
        false => {
            let there = match topics {
                [] => "It subscribes to none".to_owned(),
                topics => format!("It subscribes to {}", list(topics)),
            };
            Err(Problem::new(format!(
                "{name} does not subscribe to topic {topic}, so events there would not reach it."
            ))
            .next(format!(
                "{there}. Give it a Subscription for a topic of canaries, so that no real event is made up."
            )))
        }
    }
}

impl<P: Lines> Scene<P> {
    /// What holds and what does not, before anything is sent.
    pub(super) fn findings(&self, args: &Autoscaling) -> Vec<Finding> {
        let Sight { autoscaler, scaled, .. } = &self.sight;
        let mut findings = vec![good(format!(
            "HorizontalPodAutoscaler {}: {} to {} pods, {} now",
            autoscaler.name, autoscaler.min, autoscaler.max, autoscaler.current
        ))];
        let figures: Vec<String> = autoscaler.figures.iter().map(ToString::to_string).collect();
        findings.push(good(format!("It measures {}", list(&figures))));
        let slowest = autoscaler.time_down(autoscaler.max, autoscaler.min);
        findings.push(good(format!(
            "It takes pods away {}; from {} to {} that takes up to {}",
            autoscaler.patience_down(),
            autoscaler.max,
            autoscaler.min,
            format_duration(slowest)
        )));
        if let Some(problem) = self.at_its_limit() {
            findings.push(bad(problem.what, &problem.next.unwrap_or_default()));
        }
        if let Some((text, next)) = scaled.applied() {
            findings.push(bad(text, next));
        }
        if self.proxied.is_some() && !scaled.ends_at_once.is_empty() {
            let text = format!(
                "{} at once when told to, while requests still come",
                ends(&scaled.ends_at_once)
            );
            findings.push(bad(text, ENDS));
        }
        if !scaled.unprobed.is_empty() {
            let text = format!(
                "No readiness probe: {}; a new pod gets requests before it listens",
                list(&scaled.unprobed)
            );
            findings.push(bad(text, "Give each container a readinessProbe."));
        }
        let down = match args.no_scale_down {
            true => String::new(),
            false => ", and fewer until the pods are gone".into(),
        };
        findings.push(good(format!(
            "Nothing was sent. With --load: up to {} a second of {} for at most {}{down}",
            args.max_rps,
            self.what,
            format_duration(args.max_duration)
        )));
        findings
    }

    pub(super) fn at_its_limit(&self) -> Option<Problem> {
        let Sight { autoscaler, scaled, .. } = &self.sight;
        (scaled.replicas >= autoscaler.max).then(|| {
            Problem::new(format!(
                "It runs {} pods, its maximum, so no load can make them more",
                scaled.replicas
            ))
            .next("Wait until there are fewer, or raise the maximum.")
        })
    }
}

fn ends(containers: &[String]) -> String {
    match containers {
        [one] => format!("Container {one} ends"),
        several => format!("Containers {} end", list(several)),
    }
}

pub(super) const ENDS: &str = "Let it serve on while its callers learn that it goes: lifecycle.preStop.sleep.seconds: 5, or \
                               more; see docs/zero-downtime.md.";

#[cfg(test)]
#[path = "scene_tests.rs"]
mod tests;
