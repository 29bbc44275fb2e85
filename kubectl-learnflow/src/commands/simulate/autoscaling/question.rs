//! Whose autoscaler is asked about, and under which load.

use super::super::super::{explain, guard};
use crate::{
    assets,
    cli::{ControllerFlags, Global, SimulateAutoscaling},
    cluster::Cluster,
    permissions,
    printer::Printer,
    problem::Problem,
    text::list,
};
use learnflow_autoscaling::{
    Autoscaler, Curve, Flags, Metric, Ms, Resource, Shape, Source, Target, Unit, milli,
    simulate::{Container, Events, Figures, Load, Scenario, Service},
};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

const SHIPPED: &str = "autoscaling/services.yaml";
/// Until a pod's containers run, when its images are there.
const PENDING: Ms = 2_000;
/// By which share pods start faster or slower than it is said.
const JITTER: f64 = 0.1;
/// How long the load has been as it begins: longer than any window that is usual.
const LEAD: Ms = 900_000;
/// Where the name of the app's container is not known.
const APP: &str = "app";

pub(super) struct Question {
    /// The object, as it was written.
    pub(super) object: Value,
    pub(super) scenario: Scenario,
    /// What is not as in a real cluster.
    pub(super) notes: Vec<String>,
}

/// What the flags say of it.
pub(super) fn load(args: &SimulateAutoscaling) -> Result<Load, Problem> {
    let cpu = args
        .load
        .as_ref()
        .map(|text| curve("--load", text, Unit::Cpu, args.steps));
    let arrivals = args.arrivals.as_ref();
    let arrivals = arrivals.map(|text| curve("--arrivals", text, Unit::Rate, args.steps));
    let events = arrivals.transpose()?.map(|arrivals| Events {
        arrivals,
        drain: args.drain.unwrap_or(1.0),
        partitions: args.partitions,
        cpu: args.event_cpu.unwrap_or(0) as f64,
    });
    Ok(Load {
        cpu: cpu.transpose()?,
        events,
    })
}

fn curve(flag: &str, text: &str, unit: Unit, steps: bool) -> Result<Curve, Problem> {
    let shape = if steps { Shape::Steps } else { Shape::Linear };
    let (place, read) = if text.contains('=') {
        (flag.to_owned(), Curve::parse(text, unit, shape))
    } else {
        let next = format!("{flag} takes points, as 0=200m,5m=1500m, or the name of a file.");
        let files = explain::read_files(&[PathBuf::from(text)]).map_err(|problem| problem.next(next))?;
        let (name, text) = files.into_iter().next().unwrap_or_default();
        let read = match text.trim_start().starts_with('{') {
            true => Curve::prometheus(&text, unit, shape),
            false => Curve::csv(&text, unit, shape),
        };
        (name, read)
    };
    read.map_err(|why| {
        Problem::new(format!("{place}: {why}."))
            .next("A load is points TIME=VALUE, a CSV file of time,value, or JSON of Prometheus' query_range.")
    })
}

/// Of files, or of what is shipped.
pub(super) fn without_cluster(
    args: &SimulateAutoscaling,
    global: &Global,
    load: Load,
    printer: &Printer,
) -> Result<Question, Problem> {
    let mut objects = Vec::new();
    if args.shipped {
        objects.extend(
            assets::manifest(SHIPPED)?
                .iter()
                .map(|object| (SHIPPED.to_owned(), object.value().clone())),
        );
    } else {
        let next = "Name files with a HorizontalPodAutoscaler with -f.";
        for (name, text) in explain::read_files(&args.files).map_err(|problem| problem.next(next))? {
            let values: Vec<Value> = serde_saphyr::from_multiple(&text)
                .map_err(|e| Problem::new(format!("{name}: it is not YAML: {e}.")).next(next))?;
            for value in values {
                let items = value["items"].as_array().cloned();
                objects.extend(
                    items
                        .unwrap_or_else(|| vec![value])
                        .into_iter()
                        .map(|one| (name.clone(), one)),
                );
            }
        }
    }
    let here = |object: &Value| {
        let namespace = object["metadata"]["namespace"].as_str();
        namespace
            .zip(global.namespace.as_deref())
            .is_none_or(|(its, ours)| its == ours)
    };
    let of_kind = |kind: &str| -> Vec<&(String, Value)> {
        objects
            .iter()
            .filter(|(_, object)| object["kind"] == kind && here(object))
            .collect()
    };
    let (file, object) = chosen(&of_kind("HorizontalPodAutoscaler"), args.service.as_deref())?;
    let target = object["spec"]["scaleTargetRef"]["name"].as_str().unwrap_or_default();
    let deployments = of_kind("Deployment");
    let deployment = deployments
        .iter()
        .find(|(_, deployment)| deployment["metadata"]["name"] == target);
    question(
        args,
        &file,
        object,
        deployment.map(|(_, deployment)| deployment),
        load,
        printer,
    )
}

