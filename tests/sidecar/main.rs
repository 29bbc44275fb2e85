//! The middleware as it is shipped, in real sidecars with a real Kafka. `cargo xtask test` runs them before those on a
//! cluster.

mod counters;
mod envoy;
mod guests;
mod load;
mod messages;
mod records;
mod streams;
mod unchanged;
mod unloadable;

use std::process::ExitCode;

use learnflow_tests::sidecar::{Test, with_a_rig};

fn main() -> ExitCode {
    let tests = [
        unloadable::TESTS,
        streams::TESTS,
        unchanged::TESTS,
        records::TESTS,
        counters::TESTS,
        envoy::TESTS,
        messages::TESTS,
    ];
    with_a_rig(&tests.concat())
}
