//! What `check` looks at, a section a function.

use crate::{
    capacity::{self, Needs},
    cluster::Cluster,
    commands::{check::dead_letters, host, keeper, status::judge},
    model::{Access, Facts, Probe, SidecarPod},
    objects::{AGENT_NAMESPACE, Object, Plan, STACK_NAMESPACE},
    preflight::{self, Check},
    problem::{Kind, Problem},
    text::{count, list},
};
use futures::{StreamExt, TryStreamExt, stream, try_join};
use std::collections::BTreeSet;

/// More sidecars than these are not asked one by one: it would take long, and some tell as much as all.
const ASKED: usize = 50;

pub(super) async fn kubernetes(cluster: &Cluster, facts: &Facts) -> Result<Vec<Check>, Problem> {
    let mut checks = preflight::cluster(facts, &cluster.namespace);
    checks.retain(|check| matches!(check.id, "kubernetes-version" | "namespace"));
    checks.push(match cluster.metrics_api().await? {
        Ok(()) => Check::good("Metrics API"),
        Err(why) => Check::warn(
            format!("No metrics API: {why}"),
            "Autoscaling by CPU needs one: https://github.com/kubernetes-sigs/metrics-server",
        ),
    });
    let last = checks.len() - 1;
    checks[last].id = "metrics-api";
    Ok(checks)
}

pub(super) async fn dapr(cluster: &Cluster, facts: &Facts) -> Result<Vec<Check>, Problem> {
    let mut checks = preflight::cluster(facts, &cluster.namespace);
    checks.retain(|check| check.id.starts_with("dapr") || check.id == "kafka-component");
    let versions = cluster.api_versions("dapr.io").await?;
    if !versions.is_empty() {
        let kinds = cluster.kinds("dapr.io/v1alpha1").await?;
        let missing: Vec<&str> = ["Component", "Configuration", "Resiliency", "Subscription"]
            .into_iter()
            .filter(|kind| !kinds.iter().any(|have| have == kind))
            .collect();
        checks.push(
            if missing.is_empty() {
                Check::good(format!("Dapr's CRDs, versions {}", list(&versions)))
            } else {
                Check::warn(
                    format!("Dapr's CRDs lack {} in v1alpha1", list(&missing)),
                    "Apply the CRDs of your Dapr version: a Helm upgrade leaves old ones in place.",
                )
            }
            .id("dapr-crds"),
        );
    }
    Ok(checks)
}

/// Asks the sidecars themselves: is the Kafka component up in them, do their metrics answer?
pub(super) async fn sidecars(cluster: &Cluster, kafka: &[String]) -> Result<Vec<Check>, Problem> {
    let all = cluster.sidecars().await?;
    let skipped = all.len().saturating_sub(ASKED);
    let asked: Vec<&SidecarPod> = all.iter().take(ASKED).collect();
    let probes = stream::iter(asked.iter().copied())
        .map(|pod| cluster.probe(pod))
        .buffered(8);
    let probes: Vec<Probe> = match probes.try_collect().await {
        Ok(probes) => probes,
        Err(problem) if problem.kind == Kind::Forbidden => {
            return Ok(vec![
                Check::warn(
                    format!("Sidecars were not asked: {problem}"),
                    "Allow pods/portforward to see into them.",
                )
                .id("kafka-reachable"),
            ]);
        }
        Err(problem) => return Err(problem),
    };
    let found: Vec<(&SidecarPod, Probe)> = asked.into_iter().zip(probes).collect();
    let mut checks = vec![reachable(&found, kafka, &cluster.namespace).id("kafka-reachable")];
    checks.extend(dead_letters::look(&found, kafka).map(|check| check.id("dead-letters")));
    checks.extend(metrics(&found, &cluster.namespace).map(|check| check.id("sidecar-metrics")));
    if skipped > 0 {
        checks.push(
            Check::warn(
                format!("{} not asked", count(skipped, "sidecar")),
                format!("`check` asks the first {ASKED}; `kubectl learnflow status` counts all."),
            )
            .id("sidecars-asked"),
        );
    }
    Ok(checks)
}

fn reachable(found: &[(&SidecarPod, Probe)], kafka: &[String], namespace: &str) -> Check {
    if found.is_empty() {
        return Check::warn(
            "No running sidecar to ask about Kafka",
            format!("Start your services in namespace {namespace}, or name another one with -n."),
        );
    }
    let mut with = BTreeSet::new();
    let mut wrong = Vec::new();
    for (pod, probe) in found {
        match (&probe.outbound, &probe.components) {
            (Err(why), _) | (_, Err(why)) => wrong.push(format!("{}: {why}", pod.name)),
            (Ok(()), Ok(components)) => with.extend(kafka.iter().filter(|name| components.contains(name))),
        }
    }
    let look = || {
        let first = found
            .iter()
            .find(|(_, probe)| probe.outbound.is_err() || probe.components.is_err());
        let pod = first.map_or("POD", |(pod, _)| pod.name.as_str());
        format!("Look at its log with `kubectl -n {namespace} logs {pod} -c daprd`.")
    };
    let missing: Vec<&String> = kafka.iter().filter(|name| !with.contains(name)).collect();
    if !wrong.is_empty() {
        return Check::bad(format!("Sidecars are not well: {}", list(&wrong)), look());
    }
    if !missing.is_empty() {
        return Check::bad(
            format!("No sidecar has loaded the Kafka component {}", list(&missing)),
            "See its `scopes`, and the sidecars' logs for why it failed to initialise.",
        );
    }
    Check::good(format!(
        "Kafka component {} is up in {}",
        list(kafka),
        count(found.len(), "sidecar")
    ))
}

