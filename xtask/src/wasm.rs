//! `cargo xtask wasm`: the guests, from Rust to one small .wasm each, and what the page of the plugin runs in the browser.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::artifacts::{self, root, target_folder};

/// What runs in a host of its own kind.
struct Guest {
    /// The folder of the workspace that it is in.
    workspace: &'static str,
    package: &'static str,
    /// What it is called in `wasm` of the target folder.
    file: &'static str,
    /// If not the linker's own, 1 MiB.
    stack: Option<u32>,
    /// What Debian's Rust compiles of the standard library.
    build_std: &'static str,
    profile: &'static str,
}

/// Dapr's. A stack of 1 MiB, the default, would be sixteen pages of memory for each request under way.
const DAPR: Guest = Guest {
    workspace: "",
    package: "learnflow-http-wasm",
    file: "learnflow.wasm",
    stack: Some(16 * 1024),
    build_std: "core,panic_abort",
    profile: "wasm",
};

/// Envoy's. It has one memory for all the calls of a thread, and allocates.
const ENVOY: Guest = Guest {
    workspace: "",
    package: "learnflow-proxy-wasm",
    file: "learnflow-proxy-wasm.wasm",
    stack: Some(64 * 1024),
    build_std: "std,panic_abort",
    profile: "wasm",
};

/// The browser's, before wasm-bindgen has made the two files of it that the plugin carries.
const BROWSER: Guest = Guest {
    workspace: "",
    package: "learnflow-browser",
    file: "learnflow-page.bindgen.wasm",
    stack: None,
    build_std: "std,panic_abort",
    profile: "page",
};

/// Only for the bench: the host calls of a publish, and nothing else.
const FLOOR: Guest = Guest {
    workspace: "tests/host/guests",
    package: "floor",
    file: "floor.wasm",
    stack: Some(16 * 1024),
    build_std: "core,panic_abort",
    profile: "wasm",
};

/// Only for the bench: the same logic, with the crate `http-wasm-guest` and all as it comes.
const PEER: Guest = Guest {
    workspace: "tests/host/guests",
    package: "peer",
    file: "peer.wasm",
    stack: None,
    build_std: "std,panic_abort",
    profile: "wasm",
};

const TARGET: &str = "wasm32-unknown-unknown";

/// Of these, Debian's own Rust can build for WebAssembly.
const DEBIAN: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// The import that a panic left in the code would leave in the file: see `abi.rs` of the guest.
const PANIC: &[u8] = b"a_panic_is_left";

/// Builds the guests and says what came of them.
pub fn run() -> Result<()> {
    let page = build_page()?;
    println!("{}  {} bytes", page.display(), artifacts::size(&page)?);
    for file in [build_guest(&DAPR)?, build_for_envoy()?] {
        let wasm = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let pages = memory_pages(&wasm).context("the guest has no memory")?;
        let plural = if pages == 1 { "" } else { "s" };
        println!(
            "{}  {} bytes, {pages} page{plural} of memory",
            file.display(),
            wasm.len()
        );
    }
    Ok(())
}

/// Builds what the plugin carries into `wasm` of the target folder: the guest for Dapr, `learnflow.wasm`, which is returned, and
/// beside it what its page runs.
pub fn build() -> Result<PathBuf> {
    build_page()?;
    build_guest(&DAPR)
}

