//! Finds the guest and the page that the plugin carries, and notices when they, a manifest, a rule or a board change.

use std::{env, fs, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let crate_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let workspace = crate_dir.parent().unwrap_or(&crate_dir);
    let guest =
        env::var_os("LEARNFLOW_WASM").map_or_else(|| workspace.join("target/wasm/learnflow.wasm"), PathBuf::from);
    println!("cargo::rerun-if-env-changed=LEARNFLOW_WASM");
    let files = [
        ("the guest", "LEARNFLOW_GUEST_FILE", guest.clone()),
        // Beside it: `cargo xtask wasm` builds all of them.
        (
            "the page's",
            "LEARNFLOW_PAGE_WASM",
            guest.with_file_name("learnflow-page.wasm"),
        ),
        (
            "the page's",
            "LEARNFLOW_PAGE_JS",
            guest.with_file_name("learnflow-page.js"),
        ),
    ];
    for embedded in ["manifests", "dashboards/rules", "dashboards/grafana"] {
        println!("cargo::rerun-if-changed={}", workspace.join(embedded).display());
    }
    for (whose, variable, file) in files {
        println!("cargo::rerun-if-changed={}", file.display());
        if !fs::metadata(&file).is_ok_and(|file| file.is_file() && file.len() > 0) {
            println!(
                "cargo::error={whose} {} is missing: run `cargo xtask wasm` first, \
                 or name a built guest in LEARNFLOW_WASM, with the page's files beside it",
                file.display()
            );
            return ExitCode::FAILURE;
        }
        println!("cargo::rustc-env={variable}={}", file.display());
    }
    ExitCode::SUCCESS
}
