//! The node: process 1 of the lab's namespaces. It lays out a machine of its own (network, mounts, cgroups), starts the
//! Kubernetes parts as on any node, and reaps what ends. Nothing of it can be reached from outside but the API server.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
};
use serde::{Deserialize, Serialize};

use crate::{builder::Parts, cgroups, daemons, paths};

pub const NODE_IP: &str = "10.99.0.1";
pub const SERVICE_IP: &str = "10.96.0.1";
/// The line that tells the keeper that it can forward connections.
pub const NETWORK_IS_UP: &str = "__network_is_up";

/// What `lab up` decided, for the node to carry out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    pub path: String,
    /// As they were when the lab came up, whatever the source tree says by now.
    pub parts: Parts,
    pub metrics_server: bool,
    pub kwok: bool,
    #[serde(default)]
    pub timings: paths::Timings,
}

/// Files that belong to the whole machine, which the kubelet would set; the node sees copies.
const MACHINE_SETTINGS: &[(&str, &str)] = &[
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/vm/panic_on_oom", "0"),
    ("/proc/sys/kernel/panic", "10"),
    ("/proc/sys/kernel/panic_on_oops", "1"),
    ("/proc/sys/kernel/keys/root_maxkeys", "1000000"),
    ("/proc/sys/kernel/keys/root_maxbytes", "25000000"),
];

pub fn run(name: &str) -> Result<()> {
    let lab = paths::lab(name)?;
    let plan: Plan = serde_json::from_slice(&fs::read(lab.join("plan.json"))?)?;
    if let Err(error) = start(name, &lab, &plan) {
        println!("failed: {error:#}");
        return Err(error);
    }
    Ok(())
}

fn start(name: &str, lab: &Path, plan: &Plan) -> Result<()> {
    // SAFETY: no thread has been started yet.
    unsafe { std::env::set_var("PATH", &plan.path) };
    cgroups::enter(name)?;
    let hierarchies = cgroups::hierarchies()?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWCGROUP,
    )
    .context("cannot make namespaces: the lab needs root with CAP_SYS_ADMIN")?;
    nix::unistd::sethostname("lab")?;
    mounts(lab, &hierarchies).context("cannot lay out the node's file systems")?;
    network().context("cannot lay out the node's network")?;
    println!("{NETWORK_IS_UP}");
    services(lab, plan)
}

fn mounts(lab: &Path, hierarchies: &[cgroups::Hierarchy]) -> Result<()> {
    let none = None::<&str>;
    // Nothing mounted here shows outside; inside, the kubelet's mounts reach the containers.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none)?;
    cgroup_mounts(hierarchies)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none)?;
    for folder in ["/var/lib", "/var/log"] {
        let own = lab.join("fs").join(folder.trim_start_matches('/').replace('/', "-"));
        fs::create_dir_all(&own)?;
        mount(Some(&own), folder, none, MsFlags::MS_BIND, none)?;
    }
    for folder in ["kubelet", "containerd", "cni"] {
        fs::create_dir_all(Path::new("/var/lib").join(folder))?;
    }
    fs::create_dir_all("/var/log/pods")?;
    for (index, (setting, value)) in MACHINE_SETTINGS.iter().enumerate() {
        if Path::new(setting).exists() {
            let copy = format!("/run/setting-{index}");
            fs::write(&copy, value)?;
            mount(Some(copy.as_str()), *setting, none, MsFlags::MS_BIND, none)?;
        }
    }
    Ok(())
}

/// Mounts the cgroup hierarchies anew: inside the namespace their roots are the lab's own groups.
fn cgroup_mounts(hierarchies: &[cgroups::Hierarchy]) -> Result<()> {
    let none = None::<&str>;
    let root = Path::new("/sys/fs/cgroup");
    if hierarchies.iter().any(|hierarchy| hierarchy.path == root) {
        mount(Some("cgroup2"), root, Some("cgroup2"), MsFlags::empty(), none)?;
        // cgroup v2 allows processes in leaves only, and the kubelet needs groups below the root.
        let system = root.join("system");
        fs::create_dir_all(&system)?;
        fs::write(system.join("cgroup.procs"), "0")?;
        cgroups::delegate(root);
        return Ok(());
    }
    mount(Some("tmpfs"), root, Some("tmpfs"), MsFlags::empty(), none)?;
    for hierarchy in hierarchies {
        fs::create_dir_all(&hierarchy.path)?;
        let (kind, options) = match hierarchy.unified {
            true => ("cgroup2", None),
            false => ("cgroup", Some(hierarchy.options.as_str())),
        };
        mount(Some(kind), &hierarchy.path, Some(kind), MsFlags::empty(), options)
            .with_context(|| format!("cannot mount {} ({})", hierarchy.path.display(), hierarchy.options))?;
    }
    Ok(())
}

