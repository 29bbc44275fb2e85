//! Tests that share one rig, as a program of its own.

use std::{process::ExitCode, sync::Arc};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

use super::Rig;

pub type Test = fn(&Rig) -> Result<()>;

/// Runs those that the command line asks for, with a Kafka of their own.
pub fn with_a_rig(tests: &[(&'static str, Test)]) -> ExitCode {
    let arguments = Arguments::from_args();
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
    let trial = |&(name, test): &(&'static str, Test)| {
        let rig = rig.clone();
        Trial::test(name, move || {
            let rig = rig.ok_or("it was not expected to run")?;
            test(&rig).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    libtest_mimic::run(&arguments, tests.iter().map(trial).collect()).exit_code()
}
