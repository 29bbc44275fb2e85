//! The handle on a lab: bring it up, find it, use it, take it down.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use nix::{sys::signal::Signal, unistd::Pid};

use crate::{
    INSTEAD, Life,
    builder::{self, Parts},
    cgroups, keeper, kubectl,
    node::Plan,
    parts::DAPR,
    paths::{self, Scope, Timings},
    pki, progress, recipes,
};

/// A running lab.
#[derive(Debug, Clone)]
pub struct Lab {
    name: String,
    folder: PathBuf,
    parts: Parts,
}

/// Makes the parts that are missing in the cache.
pub fn build(scope: Scope) -> Result<Parts> {
    check_machine()?;
    builder::ensure(scope)
}

/// A few parts, built if they are missing. They run without a lab, and without root.
pub fn parts(names: &[&str]) -> Result<Parts> {
    builder::ensure_named(names)
}

impl Lab {
    /// Brings a lab up, building what is missing. A lab that is up already is used as it is.
    pub fn up(name: &str, scope: Scope, life: Life) -> Result<Lab> {
        Self::up_with(name, scope, Timings::Short, life)
    }

    pub fn up_with(name: &str, scope: Scope, timings: Timings, life: Life) -> Result<Lab> {
        check_name(name)?;
        check_machine()?;
        let parts = builder::ensure(scope)?;
        recipes::install(&missing_packages())?;
        let lab = Lab {
            name: name.to_owned(),
            folder: paths::lab(name)?,
            parts,
        };
        if is_running(name)? {
            progress::line(&format!("√ the lab `{name}` is already up"));
            return Ok(lab);
        }
        sweep()?;
        Self::down(name)?;
        let started = Instant::now();
        let result = lab.start(scope, timings, life).and_then(|()| lab.fill(scope));
        if let Err(error) = result {
            let logs = paths::cache()?.join("logs").join(format!("lab-{name}"));
            let _ = fs::remove_dir_all(&logs);
            let _ = fs::rename(lab.folder.join("logs"), &logs);
            Self::down(name)?;
            return Err(error.context(format!("the lab did not come up; its logs are in {}", logs.display())));
        }
        progress::line(&format!(
            "√ the lab `{name}` is up: Kubernetes, Dapr {DAPR} and Kafka in {}",
            progress::duration(started.elapsed())
        ));
        Ok(lab)
    }

    /// The running lab of this name.
    pub fn find(name: &str) -> Result<Option<Lab>> {
        check_name(name)?;
        check_machine()?;
        if !is_running(name)? {
            return Ok(None);
        }
        let plan: Plan = serde_json::from_slice(&fs::read(paths::lab(name)?.join("plan.json"))?)?;
        Ok(Some(Lab {
            name: name.to_owned(),
            folder: paths::lab(name)?,
            parts: plan.parts,
        }))
    }

    /// Ends a lab and removes everything of it, whatever is left of it. Nothing to do is fine.
    pub fn down(name: &str) -> Result<bool> {
        check_name(name)?;
        check_machine()?;
        let folder = paths::lab(name)?;
        let mut found = false;
        for file in ["node.pid", "keeper.pid"] {
            let Some(pid) = read_pid(&folder.join(file)) else {
                continue;
            };
            found = true;
            // The node first: the keeper then ends by itself, having cleaned up.
            if keeper::is_ours(pid, name) {
                if file == "node.pid" {
                    let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                wait_for_end(pid, name);
            }
        }
        if cgroups::exist(name) {
            found = true;
            cgroups::remove(name)?;
        }
        match fs::remove_dir_all(&folder) {
            Ok(()) => found = true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot remove {}", folder.display())),
        }
        Ok(found)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reaches the API server from this machine.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// `kubectl` of the lab's own version, pointed at the lab and at nothing else.
    pub fn kubectl(&self) -> Command {
        self.tool(self.parts.file("kubernetes", "kubectl"))
    }

    /// A program that talks to the lab's API server from this machine.
    pub fn tool(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("KUBECONFIG", self.kubeconfig())
            .env("PATH", self.path())
            .stdin(Stdio::null());
        command
    }

    /// A command that runs inside the lab's namespaces, as on its node.
    pub fn inside(&self, program: &str) -> Result<Command> {
        let pid = read_pid(&self.folder.join("node.pid")).context("the lab has no node")?;
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &pid.to_string()])
            .args(["--mount", "--net", "--uts", "--ipc", "--cgroup", "--pid", "--", program])
            .env("PATH", self.path())
            .env("KUBECONFIG", self.folder.join("pki/admin.kubeconfig"));
        Ok(command)
    }

