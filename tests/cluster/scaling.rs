//! Autoscalers on the lab, with its real controllers: taking over from another one, and a quota that keeps pods away.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, Target};
use serde_json::{Value, json};

use crate::{Test, expect};

pub const TESTS: &[(&str, Test)] = &[("scaling::taking_over_keeps_the_pods", taking_over_keeps_the_pods)];

/// Their autoscaler has three pods of this service.
const SERVICE: &str = "frontend";
const THEIRS: &str = r"
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: by-hand }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: frontend }
  minReplicas: 3
  maxReplicas: 4
  metrics:
    - type: ContainerResource
      containerResource: { name: cpu, container: frontend, target: { type: Utilization, averageUtilization: 90 } }
";
/// Fewer at the least than there are: whether they stay is up to how ours begins.
const OURS: &str = "services: [{name: frontend, scaling: {min: 2, max: 5}}]\n";
/// The controller looks every 15 s: twice, and some.
const WATCHED: Duration = Duration::from_secs(40);

fn kubectl(target: &Target, arguments: &[&str]) -> Result<String> {
    target.run_kubectl(&[&["--namespace", SERVICES_NAMESPACE], arguments].concat())
}

fn wait_for(what: &str, mut holds: impl FnMut() -> Result<Option<()>>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        if holds()?.is_some() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(500));
    }
}

fn replicas(target: &Target) -> Result<(u64, u64)> {
    let deployment: Value = serde_json::from_str(&kubectl(target, &["get", "deployment", SERVICE, "--output=json"])?)?;
    let number = |path: &str| deployment.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    Ok((number("/spec/replicas"), number("/status/readyReplicas")))
}

fn taking_over_keeps_the_pods(target: &Target) -> Result<()> {
    target.deploy_services()?;
    target.apply(Some(SERVICES_NAMESPACE), THEIRS)?;
    let file = std::env::temp_dir().join(format!("learnflow-scaling-{}.yaml", std::process::id()));
    fs::write(&file, OURS)?;
    let result = taken_over(target, &file.to_string_lossy());
    fs::remove_file(&file)?;
    // Whatever came of it, a later test must find one pod and no autoscaler.
    let gone = expect(target, &["uninstall"], 0).map(|_| ());
    kubectl(target, &["delete", "hpa/by-hand", "--ignore-not-found"])?;
    let budgets = kubectl(target, &["get", "hpa,pdb", "--output=name"])?;
    kubectl(target, &["scale", "deployment", SERVICE, "--replicas=1"])?;
    result.and(gone)?;
    ensure!(budgets.trim().is_empty(), "left: {budgets}");
    Ok(())
}

fn taken_over(target: &Target, file: &str) -> Result<()> {
    wait_for("three pods of theirs", || {
        Ok((replicas(target)? == (3, 3)).then_some(()))
    })?;
    let from = format!("--file={file}");
    let install = ["install", "--only=autoscaling", &from];
    // It is named, and theirs is there: nothing is applied.
    let (_, said) = expect(target, &install, 2)?;
    let sentence =
        "× Deployment learnflow/frontend is not scaled: HorizontalPodAutoscaler learnflow/by-hand does that already";
    ensure!(said.contains(sentence), "{said}");
    let names = kubectl(target, &["get", "hpa,pdb", "--output=name"])?;
    ensure!(names.trim() == "horizontalpodautoscaler.autoscaling/by-hand", "{names}");

    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| -> Result<Vec<(u64, u64)>> {
        let watching = scope.spawn(|| {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                seen.extend(replicas(target).ok());
                thread::sleep(Duration::from_millis(100));
            }
            seen
        });
        let change = || -> Result<()> {
            kubectl(target, &["delete", "hpa", "by-hand"])?;
            let (_, said) = expect(target, &install, 0)?;
            ensure!(said.contains("frontend (2 to 5 pods by CPU"), "{said}");
            thread::sleep(WATCHED);
            Ok(())
        };
        let changed = change();
        over.store(true, Ordering::Relaxed);
        let seen = watching.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
        changed.map(|()| seen)
    })?;
    ensure!(seen.len() > 50, "only seen {} times", seen.len());
    let least = seen.iter().map(|(wanted, ready)| (*wanted).min(*ready)).min();
    ensure!(least == Some(3), "pods went away: {seen:?}");
    let status: Value = serde_json::from_str(&kubectl(target, &["get", "hpa", SERVICE, "--output=json"])?)?;
    let looked = status.pointer("/status/desiredReplicas").and_then(Value::as_u64);
    ensure!(looked == Some(3), "ours has not looked yet: {status}");
    let fields = kubectl(
        target,
        &["get", "deployment", SERVICE, "--show-managed-fields", "--output=json"],
    )?;
    let fields: Value = serde_json::from_str(&fields)?;
    let managers = fields["metadata"]["managedFields"].as_array().context("managers")?;
    let sets = |entry: &&Value| !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null();
    let setters: Vec<&Value> = managers.iter().filter(sets).map(|entry| &entry["manager"]).collect();
    ensure!(
        setters.iter().all(|who| **who != "kubectl-learnflow"),
        "spec.replicas is ours: {setters:?}"
    );
    let budget = kubectl(
        target,
        &[
            "get",
            "pdb",
            SERVICE,
            "--output=jsonpath={.spec.maxUnavailable} {.status.disruptionsAllowed}",
        ],
    )?;
    ensure!(budget == "1 1", "{budget}");
    eprintln!(
        "looked at {} times while it changed hands: 3 pods wanted and ready each time",
        seen.len()
    );
    Ok(())
}

