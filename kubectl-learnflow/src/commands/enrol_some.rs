//! `enroll` and `unenroll`: services by name.

use super::{
    applier::Applier,
    chosen::{self, Others},
    enrol,
    guard::{self, Wanted},
    install, middleware, policies, scaling,
};
use crate::{
    cli::{Enroll, Unenroll},
    cluster::{Cluster, Patience},
    config::Settings,
    enrolment::Enrolments,
    model::{Outcome, Service},
    objects::Plan,
    preflight,
    printer::{Mark, Printer, Tone},
    problem::Problem,
    resilience,
    text::list,
};
use std::collections::BTreeSet;

pub(super) async fn enroll(
    clusters: &[Cluster],
    args: &Enroll,
    settings: &Settings,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let names = names(&args.workloads)?;
    let cluster = home(clusters, &names).await?;
    printer.section("Checking the cluster");
    guard::allowed(cluster, guard::to_enrol(cluster).await?, printer).await?;
    printer.step(Mark::Good, "Permissions");
    let facts = cluster.facts().await?;
    let services = chosen(&facts.services, &names, cluster)?;
    // The Component is for those who are enrolled already, too.
    let others = facts.services.iter().filter(|service| service.enrolled);
    let app_ids: BTreeSet<String> = others
        .chain(&services)
        .filter_map(|service| service.app_id.clone())
        .collect();
    let installed = Others::installed(cluster).await?;
    let shape = chosen::shape(cluster, settings, &installed).await?;
    let mut plan = Plan::shaped(&cluster.namespace, &app_ids, &shape)?;
    // Whatever the settings leave out: this is what was asked for.
    plan.enrols = true;
    // One that was never installed is not brought by the way.
    guard::remark(&resilience::extend(&mut plan, &facts, &services), printer)?;
    let quiet = preflight::announces(facts.dapr());
    let mut enrolments = Enrolments::new(&plan, &services, &facts.configurations, quiet);
    let tell = |problem: &Problem| printer.trouble(problem);
    let patience = Patience::new(args.timeout, &tell);
    let wanted = Wanted {
        outside: Vec::new(),
        enrolments: Some(&enrolments),
        autoscalers: &[],
        kafka: &[],
        force_conflicts: args.force_conflicts,
        patience: Some(&patience),
    };
    let seen = guard::preflight(cluster, &facts, &wanted, true, printer).await?;
    if args.dry_run {
        install::list(&wanted, &seen, &cluster.namespace, printer);
        printer.step(Mark::Good, "Dry run: nothing was changed");
        return Ok(Outcome::Good);
    }
    printer.section("Enrolling services");
    let applier = Applier {
        cluster,
        seen: &seen,
        force: args.force_conflicts,
        patience: &patience,
        printer,
    };
    middleware::prepare(&applier, &enrolments).await?;
    if policies::settle(cluster, &mut enrolments, args.timeout, printer).await? == Outcome::Bad
        || policies::apply(&applier, &enrolments, args.timeout).await? == Outcome::Bad
    {
        return Ok(Outcome::Bad);
    }
    if enrol::carefully(cluster, &enrolments, args.timeout, printer).await? == Outcome::Bad {
        return Ok(Outcome::Bad);
    }
    middleware::prune(cluster, Some(&enrolments), args.timeout, printer).await?;
    Ok(Outcome::Good)
}

pub(super) async fn unenroll(clusters: &[Cluster], args: &Unenroll, printer: &Printer) -> Result<Outcome, Problem> {
    let names = names(&args.workloads)?;
    let cluster = home(clusters, &names).await?;
    guard::allowed(cluster, guard::to_enrol(cluster).await?, printer).await?;
    // First alone: if this one fails, all would.
    cluster.kubernetes_version().await?;
    let all = cluster.services().await?;
    let (enrolled, not): (Vec<Service>, Vec<Service>) = chosen(&all, &names, cluster)?
        .into_iter()
        .partition(|service| service.enrolled);
    for service in &not {
        printer.step(
            Mark::Good,
            &format!("Deployment {}/{} is not enrolled", cluster.namespace, service.name),
        );
    }
    if args.dry_run {
        for service in &enrolled {
            let line = format!("release and roll Deployment {}/{}", cluster.namespace, service.name);
            printer.data_line(Tone::Plain, &line);
        }
        printer.step(Mark::Good, "Dry run: nothing was changed");
        return Ok(Outcome::Good);
    }
    scaling::remove(cluster, &enrolled, args.timeout, printer).await?;
    policies::leave(cluster, &enrolled, args.timeout, printer).await?;
    if enrol::release_all(cluster, &enrolled, args.timeout, printer).await? == Outcome::Bad {
        return Ok(Outcome::Bad);
    }
    let rest: Vec<Service> = cluster
        .services()
        .await?
        .into_iter()
        .filter(|service| service.enrolled)
        .collect();
    middleware::rescope(cluster, &rest, args.timeout, printer).await?;
    middleware::prune(cluster, None, args.timeout, printer).await?;
    Ok(Outcome::Good)
}