    /// Makes an image (docker-archive) known to the node.
    pub fn load_image(&self, tar: &Path) -> Result<()> {
        let output = self
            .inside("ctr")?
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(tar)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            bail!(
                "cannot load {}: {}",
                tar.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn path(&self) -> String {
        let mut folders = self.parts.bin_folders();
        folders.extend(
            [
                "/usr/local/sbin",
                "/usr/local/bin",
                "/usr/sbin",
                "/usr/bin",
                "/sbin",
                "/bin",
            ]
            .map(PathBuf::from),
        );
        let folders: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
        folders.join(":")
    }

    /// Starts the keeper, and through it the node.
    fn start(&self, scope: Scope, timings: Timings, life: Life) -> Result<()> {
        fs::create_dir_all(self.folder.join("logs"))?;
        pki::write(&self.folder.join("pki"))?;
        let plan = Plan {
            path: self.path(),
            parts: self.parts.clone(),
            metrics_server: scope == Scope::Full,
            kwok: scope == Scope::Full,
            timings,
        };
        fs::write(self.folder.join("plan.json"), serde_json::to_vec_pretty(&plan)?)?;
        let log = File::create(self.folder.join("logs/keeper.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["lab", "__keeper", &self.name])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/");
        if life == Life::Tied {
            command.arg("--tied").stdin(Stdio::piped());
        }
        // SAFETY: setsid is async-signal-safe.
        unsafe {
            command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(std::io::Error::from));
        }
        let mut child = command.spawn()?;
        // Never closed by us: the kernel closes it when this process ends.
        std::mem::forget(child.stdin.take());
        fs::write(self.folder.join("keeper.pid"), child.id().to_string())?;
        self.follow(child)
    }

    /// Shows the node's progress until its images are loaded.
    fn follow(&self, mut keeper: std::process::Child) -> Result<()> {
        let started = Instant::now();
        let mut shown = 0;
        let mut said = Instant::now();
        loop {
            let text = fs::read_to_string(self.folder.join("progress")).unwrap_or_default();
            for line in text.lines().skip(shown) {
                shown += 1;
                said = Instant::now();
                if let Some(reason) = line.strip_prefix("failed: ") {
                    bail!("{reason}");
                }
                progress::line(&format!("… {}  {line}", progress::duration(started.elapsed())));
                if line.ends_with("images are loaded") {
                    return Ok(());
                }
            }
            if let Some(status) = keeper.try_wait()? {
                let log = fs::read_to_string(self.folder.join("logs/keeper.log")).unwrap_or_default();
                bail!("the lab ended ({status}): {}", log.trim());
            }
            if started.elapsed() > Duration::from_secs(180) {
                bail!("the node is not there after 3 minutes");
            }
            if said.elapsed() > progress::interval() {
                said = Instant::now();
                progress::waiting(&format!(
                    "… {}  starting the node",
                    progress::duration(started.elapsed())
                ));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Puts into the new cluster what any cluster of a LearnFlow user has: DNS, Dapr, Kafka.
    fn fill(&self, scope: Scope) -> Result<()> {
        let manifests = paths::sources().join("manifests");
        for name in ["coredns", "kafka"] {
            let manifest = fs::read_to_string(manifests.join(format!("{name}.yaml")))?;
            kubectl::apply(self.kubectl(), None, &manifest)?;
        }
        if scope == Scope::Full {
            let ca = STANDARD.encode(fs::read(self.folder.join("pki/ca.crt"))?);
            let manifest = fs::read_to_string(manifests.join("metrics-server.yaml"))?;
            kubectl::apply(self.kubectl(), None, &manifest.replace("@CA@", &ca))?;
        }
        let output = self
            .tool(self.parts.file("helm", "helm"))
            .args(["upgrade", "--install", "dapr"])
            .arg(self.parts.file("dapr-chart", ""))
            .args(["--namespace", "dapr-system", "--create-namespace"])
            .args(["--set", &format!("global.tag={DAPR}")])
            // Neither is used by pub/sub, and the scheduler cannot be built from the registries.
            .args(["--set", "global.scheduler.enabled=false,global.actors.enabled=false"])
            .output()?;
        if !output.status.success() {
            bail!("helm install dapr: {}", String::from_utf8_lossy(&output.stderr));
        }
        progress::line("… Dapr, Kafka and DNS are applied");
        let wait = |namespace: &str, workload: &str| {
            kubectl::wait_rolled_out(|| self.kubectl(), namespace, workload, Duration::from_secs(120))
        };
        wait("kube-system", "deployment/coredns")?;
        for deployment in ["dapr-operator", "dapr-sentry", "dapr-sidecar-injector"] {
            wait("dapr-system", &format!("deployment/{deployment}"))?;
        }
        wait("kafka", "statefulset/kafka")?;
        // Something of the node may have ended since.
        let text = fs::read_to_string(self.folder.join("progress"))?;
        match text.lines().find_map(|line| line.strip_prefix("failed: ")) {
            Some(reason) => bail!("{reason}"),
            None => Ok(()),
        }
    }
}

/// Removes what labs left whose keeper and node were killed.
fn sweep() -> Result<()> {
    let labs = paths::cache()?.join("labs");
    for entry in fs::read_dir(&labs).into_iter().flatten().flatten() {
        let dead =
            |file: &str, name: &str| read_pid(&entry.path().join(file)).is_some_and(|pid| !keeper::is_ours(pid, name));
        let name = entry.file_name().to_string_lossy().into_owned();
        if check_name(&name).is_ok() && dead("keeper.pid", &name) && dead("node.pid", &name) {
            Lab::down(&name)?;
        }
    }
    Ok(())
}

/// Lower-case letters, digits and dashes: a lab's name becomes part of paths and cgroups.
fn check_name(name: &str) -> Result<()> {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 20 || !name.bytes().all(valid) {
        bail!("`{name}` cannot be the name of a lab: use up to 20 lower-case letters, digits and dashes");
    }
    Ok(())
}

fn check_machine() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the lab makes namespaces, mounts and cgroups, which takes root: run this with sudo. {INSTEAD}");
    }
    Ok(())
}

fn missing_packages() -> Vec<&'static str> {
    [
        ("ip", "iproute2"),
        ("iptables", "iptables"),
        ("conntrack", "conntrack"),
        ("nsenter", "util-linux"),
    ]
    .into_iter()
    .filter(|(program, _)| !recipes::on_path(program))
    .map(|(_, package)| package)
    .collect()
}

fn is_running(name: &str) -> Result<bool> {
    let folder = paths::lab(name)?;
    Ok(["keeper.pid", "node.pid"]
        .iter()
        .all(|file| read_pid(&folder.join(file)).is_some_and(|pid| keeper::is_ours(pid, name))))
}

fn read_pid(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn wait_for_end(pid: i32, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while keeper::is_ours(pid, name) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    if keeper::is_ours(pid, name) {
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
