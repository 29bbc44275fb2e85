//! The verbs that look, on a real cluster: check, status, dashboard, bundle.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, STACK_NAMESPACE, Target};
use serde_json::{Value, json};

use crate::{Test, expect};

/// Before anything is installed.
pub const BEFORE: &[(&str, Test)] = &[
    ("verbs::check_before_an_installation", check_before_an_installation),
    ("verbs::broken_metrics_are_named", broken_metrics_are_named),
];
/// While LearnFlow is installed.
pub const TESTS: &[(&str, Test)] = &[
    (
        "verbs::status_waits_until_it_is_healthy",
        status_waits_until_it_is_healthy,
    ),
    ("verbs::check_holds", check_holds),
    ("verbs::status_is_watched", status_is_watched),
    ("verbs::a_dashboard_survives_its_pod", a_dashboard_survives_its_pod),
    (
        "verbs::metrics_of_enrolled_services_do_not_break",
        metrics_of_enrolled_services_do_not_break,
    ),
    (
        "verbs::a_quota_that_is_too_small_is_named",
        a_quota_that_is_too_small_is_named,
    ),
    (
        "verbs::a_bundle_holds_everything_but_secrets",
        a_bundle_holds_everything_but_secrets,
    ),
];

/// `kubectl learnflow dashboard …`, for as long as it is held.
pub struct Dashboard {
    child: Child,
    url: String,
}

