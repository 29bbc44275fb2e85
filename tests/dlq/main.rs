//! `kubectl learnflow dlq`, and `trace`, against dead letters that a real daprd has made in a real Kafka, without a cluster.

mod bench;
mod cluster;
mod letters;
mod replay;
mod trace;

use std::process::ExitCode;

use learnflow_tests::sidecar::{Test, with_a_rig};

fn main() -> ExitCode {
    with_a_rig(&[letters::TESTS, replay::TESTS, cluster::TESTS, trace::TESTS].concat())
}
