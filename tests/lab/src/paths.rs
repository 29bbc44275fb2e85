//! Where the lab keeps its things.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// How much of the lab is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What the demo needs.
    Base,
    /// Also KWOK and metrics-server.
    Full,
}

/// How patient the controllers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Timings {
    /// Autoscalers look each 5 s: tests cannot wait for more.
    #[default]
    Short,
    /// As Kubernetes sets them: no flag of autoscaling is given, and metrics-server is as in its own manifest.
    Default,
}

/// `${XDG_CACHE_HOME:-~/.cache}/learnflow-lab`
pub fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|path| Path::new(path).is_absolute())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("no cache folder: set HOME or XDG_CACHE_HOME")?;
    let cache = base.join("learnflow-lab");
    // The node lays its own folders over these two, which would hide the cache from it.
    for hidden in ["/var/lib", "/var/log", "/run"] {
        if cache.starts_with(hidden) {
            bail!("the lab's cache cannot be below {hidden}: set XDG_CACHE_HOME to another folder");
        }
    }
    Ok(cache)
}

/// The folder of one lab: its state, its logs, its kubeconfig. Gone with `lab down`.
#[cfg(target_os = "linux")]
pub fn lab(name: &str) -> Result<PathBuf> {
    Ok(cache()?.join("labs").join(name))
}

/// The pinned inputs and manifests that lie in the source tree.
#[cfg(target_os = "linux")]
pub fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