impl Dashboard {
    pub fn open(target: &Target, arguments: &[&str]) -> Result<Self> {
        let mut command = target.plugin(&[&["dashboard"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut line)?;
        let url = line.trim().trim_end_matches('/').to_owned();
        if !url.starts_with("http://127.0.0.1:") {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the dashboard printed {line:?}");
        }
        Ok(Self { child, url })
    }

    pub fn get(&self, path: &str) -> Result<String> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(70)))
            .build()
            .into();
        let mut answer = agent.get(format!("{}{path}", self.url)).call()?;
        Ok(answer.body_mut().read_to_string()?)
    }

    /// Ctrl-C; its exit code.
    fn interrupt(mut self) -> Result<Option<i32>> {
        let id = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-INT", &id]).status()?.success(), "kill");
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn findings(stdout: &str) -> Result<Vec<Value>> {
    let report: Value = serde_json::from_str(stdout).context("check -o json is not JSON")?;
    Ok(report["findings"].as_array().context("findings")?.clone())
}

fn state(findings: &[Value], id: &str) -> Vec<(String, String)> {
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let own = findings.iter().filter(|finding| finding["id"] == id);
    own.map(|finding| (text(finding, "state"), text(finding, "text")))
        .collect()
}

fn check_before_an_installation(target: &Target) -> Result<()> {
    target.deploy_services()?;
    let (stdout, _) = expect(target, &["check", "--pre", "--output=json"], 0)?;
    let findings = findings(&stdout)?;
    for id in [
        "kubernetes-version",
        "dapr-version",
        "kafka-component",
        "kafka-reachable",
        "sidecar-metrics",
        "name",
        "permissions",
        "quota",
    ] {
        let found = state(&findings, id);
        ensure!(found.iter().any(|(state, _)| state == "ok"), "{id}: {found:?}");
    }
    let (stdout, _) = expect(target, &["check"], 1)?;
    ensure!(stdout.contains("× LearnFlow is not installed"), "{stdout}");
    // Another namespace has no Kafka.
    let output = target
        .plugin_in("default", &["check", "--pre", "--output=short"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code() == Some(1) && said.contains("pubsub.kafka"),
        "{}: {said}",
        output.status
    );
    Ok(())
}

fn status_waits_until_it_is_healthy(target: &Target) -> Result<()> {
    // Pods go, and come again.
    let prometheus = [
        "--namespace",
        STACK_NAMESPACE,
        "delete",
        "pod",
        "--selector=app.kubernetes.io/name=prometheus",
        "--wait=false",
    ];
    target.run_kubectl(&prometheus)?;
    expect(target, &["status", "--wait=120s"], 0)?;
    let scale = |replicas: &str| {
        target.run_kubectl(&[
            "--namespace",
            STACK_NAMESPACE,
            "scale",
            "deployment/collector-gateway",
            replicas,
        ])
    };
    scale("--replicas=0")?;
    let began = Instant::now();
    let late = expect(target, &["status", "--wait=3s"], 1);
    scale("--replicas=1")?;
    let (stdout, _) = late?;
    ensure!(began.elapsed() >= Duration::from_secs(3), "it did not wait");
    ensure!(stdout.contains("collector-gateway"), "{stdout}");
    expect(target, &["status", "--wait=120s"], 0).map(|_| ())
}

fn check_holds(target: &Target) -> Result<()> {
    let (stdout, _) = expect(target, &["check", "--output=json"], 0)?;
    let findings = findings(&stdout)?;
    ensure!(findings.iter().all(|finding| finding["state"] != "failed"), "{stdout}");
    let enrolled = state(&findings, "enrolment");
    ensure!(
        enrolled == [("ok".into(), "3 services enrolled and healthy".into())],
        "{enrolled:?}"
    );
    let (table, _) = expect(target, &["check"], 0)?;
    ensure!(
        table.contains("√ Kafka component kafka-pubsub is up in 3 sidecars"),
        "{table}"
    );
    let (short, _) = expect(target, &["check", "--output=short"], 0)?;
    ensure!(
        short.lines().last().is_some_and(|line| line.starts_with('√')),
        "{short}"
    );
    Ok(())
}

fn status_is_watched(target: &Target) -> Result<()> {
    let mut child = target
        .plugin(&["status", "--watch", "--output=name"])
        .stdout(Stdio::piped())
        .spawn()?;
    thread::sleep(Duration::from_secs(6));
    let id = child.id().to_string();
    ensure!(Command::new("kill").args(["-INT", &id]).status()?.success(), "kill");
    let mut shown = String::new();
    child.stdout.take().context("stdout")?.read_to_string(&mut shown)?;
    ensure!(child.wait()?.code() == Some(0), "Ctrl-C is how it ends");
    let prometheus = shown.lines().filter(|line| *line == "deployment/prometheus").count();
    ensure!(prometheus == 1, "what has not changed is shown once:\n{shown}");
    Ok(())
}

fn a_dashboard_survives_its_pod(target: &Target) -> Result<()> {
    let dashboard = Dashboard::open(target, &["prometheus"])?;
    ensure!(dashboard.get("/-/ready")?.contains("Ready"), "no page");
    let pods = [
        "--namespace",
        STACK_NAMESPACE,
        "get",
        "pods",
        "--selector=app.kubernetes.io/name=prometheus",
        "--output=name",
    ];
    let before = target.run_kubectl(&pods)?;
    let delete = ["--namespace", STACK_NAMESPACE, "delete", before.trim(), "--wait"];
    target.run_kubectl(&delete)?;
    // The request waits for the new pod.
    let began = Instant::now();
    let page = dashboard.get("/-/ready")?;
    ensure!(page.contains("Ready"), "{page}");
    eprintln!(
        "the page was back {:.1} s after its pod had gone",
        began.elapsed().as_secs_f64()
    );
    ensure!(target.run_kubectl(&pods)? != before, "the pod is still the same");
    ensure!(dashboard.interrupt()? == Some(0), "Ctrl-C is how it ends");
    expect(target, &["dashboard", "grafana"], 2)?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let (_, said) = expect(target, &["dashboard", "prometheus", "--port", &port], 2)?;
    ensure!(said.contains(&port) && said.contains("--port"), "{said}");
    Ok(())
}

/// A changed Resiliency makes Dapr restart runtimes in place, and where hot reload is on their metrics do not survive it.
fn change_resiliency(target: &Target) -> Result<Vec<(String, String)>> {
    let resiliency = json!({ "apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": { "name": "later" },
        "spec": { "policies": { "timeouts": { "t": "5s" } }, "targets": {} } });
    target.apply(Some(SERVICES_NAMESPACE), &resiliency.to_string())?;
    thread::sleep(Duration::from_secs(5));
    let output = target.run_plugin(&["check", "--output=json"])?;
    target.run_kubectl(&[
        "--namespace",
        SERVICES_NAMESPACE,
        "delete",
        "resiliencies.dapr.io/later",
    ])?;
    Ok(state(
        &findings(&String::from_utf8_lossy(&output.stdout))?,
        "sidecar-metrics",
    ))
}

fn broken_metrics_are_named(target: &Target) -> Result<()> {
    let found = change_resiliency(target)?;
    let broken = found.iter().any(|(state, text)| {
        state == "failed"
            && ["course-agent-", "frontend-", "user-progress-", "(500)"]
                .iter()
                .all(|word| text.contains(word))
    });
    ensure!(broken, "{found:?}");
    // As `check` says.
    target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "rollout", "restart", "deployment"])?;
    target.wait_for_services()?;
    let (stdout, _) = expect(target, &["check", "--pre", "--output=json"], 0)?;
    let found = state(&findings(&stdout)?, "sidecar-metrics");
    ensure!(found.iter().all(|(state, _)| state == "ok"), "{found:?}");
    Ok(())
}

