//! `rbac`: what each verb may have to do, as Roles for an administrator to apply.

use super::budget;
use crate::{
    cli::{Format, Global, Rbac, RbacFormat},
    cluster::Cluster,
    concern::Profile,
    config::{Boards, Which},
    grafana::{Host, Theirs},
    model::Outcome,
    monitoring::{Keeper, Operated},
    objects::{OUR_NAMESPACES, Plan, STACK_NAMESPACE},
    patches::Shape,
    permissions::{self, Permissions, Task},
    printer::Printer,
    problem::Problem,
    text,
};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) async fn run(args: &Rbac, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    // The kubeconfig is only read for what was not said.
    let namespace = match &global.namespace {
        Some(namespace) => namespace.clone(),
        None => Cluster::connect(global).await?.namespace,
    };
    let plan = |profile, fit, (keeper, host): &(Keeper, Host)| {
        let shape = Shape {
            profile,
            fit,
            keeper: keeper.clone(),
            host: host.clone(),
            ..Shape::default()
        };
        Plan::shaped(&namespace, &BTreeSet::new(), &shape)
    };
    let hosts = hosts(&args.grafana);
    let others = keepers(&args.prometheus).into_iter();
    let others = others.flat_map(|keeper| hosts.iter().map(move |host| (keeper.clone(), host.clone())));
    // Whichever of the two is installed, or is there from before; with a budget or without.
    let plans = others.flat_map(|others| {
        [
            plan(Profile::Dev, None, &others),
            plan(Profile::Production, Some(budget::any()), &others),
        ]
    });
    let plans: Vec<Plan> = plans.collect::<Result<_, _>>()?;
    let tasks: BTreeSet<Task> = match args.verbs.as_slice() {
        [] => Task::value_variants().iter().copied().collect(),
        verbs => verbs.iter().copied().collect(),
    };
    let each = |task: &Task| {
        let each = plans.iter().map(|plan| permissions::of(*task, plan, &namespace));
        permissions::roles(*task, &each.fold(Permissions::default(), Permissions::and))
    };
    let roles: Vec<Value> = tasks.iter().flat_map(each).collect();
    match args.output {
        RbacFormat::Json => {
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": roles });
            printer.document(Format::Json, &list)?;
        }
        RbacFormat::Yaml => {
            for (n, role) in roles.iter().enumerate() {
                if n > 0 {
                    printer.data("---\n");
                }
                printer.document(Format::Yaml, role)?;
            }
        }
    }
    let there = |namespace: &&str| roles.iter().any(|role| role["metadata"]["namespace"] == *namespace);
    let ours: Vec<&str> = OUR_NAMESPACES.into_iter().filter(there).collect();
    if !ours.is_empty() {
        printer.hint(&format!(
            "A Role needs its namespace: `kubectl create namespace` for {} where it is not there yet. Bind them with \
             `kubectl create clusterrolebinding` and `rolebinding`.",
            text::list(&ours)
        ));
    }
    Ok(Outcome::Good)
}

/// What the cluster would say is not known here: monitors go to our namespace, or to that of the Prometheus.
fn keepers(which: &Which) -> Vec<Keeper> {
    match which {
        Which::Own => vec![Keeper::Own],
        Which::Service(address) => vec![Keeper::Plain(address.clone())],
        Which::Operated { namespace, name } => [STACK_NAMESPACE, namespace]
            .map(|place| Keeper::Operated(Box::new(Operated::assumed(namespace, name, place))))
            .into(),
    }
}

/// Nor here: boards go to our namespace, or to that of the Grafana.
fn hosts(which: &Boards) -> Vec<Host> {
    match which {
        Boards::Own => vec![Host::Own],
        Boards::None => vec![Host::None],
        Boards::Existing { namespace, name } => [STACK_NAMESPACE, namespace]
            .map(|place| Host::Existing(Box::new(Theirs::assumed(namespace, name, place))))
            .into(),
    }
}

#[cfg(test)]
#[path = "rbac_tests.rs"]
mod tests;
