//! What is done with `kubectl`, on whichever cluster: the caller brings commands that point at it.

use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::progress;

/// Applies a manifest. Without a namespace every object must name its own, if it has one.
pub fn apply(mut kubectl: Command, namespace: Option<&str>, manifest: &str) -> Result<()> {
    let namespace = namespace.map(|namespace| ["--namespace", namespace]);
    let mut child = kubectl
        .args(["apply", "--server-side", "--filename=-"])
        .args(namespace.iter().flatten())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run kubectl")?;
    let mut stdin = child.stdin.take().context("kubectl's input")?;
    stdin.write_all(manifest.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("kubectl apply: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Waits until a workload (`deployment/NAME`, `statefulset/NAME`) is rolled out, saying now and then what it waits for.
/// An error shows the pods and what the workload's containers said last.
pub fn wait_rolled_out(
    kubectl: impl Fn() -> Command,
    namespace: &str,
    workload: &str,
    timeout: Duration,
) -> Result<()> {
    let started = Instant::now();
    let mut said = Instant::now();
    loop {
        let status = ["--namespace", namespace, "rollout", "status", workload, "--timeout=2s"];
        if kubectl()
            .args(status)
            .output()
            .context("cannot run kubectl")?
            .status
            .success()
        {
            return Ok(());
        }
        if started.elapsed() > timeout {
            let mut shown = Vec::new();
            for arguments in [
                &["get", "pods", "--all-namespaces"][..],
                &[
                    "--namespace",
                    namespace,
                    "logs",
                    workload,
                    "--tail=15",
                    "--all-containers",
                ],
            ] {
                let output = kubectl().args(arguments).output()?;
                shown.extend(output.stdout);
                shown.extend(output.stderr);
            }
            bail!(
                "{namespace}/{workload} is not ready after {}:\n{}",
                progress::duration(timeout),
                String::from_utf8_lossy(&shown)
            );
        }
        if said.elapsed() > progress::interval() {
            said = Instant::now();
            progress::waiting(&format!(
                "… {}  waiting for {namespace}/{workload}",
                progress::duration(started.elapsed())
            ));
        }
        thread::sleep(Duration::from_millis(200));
    }
}
