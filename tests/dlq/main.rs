//! `kubectl learnflow dlq` against dead letters that a real daprd has made in a real Kafka, without a cluster.

mod bench;
mod cluster;
mod letters;
mod replay;

use std::{process::ExitCode, sync::Arc};

use anyhow::Result;
use learnflow_tests::sidecar::Rig;
use libtest_mimic::{Arguments, Failed, Trial};

type Test = fn(&Rig) -> Result<()>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests: Vec<(&'static str, Test)> = [letters::TESTS, replay::TESTS, cluster::TESTS].concat();
    let chosen = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter));
    // Started here, since it ends with the thread that starts it.
    let rig = match !arguments.list && tests.iter().any(|(name, _)| chosen(name)) {
        true => match Rig::start() {
            Ok(rig) => Some(Arc::new(rig)),
            Err(error) => {
                eprintln!("no Kafka and daprd to test with: {error:#}");
                return ExitCode::from(2);
            }
        },
        false => None,
    };
    let trial = |(name, test): (&'static str, Test)| {
        let rig = rig.clone();
        Trial::test(name, move || {
            let rig = rig.ok_or("it was not expected to run")?;
            test(&rig).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).exit_code()
}
