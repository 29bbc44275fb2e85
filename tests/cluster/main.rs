//! The whole line on a real cluster, as tests, in the order of the way of an event. `cargo xtask test` brings the cluster.

mod autoscaling;
mod boards;
mod changes;
mod concerns;
mod coverage;
mod dlq;
#[cfg(target_os = "linux")]
mod downtime;
mod enrolment;
#[cfg(target_os = "linux")]
mod fault_table;
mod faults;
mod fields;
mod flow;
mod gate;
mod golden;
mod grafana;
mod kills;
mod lab;
mod lag;
mod line;
mod load;
mod neighbours;
mod page;
mod production;
mod rbac;
mod refusals;
mod resilience;
mod scaling;
mod state;
mod stopped;
mod trace;
mod verbs;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use learnflow_tests::{OUR_NAMESPACES, SERVICES_NAMESPACE, Target};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let Some(kubeconfig) = std::env::var_os("LEARNFLOW_TEST_KUBECONFIG") else {
        // Not a success: nothing was tested.
        eprintln!("the tests on a cluster need one: run `cargo xtask test`, which brings it");
        return ExitCode::from(2);
    };
    let variable = |name: &str| std::env::var(name).ok();
    let target = Target::named(
        PathBuf::from(kubeconfig),
        variable("LEARNFLOW_TEST_CONTEXT"),
        variable("LEARNFLOW_TEST_IMAGE"),
        variable("LEARNFLOW_TEST_PLUGIN").unwrap_or_default().into(),
    );
    let on_a_lab = variable("LEARNFLOW_TEST_LAB").is_some();
    let mut trials = Vec::new();
    let tests = refusals::TESTS.iter().chain(line::TESTS);
    let tests = tests.chain(enrolment::TESTS).chain(fields::TESTS);
    let tests = tests.chain(changes::TESTS).chain(faults::TESTS);
    let tests = tests.chain(verbs::BEFORE).chain(rbac::FIRST);
    let tests = tests.chain(verbs::TESTS).chain(rbac::LAST).chain(dlq::TESTS);
    trials.extend(tests.map(|(name, test)| trial(name, &target, *test)));
    if on_a_lab {
        // Long, and by name only: `cargo xtask test downtime`, `… kills`, `… faults-table`.
        let asked_for = |name: &str| arguments.filter.as_ref().is_some_and(|filter| filter.contains(name));
        #[cfg(target_os = "linux")]
        {
            let long = downtime::LONG.iter().filter(|_| asked_for("downtime"));
            trials.extend(
                downtime::TESTS
                    .iter()
                    .chain(long)
                    .map(|(name, test)| trial_of_its_own(name, &target, *test)),
            );
            if asked_for("faults-table") {
                trials.extend(
                    fault_table::TESTS
                        .iter()
                        .map(|(name, test)| trial(name, &target, *test)),
                );
            }
        }
        if asked_for("autoscaling-curves") {
            let long = autoscaling::TESTS.iter().chain(autoscaling::LONG);
            trials.extend(long.map(|(name, test)| trial(name, &target, *test)));
        }
        if asked_for("kills") {
            trials.extend(kills::TESTS.iter().map(|(name, test)| trial(name, &target, *test)));
        }
        let tests = golden::TESTS
            .iter()
            .chain(concerns::TESTS)
            .chain(scaling::TESTS)
            .chain(load::TESTS)
            .chain(resilience::TESTS)
            .chain(lag::TESTS)
            .chain(neighbours::TESTS)
            .chain(grafana::TESTS)
            .chain(stopped::TESTS)
            .chain(production::TESTS)
            .chain(lab::TESTS);
        trials.extend(tests.map(|(name, test)| trial_of_its_own(name, &target, *test)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

type Test = fn(&Target) -> Result<()>;

fn trial(name: &str, target: &Target, test: impl Fn(&Target) -> Result<()> + Send + 'static) -> Trial {
    let target = target.clone();
    Trial::test(name, move || {
        test(&target).map_err(|error| {
            FAILED.store(true, Ordering::Relaxed);
            Failed::from(format!("{error:#}"))
        })
    })
}

/// A test failed, and may have left anything behind.
static FAILED: AtomicBool = AtomicBool::new(false);

/// A test that brings what it needs: one that failed before it does not make it fail as well.
fn trial_of_its_own(name: &str, target: &Target, test: Test) -> Trial {
    trial(name, target, move |target: &Target| {
        if FAILED.swap(false, Ordering::Relaxed) {
            sweep(target)?;
        }
        test(target)
    })
}

fn sweep(target: &Target) -> Result<()> {
    target.run_plugin(&["uninstall", "--unenroll"])?;
    let delete = ["delete", "namespace", SERVICES_NAMESPACE];
    target.run_kubectl(&[&delete[..], &["--ignore-not-found", "--wait"]].concat())?;
    Ok(())
}

/// Runs the plugin and compares its exit code; returns what it printed to stdout and stderr.
fn expect(target: &Target, arguments: &[&str], code: i32) -> Result<(String, String)> {
    let output = target.run_plugin(arguments)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(
        output.status.code() == Some(code),
        "kubectl learnflow {} ended with {}, not {code}:\n{stdout}\n{stderr}",
        arguments.join(" "),
        output.status
    );
    Ok((stdout, stderr))
}

/// Kinds of which an installation could leave something behind.
fn listable(target: &Target) -> Result<Vec<String>> {
    let kinds = target.run_kubectl(&["api-resources", "--verbs=list", "--output=name"])?;
    // These come and go by themselves.
    let passing = [
        "events",
        "endpoints",
        "leases",
        "pods",
        "replicasets",
        "controllerrevisions",
    ];
    let lasting = kinds.lines().filter(|kind| {
        let plural = kind.split('.').next().unwrap_or_default();
        // Measurements are listed like objects (`nodes.metrics.k8s.io`), from the first one that metrics-server has made.
        !passing.contains(&plural) && plural != "endpointslices" && !kind.ends_with("metrics.k8s.io")
    });
    Ok(lasting.map(str::to_owned).collect())
}

/// Nothing of the stack is left.
fn stack_is_gone(target: &Target) -> Result<()> {
    let namespaces = target.run_kubectl(&["get", "namespaces", "--output=name"])?;
    anyhow::ensure!(
        !OUR_NAMESPACES.iter().any(|ours| namespaces.contains(ours)),
        "the stack was not removed: {namespaces}"
    );
    Ok(())
}

/// Everything in the cluster that an installation could leave behind, as kubectl prints it.
fn everything(target: &Target, flags: &[&str]) -> Result<String> {
    let kinds = listable(target)?.join(",");
    let get = ["get", &kinds, "--all-namespaces", "--ignore-not-found"];
    target.run_kubectl(&[&get[..], flags].concat())
}

/// The same, by kind, namespace and name.
fn objects(target: &Target) -> Result<Vec<String>> {
    let names = "--output=jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}";
    let listed = everything(target, &[names])?;
    let mut objects: Vec<String> = listed.lines().map(str::to_owned).collect();
    objects.sort();
    objects.dedup();
    objects.first().context("the cluster has no objects")?;
    Ok(objects)
}