/// The namespace that has them all.
async fn home<'a>(clusters: &'a [Cluster], names: &[&str]) -> Result<&'a Cluster, Problem> {
    if let [only] = clusters {
        return Ok(only);
    }
    let mut found = Vec::new();
    for cluster in clusters {
        let services = cluster.services().await?;
        if names
            .iter()
            .all(|name| services.iter().any(|service| service.name == **name))
        {
            found.push(cluster);
        }
    }
    let next = "Name the namespace with -n.";
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Problem::new(format!("No namespace has {}.", list(names))).next(next)),
        several => {
            let namespaces: Vec<&str> = several.iter().map(|cluster| cluster.namespace.as_str()).collect();
            let what = format!("{} is in each of the namespaces {}.", list(names), list(&namespaces));
            Err(Problem::new(what).next(next))
        }
    }
}

/// `cart` and `deployment/cart` mean the same.
fn names(workloads: &[String]) -> Result<Vec<&str>, Problem> {
    workloads.iter().map(|workload| deployment(workload)).collect()
}

fn deployment(workload: &str) -> Result<&str, Problem> {
    let Some((kind, name)) = workload.split_once('/') else {
        return Ok(workload);
    };
    let kind = kind.to_ascii_lowercase();
    if [
        "deployment",
        "deployments",
        "deploy",
        "deployment.apps",
        "deployments.apps",
    ]
    .contains(&kind.as_str())
        && !name.is_empty()
    {
        return Ok(name);
    }
    Err(
        Problem::new(format!("{workload}: only Deployments can be enrolled, not a {kind}."))
            .next("Name one as NAME or deployment/NAME. Nothing was changed."),
    )
}