/// A quota with room for one more pod, and an autoscaler that wants three: `status`, `explain` and `check` say so. Everything is
/// installed, and the autoscaler is LearnFlow's.
pub fn a_quota_keeps_pods_away(target: &Target) -> Result<()> {
    let result = kept_away(target);
    // First fewer are wanted, then they may come.
    bounds(target, 1, 3)?;
    kubectl(target, &["delete", "resourcequota/team", "--ignore-not-found"])?;
    result
}

fn bounds(target: &Target, min: u64, max: u64) -> Result<()> {
    let patch = json!({ "spec": { "minReplicas": min, "maxReplicas": max } }).to_string();
    kubectl(target, &["patch", "hpa", SERVICE, "--type=merge", "--patch", &patch]).map(|_| ())
}

fn kept_away(target: &Target) -> Result<()> {
    let quota = |cpu: u64| {
        let hard = json!({ "requests.cpu": format!("{cpu}m") });
        let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "team" }, "spec": { "hard": hard } });
        target.apply(Some(SERVICES_NAMESPACE), &quota.to_string())
    };
    quota(100_000)?;
    let mut used = 0;
    wait_for("what the quota counts", || {
        let text = kubectl(
            target,
            &[
                "get",
                "resourcequota/team",
                "--output=jsonpath={.status.used.requests\\.cpu}",
            ],
        )?;
        used = match text.strip_suffix('m') {
            Some(milli) => milli.parse()?,
            None => 1000 * text.parse::<u64>().unwrap_or_default(),
        };
        Ok((used > 0).then_some(()))
    })?;
    // A pod requests 100m, with its sidecar.
    quota(used + 130)?;
    bounds(target, 4, 4)?;
    let mut last = Value::Null;
    wait_for("what keeps pods away", || {
        let output = target.run_plugin(&["status", "--output=json"])?;
        last = serde_json::from_slice(&output.stdout).context("status -o json")?;
        let rows = last["autoscaling"].as_array().into_iter().flatten();
        let mut short = rows
            .filter(|row| row["deployment"] == SERVICE)
            .map(|row| &row["shortfall"]);
        let expected = json!({ "wants": 4, "has": 2, "because": "quota \"team\" is out of cpu" });
        Ok(short.any(|short| *short == expected).then_some(()))
    })
    .with_context(|| format!("{:#}", last["autoscaling"]))?;
    let (table, said) = expect(target, &["status"], 1)?;
    let sentence = "frontend wants 4, has 2: quota \"team\" is out of cpu";
    ensure!(format!("{table}{said}").contains(sentence), "{table}{said}");
    // The minimum does not fit.
    let (explained, _) = expect(target, &["explain", "autoscaling", SERVICE], 1)?;
    for part in [
        "× LF506 Deployment learnflow/frontend: Its maximum of 4 pods does not fit: 2 more would take 200m requests.cpu".to_owned(),
        format!("Raise requests.cpu in ResourceQuota learnflow/team to {}m", used + 300),
    ] {
        ensure!(explained.contains(&part), "{part}\n{explained}");
    }
    let (checked, _) = expect(target, &["check", "--output=short"], 1)?;
    ensure!(checked.contains("× LF506 Deployment learnflow/frontend"), "{checked}");
    Ok(())
}
