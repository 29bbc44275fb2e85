//! One cgroup a lab in every hierarchy of this machine. Inside the lab's cgroup namespace it is the root, so that the
//! kubelets of two labs never meet.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// A mounted cgroup hierarchy: where, and with which options.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    pub path: PathBuf,
    pub unified: bool,
    pub options: String,
}

/// Options that say how a hierarchy is mounted, not which one it is.
const GENERIC_OPTIONS: &[&str] = &[
    "rw",
    "ro",
    "relatime",
    "nosuid",
    "nodev",
    "noexec",
    "nsdelegate",
    "xattr",
];

pub fn hierarchies() -> Result<Vec<Hierarchy>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let [_, path, kind @ ("cgroup" | "cgroup2"), options, ..] = fields[..] else {
            continue;
        };
        if found.iter().any(|other| other.path == Path::new(path)) {
            continue;
        }
        found.push(Hierarchy {
            path: path.into(),
            unified: kind == "cgroup2",
            options: options
                .split(',')
                .filter(|option| !GENERIC_OPTIONS.contains(option) && !option.starts_with("release_agent"))
                .collect::<Vec<_>>()
                .join(","),
        });
    }
    if found.is_empty() {
        bail!("no cgroup file system is mounted below /sys/fs/cgroup: the kubelet needs one");
    }
    Ok(found)
}

fn name_of(lab: &str) -> String {
    format!("learnflow-lab-{lab}")
}

/// Makes the lab's cgroups and moves the calling process into them.
pub fn enter(lab: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let cgroup = hierarchy.path.join(name_of(lab));
        fs::create_dir_all(&cgroup).with_context(|| format!("cannot make {}", cgroup.display()))?;
        if hierarchy.unified {
            delegate(&hierarchy.path);
        }
        // A new cpuset is empty, and nothing can enter an empty one.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !hierarchy.unified && cgroup.join(file).exists() {
                let inherited = fs::read(hierarchy.path.join(file))?;
                fs::write(cgroup.join(file), inherited)?;
            }
        }
        fs::write(cgroup.join("cgroup.procs"), "0").with_context(|| format!("cannot enter {}", cgroup.display()))?;
    }
    Ok(())
}

/// cgroup v2: hands every controller on to the groups below; what the kernel refuses stays off.
pub fn delegate(cgroup: &Path) {
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(cgroup.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Removes the lab's cgroups, deepest first. Their processes are ending: waits for them a little.
pub fn remove(lab: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    for hierarchy in hierarchies()? {
        let cgroup = hierarchy.path.join(name_of(lab));
        while cgroup.exists() {
            remove_below(&cgroup);
            if Instant::now() > deadline {
                bail!("{} is still in use", cgroup.display());
            }
            if cgroup.exists() {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
    Ok(())
}

fn remove_below(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}

/// Whether a lab of this name left cgroups behind.
pub fn exist(lab: &str) -> bool {
    hierarchies().is_ok_and(|all| all.iter().any(|hierarchy| hierarchy.path.join(name_of(lab)).exists()))
}