/// Enrolled services have hot reload off.
fn metrics_of_enrolled_services_do_not_break(target: &Target) -> Result<()> {
    let found = change_resiliency(target)?;
    ensure!(
        found == [("ok".into(), "/metrics answers in 3 sidecars".into())],
        "{found:?}"
    );
    Ok(())
}

fn a_quota_that_is_too_small_is_named(target: &Target) -> Result<()> {
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "small" },
        "spec": { "hard": { "pods": "3" } } });
    target.apply(Some(SERVICES_NAMESPACE), &quota.to_string())?;
    // Until the controller has counted.
    let deadline = Instant::now() + Duration::from_secs(20);
    let result = loop {
        let output = target.run_plugin(&["check", "--output=json"])?;
        let found = state(&findings(&String::from_utf8_lossy(&output.stdout))?, "quota");
        let named = found
            .iter()
            .any(|(state, text)| state == "failed" && text.contains("ResourceQuota learnflow/small has 0 left"));
        if named && output.status.code() == Some(1) {
            break Ok(());
        }
        if Instant::now() > deadline {
            break Err(anyhow::anyhow!("{}: {found:?}", output.status));
        }
        thread::sleep(Duration::from_millis(500));
    };
    target.run_kubectl(&["--namespace", SERVICES_NAMESPACE, "delete", "resourcequota/small"])?;
    result
}

/// Things with secrets in them, as people have them.
const PLANTED: &str = include_str!("../cases/planted.yaml");

fn a_bundle_holds_everything_but_secrets(target: &Target) -> Result<()> {
    target.apply(Some(SERVICES_NAMESPACE), PLANTED)?;
    // A topic nobody should choose: the record of the publish is in the sidecar's log.
    let forward = target.port_forward(SERVICES_NAMESPACE, "deployment/course-agent", 3500)?;
    let answer = ureq::post(forward.url("/v1.0/publish/kafka-pubsub/password=planted-log")).send("{}");
    drop((answer, forward));
    let file = std::env::temp_dir().join(format!("learnflow-bundle-{}.tar.gz", std::process::id()));
    let path = file.to_string_lossy().into_owned();
    let result = expect(target, &["bundle", "--output", &path], 0);
    let removed = [
        "deployment/planted",
        "secret/planted",
        "configmap/planted",
        "component.dapr.io/planted",
        "event/planted",
    ];
    target.run_kubectl(&[&["--namespace", SERVICES_NAMESPACE, "delete"], &removed[..]].concat())?;
    let (stdout, said) = result?;
    ensure!(stdout.trim() == path, "{stdout}");
    let listed = Command::new("tar").args(["-tzf", &path]).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let all = Command::new("tar").args(["-xzOf", &path]).output()?;
    let all = String::from_utf8_lossy(&all.stdout).into_owned();
    let again = target.run_plugin(&["bundle", "--output", &path])?;
    fs::remove_file(&file)?;
    ensure!(again.status.code() == Some(2), "it wrote over a file");
    for part in [
        "README.txt",
        "versions.json",
        "status.json",
        "check.json",
        "missing.txt",
        "objects/learnflow-system/Deployment.prometheus.yaml",
        "objects/learnflow/Component.kafka-pubsub.yaml",
        "objects/learnflow/Component.planted.yaml",
        "objects/learnflow/Deployment.planted.yaml",
        "events/learnflow.yaml",
        "logs/learnflow-system/collector-gateway",
        "/daprd.log",
    ] {
        ensure!(listed.contains(part), "{part} is missing in\n{listed}\n{said}");
    }
    ensure!(!listed.contains("Secret"), "{listed}");
    let secrets = [
        "secret",
        "configmap",
        "component",
        "annotation",
        "argument",
        "flag",
        "environment",
        "address",
        "bearer",
        "event",
        "log",
    ];
    let leaks = |line: &&str| secrets.iter().any(|secret| line.contains(&format!("planted-{secret}")));
    let leaks: Vec<&str> = all.lines().filter(leaks).collect();
    ensure!(leaks.is_empty(), "{leaks:#?}");
    ensure!(
        all.contains("[removed]") && all.contains("kept-as-it-is"),
        "too much was removed"
    );
    // The record is there, without what was secret in it.
    ensure!(all.contains("password=[removed]"), "the record of the publish is lost");
    Ok(())
}
