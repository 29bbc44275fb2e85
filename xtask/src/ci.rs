//! `cargo xtask ci`: what the tests do not look at.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use learnflow_lab::{cache, progress};

use crate::{
    artifacts::{cargo, root, run_shown, step},
    wasm,
};

const CARGO_DENY: &str = "0.20.2";

pub fn run() -> Result<()> {
    check("cargo fmt", cargo().args(["fmt", "--all", "--check"]))?;
    // The plugin embeds the guest: it must be there before anything is compiled.
    let guest = step("building the middleware", wasm::build)?;
    check(
        "cargo clippy",
        cargo()
            .args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "--deny",
                "warnings",
            ])
            .env("LEARNFLOW_WASM", guest),
    )?;
    // Not `advisories`: they are fetched from a host that is no package registry.
    check(
        "cargo deny",
        Command::new(cargo_deny()?).current_dir(root()).args([
            "--log-level",
            "error",
            "check",
            "licenses",
            "bans",
            "sources",
        ]),
    )
}

fn check(name: &str, command: &mut Command) -> Result<()> {
    let (passed, _) = run_shown(name, command)?;
    if !passed {
        bail!("{name} found something");
    }
    progress::line(&format!("√ {name}"));
    Ok(())
}

/// cargo-deny at one version, installed beside the lab's parts.
fn cargo_deny() -> Result<PathBuf> {
    let folder = cache()?.join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        let mut install = cargo();
        install
            .args([
                "install",
                "cargo-deny",
                "--version",
                CARGO_DENY,
                "--locked",
                "--quiet",
                "--root",
            ])
            .arg(&folder)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        let (installed, _) = run_shown("installing cargo-deny", &mut install)?;
        if !installed {
            bail!("cannot install cargo-deny {CARGO_DENY}");
        }
        std::fs::remove_dir_all(folder.join("target")).context("cannot tidy up after cargo-deny")?;
    }
    Ok(program)
}
