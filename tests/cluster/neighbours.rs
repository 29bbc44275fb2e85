//! A cluster that has a Prometheus Operator already: the real one, with its CRDs. Nothing is doubled.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{STACK_NAMESPACE, Target, progress_of};
use serde_json::Value;

use crate::{Test, expect, objects, verbs::Dashboard};

pub const TESTS: &[(&str, Test)] = &[(
    "neighbours::an_existing_prometheus_is_used",
    an_existing_prometheus_is_used,
)];

const THEIRS: &str = include_str!("../cases/prometheus-operator.yaml");
const JOBS: [&str; 4] = ["learnflow", "collectors", "dapr", "kube-state-metrics"];
const LESSONS: usize = 20;

/// Removes the Operator with everything of it, whatever happens in between.
struct Operator<'a>(&'a Target, String);

impl<'a> Operator<'a> {
    fn start(target: &'a Target) -> Result<Self> {
        let folder = learnflow_lab::parts(&["prometheus-operator-crds"])?.file("prometheus-operator-crds", "");
        let mut files: Vec<_> = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|kind| kind == "yaml"));
        let mut crds = String::new();
        for file in files {
            crds.push_str(&fs::read_to_string(file)?);
        }
        let operator = Self(target, crds);
        target.apply(None, &operator.1)?;
        let kinds = ["prometheuses", "podmonitors", "prometheusrules"];
        let kinds = kinds.map(|kind| format!("crd/{kind}.monitoring.coreos.com"));
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
        // kubectl gives up on an object that has no conditions yet.
        let deadline = Instant::now() + Duration::from_secs(60);
        let wait = [&wait[..], &kinds.each_ref().map(String::as_str)].concat();
        while let Err(error) = target.run_kubectl(&wait) {
            ensure!(Instant::now() < deadline, "{error:#}");
            thread::sleep(Duration::from_millis(200));
        }
        target.apply(None, THEIRS)?;
        target.wait_rolled_out("monitoring", "deployment/prometheus-operator")?;
        Ok(operator)
    }

    fn stop(self) -> Result<()> {
        let Self(target, crds) = &self;
        for manifest in [THEIRS, crds] {
            let file = std::env::temp_dir().join(format!("learnflow-operator-{}.yaml", std::process::id()));
            fs::write(&file, manifest)?;
            let path = file.display().to_string();
            let gone = target.run_kubectl(&["delete", "--ignore-not-found", "--wait", "--filename", &path]);
            fs::remove_file(&file)?;
            gone?;
        }
        Ok(())
    }
}

fn an_existing_prometheus_is_used(target: &Target) -> Result<()> {
    // New pods: what earlier tests did to the policies has cost the old ones their metrics, see docs/zero-downtime.md.
    target.run_kubectl(&[
        "delete",
        "namespace",
        learnflow_tests::SERVICES_NAMESPACE,
        "--ignore-not-found",
        "--wait",
    ])?;
    target.deploy_services()?;
    let operator = Operator::start(target)?;
    let result = used(target);
    // Whatever came of it, a later test must not find an Operator.
    let gone = expect(target, &["uninstall", "--unenroll"], 0).map(|_| ());
    let stopped = operator.stop();
    result.and(gone).and(stopped)
}

fn used(target: &Target) -> Result<()> {
    target.wait_rolled_out("monitoring", "statefulset/prometheus-k8s")?;
    let before = objects(target)?;
    let (stdout, _) = expect(target, &["check", "--pre"], 0)?;
    ensure!(
        stdout.contains("√ Prometheus monitoring/k8s can keep the metrics"),
        "{stdout}"
    );

    let (_, said) = expect(target, &["install"], 0)?;
    let sentence = "√ Prometheus monitoring/k8s keeps the metrics (monitors in learnflow-system, labelled release=kps)";
    ensure!(said.contains(sentence), "{said}");
    let workloads = ["--namespace", STACK_NAMESPACE, "get", "deployments", "--output=name"];
    let workloads = target.run_kubectl(&workloads)?;
    let workloads: Vec<&str> = workloads.lines().collect();
    let ours = ["collector-gateway", "kube-state-metrics", "traces"].map(|name| format!("deployment.apps/{name}"));
    ensure!(workloads == ours, "{workloads:?}");

    expect(target, &["status", "--wait=120s"], 0)?;
    let (table, _) = expect(target, &["status"], 0)?;
    ensure!(
        table.contains("monitoring/k8s") && table.contains("√ healthy"),
        "{table}"
    );
    expect(target, &["diff"], 0)?;
    let (again, said) = expect(target, &["install"], 0)?;
    ensure!(
        !said.contains("(changed)") && !said.contains("(created)"),
        "{again}{said}"
    );

    let page = Dashboard::open(target, &["prometheus"])?;
    scraped_with_our_labels(&page)?;
    events_are_counted(target, &page)?;
    rules_are_evaluated(&page)?;
    drop(page);

    one_of_several_must_be_named(target)?;
    one_without_our_jobs_is_refused(target)?;
    nothing_is_switched_silently(target)?;

    expect(target, &["uninstall", "--unenroll"], 0)?;
    let after = objects(target)?;
    let left: Vec<_> = after.iter().filter(|object| !before.contains(object)).collect();
    ensure!(left.is_empty(), "left: {left:?}");
    let lost: Vec<_> = before.iter().filter(|object| !after.contains(object)).collect();
    ensure!(lost.is_empty(), "lost: {lost:?}");
    Ok(())
}

