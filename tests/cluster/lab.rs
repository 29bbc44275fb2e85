//! The lab itself: what it has beyond the line, two side by side, and nothing left of one, however it ends.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_tests::Target;

use crate::Test;

pub const TESTS: &[(&str, Test)] = &[
    ("lab::has_no_way_out", has_no_way_out),
    ("lab::metrics_server_measures_pods", metrics_server_measures_pods),
    ("lab::kwok_makes_cheap_pods", kwok_makes_cheap_pods),
    ("lab::two_side_by_side_and_killed", two_side_by_side_and_killed),
];

const CHEAP_PODS: &str = include_str!("../cases/cheap-pods.yaml");

fn xtask(arguments: &[&str]) -> Result<Output> {
    let xtask = std::env::var("LEARNFLOW_TEST_XTASK").context("LEARNFLOW_TEST_XTASK is not set")?;
    Command::new(xtask).args(arguments).output().context("cannot run xtask")
}

/// No interface of the lab leads anywhere but to its own bridges.
fn has_no_way_out(_: &Target) -> Result<()> {
    let name = std::env::var("LEARNFLOW_TEST_LAB")?;
    let node: u32 = lab_file(&name, "node.pid")?.trim().parse()?;
    let devices = fs::read_to_string(format!("/proc/{node}/net/dev"))?;
    for device in devices.lines().skip(2).filter_map(|line| line.split(':').next()) {
        let device = device.trim();
        let own = device == "lo" || device == "node0" || device == "cni0" || device.starts_with("veth");
        // Empty tunnel devices that some kernels put into every namespace lead nowhere either.
        let idle = [
            "sit0", "tunl0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0",
        ];
        ensure!(own || idle.contains(&device), "the lab has a device {device}");
    }
    Ok(())
}

fn metrics_server_measures_pods(target: &Target) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let top = target.run_kubectl(&["top", "pods", "--namespace=kafka", "--no-headers"]);
        match top {
            Ok(text) if text.starts_with("kafka-0") => return Ok(()),
            other if Instant::now() > deadline => bail!("kubectl top: {other:?}"),
            _ => thread::sleep(Duration::from_secs(2)),
        }
    }
}

fn kwok_makes_cheap_pods(target: &Target) -> Result<()> {
    target.apply(None, CHEAP_PODS)?;
    let result = target.run_kubectl(&[
        "--namespace=cheap",
        "rollout",
        "status",
        "deployment/cheap",
        "--timeout=90s",
    ]);
    target.run_kubectl(&["delete", "namespace/cheap", "node/cheap", "--wait"])?;
    result.map(|_| ())
}

/// A second lab beside the one that the tests use; then its keeper is killed, and `lab down` finds nothing it cannot remove.
fn two_side_by_side_and_killed(target: &Target) -> Result<()> {
    let name = format!("second-{}", std::process::id());
    let up = xtask(&["lab", "up", "--base", "--name", &name])?;
    ensure!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    target.run_kubectl(&["get", "--raw", "/readyz"])?;
    let nodes = xtask(&["lab", "status", "--name", &name])?;
    ensure!(
        String::from_utf8_lossy(&nodes.stdout).contains("kafka-0"),
        "the second lab has no Kafka"
    );

    let keeper: i32 = lab_file(&name, "keeper.pid")?.trim().parse()?;
    let node: u32 = lab_file(&name, "node.pid")?.trim().parse()?;
    let namespace = fs::read_link(format!("/proc/{node}/ns/net"))?;
    let killed = Command::new("kill").args(["-9", &keeper.to_string()]).status()?;
    ensure!(killed.success(), "cannot kill the keeper");
    let deadline = Instant::now() + Duration::from_secs(30);
    while processes_in(&namespace) > 0 {
        ensure!(Instant::now() < deadline, "processes of the killed lab are still there");
        thread::sleep(Duration::from_millis(100));
    }
    let down = xtask(&["lab", "down", "--name", &name])?;
    ensure!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!mounts.contains(&name), "mounts are left");
    ensure!(!cgroup_left(Path::new("/sys/fs/cgroup"), &name), "cgroups are left");
    ensure!(lab_file(&name, "keeper.pid").is_err(), "files are left");
    // The first one did not notice.
    target.run_kubectl(&["get", "--raw", "/readyz"]).map(|_| ())
}

fn lab_file(name: &str, file: &str) -> Result<String> {
    Ok(fs::read_to_string(
        learnflow_lab::cache()?.join("labs").join(name).join(file),
    )?)
}

fn processes_in(network: &Path) -> usize {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| fs::read_link(entry.path().join("ns/net")).is_ok_and(|link| link == network))
        .count()
}

fn cgroup_left(folder: &Path, name: &str) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let own = entry.file_name().to_string_lossy().contains(name);
        let hierarchy = folder == Path::new("/sys/fs/cgroup") && entry.path().is_dir();
        own || (hierarchy && cgroup_left(&entry.path(), name))
    })
}
