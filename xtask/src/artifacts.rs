//! What the demo and the tests are run with: the plugin and the image of LearnFlow's services, as they are shipped.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use learnflow_lab::progress;

use crate::wasm;

const SERVICES: &[&str] = &["frontend", "course-agent", "user-progress"];

const SILENCE: Duration = Duration::from_secs(9);

/// The top of the source tree.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `cargo`, from the top of the tree, without what an outer cargo set for this program alone.
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST") || name == "CARGO" {
            command.env_remove(&*name);
        }
    }
    command
}

/// The release plugin, with the guest and the manifests inside.
pub fn plugin() -> Result<PathBuf> {
    let guest = step("building the middleware (WebAssembly)", wasm::build)?;
    let mut command = cargo();
    command
        .args(["build", "--release", "--quiet", "--package", "kubectl-learnflow"])
        .env("LEARNFLOW_WASM", guest);
    step("building kubectl-learnflow", || run(&mut command))?;
    Ok(target_folder().join("release/kubectl-learnflow"))
}

/// A plugin that carries another guest, for tests of upgrades: the same code with one more custom section, which means nothing.
pub fn later_plugin(guest: &Path) -> Result<PathBuf> {
    // With one byte in it: wazero refuses an empty one at the end of a file.
    const SECTION: &[u8] = b"\x00\x07\x05later\x00";
    let later = target_folder().join("wasm/learnflow-later.wasm");
    let bytes = [&fs::read(guest)?, SECTION].concat();
    // Only what has changed is written: the plugin is built anew for a newer file.
    if fs::read(&later).ok().as_ref() != Some(&bytes) {
        fs::write(&later, bytes)?;
    }
    let mut command = cargo();
    command
        .args(["build", "--quiet", "--package", "kubectl-learnflow"])
        .env("LEARNFLOW_WASM", later);
    step("building a later kubectl-learnflow", || run(&mut command))?;
    let plugin = target_folder().join("debug/kubectl-learnflow");
    let kept = target_folder().join("debug/kubectl-learnflow-later");
    fs::copy(plugin, &kept)?;
    Ok(kept)
}

/// The image of LearnFlow's services: static programs, nothing else.
pub fn services_image() -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = cargo();
    command
        .args([
            "build",
            "--profile",
            "services",
            "--quiet",
            "--package",
            "learnflow-services",
            "--target",
            &triple,
        ])
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    step("building LearnFlow's services", || run(&mut command))?;
    let folder = target_folder().join(triple).join("services");
    let names: Vec<_> = SERVICES.iter().map(|name| format!("bin/{name}")).collect();
    let files: Vec<_> = SERVICES
        .iter()
        .zip(&names)
        .map(|(service, name)| (folder.join(service), name.as_str()))
        .collect();
    let image = target_folder().join("services-image.tar");
    learnflow_lab::write_image("ghcr.io/learnflow/services:0.1.0", &["/bin/frontend"], &files, &image)?;
    Ok(image)
}

/// Runs a command quietly; an error shows all that it said.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().context("cannot run a command")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// Runs a command and shows what it prints, as it comes; returns it too. Never silent for more than ten seconds.
pub fn run_shown(title: &str, command: &mut Command) -> Result<(bool, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run a command")?;
    let mut stdout = child.stdout.take().context("its output")?;
    let (sender, parts) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stdout.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    let mut output = Vec::new();
    loop {
        match parts.recv_timeout(SILENCE) {
            Ok(part) => {
                std::io::stdout().write_all(&part)?;
                std::io::stdout().flush()?;
                output.extend(part);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                progress::line(&format!("… {}  {title}", progress::duration(started.elapsed())));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let _ = reader.join();
    Ok((child.wait()?.success(), String::from_utf8_lossy(&output).into_owned()))
}

/// Does something that may take long, saying now and then that it still does.
pub fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let (done, waiting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while waiting.recv_timeout(progress::interval()) == Err(mpsc::RecvTimeoutError::Timeout) {
                progress::waiting(&format!("… {}  {title}", progress::duration(started.elapsed())));
            }
        });
        let result = work();
        drop(done);
        progress::done_waiting();
        result
    })
}

/// Size of a file in bytes.
pub fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len())
}
