//! Whose policies are asked about, and at which rate.

use super::super::{explain, guard};
use crate::{
    assets,
    cli::{Global, Rate, Simulate},
    cluster::Cluster,
    permissions,
    printer::{Mark, Printer},
    problem::Problem,
    text,
};
use learnflow_resilience::{
    policy::Policy,
    read::{ComponentKind, Direction, Objects, Target, policy_of},
};
use std::collections::BTreeSet;

/// One policy, and all who publish under it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    /// Their app ids; none where nobody is named.
    pub(super) apps: Vec<String>,
    pub(super) component: String,
    pub(super) policy: Policy,
    pub(super) rate: f64,
}

/// Where no rate is known: that of the budget that the shipped policies are made for.
const RATE: f64 = 50.0;

/// Of files, or of what is shipped.
pub(super) async fn without_cluster(
    args: &Simulate,
    global: &Global,
    printer: &Printer,
) -> Result<Vec<Question>, Problem> {
    let found = if args.shipped {
        let shipped = assets::folder("resilience")?;
        let (objects, _) = Objects::of_cluster(shipped.iter().map(|object| object.value()));
        in_force(&objects, args, Vec::new())?
    } else {
        in_force(&explain::of_files(&args.files, global, printer)?, args, Vec::new())?
    };
    match args.rate {
        Some(Rate::Live) => live(found, args, &Cluster::connect(global).await?, printer).await,
        Some(Rate::PerSecond(rate)) => Ok(together(found, |_, _| rate)),
        None => {
            printer.step(Mark::Warn, &format!("no --rate was given: simulated at {RATE}/s"));
            Ok(together(found, |_, _| RATE))
        }
    }
}

/// Who has a sidecar there, under what is in force.
pub(super) async fn of_cluster(
    cluster: &Cluster,
    args: &Simulate,
    printer: &Printer,
) -> Result<Vec<Question>, Problem> {
    guard::allowed(cluster, permissions::explain(&cluster.namespace).required, printer).await?;
    let (values, services) = futures::try_join!(cluster.dapr_objects(), cluster.services())?;
    let (objects, wrong) = Objects::of_cluster(&values);
    // A sidecar goes on without such an object, and so does this.
    for wrong in wrong {
        printer.step(Mark::Warn, &wrong.to_string());
        printer.hint(&wrong.next);
    }
    let apps = services.into_iter().filter_map(|service| service.app_id).collect();
    let found = in_force(&objects, args, apps)?;
    live(found, args, cluster, printer).await
}

pub(super) fn no_cluster(problem: Problem) -> Problem {
    let step = "Or take policies from files with -f, or those that LearnFlow installs with --shipped.";
    let next = match &problem.next {
        Some(next) => format!("{next} {step}"),
        None => step.to_owned(),
    };
    problem.next(next)
}

/// What is in force for one app and one component.
struct Found {
    app: Option<String>,
    component: String,
    policy: Policy,
}

fn in_force(objects: &Objects, args: &Simulate, apps: Vec<String>) -> Result<Vec<Found>, Problem> {
    let kafka = objects.components.iter().filter(|component| component.kafka.is_some());
    let mut components: BTreeSet<String> = kafka.map(|component| component.meta.name.clone()).collect();
    if components.is_empty() {
        // Policies alone: their targets say what they are for.
        let targets = objects
            .resiliencies
            .iter()
            .flat_map(|resiliency| resiliency.components.keys());
        components.extend(targets.cloned());
    }
    if let Some(named) = &args.component {
        if !components.is_empty() && !components.contains(named) {
            let known: Vec<&String> = components.iter().collect();
            return Err(Problem::new(format!("There is no Kafka component {named}."))
                .next(format!("There is {}.", text::list(&known))));
        }
        components = BTreeSet::from([named.clone()]);
    }
    if components.is_empty() {
        return Err(
            Problem::new("There is no Kafka component, and no Resiliency that names one.")
                .next("Name one with --component, add its file with -f, or choose another namespace with -n."),
        );
    }
    let scopes = objects
        .resiliencies
        .iter()
        .flat_map(|resiliency| &resiliency.meta.scopes);
    let known: BTreeSet<String> = apps.into_iter().chain(scopes.cloned()).collect();
    let apps: Vec<Option<String>> = match &args.app {
        Some(app) => vec![Some(app.clone())],
        None if known.is_empty() => vec![None],
        None => known.into_iter().map(Some).collect(),
    };
    let found = apps.iter().flat_map(|app| {
        components.iter().map(|name| {
            let target = Target::Component {
                name: name.clone(),
                kind: ComponentKind::Pubsub,
            };
            let id = app.as_deref().unwrap_or_default();
            Found {
                app: app.clone(),
                component: name.clone(),
                policy: policy_of(objects, id, &target, Direction::Outbound).policy,
            }
        })
    });
    Ok(found.collect())
}

/// At the rates that Prometheus knows, where none is given. Who has not published is left out.
async fn live(
    mut found: Vec<Found>,
    args: &Simulate,
    cluster: &Cluster,
    printer: &Printer,
) -> Result<Vec<Question>, Problem> {
    if let Some(Rate::PerSecond(rate)) = args.rate {
        return Ok(together(found, |_, _| rate));
    }
    let say = "Say the rate yourself, for example --rate 5/s.";
    let rates = cluster.publish_rates().await.map_err(|problem| problem.next(say))?;
    let rate = |app: &str, component: &str| {
        let of_it = rates.iter().filter(|(who, ..)| who.0 == app && who.1 == component);
        of_it.map(|(_, rate)| *rate).fold(0.0, f64::max)
    };
    found.retain(|found| found.app.as_deref().is_none_or(|app| rate(app, &found.component) > 0.0));
    if found.is_empty() {
        return Err(Problem::new("No sidecar of this namespace has published in the last day.").next(say));
    }
    printer.step(Mark::Good, "rates: the highest of one sidecar in the last day");
    Ok(together(found, |app, component| match app {
        Some(app) => rate(app, component),
        None => RATE,
    }))
}

/// Apps with the same policy are one question, at the highest of their rates.
fn together(found: Vec<Found>, rate: impl Fn(Option<&str>, &str) -> f64) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    for Found { app, component, policy } in found {
        let rate = rate(app.as_deref(), &component);
        let same = |question: &&mut Question| question.component == component && question.policy == policy;
        match questions.iter_mut().find(same) {
            Some(question) => {
                question.apps.extend(app);
                question.rate = question.rate.max(rate);
            }
            None => questions.push(Question {
                apps: app.into_iter().collect(),
                component,
                policy,
                rate,
            }),
        }
    }
    questions
}
