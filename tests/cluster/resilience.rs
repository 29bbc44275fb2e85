//! `verify resilience` with a real Kafka that really goes: policies that keep their promises, policies that do not, and a plugin
//! that is killed in the middle.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use learnflow_tests::{Frontend, SERVICES_NAMESPACE, Target};
use serde_json::Value;

use crate::{Test, expect};

pub const TESTS: &[(&str, Test)] = &[("resilience::verified_with_a_real_outage", verified_with_a_real_outage)];

/// The lab's Kafka keeps its data in an `emptyDir`.
const DISRUPT: [&str; 4] = ["verify", "resilience", "--disrupt", "--discard-data"];

fn verified_with_a_real_outage(target: &Target) -> Result<()> {
    target.deploy_services()?;
    expect(target, &["install", "--only=middleware,resilience"], 0)?;
    let result = verified(target);
    // Whatever came of it, a later test must find Kafka, and nothing of this.
    let back = is_back(target);
    let delete = [
        "--namespace",
        SERVICES_NAMESPACE,
        "delete",
        "--ignore-not-found",
        "resiliency/by-hand",
    ];
    target.run_kubectl(&delete)?;
    let gone = expect(target, &["uninstall", "--unenroll"], 0).map(|_| ());
    result.and(back).and(gone)
}

fn verified(target: &Target) -> Result<()> {
    nothing_without_consent(target)?;
    let scaled = "StatefulSet kafka/kafka was scaled from 1 to 0";
    killed_and_restored(target, &DISRUPT, scaled, &["verify", "resilience", "--restore"])?;
    killed_after_a_command(target)?;
    kept(target)?;
    rolled_in_the_middle(target)?;
    broken(target)
}

fn nothing_without_consent(target: &Target) -> Result<()> {
    let (_, said) = expect(target, &["verify", "resilience", "--discard-data"], 2)?;
    ensure!(
        said.contains("Nothing was done. This would take Kafka away for 15s"),
        "{said}"
    );
    let (_, said) = expect(target, &["verify", "resilience", "--disrupt"], 2)?;
    ensure!(said.contains("all that is in Kafka would be gone for good"), "{said}");
    let (out, _) = expect(target, &["verify", "resilience", "--no-disrupt"], 0)?;
    ensure!(
        out.contains("√ Resiliency learnflow: its target kafka-pubsub is a Component"),
        "{out}"
    );
    ensure!(out.contains("has loaded learnflow"), "{out}");
    Ok(())
}

/// The plugin runs commands of whoever asks it to, and only those: what it finds in a note is shown, not run.
fn killed_after_a_command(target: &Target) -> Result<()> {
    let kubectl = target.kubectl();
    let program = [kubectl.get_program()].into_iter().chain(kubectl.get_args());
    let program: Vec<_> = program.map(|word| word.to_string_lossy()).collect();
    let of = |what: &str| format!("{} --namespace=kafka {what}", program.join(" "));
    let away = of("scale statefulset/kafka --replicas=0");
    let back = format!(
        "{} && {}",
        of("scale statefulset/kafka --replicas=1"),
        of("rollout status statefulset/kafka --timeout=90s")
    );
    let disrupt = [
        "verify",
        "resilience",
        "--disrupt",
        "--break",
        &away,
        "--restore",
        &back,
    ];
    let restore = ["verify", "resilience", "--restore", &back];
    let noted = format!("the command `{away}` was run");
    killed_and_restored(target, &disrupt, &noted, &restore)
}

/// `noted`: what the next one says of it.
fn killed_and_restored(target: &Target, disrupt: &[&str], noted: &str, restore: &[&str]) -> Result<()> {
    let mut child = target
        .plugin(disrupt)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(90);
    while wanted(target)? != "0" {
        let ended = child.try_wait()?;
        ensure!(
            ended.is_none() && Instant::now() < deadline,
            "Kafka was never taken away: {ended:?}"
        );
        thread::sleep(Duration::from_millis(200));
    }
    child.kill()?;
    child.wait()?;
    let sentence = format!("A failure simulation has not been undone: {noted}");
    let (_, said) = expect(target, &DISRUPT, 2)?;
    ensure!(said.contains(&sentence), "{said}");
    let output = target.run_plugin(&["status"])?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(!output.status.success() && shown.contains(&sentence), "{shown}");
    expect(target, restore, 0)?;
    is_back(target)?;
    expect(target, &["verify", "resilience", "--restore"], 0)?;
    Ok(())
}

/// What `install` brings.
fn kept(target: &Target) -> Result<()> {
    let (out, said) = expect(target, &[&DISRUPT[..], &["--output=json"]].concat(), 0)?;
    let report: Value = serde_json::from_str(&out)?;
    let verdicts = verdicts(&report)?;
    ensure!(
        verdicts["none-refused-within-budget"] == "kept" && verdicts["none-lost"] == "kept",
        "{verdicts}\n{said}"
    );
    ensure!(report["calls"]["refused"] == 0, "{}", report["calls"]);
    let slowest = report["calls"]["slowest_s"].as_f64().context("a call")?;
    ensure!(
        slowest > 5.0,
        "Kafka was never away: the slowest answer took {slowest} s"
    );
    eprintln!(
        "    Kafka was back after {} s; {}; {}",
        report["back_s"], report["calls"], report["delivery"]
    );
    is_back(target)
}

