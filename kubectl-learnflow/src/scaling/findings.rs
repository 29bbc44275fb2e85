//! What is wrong with the autoscaling of one service, or worth knowing about it.

use super::{
    choice::left_out,
    codes,
    explain::{Evidence, Subject, place, takes},
    metrics::{self, Reading},
    ours,
    room::{self, Shortage},
    spread, words,
};
use crate::{
    capacity::readable,
    model::Disruption,
    text::{count, list},
};
use learnflow_resilience::explain::{Code, Finding, Severity};
use serde_json::Value;

/// How long an autoscaler may have no figures yet, in seconds: some rounds of the controller and of the metrics server.
pub(crate) const FIRST_FIGURES: i64 = 120;

impl Subject<'_> {
    fn deployment(&self, namespace: &str) -> String {
        format!("Deployment {namespace}/{}", self.service.name)
    }

    pub(super) fn finding(
        &self,
        code: Code,
        severity: Severity,
        object: String,
        what: String,
        next: String,
    ) -> Finding {
        Finding {
            code,
            severity,
            what,
            next,
            places: vec![place(object)],
            apps: vec![self.service.name.clone()],
        }
    }

    pub(super) fn findings(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let mut all = self.not_scaled(evidence);
        all.extend(self.rivals(evidence));
        all.extend(self.figures(evidence));
        all.extend(self.refused(evidence));
        all.extend(self.quotas(evidence));
        all.extend(self.nodes(evidence));
        all.extend(self.disruptions(evidence));
        all.extend(self.spread(evidence));
        all.extend(self.memory(evidence.namespace));
        all.extend(self.partitions(evidence));
        all
    }

    fn not_scaled(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        if self.scaler.is_some() {
            return Vec::new();
        }
        let Evidence { namespace, seen, .. } = *evidence;
        let ours = ours(seen, &self.service.name);
        let (what, next) = match left_out(namespace, self.service, seen, ours, Default::default()) {
            Some(left_out) => (format!("It has no autoscaler: {}", left_out.why), left_out.next),
            None if !seen.served.resources => (
                "It has no autoscaler: the cluster has no metrics API (metrics.k8s.io)".into(),
                "Install metrics-server: https://github.com/kubernetes-sigs/metrics-server".into(),
            ),
            None => (
                "It has no autoscaler yet".into(),
                format!("`kubectl learnflow install -n {namespace}` gives it one."),
            ),
        };
        let object = self.deployment(namespace);
        vec![self.finding(codes::NOT_SCALED, Severity::Note, object, what, next)]
    }

    fn rivals(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let Evidence { namespace, seen, .. } = *evidence;
        let name = &self.service.name;
        let mut all = Vec::new();
        let autoscalers = seen
            .scalers
            .iter()
            .filter(|scaler| scaler.target == *name && scaler.kind == "HorizontalPodAutoscaler");
        let names: Vec<&str> = autoscalers.map(|scaler| scaler.name.as_str()).collect();
        if names.len() > 1 {
            let what = format!(
                "HorizontalPodAutoscalers {} set its pods, each to another number",
                list(&names)
            );
            let next = "Delete all but one.".to_owned();
            all.push(self.finding(
                codes::TWO_SCALERS,
                Severity::Error,
                self.deployment(namespace),
                what,
                next,
            ));
        }
        if self.scaler.is_some() && !self.service.sets_replicas.is_empty() {
            let who = list(&self.service.sets_replicas);
            let what = format!("{who} sets spec.replicas each time that it applies it, whatever the autoscaler wants");
            let next =
                "Take `replicas` out of that manifest. With `kubectl apply` do it at a quiet time: the Deployment \
                        then has one pod until the autoscaler has looked again."
                    .to_owned();
            all.push(self.finding(
                codes::REPLICAS_SET,
                Severity::Warning,
                self.deployment(namespace),
                what,
                next,
            ));
        }
        all
    }

    /// Whether what it goes by can be known at all.
    fn figures(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let Some(scaler) = self.scaler else {
            return Vec::new();
        };
        let object = format!("{} {}/{}", scaler.kind, evidence.namespace, scaler.name);
        let mut all = Vec::new();
        for metric in scaler.spec["metrics"].as_array().into_iter().flatten() {
            if metrics::part(metric)["target"]["averageUtilization"].is_null() {
                continue;
            }
            let name = metrics::name(metric);
            let resource = name.to_lowercase();
            let bounds = evidence.seen.limits.iter().flat_map(|limits| &limits.bounds);
            let by_default = bounds
                .filter(|item| item.of == "Container")
                .any(|item| item.default_request.contains_key(&resource) || item.default_limit.contains_key(&resource));
            let lacks = |container: &str| !by_default && words::requested(&self.pod, container, &resource).is_none();
            let names: Vec<&str> = match metrics::part(metric)["container"].as_str() {
                Some(container) => vec![container],
                None => containers(&self.pod).collect(),
            };
            let there = |container: &&str| containers(&self.pod).any(|other| other == *container);
            if let Some(unknown) = names.iter().find(|name| !there(name)) {
                let what = format!("It goes by {name} of container {unknown}, and its pods have none of that name");
                let next = format!("There is {}.", list(&containers(&self.pod).collect::<Vec<_>>()));
                all.push(self.finding(codes::NO_REQUEST, Severity::Error, object.clone(), what, next));
                continue;
            }
            let lacking: Vec<&str> = names.into_iter().filter(|container| lacks(container)).collect();
            if !lacking.is_empty() {
                let what = format!(
                    "It goes by a share of the {name} request, and {} requests none: it never scales",
                    list(&lacking)
                );
                let next = match lacking.as_slice() {
                    ["daprd"] => format!(
                        "Use `type: ContainerResource` with the app's container, or annotate the pods with dapr.io/sidecar-{resource}-request."
                    ),
                    _ => format!("Set resources.requests.{resource} there."),
                };
                all.push(self.finding(codes::NO_REQUEST, Severity::Error, object.clone(), what, next));
            }
        }
        let young = scaler
            .created
            .is_some_and(|created| evidence.now - created < FIRST_FIGURES);
        let silent = scaler
            .conditions
            .iter()
            .find(|(kind, holds, reason, _)| kind == "ScalingActive" && !holds && reason != "ScalingDisabled");
        if let Some((_, _, reason, message)) = silent.filter(|_| all.is_empty() && !young) {
            let what = format!(
                "It has no figures to go by ({reason}: {})",
                message.trim_end_matches('.')
            );
            let next = match evidence.seen.served.resources {
                true => "See that what it goes by is served: `kubectl get apiservices`.".to_owned(),
                false => "Install metrics-server: https://github.com/kubernetes-sigs/metrics-server".to_owned(),
            };
            all.push(self.finding(codes::NO_FIGURES, Severity::Error, object, what, next));
        }
        all
    }

    /// A new pod would be refused, however many there are.
    fn refused(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let Some((limits, namespace)) = self.limits(evidence) else {
            return Vec::new();
        };
        let refused = room::refused(&self.needs, limits, "A pod of it", namespace);
        let object = self.deployment(namespace);
        let each = refused.into_iter();
        each.map(|(what, next)| self.finding(codes::REFUSED, Severity::Error, object.clone(), what, next))
            .collect()
    }

    fn quotas(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let Some(scaler) = self.scaler else {
            return Vec::new();
        };
        let finding = |short: Shortage| {
            let never = short.hard == 0.0 || short.fit < scaler.min;
            let severity = if never { Severity::Error } else { Severity::Warning };
            let what = format!(
                "Its maximum of {} does not fit: {} more would take {} {}, and {} has {} of {} left: there is room for {}",
                count(scaler.max.max(0) as usize, "pod"),
                self.more(),
                short.amount(short.needed),
                short.resource,
                short.object,
                short.amount(short.free),
                short.amount(short.hard),
                short.fit
            );
            let next = format!(
                "Raise {} in {} to {}{}.",
                short.resource,
                short.object,
                short.amount(short.raise_to),
                self.lower(short.fit)
            );
            self.finding(codes::QUOTA, severity, self.deployment(evidence.namespace), what, next)
        };
        self.short_of_quota(evidence).into_iter().map(finding).collect()
    }

    fn nodes(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let (Some(scaler), Some(fit)) = (self.scaler, self.fit_on_nodes(evidence)) else {
            return Vec::new();
        };
        if fit >= scaler.max {
            return Vec::new();
        }
        let machines = evidence
            .nodes
            .map(|nodes| nodes.machines.as_slice())
            .unwrap_or_default();
        let most = |resource: &str| {
            let free = machines.iter().filter_map(|machine| machine.free.get(resource));
            let most = free.fold(0.0_f64, |most, free| most.max(*free));
            readable(&format!("requests.{resource}"), most)
        };
        let what = format!(
            "Its maximum of {} does not fit on the nodes: there is room for {fit}. A pod requests {}, and the most that a \
             node has left is {} CPU and {} memory",
            count(scaler.max.max(0) as usize, "pod"),
            takes(&self.needs, "requests"),
            most("cpu"),
            most("memory")
        );
        let next = format!(
            "Add a node, or let the cluster's autoscaler do that{}.",
            self.lower(fit)
        );
        vec![self.finding(
            codes::NODES,
            Severity::Warning,
            self.deployment(evidence.namespace),
            what,
            next,
        )]
    }

    /// The other way out: a lower maximum, where that is one at all.
    fn lower(&self, fit: i32) -> String {
        match self.named.filter(|_| fit >= self.least().max(1)) {
            None => String::new(),
            Some(named) if named.ours => {
                format!(", or set the maximum to {fit}: `scaling: {{max: {fit}}}` of this service in learnflow.yaml")
            }
            Some(named) => format!(", or set the maximum of {} {} to {fit}", named.kind, named.name),
        }
    }

    fn least(&self) -> i32 {
        self.scaler.map_or(self.service.rollout.desired, |scaler| scaler.min)
    }

    fn disruptions(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let Evidence { namespace, seen, .. } = *evidence;
        let least = self.least();
        let over = seen.disruptions.iter();
        let over: Vec<&Disruption> = over
            .filter(|budget| budget.covers.contains(&self.service.name))
            .collect();
        let names: Vec<&str> = over.iter().map(|budget| budget.name.as_str()).collect();
        let object = self.deployment(namespace);
        let finding = |code, severity, what, next| vec![self.finding(code, severity, object.clone(), what, next)];
        match over.as_slice() {
            [] if least >= 2 && self.scaler.is_some() => finding(
                codes::NO_BUDGET,
                Severity::Note,
                "No PodDisruptionBudget is for its pods: a drained node may take several at once".into(),
                format!(
                    "`kubectl learnflow install -n {namespace}` gives one to services that it scales; for others: \
                         `kubectl -n {namespace} create poddisruptionbudget {} --max-unavailable=1 --selector=…`.",
                    self.service.name
                ),
            ),
            [] => Vec::new(),
            [only] if least > 0 && allows(only, least) == 0 => finding(
                codes::BLOCKS_DRAIN,
                Severity::Warning,
                format!(
                    "PodDisruptionBudget {namespace}/{} lets none of {} go: a drained node waits for ever",
                    only.name,
                    count(least as usize, "pod")
                ),
                "Set maxUnavailable: 1 in it instead of minAvailable, or run more pods at the least.".into(),
            ),
            [_] => Vec::new(),
            _ => finding(
                codes::TWO_BUDGETS,
                Severity::Error,
                format!(
                    "PodDisruptionBudgets {} are for its pods: evicting one of them always fails",
                    list(&names)
                ),
                "Delete all but one, or narrow their selectors.".into(),
            ),
        }
    }

    fn spread(&self, evidence: &Evidence<'_>) -> Vec<Finding> {
        let several = evidence.nodes.is_some_and(|nodes| nodes.machines.len() > 1);
        let namespace = evidence.namespace;
        if !several || self.least() < 2 || spread::is_spread(self.service) {
            return Vec::new();
        }
        let what = "It runs several pods, and nothing spreads them over the nodes".to_owned();
        let next = format!(
            "Put topologySpreadConstraints into its manifest, or: {}",
            spread::patch(namespace, self.service)
        );
        vec![self.finding(
            codes::NO_SPREAD,
            Severity::Warning,
            self.deployment(namespace),
            what,
            next,
        )]
    }

    /// Memory does not go down by itself: what it alone wants is not what the calls need.
    fn memory(&self, namespace: &str) -> Vec<Finding> {
        let Some(scaler) = self.scaler.filter(|scaler| scaler.current > 0) else {
            return Vec::new();
        };
        let readings = metrics::readings(scaler);
        let wants = |reading: &Reading| {
            let percent = |text: &str| text.trim_end_matches('%').parse::<f64>().ok();
            let ratio = percent(reading.now.as_deref()?)? / percent(&reading.target)?;
            // As the controller does it, with its tolerance.
            let within = (ratio - 1.0).abs() <= 0.1;
            Some(if within {
                scaler.current
            } else {
                (f64::from(scaler.current) * ratio).ceil() as i32
            })
        };
        let wanted = |memory: bool| {
            let of = readings.iter().filter(|reading| (reading.name == "memory") == memory);
            of.filter_map(wants).max()
        };
        let (Some(memory), Some(rest)) = (wanted(true), wanted(false)) else {
            return Vec::new();
        };
        let now = readings.iter().find(|reading| reading.name == "memory");
        let now = now.and_then(|reading| reading.now.clone()).unwrap_or_default();
        if memory <= rest.max(scaler.min) {
            return Vec::new();
        }
        let what = format!(
            "Memory is at {now} of its request with {}, and wants {memory}; the rest of what it goes by wants {}",
            count(scaler.current as usize, "pod"),
            rest.max(scaler.min)
        );
        let next = "If that is what it takes at rest, raise resources.requests.memory of the container until it is well below \
                    the target."
            .to_owned();
        let object = format!("{} {namespace}/{}", scaler.kind, scaler.name);
        vec![self.finding(codes::MEMORY, Severity::Warning, object, what, next)]
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &str> {
    let list = pod["containers"].as_array().into_iter().flatten();
    list.filter_map(|container| container["name"].as_str())
}

/// How many of so many pods a budget lets go.
fn allows(budget: &Disruption, pods: i32) -> i32 {
    // A share is rounded up, of both.
    let number = |value: &Value| {
        let percent = value
            .as_str()
            .and_then(|text| text.trim_end_matches('%').parse::<f64>().ok());
        let share = percent.map(|percent| (f64::from(pods) * percent / 100.0).ceil() as i32);
        value.as_i64().and_then(|number| i32::try_from(number).ok()).or(share)
    };
    let spec = &budget.spec;
    match (number(&spec["maxUnavailable"]), number(&spec["minAvailable"])) {
        (Some(unavailable), _) => unavailable.min(pods),
        (None, Some(available)) => (pods - available).max(0),
        (None, None) => pods,
    }
}