/// Builds `learnflow-page.wasm` and the script that loads it, `learnflow-page.js`.
pub fn build_page() -> Result<PathBuf> {
    let built = build_guest(&BROWSER)?;
    let mut output = Bindgen::new()
        .input_path(&built)
        .no_modules(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate_output()
        .context("wasm-bindgen cannot read what was built")?;
    let page = built.with_file_name("learnflow-page.wasm");
    write_if_new(&built.with_file_name("learnflow-page.js"), output.js().as_bytes())?;
    write_if_new(&page, &output.wasm_mut().emit_wasm())?;
    Ok(page)
}

/// Builds the one for Envoy, into `wasm/learnflow-proxy-wasm.wasm`.
pub fn build_for_envoy() -> Result<PathBuf> {
    build_guest(&ENVOY)
}

/// Builds what our guest is measured against, into `wasm/floor.wasm` and `wasm/peer.wasm`.
pub fn build_for_bench() -> Result<[PathBuf; 2]> {
    Ok([build_guest(&FLOOR)?, build_guest(&PEER)?])
}

/// Builds a guest into the target folder. A file that would not change is not touched.
fn build_guest(guest: &Guest) -> Result<PathBuf> {
    let target_folder = std::path::absolute(target_folder())?;
    let mut command = Toolchain::find()?.cargo(guest.build_std);
    command
        .current_dir(root().join(guest.workspace))
        .args([
            "rustc",
            "--quiet",
            "--locked",
            "--package",
            guest.package,
            "--lib",
            "--crate-type",
            "cdylib",
        ])
        .args(["--profile", guest.profile, "--target", TARGET, "--target-dir"])
        .arg(&target_folder);
    if let Some(stack) = guest.stack {
        command.args(["--", "-C"]).arg(format!("link-arg=-zstack-size={stack}"));
    }
    artifacts::run(&mut command).with_context(|| format!("cannot build {}", guest.package))?;

    let built = target_folder
        .join(TARGET)
        .join(guest.profile)
        .join(guest.package.replace('-', "_") + ".wasm");
    let wasm = fs::read(&built).with_context(|| format!("cargo did not write {}", built.display()))?;
    if wasm.windows(PANIC.len()).any(|part| part == PANIC) {
        bail!(
            "the guest could panic, and a guest that panics takes the sidecar down: {}",
            built.display()
        );
    }

    let folder = target_folder.join("wasm");
    fs::create_dir_all(&folder)?;
    let file = folder.join(guest.file);
    write_if_new(&file, &wasm)?;
    Ok(file)
}

/// A file that would not change is not touched: what is built of it is not built anew.
fn write_if_new(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    // Whoever reads it meanwhile sees the old one or the new one.
    let new = file.with_extension(format!("{}.new", std::process::id()));
    fs::write(&new, bytes).with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, file).with_context(|| format!("cannot write {}", file.display()))
}

/// What can compile for WebAssembly here.
enum Toolchain {
    /// The Rust that runs this, with the target installed.
    Own,
    /// Debian's, which brings the standard library as source.
    Debian,
}

impl Toolchain {
    fn find() -> Result<Self> {
        if own_has_target() {
            return Ok(Self::Own);
        }
        if succeeds(Command::new("rustup").args(["target", "add", TARGET])) && own_has_target() {
            return Ok(Self::Own);
        }
        if debian_is_installed() {
            return Ok(Self::Debian);
        }
        let apt_get = || {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        let install = || {
            succeeds(
                apt_get()
                    .args(["install", "--yes", "--no-install-recommends"])
                    .args(DEBIAN),
            )
        };
        if is_root() && (install() || succeeds(apt_get().arg("update")) && install()) && debian_is_installed() {
            return Ok(Self::Debian);
        }
        let packages = DEBIAN.join(" ");
        bail!(
            "Rust cannot compile for WebAssembly here. Install the target:\n  \
             rustup target add {TARGET}\n\
             or, on Debian, a Rust that brings it as source:\n  \
             sudo apt-get install {packages}"
        )
    }

    fn cargo(&self, build_std: &str) -> Command {
        match self {
            Self::Own => clean("cargo"),
            Self::Debian => {
                let mut command = clean("/usr/bin/cargo");
                // Its cargo is a stable one; the source of the standard library is as old as its compiler.
                command
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld")
                    .arg(format!("-Zbuild-std={build_std}"));
                command
            }
        }
    }
}

/// A program without what an outer cargo, clippy or user has set for native code.
fn clean(program: &str) -> Command {
    const NATIVE: [&str; 12] = [
        "CARGO_BUILD_",
        "CARGO_ENCODED_",
        "CARGO_MAKEFLAGS",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_UNSTABLE_",
        "MAKEFLAGS",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
    ];
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in env::vars_os() {
        if NATIVE.iter().any(|native| name.to_string_lossy().starts_with(native)) {
            command.env_remove(&name);
        }
    }
    command
}

fn own_has_target() -> bool {
    let sysroot = clean("rustc").args(["--print", "sysroot"]).output();
    sysroot.is_ok_and(|output| {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
        output.status.success() && sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    })
}

fn debian_is_installed() -> bool {
    Path::new("/usr/bin/cargo").exists() && succeeds(Command::new("dpkg-query").arg("--show").args(DEBIAN))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn succeeds(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// The pages that the memory begins with.
fn memory_pages(wasm: &[u8]) -> Option<u32> {
    const MEMORY: u8 = 5;
    let mut rest = wasm.strip_prefix(b"\0asm\x01\0\0\0")?;
    while let [id, tail @ ..] = rest {
        let (size, tail) = leb128(tail)?;
        let (section, tail) = tail.split_at_checked(usize::try_from(size).ok()?)?;
        if *id == MEMORY {
            let [_count, _limits, pages @ ..] = section else {
                return None;
            };
            return Some(leb128(pages)?.0);
        }
        rest = tail;
    }
    None
}

fn leb128(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let len = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at(len);
    let number = number
        .iter()
        .rev()
        .fold(0, |number, byte| number << 7 | u32::from(byte & 0x7f));
    Some((number, rest))
}
