//! `status` where there are many pods: how long it takes against kubectl with the same kinds, and whether its memory
//! grows with the cluster.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, Target};
use serde_json::{Value, json};

use super::{
    figure::{Figure, TIMES},
    plugin::{compare, installed, time},
};
use crate::artifacts::{step, target_folder};

const FEW: usize = 1_000;
const MANY: usize = 10_000;
/// Runs whose memory is looked at.
const LOOKS: usize = 5;
/// kubectl creates 50 objects a second, no matter how many there are.
const AT_ONCE: usize = 8;

/// All that `status` reads of the services' namespace.
const KINDS: &str =
    "deployments,pods,horizontalpodautoscalers,components.dapr.io,configurations.dapr.io,resiliencies.dapr.io";

pub fn status() -> Result<Vec<Figure>> {
    let (target, _) = installed()?;
    step("making 1,000 pods", || fill(target, 0, FEW))?;
    let namespace = format!("--namespace={SERVICES_NAMESPACE}");
    let ours = || seconds(target);
    let theirs = || time(target.kubectl().args(["get", KINDS, &namespace]));
    let mut figures = step("timing status against kubectl get", || {
        compare("status.vs_kubectl_get", 0.5, "status.ms", ours, theirs)
    })?;
    let few = peaks(target)?;
    step("making 10,000 pods", || fill(target, FEW, MANY))?;
    let many = step("looking at the memory of status", || peaks(target))?;
    let ratios = few.iter().zip(&many).map(|(few, many)| many / few).collect();
    figures.extend([
        Figure::median("status.memory.10000_vs_1000_pods", ratios, TIMES).at_most(1.25),
        Figure::median("status.memory.1000_pods.mb", few, "MB"),
        Figure::median("status.memory.10000_pods.mb", many, "MB"),
    ]);
    Ok(figures)
}

/// Pods like those of a service, sidecar included, on a node that KWOK plays. They belong to a service that is not
/// enrolled, and no controller counts them.
fn fill(target: &Target, from: usize, to: usize) -> Result<()> {
    if from == 0 {
        target.apply(None, include_str!("../../../tests/cases/cheap-service.yaml"))?;
    }
    let model = target.run_kubectl(&[
        "get",
        "pods",
        &format!("--namespace={SERVICES_NAMESPACE}"),
        "--selector=dapr.io/app-id=frontend",
        "--output=json",
    ])?;
    let list: Value = serde_json::from_str(&model)?;
    let model = list["items"].get(0).context("no pod of the frontend")?;
    let share = (to - from).div_ceil(AT_ONCE);
    let mut running = Vec::new();
    for start in (from..to).step_by(share) {
        let pods: Vec<Value> = (start..to.min(start + share)).map(|n| cheap(model, n)).collect();
        let file = target_folder().join(format!("bench-pods-{start}.json"));
        fs::write(
            &file,
            json!({ "apiVersion": "v1", "kind": "List", "items": pods }).to_string(),
        )?;
        let mut create = target.kubectl();
        create.args(["create", "--filename"]).arg(&file).stdout(Stdio::null());
        running.push((create.spawn().context("cannot run kubectl")?, file));
    }
    for (mut child, file) in running {
        let status = child.wait()?;
        fs::remove_file(file)?;
        ensure!(status.success(), "kubectl create ended with {status}");
    }
    wait_ready(target, to)
}

fn cheap(model: &Value, n: usize) -> Value {
    let mut pod = model.clone();
    let annotations = pod["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    // The injector has been here.
    let annotations: serde_json::Map<_, _> = annotations
        .into_iter()
        .filter(|(key, _)| key != "dapr.io/enabled")
        .collect();
    pod["metadata"] = json!({
        "name": format!("cheap-{n}"), "namespace": SERVICES_NAMESPACE, "labels": { "app": "cheap" }, "annotations": annotations,
    });
    pod["spec"]["nodeName"] = "cheap".into();
    pod["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    if let Some(pod) = pod.as_object_mut() {
        pod.remove("status");
    }
    pod
}

fn wait_ready(target: &Target, pods: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        let running = target.run_kubectl(&[
            "get",
            "pods",
            &format!("--namespace={SERVICES_NAMESPACE}"),
            "--selector=app=cheap",
            "--field-selector=status.phase=Running",
            "--output=name",
        ])?;
        let running = running.lines().count();
        if running >= pods {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "only {running} of {pods} pods run");
        thread::sleep(Duration::from_secs(2));
    }
}

/// It may find something unhealthy: a service that nobody has enrolled.
fn command(target: &Target) -> Command {
    let mut command = target.plugin(&["status"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn seconds(target: &Target) -> Result<f64> {
    let began = Instant::now();
    let code = command(target).status().context("cannot run the plugin")?.code();
    let seconds = began.elapsed().as_secs_f64();
    ensure!(matches!(code, Some(0 | 1)), "status ended with {code:?}");
    Ok(seconds)
}

/// The most memory that some runs had, in MB each.
fn peaks(target: &Target) -> Result<Vec<f64>> {
    (0..LOOKS).map(|_| peak(target)).collect()
}

/// What the kernel says of a process as long as it is there; its peak is long past when it ends.
fn peak(target: &Target) -> Result<f64> {
    let mut child = command(target).spawn().context("cannot run the plugin")?;
    let mut most = 0.0;
    let code = loop {
        if let Some(status) = child.try_wait()? {
            break status.code();
        }
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        most = peak_of(&status).unwrap_or(most);
        thread::sleep(Duration::from_millis(1));
    };
    if !matches!(code, Some(0 | 1)) || most == 0.0 {
        bail!("status ended with {code:?}");
    }
    Ok(most)
}

pub(super) fn peak_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_what_the_kernel_says() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t   15625 kB\nVmRSS:\t 1 kB\n"), Some(16.0));
        assert_eq!(peak_of("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn a_cheap_pod_is_nobodys() {
        let model = json!({
            "metadata": { "name": "frontend-1", "uid": "u", "labels": { "app": "frontend", "pod-template-hash": "h" },
                "annotations": { "dapr.io/enabled": "true", "dapr.io/app-id": "frontend" }, "ownerReferences": [{}] },
            "spec": { "nodeName": "real", "containers": [{ "name": "daprd" }] },
            "status": { "phase": "Running" },
        });
        assert_eq!(
            cheap(&model, 7),
            json!({
                "metadata": { "name": "cheap-7", "namespace": SERVICES_NAMESPACE, "labels": { "app": "cheap" },
                    "annotations": { "dapr.io/app-id": "frontend" } },
                "spec": { "nodeName": "cheap", "containers": [{ "name": "daprd" }], "tolerations": [{ "operator": "Exists" }] },
            })
        );
    }
}
