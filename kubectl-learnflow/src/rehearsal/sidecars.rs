//! The guest in each sidecar, and the log that it writes into.

use super::{Line, PODS, Pod, later, script::Call};
use crate::assets;
use learnflow_flow::Time;
use learnflow_host::{Clock, Error, Middleware, Module};
use std::time::Duration;

/// What daprd puts around a message of this component.
const COMPONENT: &str = "learnflow (middleware.http.wasm/v1)";
/// Of a machine that has been up for a while.
const UPTIME: Duration = Duration::from_secs(1000);

pub(super) struct Sidecars(Vec<Middleware>);

impl Sidecars {
    pub(super) fn new() -> Result<Self, Error> {
        let module = Module::new(assets::guest())?;
        // As `install` configures it: not at all.
        let made = PODS.iter().map(|_| Middleware::new(&module, b"", Clock::default()));
        made.collect::<Result<_, _>>().map(Self)
    }

    /// What they log, in the order of time. A guest keeps nothing of a call but until its answer, so that calls which overlap may
    /// pass it one after the other.
    pub(super) fn play(&mut self, calls: Vec<Call>, start: Time) -> Result<Vec<Line>, Error> {
        let mut lines = Vec::new();
        for call in calls {
            let Some((middleware, pod)) = self.0.get_mut(call.pod).zip(PODS.get(call.pod)) else {
                continue;
            };
            let (begun, ended) = (call.at, call.at + call.took);
            let answer = call.answer;
            let served = middleware.serve(call.request, clock(start, begun), |_| (answer, clock(start, ended)))?;
            let at = later(start, ended);
            let of_it = served.lines.iter().map(|line| Line {
                at,
                pod: call.pod,
                text: logged(&line.text, at, pod),
            });
            lines.extend(of_it);
        }
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}

fn clock(start: Time, since: Duration) -> Clock {
    Clock {
        wall: u64::try_from(later(start, since).0).unwrap_or_default(),
        monotonic: u64::try_from((UPTIME + since).as_nanos()).unwrap_or(u64::MAX),
        step: 0,
    }
}

/// In daprd's text format.
fn logged(record: &str, at: Time, pod: &Pod) -> String {
    let time = at.rfc3339();
    let record = record.replace('\\', r"\\").replace('"', "\\\"");
    let Pod { app, name } = pod;
    format!(
        "time=\"{time}\" level=info msg=\"{record}\" app_id={app} component=\"{COMPONENT}\" instance={name} \
         scope=dapr.runtime type=log ver=rehearsal\n"
    )
}