fn network() -> Result<()> {
    for arguments in [
        "link set lo up",
        // An empty bridge carries the node's address: not every kernel has dummy devices.
        "link add node0 type bridge",
        &format!("address add {NODE_IP}/24 dev node0"),
        "link set node0 up",
        // Leads nowhere. It lets a Service's address pass the routing lookup, before kube-proxy's rules rewrite it.
        "route add default dev node0",
    ] {
        let status = Command::new("ip")
            .args(arguments.split(' '))
            .status()
            .context("cannot run ip")?;
        if !status.success() {
            bail!("ip {arguments} failed");
        }
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    Ok(())
}

/// Starts everything in the order in which it is needed, then stays to reap what ends.
fn services(lab: &Path, plan: &Plan) -> Result<()> {
    let mut running: Vec<(&'static str, Child)> = Vec::new();
    daemons::write_configuration(lab, plan)?;
    let mut start = |daemon: daemons::Daemon| -> Result<()> {
        let child = spawn(lab, &daemon)?;
        running.push((daemon.name, child));
        Ok(())
    };
    start(daemons::etcd())?;
    start(daemons::containerd())?;
    start(daemons::apiserver(lab))?;
    let images = import_images(plan.parts.images());
    wait_for_api(lab)?;
    println!("the API server is ready");
    for daemon in daemons::after_the_api(lab, plan) {
        start(daemon)?;
    }
    println!("the node's programs are started");
    // Joined before the reaping below begins: that would take the loader's children from under it.
    let count = images
        .join()
        .map_err(|_| anyhow::anyhow!("the loader of images panicked"))??;
    println!("{count} images are loaded");
    reap(&mut running)
}

fn spawn(lab: &Path, daemon: &daemons::Daemon) -> Result<Child> {
    let log = File::create(lab.join("logs").join(format!("{}.log", daemon.name)))?;
    Command::new(daemon.program)
        .args(&daemon.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", daemon.program))
}

fn import_images(images: Vec<(&'static str, PathBuf)>) -> thread::JoinHandle<Result<usize>> {
    thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !ctr(&["version"]).is_ok_and(|status| status) {
            if Instant::now() > deadline {
                bail!("containerd does not answer");
            }
            thread::sleep(Duration::from_millis(100));
        }
        for (reference, tar) in &images {
            let tar = tar.to_string_lossy();
            if !ctr(&["--namespace", "k8s.io", "images", "import", &tar])? {
                bail!("cannot import the image {reference}");
            }
        }
        Ok(images.len())
    })
}

fn ctr(arguments: &[&str]) -> Result<bool> {
    let output = Command::new("ctr").args(arguments).stdin(Stdio::null()).output()?;
    Ok(output.status.success())
}

fn wait_for_api(lab: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    let kubeconfig = lab.join("pki/admin.kubeconfig");
    loop {
        let ready = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(["get", "--raw", "/readyz", "--request-timeout=2s"])
            .output()?;
        if ready.status.success() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "the API server is not ready after 90 s; see {}",
                lab.join("logs/apiserver.log").display()
            );
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Process 1 inherits every orphan. A part of the node that ends is said once; the rest is silent.
fn reap(running: &mut Vec<(&'static str, Child)>) -> Result<()> {
    loop {
        match waitpid(None, Some(WaitPidFlag::empty())) {
            Ok(status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))) => {
                if let Some(index) = running.iter().position(|(_, child)| child.id() as i32 == pid.as_raw()) {
                    let (name, _) = running.remove(index);
                    println!("failed: {name} ended ({status:?})");
                }
            }
            Ok(_) => {}
            Err(nix::errno::Errno::ECHILD) => thread::sleep(Duration::from_secs(1)),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
