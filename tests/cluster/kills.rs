//! `install` is killed (SIGKILL) at 50 moments and run again: it converges each time to what an installation makes that nobody
//! interrupts. Long, and by name only: `cargo xtask test kills`.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, STACK_NAMESPACE, Target};

use crate::{Test, state::State};

pub const TESTS: &[(&str, Test)] = &[
    ("kills::of_the_stack", of_the_stack),
    ("kills::of_an_enrolment", of_an_enrolment),
];

/// One of LearnFlow's services, with what it needs.
const SERVICE: [&str; 2] = [
    include_str!("../services/k8s/pubsub.yaml"),
    include_str!("../services/k8s/course-agent.yaml"),
];
/// Enrolments at the same time, each in a namespace of its own: they mostly wait.
const AT_ONCE: u32 = 3;

/// From nothing each time: the stack alone.
fn of_the_stack(target: &Target) -> Result<()> {
    const MOMENTS: u32 = 26;
    let install = ["install", "--skip=middleware,resilience,autoscaling"];
    target.deploy_services()?;
    let remove = || -> Result<()> {
        run(&mut target.plugin(&["uninstall", "--unenroll"]))?;
        let left = target.run_kubectl(&["get", "namespace", STACK_NAMESPACE, "--ignore-not-found"])?;
        ensure!(
            left.is_empty(),
            "it was not removed: the next one would not begin from nothing"
        );
        Ok(())
    };
    let before = State::of(target, SERVICES_NAMESPACE)?;
    let began = Instant::now();
    run(&mut target.plugin(&install))?;
    let whole = began.elapsed();
    let wanted = State::of(target, SERVICES_NAMESPACE)?;
    remove()?;
    for number in 0..MOMENTS {
        Moment::new(number, MOMENTS, whole).kill(|| target.plugin(&install))?;
        State::of(target, SERVICES_NAMESPACE)?.must_be(&wanted)?;
        remove()?;
    }
    State::of(target, SERVICES_NAMESPACE)?.must_be(&before)
}

/// A service with middleware and policies, without a stack: in a new namespace each time.
fn of_an_enrolment(target: &Target) -> Result<()> {
    const MOMENTS: u32 = 24;
    let install = ["install", "--only=middleware,resilience"];
    let fresh = |name: &str| -> Result<()> {
        let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        target.apply(Some(name), &[&namespace, SERVICE[0], SERVICE[1]].join("---\n"))?;
        target.wait_rolled_out(name, "deployment/course-agent")
    };
    let delete = |name: &str| target.run_kubectl(&["delete", "namespace", name]);
    // As many at once as later, or the moments would not be spread over all of it.
    let uninterrupted = |number: u32| -> Result<(Duration, State)> {
        let name = format!("uninterrupted-{number}");
        fresh(&name)?;
        let began = Instant::now();
        run(&mut target.plugin_in(&name, &install))?;
        let whole = began.elapsed();
        let state = State::of(target, &name)?;
        delete(&name)?;
        Ok((whole, state))
    };
    let mut first = at_once(uninterrupted)?;
    let whole = first.iter().map(|(took, _)| *took).sum::<Duration>() / AT_ONCE;
    let (_, wanted) = first.remove(0);
    for (_, other) in &first {
        other.must_be(&wanted)?;
    }
    let next = AtomicU32::new(0);
    at_once(|_| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= MOMENTS {
                return Ok(());
            }
            let name = format!("interrupted-{number}");
            fresh(&name)?;
            Moment::new(number, MOMENTS, whole).kill(|| target.plugin_in(&name, &install))?;
            State::of(target, &name)?.must_be(&wanted)?;
            delete(&name)?;
        }
    })?;
    Ok(())
}

fn at_once<T: Send>(act: impl Fn(u32) -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = (0..AT_ONCE).map(|number| scope.spawn(move || act(number))).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|ended| ended.map_err(|_| anyhow!("a thread panicked"))?)
            .collect()
    })
}

/// The middle of one of so many equal parts of the time that it all takes.
struct Moment {
    number: u32,
    of: u32,
    at: Duration,
    whole: Duration,
}

impl Moment {
    fn new(number: u32, of: u32, whole: Duration) -> Self {
        // Not to the very end: one that is a little quicker than the first would have ended.
        let at = whole * 19 / 20 * (2 * number + 1) / (2 * of);
        Self { number, of, at, whole }
    }

    /// Kills it at that moment, and runs it again to its end.
    fn kill(&self, install: impl Fn() -> Command) -> Result<()> {
        let mut child = install().stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let began = Instant::now();
        while began.elapsed() < self.at && child.try_wait()?.is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        let ended = child.try_wait()?;
        child.kill()?;
        child.wait()?;
        let again = Instant::now();
        run(&mut install())?;
        let how = match ended {
            // It was quicker than the first one: then nothing was interrupted, and nothing must be left to do.
            Some(status) => format!("had ended ({status})"),
            None => "killed".to_owned(),
        };
        eprintln!(
            "    {}/{}: {how} after {:.1?} of {:.1?}, run again in {:.1?}",
            self.number + 1,
            self.of,
            self.at,
            self.whole,
            again.elapsed()
        );
        Ok(())
    }
}

fn run(command: &mut Command) -> Result<()> {
    let ended = command.output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{command:?}: {}: {said}", ended.status);
    Ok(())
}
