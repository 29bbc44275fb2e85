//! After enrolling: does every sidecar really run the middleware? One that does not is restarted
//! once, which mends a sidecar that started while something was missing.

use super::{
    applier::patiently,
    enrol,
    enrolled_sidecars::{EnrolledSidecars, Seen},
};
use crate::{
    cluster::{Cluster, Workload},
    enrolment::{Enrolments, Entry},
    model::{Outcome, Service},
    objects::ObjectRef,
    printer::{Mark, Printer},
    problem::{Kind, Problem},
    text,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

/// A scrape or two after the last pod came up.
const FIRST_SCRAPE: Duration = Duration::from_secs(60);

/// What was seen in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// All of them run the middleware, or nobody may look.
    Well,
    /// Some give no metrics, so it cannot be told.
    Silent,
    /// Some surely run without.
    Without,
}

impl Confirmed {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Well => Outcome::Good,
            Self::Silent | Self::Without => Outcome::Bad,
        }
    }
}

/// Sidecars that are not known to run the middleware.
#[derive(Debug, Default)]
struct Lacking {
    /// Positions in the list of services.
    services: Vec<usize>,
    pods: Vec<String>,
    /// Waiting may still help.
    pending: bool,
    /// How many there are in all.
    all: usize,
}

/// There is a Prometheus that scrapes the sidecars for us.
pub(super) async fn is_measured(cluster: &Cluster, timeout: Duration, printer: &Printer) -> Result<bool, Problem> {
    let there = async || cluster.keeper().await;
    if patiently(timeout, printer, there).await?.is_some() {
        return Ok(true);
    }
    let what = "Whether sidecars load the middleware cannot be seen: no Prometheus was chosen";
    printer.step(Mark::Warn, what);
    printer.hint("Install it with `kubectl learnflow install`.");
    Ok(false)
}

pub(super) async fn all(
    cluster: &Cluster,
    enrolments: &Enrolments,
    timeout: Duration,
    printer: &Printer,
) -> Result<Confirmed, Problem> {
    let mut restarted = false;
    loop {
        let lacking = match watch(cluster, enrolments, timeout, printer).await {
            Ok(lacking) => lacking,
            // Everything is applied; only the look at it is refused.
            Err(problem) if problem.kind == Kind::Forbidden => {
                printer.step(
                    Mark::Warn,
                    &format!("Cannot see whether the middleware runs: {problem}"),
                );
                return Ok(Confirmed::Well);
            }
            Err(problem) => return Err(problem),
        };
        if lacking.pods.is_empty() {
            let sidecars = text::count(lacking.all, "sidecar");
            printer.step(Mark::Good, &format!("{sidecars} with the middleware, giving metrics"));
            return Ok(Confirmed::Well);
        }
        let what = if lacking.pending {
            "no metrics yet from"
        } else {
            "without the middleware:"
        };
        let what = format!("{what} {}", text::list(&lacking.pods));
        if restarted {
            printer.step(Mark::Bad, &what);
            printer.hint(&format!(
                "See `kubectl -n {} logs POD -c daprd` for why, and `kubectl learnflow status`.",
                cluster.namespace
            ));
            return Ok(lacking.confirmed());
        }
        printer.step(Mark::Warn, &format!("{what}; restarting"));
        let lost: Vec<Entry> = lacking
            .services
            .iter()
            .map(|&n| restart(&enrolments.entries[n]))
            .collect();
        if enrol::all(cluster, &lost, timeout, printer).await? == Outcome::Bad {
            // Undone already, and said.
            return Ok(Confirmed::Silent);
        }
        restarted = true;
    }
}

impl Lacking {
    fn confirmed(&self) -> Confirmed {
        if self.pending {
            Confirmed::Silent
        } else {
            Confirmed::Without
        }
    }
}

/// The same service, to be enrolled with a mark that makes its pods roll.
fn restart(entry: &Entry) -> Entry {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut again = entry.clone();
    again.service.restarted = Some(now.as_secs().to_string());
    again
}

/// Waits until every sidecar is known to run the middleware, or not to.
async fn watch(
    cluster: &Cluster,
    enrolments: &Enrolments,
    timeout: Duration,
    printer: &Printer,
) -> Result<Lacking, Problem> {
    let began = Instant::now();
    loop {
        let over = began.elapsed() >= timeout.min(FIRST_SCRAPE);
        let state = match look(cluster, enrolments).await {
            Ok(lacking) if over || !lacking.pending => return Ok(lacking),
            Ok(lacking) => format!("metrics of {}", text::list(&lacking.pods)),
            Err(problem) if problem.kind == Kind::Unreachable && !over => problem.what,
            Err(problem) => return Err(problem),
        };
        printer.waiting(&state);
        sleep(Duration::from_secs(1)).await;
    }
}

async fn look(cluster: &Cluster, enrolments: &Enrolments) -> Result<Lacking, Problem> {
    let services: Vec<&Service> = enrolments.entries.iter().map(|entry| &entry.service).collect();
    let mut workloads: Vec<Workload> = Vec::with_capacity(services.len());
    for service in &services {
        let object = ObjectRef::deployment(&cluster.namespace, &service.name);
        let found = cluster.workload(&object).await?;
        workloads.push(found.ok_or_else(|| Problem::new(format!("Somebody deleted {object} meanwhile.")))?);
    }
    let pods = cluster.pods_of(&workloads).await?;
    let sidecars = EnrolledSidecars::of(cluster).await?;
    let component = cluster.existing(&enrolments.component.reference()).await?;
    let mut lacking = Lacking::default();
    for (n, (service, pods)) in services.iter().zip(pods).enumerate() {
        for pod in pods.iter().filter(|pod| !pod.leaving) {
            lacking.all += 1;
            let seen = sidecars.of_pod(service, pod, component.as_ref());
            if seen == Seen::Loaded {
                continue;
            }
            lacking.pending |= seen == Seen::Unknown;
            lacking.pods.push(pod.name.clone());
            if lacking.services.last() != Some(&n) {
                lacking.services.push(n);
            }
        }
    }
    Ok(lacking)
}
