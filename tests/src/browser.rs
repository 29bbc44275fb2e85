//! A real Chromium, driven by playwright-core: the one driver that is kept by people who make browsers, and it has no
//! dependencies. Chromium comes from Debian, the driver from npm, at the version that stands in `tests/page`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use learnflow_lab::{cache, install_packages, on_path};
use serde::de::DeserializeOwned;

use crate::process::Folder;

const LOCK: &str = include_str!("../page/package-lock.json");
const PACKAGE: &str = include_str!("../page/package.json");

#[derive(Debug)]
pub struct Browser {
    modules: PathBuf,
    /// Where the browser keeps what it keeps: a new one for each value.
    home: Folder,
}

impl Browser {
    /// Installs what is missing.
    pub fn find() -> Result<Self> {
        let mut packages = Vec::new();
        for (program, package) in [("chromium", "chromium"), ("node", "nodejs"), ("npm", "npm")] {
            if !on_path(program) {
                packages.push(package);
            }
        }
        install_packages(&packages)?;
        Ok(Self {
            modules: driver()?,
            home: Folder::new()?,
        })
    }

    /// Runs a case of `tests/page/drive.mjs`; what it saw.
    pub fn see<T: DeserializeOwned>(&self, case: &str, arguments: &[&str]) -> Result<T> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("page/drive.mjs");
        let mut node = Command::new("node");
        node.arg(script).arg(case).args(arguments);
        node.env("LEARNFLOW_PLAYWRIGHT", self.modules.join("playwright-core"));
        node.env("LEARNFLOW_BROWSER_HOME", self.home.path());
        let output = learnflow_lab::tie(&mut node).output().context("cannot run node")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{case}:\n{said}");
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{case}: {}\n{said}", String::from_utf8_lossy(&output.stdout)))
    }
}

/// The folder of the driver's packages, in the cache.
fn driver() -> Result<PathBuf> {
    let lock: serde_json::Value = serde_json::from_str(LOCK)?;
    let version = lock["packages"]["node_modules/playwright-core"]["version"].as_str();
    let version = version.context("the lock names no version of playwright-core")?;
    let folder = cache()?.join("tools").join(format!("playwright-core-{version}"));
    let modules = folder.join("node_modules");
    if !modules.join("playwright-core/package.json").exists() {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("package.json"), PACKAGE)?;
        fs::write(folder.join("package-lock.json"), LOCK)?;
        let mut npm = Command::new("npm");
        npm.current_dir(&folder)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        let output = npm.output().context("cannot run npm")?;
        if !output.status.success() {
            bail!(
                "npm cannot install playwright-core {version}:\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    Ok(modules)
}
