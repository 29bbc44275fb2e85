//! The stack's own programs with the configuration that is shipped, on loopback, without a cluster: the Collector's gateway and
//! agent, Prometheus, and promtool for its rules. `cargo xtask test` runs these; the programs are parts of the lab.

mod flood;
mod gateway;
mod otlp;
mod process;
mod prometheus;
mod rules;
mod shipped;
mod valid;

use std::sync::OnceLock;

use learnflow_lab::Parts;

fn parts() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let names = ["collector-gateway", "collector-agent", "prometheus"];
        learnflow_lab::parts(&names).expect("the parts of the lab that these tests run")
    })
}
