//! `install` is killed (SIGKILL) at 50 moments and run again: it converges each time to what an installation makes that nobody
//! interrupts. Long, and by name only: `cargo xtask test kills`.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use learnflow_tests::Target;

use crate::{Test, expect, state::State};

pub const TESTS: &[(&str, Test)] = &[
    ("kills::of_the_stack", of_the_stack),
    ("kills::of_an_enrolment", of_an_enrolment),
    ("kills::of_everything", of_everything),
];

/// From nothing: the stack alone.
fn of_the_stack(target: &Target) -> Result<()> {
    target.deploy_services()?;
    killed_evenly(
        target,
        &["install", "--skip=middleware,resilience,autoscaling"],
        &["uninstall"],
        26,
    )
}

/// The stack is there: one service comes in, with policies and its autoscaler.
fn of_an_enrolment(target: &Target) -> Result<()> {
    target.deploy_services()?;
    expect(target, &["install", "--skip=middleware,resilience,autoscaling"], 0)?;
    let install = ["install", "--exclude=frontend,user-progress"];
    killed_evenly(target, &install, &["unenroll", "course-agent"], 20)?;
    expect(target, &["uninstall"], 0).map(|_| ())
}

/// From nothing to everything, with all three services.
fn of_everything(target: &Target) -> Result<()> {
    target.deploy_services()?;
    killed_evenly(target, &["install"], &["uninstall", "--unenroll"], 4)
}

/// Kills `install` in the middle of each of `moments` equal parts of the time it takes, from what is there now; runs it again, and
/// takes it back with `back`.
fn killed_evenly(target: &Target, install: &[&str], back: &[&str], moments: u32) -> Result<()> {
    let before = State::of(target)?;
    let began = Instant::now();
    expect(target, install, 0)?;
    let whole = began.elapsed();
    let wanted = State::of(target)?;
    expect(target, back, 0)?;
    State::of(target)?.must_be(&before)?;
    for number in 0..moments {
        let moment = whole * (2 * number + 1) / (2 * moments);
        let killed = kill_after(&mut target.plugin(install), moment)?;
        let again = Instant::now();
        expect(target, install, 0)?;
        let again = again.elapsed();
        State::of(target)?.must_be(&wanted)?;
        expect(target, back, 0)?;
        State::of(target)?.must_be(&before)?;
        let how = if killed { "killed" } else { "had ended" };
        eprintln!(
            "    {}/{moments}: {how} after {moment:.1?} of {whole:.1?}, run again in {again:.1?}, converged",
            number + 1
        );
    }
    Ok(())
}

/// False when it had ended before.
fn kill_after(command: &mut Command, moment: Duration) -> Result<bool> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let began = Instant::now();
    while began.elapsed() < moment {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "it failed before it was killed: {status}");
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(true)
}