fn query(page: &Dashboard, query: &str) -> Result<Vec<Value>> {
    let answer: Value = serde_json::from_str(&page.get(&format!("/api/v1/query?query={query}"))?)?;
    Ok(answer["data"]["result"].as_array().context("a vector")?.clone())
}

/// Pods that were replaced just now are down until they are gone.
fn scraped_with_our_labels(page: &Dashboard) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        match look_at_targets(page) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_secs(2)),
        }
    }
}

fn look_at_targets(page: &Dashboard) -> Result<()> {
    for job in JOBS {
        let up = query(page, &format!("up%7Bjob=%22{job}%22%7D"))?;
        ensure!(!up.is_empty(), "nothing of job {job}");
        let wanted: &[&str] = match job {
            "dapr" => &["namespace", "pod", "service"],
            "collectors" => &["collector", "pod", "node"],
            _ => &[],
        };
        for sample in up {
            ensure!(sample["value"][1] == "1", "{sample}");
            for label in wanted {
                ensure!(sample["metric"][label].is_string(), "no {label}: {sample}");
            }
        }
    }
    Ok(())
}

/// Every event is there, and the rule that takes no anchors sees it from the first on.
fn events_are_counted(target: &Target, page: &Dashboard) -> Result<()> {
    let had = progress_of(target, 0, Duration::ZERO)?.lessons;
    let sidecar = target.port_forward(learnflow_tests::SERVICES_NAMESPACE, "deployment/course-agent", 3500)?;
    for number in 0..LESSONS {
        let lesson =
            serde_json::json!({ "id": format!("neighbour-{number}"), "course": "rust", "title": "t", "text": "x" });
        ureq::post(sidecar.url("/v1.0/publish/kafka-pubsub/lesson.generated")).send_json(lesson)?;
    }
    progress_of(target, had + LESSONS as u64, Duration::from_secs(60))?;
    let counted = "sum(messaging_client_sent_messages_total%7Bmessaging_destination_name=%22lesson.generated%22%7D)";
    let seen = "sum(learnflow:events:increase5m%7Bmessaging_operation_type=%22send%22%7D)";
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let values = [query(page, counted)?, query(page, seen)?];
        let number = |found: &[Value]| {
            found
                .first()
                .and_then(|sample| sample["value"][1].as_str()?.parse::<f64>().ok())
        };
        if values.iter().all(|found| number(found) == Some(LESSONS as f64)) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{LESSONS} were published: {values:?}");
        thread::sleep(Duration::from_secs(2));
    }
}

fn rules_are_evaluated(page: &Dashboard) -> Result<()> {
    let answer: Value = serde_json::from_str(&page.get("/api/v1/rules")?)?;
    let groups = answer["data"]["groups"].as_array().context("groups")?;
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let mut names = Vec::new();
    for rule in rules {
        ensure!(rule["health"] == "ok" || rule["health"] == "unknown", "{rule}");
        names.push(rule["name"].as_str().unwrap_or_default().to_owned());
    }
    for name in [
        "LearnFlowWatchdog",
        "LearnFlowSidecarMetricsDown",
        "learnflow:topic_events:rate5m",
    ] {
        ensure!(names.iter().any(|found| found == name), "no {name} in {names:?}");
    }
    Ok(())
}

fn one_of_several_must_be_named(target: &Target) -> Result<()> {
    let second = "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: second, namespace: monitoring}\n\
                  spec: {replicas: 0}\n";
    // What is installed already stays where it is.
    target.apply(None, second)?;
    let stays = expect(target, &["install", "--dry-run"], 0);
    let blind = expect(target, &["install", "--prometheus=monitoring/second"], 2);
    target.run_kubectl(&["--namespace=monitoring", "delete", "prometheus/second", "--wait"])?;
    let (_, said) = stays?;
    ensure!(said.contains("√ Prometheus monitoring/k8s keeps the metrics"), "{said}");
    let (_, said) = blind?;
    ensure!(said.contains("`podMonitorSelector` is not set"), "{said}");
    Ok(())
}

/// The same Prometheus by its Service: nobody would add our jobs for us.
fn one_without_our_jobs_is_refused(target: &Target) -> Result<()> {
    let which = "--prometheus=monitoring/prometheus-operated:9090";
    let (_, said) = expect(target, &["install", which], 2)?;
    let sentence =
        "× The Prometheus at monitoring/prometheus-operated:9090 has no scrape job learnflow, collectors, kafka, dapr";
    ensure!(said.contains(sentence), "{said}");
    Ok(())
}

fn nothing_is_switched_silently(target: &Target) -> Result<()> {
    let (_, said) = expect(target, &["install", "--prometheus=own"], 0)?;
    ensure!(
        said.contains("‼ LearnFlow's own Prometheus takes over from Prometheus monitoring/k8s"),
        "{said}"
    );
    let monitors = || {
        target.run_kubectl(&[
            "get",
            "podmonitors,prometheusrules",
            "--all-namespaces",
            "--output=name",
        ])
    };
    ensure!(monitors()?.is_empty(), "{}", monitors()?);
    // It is the only object Prometheus, and ours is there: ours it stays.
    let (_, said) = expect(target, &["install"], 0)?;
    if said.contains("monitoring/k8s") {
        bail!("{said}");
    }
    expect(target, &["install", "--prometheus=monitoring/k8s"], 0)?;
    expect(target, &["status", "--wait=120s"], 0)?;
    Ok(())
}