/// A rollout while Kafka is away: the new pod does not get ready, the old one stays and its callers wait, and when Kafka is back all
/// of them are answered and the rollout ends by itself.
fn rolled_in_the_middle(target: &Target) -> Result<()> {
    let kafka = |replicas: &str| target.run_kubectl(&["--namespace=kafka", "scale", "statefulset/kafka", replicas]);
    let rollout = |verb: &str| {
        let arguments = ["rollout", verb, "deployment/course-agent", "--timeout=1s"];
        let count = if verb == "status" { 4 } else { 3 };
        target.run_kubectl(&[&["--namespace", SERVICES_NAMESPACE][..], &arguments[..count]].concat())
    };
    let frontend = Frontend::of(target)?;
    kafka("--replicas=0")?;
    target.run_kubectl(&[
        "--namespace=kafka",
        "wait",
        "pod/kafka-0",
        "--for=delete",
        "--timeout=60s",
    ])?;
    thread::scope(|scope| {
        let callers = scope.spawn(|| frontend.request_lessons(8));
        let looked = (|| {
            rollout("restart")?;
            thread::sleep(Duration::from_secs(12));
            let pods = pods_of_the_agent(target)?;
            ensure!(pods.len() == 2, "{pods:?}");
            ensure!(pods.iter().filter(|(ready, _)| *ready).count() == 1, "{pods:?}");
            ensure!(rollout("status").is_err(), "the rollout did not wait for Kafka");
            ensure!(!callers.is_finished(), "callers did not wait");
            Ok(())
        })();
        // Whatever was seen, they wait until it is back.
        kafka("--replicas=1")?;
        let answered = callers.join().map_err(|_| anyhow!("a caller panicked"))?;
        looked.and(answered)
    })?;
    is_back(target)?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/course-agent")?;
    let pods = pods_of_the_agent(target)?;
    // The new sidecar ended, and was started again, for as long as it did not find Kafka.
    ensure!(pods.iter().any(|(ready, starts)| *ready && *starts > 0), "{pods:?}");
    eprintln!(
        "    rolled without Kafka: ready after {} starts of its sidecar",
        pods[0].1 + 1
    );
    Ok(())
}

/// Whether each is ready, and how often its containers were started again.
fn pods_of_the_agent(target: &Target) -> Result<Vec<(bool, u64)>> {
    let selector = "--selector=app.kubernetes.io/name=course-agent";
    let get = [
        "--namespace",
        SERVICES_NAMESPACE,
        "get",
        "pods",
        selector,
        "--output=json",
    ];
    let pods: Value = serde_json::from_str(&target.run_kubectl(&get)?)?;
    let pods = pods["items"].as_array().context("pods")?.iter();
    let staying = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let seen = staying.map(|pod| {
        let kinds = ["containerStatuses", "initContainerStatuses"].map(|kind| pod["status"][kind].as_array());
        let containers: Vec<&Value> = kinds.into_iter().flatten().flatten().collect();
        let ready = containers.iter().all(|one| one["ready"] == true);
        let starts = containers.iter().filter_map(|one| one["restartCount"].as_u64()).sum();
        (ready, starts)
    });
    Ok(seen.collect())
}

/// A policy as many pages show it.
fn broken(target: &Target) -> Result<()> {
    target.apply(Some(SERVICES_NAMESPACE), include_str!("../cases/textbook-policy.yaml"))?;
    expect(target, &["install", "--only=middleware,resilience"], 0)?;
    let restart = [
        "--namespace",
        SERVICES_NAMESPACE,
        "rollout",
        "restart",
        "deployment/course-agent",
    ];
    target.run_kubectl(&restart)?;
    target.wait_rolled_out(SERVICES_NAMESPACE, "deployment/course-agent")?;
    let (out, said) = expect(target, &[&DISRUPT[..], &["--outage=5s", "--budget=8s"]].concat(), 1)?;
    ensure!(
        out.contains("× No publish is refused in an outage of up to 8 s"),
        "{out}\n{said}"
    );
    ensure!(out.contains("circuit breaker is open"), "{out}\n{said}");
    // Kafka is away for longer than the budget, and the breaker is open: that promise has its case. How quick it is, a busy machine
    // decides too.
    ensure!(
        out.contains(" A refusal beyond it takes at most 100 ms: p99 of "),
        "{out}\n{said}"
    );
    ensure!(out.contains("dead letters"), "{out}\n{said}");
    eprintln!("{out}");
    Ok(())
}

fn verdicts(report: &Value) -> Result<Value> {
    let promises = report["promises"].as_array().context("promises")?;
    let verdict = |promise: &Value| {
        let id = promise["id"].as_str().unwrap_or_default().to_owned();
        (id, promise["verdict"].clone())
    };
    Ok(promises.iter().map(verdict).collect::<serde_json::Map<_, _>>().into())
}

fn wanted(target: &Target) -> Result<String> {
    target.run_kubectl(&[
        "--namespace=kafka",
        "get",
        "statefulset/kafka",
        "--output=jsonpath={.spec.replicas}",
    ])
}

/// As it was, with no trace of an experiment.
fn is_back(target: &Target) -> Result<()> {
    if wanted(target)? != "1" {
        target.run_kubectl(&["--namespace=kafka", "scale", "statefulset/kafka", "--replicas=1"])?;
        anyhow::bail!("Kafka was left away");
    }
    target.wait_rolled_out("kafka", "statefulset/kafka")?;
    let note = ["--namespace", SERVICES_NAMESPACE, "get", "configmaps", "--output=name"];
    let notes = target.run_kubectl(&note)?;
    ensure!(!notes.contains("learnflow-verify"), "{notes}");
    let annotations = [
        "--namespace=kafka",
        "get",
        "statefulset/kafka",
        "--output=jsonpath={.metadata.annotations}",
    ];
    let annotations = target.run_kubectl(&annotations)?;
    ensure!(!annotations.contains("by-verify"), "{annotations}");
    Ok(())
}
