//! The host of guests that Dapr embeds, as a program: `tests/host`.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::artifacts::{self, root, step, target_folder};

/// The Go module that runs guests as daprd does.
const HOST: &str = "tests/host";

/// A guest that lets every call pass and looks at none.
///
/// ```wat
/// (module
///   (func $request (result i64) (i64.const 1))
///   (func $response (param i32 i32))
///   (memory 1)
///   (export "memory" (memory 0))
///   (export "handle_request" (func $request))
///   (export "handle_response" (func $response)))
/// ```
pub const NOOP: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x0a\x02\x60\0\x01\x7e\x60\x02\x7f\x7f\0\
    \x03\x03\x02\0\x01\
    \x05\x03\x01\0\x01\
    \x07\x2d\x03\x06memory\x02\0\x0ehandle_request\0\0\x0fhandle_response\0\x01\
    \x0a\x09\x02\x04\0\x42\x01\x0b\x02\0\x0b";

/// Builds it; Go's own cache makes that short but for the first time.
pub fn build() -> Result<PathBuf> {
    let host = std::path::absolute(target_folder())?.join("host/host");
    let mut build = Command::new("go");
    build
        .args(["build", "-mod=readonly", "-o"])
        .arg(&host)
        .arg(".")
        .current_dir(root().join(HOST))
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off");
    step("building Dapr's WebAssembly host", || artifacts::run(&mut build))
        .context("cannot build the host, which takes Go 1.26 or later")?;
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_one_that_daprd_embeds() {
        let read = |file: &str| std::fs::read_to_string(root().join(file)).expect(file);
        for file in ["go.mod", "go.sum"] {
            let daprd = read(&format!("tests/lab/parts/dapr/{file}"));
            let ours = read(&format!("{HOST}/{file}"));
            let pins: Vec<_> = ours.lines().map(pin).filter(|line| line.contains(" v")).collect();
            assert!(pins.len() >= 13, "{file}: {pins:?}");
            for line in pins {
                assert!(daprd.lines().any(|other| pin(other) == line), "{file}: {line}");
            }
        }
    }

    /// A module and its version, however it is required.
    fn pin(line: &str) -> &str {
        line.trim_start_matches("require ")
            .trim_end_matches("// indirect")
            .trim()
    }
}