/// The services of these names, in that order, each once.
fn chosen(all: &[Service], names: &[&str], cluster: &Cluster) -> Result<Vec<Service>, Problem> {
    let mut chosen: Vec<Service> = Vec::new();
    for name in names {
        let Some(service) = all.iter().find(|service| service.name == *name) else {
            let have: Vec<&str> = all.iter().map(|service| service.name.as_str()).collect();
            return Err(Problem::new(format!(
                "There is no Deployment {name} with a Dapr sidecar in namespace {}.",
                cluster.namespace
            ))
            .next(match have.as_slice() {
                [] => "Annotate its pod template with dapr.io/enabled: \"true\", or name its namespace with -n.".into(),
                have => format!(
                    "There are: {}. Another namespace is named with -n.",
                    crate::text::list(have)
                ),
            }));
        };
        if !chosen.contains(service) {
            chosen.push(service.clone());
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::fake::{Fake, service_path},
        printer::tests::captured,
    };
    use clap::Parser;
    use serde_json::{Value, json};
    use std::time::Duration;

    const COMPONENT: &str = "/apis/dapr.io/v1alpha1/namespaces/shop/components/learnflow";

    fn enrol(fake: &Fake, workloads: &[&str], dry_run: bool) -> (Result<Outcome, Problem>, String) {
        let args = Enroll {
            file: None,
            workloads: workloads.iter().map(|name| (*name).to_owned()).collect(),
            dry_run,
            force_conflicts: false,
            timeout: Duration::from_secs(1),
        };
        let (printer, out, err) = captured();
        let settings = super::super::of_file(None, &global()).expect("settings");
        let ended = fake.run(async |cluster| enroll(std::slice::from_ref(cluster), &args, &settings, &printer).await);
        (ended, out.text() + &err.text())
    }

    fn global() -> crate::cli::Global {
        let cli = crate::cli::Cli::try_parse_from(["x", "version"]);
        cli.expect("good flags").global
    }

    fn release(fake: &Fake, workloads: &[&str]) -> (Result<Outcome, Problem>, String) {
        let args = Unenroll {
            file: None,
            workloads: workloads.iter().map(|name| (*name).to_owned()).collect(),
            dry_run: false,
            timeout: Duration::from_secs(1),
        };
        let (printer, out, err) = captured();
        let ended = fake.run(async |cluster| unenroll(std::slice::from_ref(cluster), &args, &printer).await);
        (ended, out.text() + &err.text())
    }

    fn template(fake: &Fake, service: &str) -> Value {
        fake.get(&service_path(service)).expect("the service")["spec"]["template"].clone()
    }

    #[test]
    fn one_is_enrolled_and_let_go_and_nothing_is_left() {
        let fake = Fake::sound();
        fake.service("zoo");
        let theirs = json!({ "metadata": { "name": "appconfig" }, "spec": {} });
        fake.put(
            "/apis/dapr.io/v1alpha1/namespaces/shop/configurations/appconfig",
            theirs,
        );
        fake.annotate("cart", "kubectl-edit", json!({ "dapr.io/config": "appconfig" }));
        let (before, paths) = (template(&fake, "cart"), fake.paths());

        let (ended, said) = enrol(&fake, &["deployment/cart", "cart"], false);
        assert_eq!(ended, Ok(Outcome::Good), "{said}");
        assert!(template(&fake, "cart")["metadata"]["annotations"][crate::objects::REVISION].is_string());
        assert!(
            !fake
                .writes()
                .iter()
                .any(|write| write.contains("zoo") || write.contains("learnflow-system"))
        );
        assert_eq!(fake.get(COMPONENT).expect("a Component")["scopes"], json!(["cart"]));

        let (ended, said) = enrol(&fake, &["zoo"], false);
        assert_eq!(ended, Ok(Outcome::Good), "{said}");
        assert_eq!(
            fake.get(COMPONENT).expect("a Component")["scopes"],
            json!(["cart", "zoo"])
        );

        let (ended, said) = release(&fake, &["cart"]);
        assert_eq!(ended, Ok(Outcome::Good), "{said}");
        assert!(
            said.contains("√ released Deployment shop/cart (back to its Configuration appconfig)"),
            "{said}"
        );
        let after = template(&fake, "cart");
        assert_eq!(after["metadata"], before["metadata"]);
        assert_eq!(
            after["spec"].get("volumes").and_then(Value::as_array).map(Vec::len),
            Some(0)
        );
        assert_eq!(fake.get(COMPONENT).expect("a Component")["scopes"], json!(["zoo"]));

        let (ended, said) = release(&fake, &["zoo"]);
        assert_eq!(ended, Ok(Outcome::Good), "{said}");
        assert_eq!(fake.paths(), paths, "nothing is left");
        let (again, said) = release(&fake, &["zoo"]);
        assert_eq!(again, Ok(Outcome::Good));
        assert!(said.contains("Deployment shop/zoo is not enrolled"), "{said}");
    }

    #[test]
    fn what_cannot_be_enrolled_is_named_and_nothing_is_written() {
        for (workload, what) in [
            (
                "statefulset/cart",
                "statefulset/cart: only Deployments can be enrolled, not a statefulset.",
            ),
            (
                "deployment/",
                "deployment/: only Deployments can be enrolled, not a deployment.",
            ),
            (
                "nobody",
                "There is no Deployment nobody with a Dapr sidecar in namespace shop.",
            ),
        ] {
            let fake = Fake::sound();
            assert_eq!(
                enrol(&fake, &["cart", workload], false).0.expect_err("refused").what,
                what
            );
            assert_eq!(release(&fake, &[workload]).0.expect_err("refused").what, what);
            assert_eq!(fake.writes(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_dry_run_lists_and_writes_nothing() {
        let fake = Fake::sound();
        let (ended, said) = enrol(&fake, &["cart"], true);
        assert_eq!(ended, Ok(Outcome::Good), "{said}");
        assert!(said.contains("create Component shop/learnflow\n"), "{said}");
        assert!(said.contains("enrol and roll Deployment shop/cart\n"), "{said}");
        assert_eq!(fake.writes(), Vec::<String>::new());
    }
}
