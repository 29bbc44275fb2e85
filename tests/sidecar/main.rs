//! The middleware as it is shipped, in real sidecars with a real Kafka. `cargo xtask test` runs them before those on a
//! cluster.

mod envoy;
mod guests;
mod load;
mod messages;
mod records;
mod streams;
mod unchanged;
mod unloadable;

use std::{process::ExitCode, sync::Arc};

use anyhow::Result;
use learnflow_tests::sidecar::Rig;
use libtest_mimic::{Arguments, Failed, Trial};

type Test = fn(&Rig) -> Result<()>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests: Vec<_> = [
        unloadable::TESTS,
        streams::TESTS,
        unchanged::TESTS,
        records::TESTS,
        envoy::TESTS,
        messages::TESTS,
    ]
    .concat();
    let chosen = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter));
    // Started here, since it ends with the thread that starts it. Not at all if nobody asks for it.
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
    let trials = tests.into_iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