fn chosen(autoscalers: &[&(String, Value)], service: Option<&str>) -> Result<(String, Value), Problem> {
    let target = |object: &Value| {
        object["spec"]["scaleTargetRef"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let meant = |(_, object): &&&(String, Value)| service.is_none_or(|service| target(object) == service);
    let found: Vec<_> = autoscalers.iter().filter(meant).collect();
    match (found.as_slice(), service) {
        ([one], _) => Ok((**one).clone()),
        ([], None) => Err(Problem::new("The files have no HorizontalPodAutoscaler.")
            .next("Name files with one, of apiVersion autoscaling/v2, with -f.")),
        (_, service) => {
            let names: Vec<String> = autoscalers.iter().map(|(_, object)| target(object)).collect();
            let what = match service {
                Some(service) => format!("There is no autoscaler of {service}, or several."),
                None => "There are several autoscalers.".into(),
            };
            Err(Problem::new(what).next(format!("Name one of {}.", list(&names))))
        }
    }
}

pub(super) async fn of_cluster(
    cluster: &Cluster,
    args: &SimulateAutoscaling,
    load: Load,
    printer: &Printer,
) -> Result<Question, Problem> {
    let namespace = &cluster.namespace;
    guard::allowed(cluster, permissions::simulate_scaling(namespace).required, printer).await?;
    let found = cluster.autoscalers_as_written().await?;
    let place = format!("namespace {namespace}");
    let all: Vec<(String, Value)> = found.into_iter().map(|object| (place.clone(), object)).collect();
    if all.is_empty() {
        return Err(Problem::new(format!("There is no HorizontalPodAutoscaler in {place}."))
            .next("Take one from a file with -f, or what LearnFlow installs with --shipped."));
    }
    let (place, object) = chosen(&all.iter().collect::<Vec<_>>(), args.service.as_deref())?;
    let target = &object["spec"]["scaleTargetRef"];
    let deployment = match (target["kind"].as_str(), target["name"].as_str()) {
        (Some("Deployment"), Some(name)) => cluster.deployment(name).await?,
        _ => None,
    };
    question(args, &place, object, deployment.as_ref(), load, printer)
}

pub(super) fn no_cluster(problem: Problem) -> Problem {
    let step = "Or take an autoscaler from files with -f, or the one that LearnFlow installs with --shipped.";
    let next = match &problem.next {
        Some(next) => format!("{next} {step}"),
        None => step.to_owned(),
    };
    problem.next(next)
}

fn question(
    args: &SimulateAutoscaling,
    place: &str,
    object: Value,
    deployment: Option<&Value>,
    load: Load,
    printer: &Printer,
) -> Result<Question, Problem> {
    let mut hpa = read(place, &object, printer)?;
    let mut notes = Vec::new();
    let app = app_of(&hpa, deployment);
    let mut containers = deployment.map(containers).unwrap_or_default();
    if let Some(request) = args.request {
        match containers.iter_mut().find(|container| container.name == app) {
            Some(container) => container.cpu = Some(request),
            None => containers.push(Container {
                name: app.clone(),
                cpu: Some(request),
                memory: None,
            }),
        }
    }
    let limit = deployment.and_then(|deployment| limit(deployment, &app));
    let startup = millis(args.startup);
    let pending = PENDING.min(startup / 2);
    let service = Service {
        containers,
        capacity: args.capacity.or(limit).map(|milli| milli as f64),
        pending,
        startup: startup - pending,
        jitter: JITTER,
        idle: args.idle as f64,
        starting: args.idle as f64,
        memory: args.memory,
    };
    if service.capacity == Some(0.0) {
        return Err(
            Problem::new("--capacity 0 is a pod that can do nothing.").next("Write for example --capacity 500m.")
        );
    }
    hpa.metrics = simulated(&hpa, &load, &service, &mut notes)?;
    for metric in &hpa.metrics {
        requested(metric, &hpa, &service)?;
    }
    let behavior = hpa.behavior.as_ref();
    if behavior.is_some_and(|behavior| behavior.up.tolerance.or(behavior.down.tolerance).is_some()) {
        notes.push(
            "a tolerance of its own counts from Kubernetes 1.35 on, or with the gate HPAConfigurableTolerance".into(),
        );
    }
    Ok(Question {
        object,
        scenario: Scenario {
            hpa,
            flags: flags(&args.flags),
            service,
            load,
            figures: Figures {
                resolution: millis(args.flags.metric_resolution),
                external: millis(args.flags.external_interval),
                ..Figures::default()
            },
            replicas: args.replicas,
            lead: LEAD,
            tail: millis(args.tail),
            seed: args.seed,
            phases: None,
        },
        notes,
    })
}

fn read(place: &str, object: &Value, printer: &Printer) -> Result<Autoscaler, Problem> {
    let name = object["metadata"]["name"].as_str().unwrap_or("without a name");
    Autoscaler::read(object).map_err(|wrong| {
        let told = wrong.into_iter().map(|wrong| {
            let what = format!(
                "{place}: HorizontalPodAutoscaler {name}, {}: {}.",
                wrong.place, wrong.what
            );
            (what, "Correct that field: no API server takes it as it is.".to_owned())
        });
        explain::refuse(told.collect(), printer)
    })
}

/// The container that the load is for.
fn app_of(hpa: &Autoscaler, deployment: Option<&Value>) -> String {
    let named = hpa.metrics.iter().find_map(|metric| match &metric.source {
        Source::Container(_, container) => Some(container.clone()),
        _ => None,
    });
    let first = || deployment?["spec"]["template"]["spec"]["containers"][0]["name"].as_str();
    named.unwrap_or_else(|| first().unwrap_or(APP).to_owned())
}

/// Of a pod, with the sidecar that Dapr will add.
fn containers(deployment: &Value) -> Vec<Container> {
    let template = &deployment["spec"]["template"];
    let main = template["spec"]["containers"].as_array().into_iter().flatten();
    let native = template["spec"]["initContainers"].as_array().into_iter().flatten();
    let native = native.filter(|container| container["restartPolicy"] == "Always");
    let amount = |container: &Value, resource: &str| {
        let of = |kind: &str| container["resources"][kind][resource].as_str().and_then(milli);
        // Without a request the limit counts as one.
        of("requests").or_else(|| of("limits"))
    };
    let mut all: Vec<Container> = main
        .chain(native)
        .map(|container| Container {
            name: container["name"].as_str().unwrap_or_default().to_owned(),
            cpu: amount(container, "cpu"),
            memory: amount(container, "memory"),
        })
        .collect();
    let annotation = |name: &str| template["metadata"]["annotations"][format!("dapr.io/{name}")].as_str();
    if annotation("enabled") == Some("true") && all.iter().all(|container| container.name != "daprd") {
        let of = |resource: &str| {
            let request = annotation(&format!("sidecar-{resource}-request"));
            request
                .or_else(|| annotation(&format!("sidecar-{resource}-limit")))
                .and_then(milli)
        };
        all.push(Container {
            name: "daprd".into(),
            cpu: of("cpu"),
            memory: of("memory"),
        });
    }
    all
}

fn limit(deployment: &Value, container: &str) -> Option<i64> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array()?;
    let named = containers.iter().find(|one| one["name"] == container)?;
    milli(named["resources"]["limits"]["cpu"].as_str()?)
}

/// The metrics that something is known of; of the others a note.
fn simulated(
    hpa: &Autoscaler,
    load: &Load,
    service: &Service,
    notes: &mut Vec<String>,
) -> Result<Vec<Metric>, Problem> {
    let mut missing = Vec::new();
    let mut known = Vec::new();
    for metric in &hpa.metrics {
        let cpu = load.cpu.is_some() || load.events.as_ref().is_some_and(|events| events.cpu > 0.0);
        let (name, there, flag) = match &metric.source {
            Source::Resource(Resource::Cpu) | Source::Container(Resource::Cpu, _) => ("cpu", cpu, "--load"),
            Source::Resource(Resource::Memory) | Source::Container(Resource::Memory, _) => {
                ("memory", service.memory.is_some(), "--memory")
            }
            Source::External(name) | Source::Object(name) | Source::Pods(name) => {
                (name.as_str(), load.events.is_some(), "--arrivals and --drain")
            }
        };
        match there {
            true => known.push(metric.clone()),
            false => missing.push(format!("metric {name} is left out: {flag} would say what it is")),
        }
    }
    if known.is_empty() {
        return Err(Problem::new(format!(
            "Nothing is known of what the autoscaler looks at: {}.",
            missing.join("; ")
        ))
        .next("Give the load of at least one of its metrics."));
    }
    notes.extend(missing);
    Ok(known)
}

/// A share of a request takes a request.
fn requested(metric: &Metric, hpa: &Autoscaler, service: &Service) -> Result<(), Problem> {
    let (Some(resource), Target::Utilization(_)) = (metric.source.resource(), metric.target) else {
        return Ok(());
    };
    if service.request(&metric.source).is_some_and(|request| request > 0) {
        return Ok(());
    }
    let (kind, target) = &hpa.target;
    let resource = resource.name();
    let of = |container: &Container| match resource {
        "cpu" => container.cpu,
        _ => container.memory,
    };
    let silent = match &metric.source {
        Source::Container(_, name) => service.containers.iter().find(|container| container.name == *name),
        _ => service.containers.iter().find(|container| of(container).is_none()),
    };
    let what = match (&metric.source, silent) {
        (_, Some(container)) if container.name == "daprd" => {
            return Err(Problem::new(format!(
                "The sidecar daprd of {kind} {target} requests no {resource}, so that this autoscaler shows <unknown> for ever."
            ))
            .next("Take type ContainerResource with the app's container, or annotate the pods with dapr.io/sidecar-cpu-request."));
        }
        (_, Some(container)) => format!("Container {} of {kind} {target} requests no {resource}", container.name),
        (Source::Container(_, name), None) if !service.containers.is_empty() => {
            let names: Vec<&String> = service.containers.iter().map(|container| &container.name).collect();
            return Err(Problem::new(format!(
                "{kind} {target} has no container {name}, which the autoscaler measures."
            ))
            .next(format!("It has {}.", list(&names))));
        }
        _ => format!("What a pod of {kind} {target} requests of {resource} is not known"),
    };
    let next = match resource {
        "cpu" => "Set resources.requests.cpu, add the Deployment's file with -f, or say --request 200m.",
        _ => "Set resources.requests.memory, and add the Deployment's file with -f.",
    };
    Err(Problem::new(format!("{what}, so that a share of it means nothing.")).next(next))
}

fn flags(flags: &ControllerFlags) -> Flags {
    Flags {
        sync_period: millis(flags.sync_period),
        tolerance: flags.tolerance,
        cpu_initialization: millis(flags.cpu_initialization_period),
        initial_readiness: millis(flags.initial_readiness_delay),
        downscale_stabilization: millis(flags.downscale_stabilization),
    }
}

fn millis(duration: Duration) -> Ms {
    Ms::try_from(duration.as_millis()).unwrap_or(Ms::MAX / 4)
}