/// Dapr 1.18 breaks them for good when it restarts a runtime in place.
fn metrics(found: &[(&SidecarPod, Probe)], namespace: &str) -> Option<Check> {
    let mut broken = Vec::new();
    let mut asked = 0;
    for (pod, probe) in found {
        match &probe.metrics {
            None => {}
            Some(Ok(200)) => asked += 1,
            Some(Ok(code)) => broken.push(format!("{} ({code})", pod.name)),
            Some(Err(why)) => broken.push(format!("{} ({why})", pod.name)),
        }
    }
    if !broken.is_empty() {
        return Some(Check::bad(
            format!("/metrics is broken in {}", list(&broken)),
            format!(
                "Dapr restarts a runtime in place when a Configuration or Resiliency changes, and its metrics do not \
                 survive that: replace the pods, with `kubectl -n {namespace} rollout restart deployment/NAME`."
            ),
        ));
    }
    (asked > 0).then(|| Check::good(format!("/metrics answers in {}", count(asked, "sidecar"))))
}

pub(super) async fn permissions(cluster: &Cluster, wanted: BTreeSet<Access>) -> Result<Vec<Check>, Problem> {
    let number = wanted.len();
    let refused = cluster.refused(wanted).await?;
    if refused.is_empty() {
        let all = format!("All {} to install", count(number, "permission"));
        return Ok(vec![Check::good(all).id("permissions")]);
    }
    let caller = cluster.caller().await;
    Ok(preflight::permissions(&refused, caller.as_deref()))
}

/// Is what we would apply free, or ours already? What of it is yet to come is the second value.
pub(super) async fn names<'a>(cluster: &Cluster, plan: &'a Plan) -> Result<(Vec<Check>, Vec<&'a Object>), Problem> {
    // What is in a Secret is not for whoever looks.
    let open = plan
        .outside()
        .chain(&plan.kafka.objects)
        .filter(|object| object.kind() != "Secret");
    let found = stream::iter(open)
        .map(|object| async move { Ok::<_, Problem>((object, cluster.existing(&object.reference()).await?)) });
    let found: Vec<_> = found.buffered(8).try_collect().await?;
    let there = found.iter().filter(|(_, existing)| existing.is_some()).count();
    let number = found.len();
    let mut checks: Vec<Check> = found
        .iter()
        .filter_map(|(object, existing)| preflight::ownership(object, existing.as_ref()?))
        .collect();
    if checks.iter().all(|check| check.mark != crate::printer::Mark::Bad) {
        let text = match there {
            0 => format!("{} to create, all names are free", count(number, "object")),
            there => format!(
                "{there} of {} there, none of anybody else's in the way",
                count(number, "object")
            ),
        };
        checks.insert(0, Check::good(text).id("name"));
    }
    let coming = found.into_iter().filter(|(_, existing)| existing.is_none());
    Ok((checks, coming.map(|(object, _)| object).collect()))
}

/// Is there room for the stack, and for one more pod of each service while it rolls?
pub(super) async fn capacity(cluster: &Cluster, coming: &[&Object]) -> Result<Vec<Check>, Problem> {
    let here = cluster.namespace.as_str();
    let room = async |namespace: &str| -> Result<_, Problem> {
        try_join!(cluster.quotas(namespace), cluster.bounds(namespace))
    };
    let all = async {
        try_join!(
            room(STACK_NAMESPACE),
            room(AGENT_NAMESPACE),
            room(here),
            cluster.count_nodes(),
            cluster.sidecar_needs()
        )
    };
    let (stack, agents, (our_quotas, our_bounds), nodes, pods) = match all.await {
        Ok(all) => all,
        Err(problem) if problem.kind == Kind::Forbidden => {
            let next = "Ask for that permission, or make sure yourself that there is room.";
            return Ok(vec![
                Check::warn(format!("Quotas were not looked at: {problem}"), next).id("quota"),
            ]);
        }
        Err(problem) => return Err(problem),
    };
    let mut checks = Vec::new();
    let beside = coming.iter().filter(|object| object.namespace() == Some(here));
    let needs = Needs::of_objects(beside.copied(), 1, &our_bounds);
    checks.extend(capacity::fits(
        &needs,
        &our_quotas,
        &our_bounds,
        "The collector of Kafka",
        here,
    ));
    for (namespace, (quotas, bounds)) in [(STACK_NAMESPACE, &stack), (AGENT_NAMESPACE, &agents)] {
        let coming = coming.iter().filter(|object| object.namespace() == Some(namespace));
        let needs = Needs::of_objects(coming.copied(), nodes.max(1), bounds);
        checks.extend(capacity::fits(&needs, quotas, bounds, "The stack", namespace));
    }
    for (app_id, spec) in pods {
        let pod = Needs::of_pods(&spec, 1, &our_bounds);
        let what = format!("One more pod of {app_id}, for a rolling update,");
        checks.extend(capacity::fits(&pod, &our_quotas, &our_bounds, &what, here));
    }
    if checks.is_empty() {
        let number = stack.0.len() + agents.0.len() + our_quotas.len();
        checks.push(Check::good(match number {
            0 => "No quota in the way".to_owned(),
            n => format!("Room in {}", count(n, "quota")),
        }));
    }
    Ok(checks.into_iter().map(|check| check.id("quota")).collect())
}

