//! Finds the guest that the plugin carries, and notices when it, a manifest, a rule or a board changes.

use std::{env, fs, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let crate_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let workspace = crate_dir.parent().unwrap_or(&crate_dir);
    let guest =
        env::var_os("LEARNFLOW_WASM").map_or_else(|| workspace.join("target/wasm/learnflow.wasm"), PathBuf::from);
    println!("cargo::rerun-if-env-changed=LEARNFLOW_WASM");
    println!("cargo::rerun-if-changed={}", guest.display());
    for embedded in ["manifests", "dashboards/rules", "dashboards/grafana"] {
        println!("cargo::rerun-if-changed={}", workspace.join(embedded).display());
    }

    match fs::metadata(&guest) {
        Ok(file) if file.is_file() && file.len() > 0 => {
            println!("cargo::rustc-env=LEARNFLOW_GUEST_FILE={}", guest.display());
            ExitCode::SUCCESS
        }
        _ => {
            println!(
                "cargo::error=the guest {} is missing: run `cargo xtask wasm` first, \
                 or name a built one in LEARNFLOW_WASM",
                guest.display()
            );
            ExitCode::FAILURE
        }
    }
}
