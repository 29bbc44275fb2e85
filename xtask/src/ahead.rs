//! What the tests on a cluster need, built while others run that mostly wait. It gets only the time of the processors that nobody
//! else wants (`SCHED_IDLE`), so that it disturbs no test.

use std::{
    env,
    process::{Child, Command, Stdio},
};

use anyhow::Result;
use learnflow_lab::Scope;

use crate::artifacts::{self, step};

/// The verb of this program that builds it.
pub const VERB: &str = "__ahead";

/// A build under way. Whatever it does not achieve is built, or fails with its error, where it is needed.
#[derive(Debug)]
pub struct Ahead(Option<Child>);

pub fn start() -> Ahead {
    let build = || {
        Command::new("chrt")
            .args(["--idle", "0"])
            .arg(env::current_exe().ok()?)
            .arg(VERB)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()
    };
    Ahead(build())
}

impl Ahead {
    pub fn finish(mut self) -> Result<()> {
        let Some(mut child) = self.0.take() else { return Ok(()) };
        step("building what the tests on a cluster need", || {
            Ok(child.wait().map(|_| ())?)
        })
    }
}

/// A test that fails early does not leave it behind.
impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn run() -> Result<()> {
    artifacts::plugin()?;
    artifacts::services_image()?;
    learnflow_lab::build(Scope::Full).map(|_| ())
}
