//! What scaling by lag is worth: how long a consumer takes for a backlog, with one pod and with those that its autoscaler
//! gives it. The autoscaler is as it is shipped; the controller looks each 5 s (docs/lab.md), and not each 15.

use std::time::Duration;

use anyhow::{Result, ensure};
use learnflow_tests::{SERVICES_NAMESPACE, Target, backlog};

use super::{
    figure::{Figure, TIMES},
    plugin::installed,
};
use crate::artifacts::step;

const EVENTS: usize = 10_000;
/// For each event, one after another: a pod alone has work for 400 s.
const MILLIS: u32 = 40;
const LIMIT: Duration = Duration::from_secs(600);

pub fn drain() -> Result<Vec<Figure>> {
    let (target, _) = installed()?;
    backlog::slow_consumer(target, MILLIS)?;
    // A group that has read nothing has no lag, not even none.
    backlog::publish(target, 1)?;
    install(target)?;
    let delete = ["--namespace", SERVICES_NAMESPACE, "delete", "hpa", "user-progress"];
    target.run_kubectl(&delete)?;
    let alone = step("10,000 events for one pod", || drained(target))?;
    install(target)?;
    let scaled = step("10,000 events for an autoscaler", || drained(target))?;
    Ok(vec![
        Figure::new("hpa.lag_drain", scaled / alone, TIMES).at_most(0.5),
        Figure::new("hpa.lag_drain.alone_s", alone, "s"),
        Figure::new("hpa.lag_drain.scaled_s", scaled, "s"),
    ])
}

fn install(target: &Target) -> Result<()> {
    let output = target.run_plugin(&["install"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.contains("user-progress (1 to 3 pods by CPU and lag)"),
        "{said}"
    );
    Ok(())
}

/// Seconds from the last event that was published to a lag of none, as it is told to autoscalers.
fn drained(target: &Target) -> Result<f64> {
    let lag = || backlog::lag(target);
    backlog::wait_until("no lag before", LIMIT, lag, |lag| *lag == Some(0))?;
    backlog::publish(target, EVENTS)?;
    let seen = backlog::wait_until("a backlog", LIMIT, lag, |lag| lag.is_some_and(|lag| lag > 0))?;
    let gone = backlog::wait_until("no lag", LIMIT, lag, |lag| *lag == Some(0))?;
    Ok((seen + gone).as_secs_f64())
}
