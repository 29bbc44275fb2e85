//! The harness. For a cluster: which one is meant, LearnFlow's services on it, load, and the three places where an event can
//! be seen again (Prometheus, spans, the sidecars' logs). Without one: real sidecars, Kafka and Envoy as processes.

pub mod autoscaling;
pub mod backlog;
pub mod boards;
pub mod browser;
pub mod envoy;
pub mod exposition;
pub mod grpc;
pub mod http;
#[cfg(target_os = "linux")]
mod load;
pub mod pictures;
pub mod pki;
pub mod process;
mod prometheus;
pub mod sidecar;
mod spans;
mod target;
mod timeline;
mod traffic;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

#[cfg(target_os = "linux")]
pub use load::{Failure, Load, Tally};
pub use prometheus::{Prometheus, Sample, Series};
pub use spans::{Span, read_spans, spans_by};
pub use target::{AGENT_NAMESPACE, OUR_NAMESPACES, PortForward, SERVICES_NAMESPACE, STACK_NAMESPACE, Target};
pub use timeline::Timeline;
pub use traffic::{Frontend, Progress, progress_of, records};

/// What `cargo xtask wasm` has built last, or what a variable names.
fn released(variable: &str, name: &str) -> Result<PathBuf> {
    let built = || {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
        target.join("wasm").join(name)
    };
    let file = std::env::var_os(variable).map_or_else(built, PathBuf::from);
    ensure!(file.exists(), "{}: run `cargo xtask wasm` first", file.display());
    Ok(std::path::absolute(file)?)
}