/// Who may not look is told so, and how to do without.
fn may_look(found: Result<Vec<Check>, Problem>, not: &str, flag: &str) -> Result<Vec<Check>, Problem> {
    match found {
        Err(problem) if problem.kind == Kind::Forbidden => {
            let next = format!("Name one with `install {flag}`, or LearnFlow brings its own.");
            Ok(vec![Check::warn(format!("{not}: {problem}"), next)])
        }
        found => found,
    }
}

/// What is there already and does what ours do. Nothing of it is wrong.
pub(super) async fn surroundings(cluster: &Cluster, facts: &Facts) -> Result<Vec<Check>, Problem> {
    let mut checks = Vec::new();
    match cluster.neighbours().await {
        Ok(found) => {
            for what in ["Prometheus", "Grafana"] {
                let id = if what == "Grafana" {
                    "existing-grafana"
                } else {
                    "existing-prometheus"
                };
                let names: Vec<String> = found
                    .iter()
                    .filter(|neighbour| neighbour.what == what && neighbour.namespace != STACK_NAMESPACE)
                    .map(|neighbour| format!("{}/{}", neighbour.namespace, neighbour.name))
                    .collect();
                let text = match names.is_empty() {
                    true => format!("No other {what}"),
                    false => format!("{what} is there too: Service {}", list(&names)),
                };
                checks.push(Check::good(text).id(id));
            }
        }
        Err(problem) if problem.kind == Kind::Forbidden => {
            let next = "Nothing depends on it: LearnFlow brings its own.";
            checks.push(
                Check::warn(
                    format!("Other Prometheus and Grafana were not looked for: {problem}"),
                    next,
                )
                .id("existing-prometheus"),
            );
        }
        Err(problem) => return Err(problem),
    }
    let found = keeper::found(cluster).await;
    let found = may_look(found, "Objects Prometheus were not looked for", "--prometheus")?;
    checks.extend(found.into_iter().map(|check| check.id("operated-prometheus")));
    let found = host::found(cluster).await;
    let found = may_look(
        found,
        "Whether there is a Grafana that takes boards was not looked at",
        "--grafana",
    )?;
    checks.extend(found.into_iter().map(|check| check.id("grafana")));
    let operator = cluster.api_versions("monitoring.coreos.com").await?;
    checks.push(
        Check::good(match operator.is_empty() {
            true => "No Prometheus Operator".to_owned(),
            false => format!("Prometheus Operator's CRDs, versions {}", list(&operator)),
        })
        .id("prometheus-operator"),
    );
    let theirs = facts.configurations.iter().filter(|configuration| !configuration.ours);
    let configurations: Vec<&str> = theirs.map(|configuration| configuration.name.as_str()).collect();
    checks.push(
        Check::good(match configurations.is_empty() {
            true => format!("No other Dapr Configuration in {}", cluster.namespace),
            false => format!(
                "Dapr Configurations in {}: {}",
                cluster.namespace,
                list(&configurations)
            ),
        })
        .id("dapr-configurations"),
    );
    Ok(checks)
}

/// The verdict of `status`, thing by thing.
pub(super) fn installed(report: &judge::Report) -> Vec<Check> {
    if report.verdict == judge::Verdict::NotInstalled {
        let next = format!("Install it with `kubectl learnflow install -n {}`.", report.namespace);
        return vec![Check::bad(report.problems.join(" "), next).id("installed")];
    }
    let mut checks = Vec::new();
    let mut said = BTreeSet::new();
    for part in &report.stack {
        checks.push(match part.problem() {
            None => Check::good(part.title()).id("part"),
            Some(problem) => {
                said.insert(problem.clone());
                Check::bad(problem, "`kubectl learnflow install` repairs what is missing.").id("part")
            }
        });
    }
    let look = "Run `kubectl learnflow status -o wide` for the whole picture.";
    let rest = report.problems.iter().filter(|problem| !said.contains(*problem));
    checks.extend(rest.map(|problem| Check::bad(problem.trim_end_matches('.'), look).id("enrolment")));
    checks.extend(
        report
            .notes
            .iter()
            .map(|note| Check::warn(note.trim_end_matches('.'), look).id("note")),
    );
    if report.verdict == judge::Verdict::Healthy {
        let enrolled = report.services.iter().filter(|row| row.enrolled).count();
        checks.push(Check::good(format!("{} enrolled and healthy", count(enrolled, "service"))).id("enrolment"));
    }
    checks
}
