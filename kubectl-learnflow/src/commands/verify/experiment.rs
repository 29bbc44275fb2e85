//! The experiment itself: publish, break, wait, put back, and look at what has become of it.

use super::{
    Scene,
    dead_letters::{Died, Watched},
    delivery::{Read, Reader},
    done,
    fault::{self, Broken},
    publish::{Canary, Publisher, Wire},
    report::{self, Found},
    sidecar::{self, Counted},
    stop::{Stop, Why},
};
use crate::{
    cli::ReportFormat,
    cluster::{Cluster, Line},
    commands::new_run,
    model::{Outcome, SidecarPod},
    outage::Fault,
    printer::{Mark, Printer},
    problem::Problem,
    text::format_duration,
};
use learnflow_resilience::verdict::{Answer, CLOSE, Call, Delivery, SAMPLED, Seen, State};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Published before anything breaks; for the first one Kafka may have to make the topic.
const BEFORE: Duration = Duration::from_secs(3);
const FIRST: Duration = Duration::from_secs(45);
/// How often is told what is being waited for.
const TELL: Duration = Duration::from_millis(250);

/// The way into pods.
pub(in crate::commands) trait Lines: Clone + Send + Sync + 'static {
    type Wire: Wire;
    fn open_line(&self, pod: &str) -> impl Future<Output = Result<Self::Wire, Problem>> + Send;
    /// What a sidecar counts; `None`: its metrics are off.
    fn metrics(&self, pod: &SidecarPod) -> impl Future<Output = Result<String, String>> + Send;
    /// To read what is in Kafka.
    fn for_kafka(&self) -> Option<Cluster>;
}

impl Wire for Line {
    fn takes_more(&self) -> bool {
        Line::takes_more(self)
    }

    async fn post(&self, path: &str, body: String) -> Result<(u16, String), String> {
        Line::post(self, path, body).await
    }
}

impl Lines for Cluster {
    type Wire = Line;

    async fn open_line(&self, pod: &str) -> Result<Line, Problem> {
        self.line(pod).await
    }

    async fn metrics(&self, pod: &SidecarPod) -> Result<String, String> {
        match pod.metrics {
            Some(port) => self.metrics_of(&pod.name, port).await,
            None => Err("its metrics are off".into()),
        }
    }

    fn for_kafka(&self) -> Option<Cluster> {
        Some(self.clone())
    }
}

/// How it ended before its end.
enum End {
    Stopped(Why),
    Failed(Problem),
}

impl From<Problem> for End {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<Why> for End {
    fn from(why: Why) -> Self {
        Self::Stopped(why)
    }
}

pub(super) async fn run(
    cluster: &Cluster,
    ports: &impl Lines,
    scene: &Scene,
    stop: Stop,
    output: ReportFormat,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let mut broken = None;
    let ended = act(cluster, ports, scene, &stop, &mut broken, printer).await;
    printer.done_waiting();
    // However it ended. On the way that went well there is nothing left to do here.
    if let (Err(_), Some(broken)) = (&ended, &mut broken) {
        printer.step(Mark::Warn, "Putting Kafka back");
        broken.put_back().await?;
        done(printer, &put_back(&scene.fault));
    }
    match ended {
        Ok(found) => report::show(&found, scene, output, printer),
        Err(End::Failed(problem)) => Err(problem),
        Err(End::Stopped(Why::Late)) => Err(Problem::new(
            "It took longer than --max-duration, so nothing can be said.",
        )
        .next("Give it more, or see with `kubectl get pods` what Kafka waits for.")),
        Err(End::Stopped(Why::Asked)) => Ok(Outcome::Interrupted),
    }
}

fn put_back(fault: &Fault) -> String {
    match fault {
        Fault::Scale { object, replicas } => format!("{object} is scaled to {replicas} again"),
        Fault::Commands { restores, .. } => format!("`{restores}` has ended well"),
    }
}

async fn act<'a>(
    cluster: &'a Cluster,
    ports: &impl Lines,
    scene: &Scene,
    stop: &Stop,
    broken: &mut Option<Broken<'a>>,
    printer: &'a Printer,
) -> Result<Found, End> {
    let pod = &scene.pod;
    let first = stop.or(ports.open_line(&pod.name)).await??;
    let run = new_run()?;
    let open = {
        let (ports, name) = (ports.clone(), pod.name.clone());
        move || {
            let (ports, name) = (ports.clone(), name.clone());
            async move { ports.open_line(&name).await }
        }
    };
    let before = stop
        .or(ports.metrics(pod))
        .await?
        .map(|text| sidecar::read(&text, &scene.pubsub));
    let reader = match stop.or(reader(cluster, ports, scene)).await? {
        Err(Some(why)) => {
            let what = format!(
                "What is in Kafka cannot be read ({why}), so nothing could be said of lost events. Nothing was broken."
            );
            let next = "Mend that, or leave that promise out with --skip-delivery.";
            return Err(Problem::new(what).next(next).into());
        }
        reader => reader.ok(),
    };
    let mut watched = stop.or(watched(cluster, reader.as_ref(), scene)).await?;
    let publisher = Publisher::start(scene, &run, first, open);
    is_well(&publisher, scene, stop, printer).await?;
    done(
        printer,
        &format!(
            "Publishing {}/s to {} through pod {}",
            scene.args.rate, scene.args.topic, pod.name
        ),
    );

    let watch = Watch::start(ports, pod, &scene.pubsub);
    // Where Kafka's disk goes with its pods, what is on it now is read now.
    let earlier = match &reader {
        Some(reader) if scene.forgets => {
            if let Ok(letters) = &mut watched
                && let Err(problem) = stop.or(letters.goes()).await?
            {
                watched = Err(Died::why(&problem));
            }
            stop.or(reader.read(&run, false)).await??
        }
        _ => Read::default(),
    };
    // From here on it is put back, whatever happens.
    *broken = Some(Broken::note(cluster, &scene.fault, &run, printer).await?);
    let Some(broken) = broken else {
        return Err(End::Failed(Problem::new("Nothing was broken.")));
    };
    let zero = Instant::now();
    broken.break_it().await?;
    if !stop.or(fault::gone(cluster, &scene.fault, printer)).await?? {
        return Err(somebody_else(scene).into());
    }
    let away = zero.elapsed();
    done(printer, &format!("Kafka is away, {} after it was told", seconds(away)));
    let end = Instant::now() + scene.args.outage;
    while Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now()).as_secs() + 1;
        printer.waiting(&format!("{left}s more without Kafka; {}", told(&publisher)));
        stop.or(sleep(TELL.min(end.saturating_duration_since(Instant::now()))))
            .await?;
    }
    broken.put_back().await?;
    stop.or(fault::ready(cluster, &scene.fault, printer)).await??;
    let back = zero.elapsed();
    done(printer, &format!("Kafka is back, {} after it went", seconds(back)));
    let end = Instant::now() + CLOSE + SAMPLED * 2;
    loop {
        let (sent, ended) = publisher.count();
        if Instant::now() >= end {
            publisher.end();
            if ended >= sent {
                break;
            }
        }
        printer.waiting(&format!(
            "the answers, {} of which are missing; {}",
            sent - ended,
            told(&publisher)
        ));
        stop.or(sleep(TELL)).await?;
    }
    let canaries = publisher.canaries();
    done(printer, &format!("All are answered: {}", told(&publisher)));
    let after = stop
        .or(ports.metrics(pod))
        .await?
        .map(|text| sidecar::read(&text, &scene.pubsub));
    let calls: Vec<Call> = canaries.iter().map(|canary| call(canary, zero)).collect();
    printer.waiting("Kafka to tell which canaries it has");
    let delivery = stop.or(delivered(reader, &run, &earlier, scene, &calls, away)).await?;
    let died = match watched {
        Ok(letters) => stop
            .or(letters.died())
            .await?
            .unwrap_or_else(|problem| Died::why(&problem)),
        Err(why) => why,
    };
    let seen = Seen {
        budget: scene.args.budget,
        breaker: scene.policy.breaker.clone(),
        back,
        calls,
        states: watch.states(zero),
        delivery,
    };
    Ok(Found {
        seen,
        away,
        died,
        before,
        after,
    })
}

/// The error is why what is in Kafka cannot be read; none: it is not to be.
async fn reader(cluster: &Cluster, ports: &impl Lines, scene: &Scene) -> Result<Reader, Option<String>> {
    let Some(ports) = ports.for_kafka().filter(|_| !scene.args.skip_delivery) else {
        return Err(None);
    };
    let told = |problem: Problem| Some(problem.what.trim_end_matches('.').to_owned());
    let credentials = cluster.kafka_credentials(&scene.component).await.map_err(told)?;
    Reader::new(ports, credentials, &scene.args.topic).await.map_err(told)
}

/// The dead-letter topics, before anything dies. That they cannot be seen is no reason to stop: nothing is promised of them.
async fn watched(cluster: &Cluster, reader: Option<&Reader>, scene: &Scene) -> Result<Watched, Died> {
    match reader {
        None => Err(Died::Unknown("Kafka is not read".into())),
        Some(reader) => Watched::new(cluster, reader, scene)
            .await
            .map_err(|problem| Died::why(&problem)),
    }
}

async fn delivered(
    reader: Option<Reader>,
    run: &str,
    earlier: &Read,
    scene: &Scene,
    calls: &[Call],
    away: Duration,
) -> Delivery {
    let Some(reader) = reader else {
        return Delivery::Skipped;
    };
    match reader.read(run, scene.forgets).await {
        Err(problem) => Delivery::Failed(problem.what.trim_end_matches('.').to_owned()),
        Ok(read) => {
            let read = read.and(earlier);
            let delivered = read.delivered();
            // Accepted before the last pod was gone, and no longer there to be read.
            let went = |call: &&Call| {
                scene.forgets
                    && call.answer == Answer::Accepted
                    && call.ended() <= away
                    && !delivered.contains(&call.number)
            };
            let discarded = calls.iter().filter(went).map(|call| call.number).collect();
            Delivery::Checked {
                twice: read.twice(),
                delivered,
                discarded,
            }
        }
    }
}

/// Publishing works before anything is broken; else nothing is.
async fn is_well(publisher: &Publisher, scene: &Scene, stop: &Stop, printer: &Printer) -> Result<(), End> {
    let began = Instant::now();
    loop {
        let canaries = publisher.canaries();
        let bad = canaries.iter().find(|canary| canary.answer != Answer::Accepted);
        let why = match bad.map(|canary| &canary.answer) {
            Some(Answer::Refused { code, text, .. }) => Some(format!("the sidecar answers {code}: {text}")),
            Some(Answer::Unknown(why)) => Some(why.clone()),
            _ if began.elapsed() >= FIRST => Some(format!("not all are answered after {}", format_duration(FIRST))),
            _ => None,
        };
        if let Some(why) = why {
            let what = format!(
                "Publishing to {} does not work as it is ({why}). Nothing was broken.",
                scene.args.topic
            );
            return Err(Problem::new(what)
                .next(format!(
                    "Mend that first: `kubectl learnflow check`. Where topics do not come by themselves, create {}.",
                    scene.args.topic
                ))
                .into());
        }
        // None waits any more, as after an outage that was just over.
        let (sent, ended) = publisher.count();
        if ended > 0 && sent - ended <= 1 && began.elapsed() >= BEFORE {
            return Ok(());
        }
        printer.waiting(&format!("the first canaries to be accepted: {}", told(publisher)));
        stop.or(sleep(TELL)).await?;
    }
}

fn somebody_else(scene: &Scene) -> Problem {
    let what = match &scene.fault {
        Fault::Scale { object, .. } => object.to_string(),
        Fault::Commands { .. } => "Kafka".into(),
    };
    Problem::new(format!(
        "Somebody else has scaled {what} up again, so there was no outage to look at."
    ))
    .next("An operator or GitOps may own it: take Kafka away with --break COMMAND and --restore COMMAND.")
}

fn told(publisher: &Publisher) -> String {
    let canaries = publisher.canaries();
    let (sent, _) = publisher.count();
    let accepted = canaries
        .iter()
        .filter(|canary| canary.answer == Answer::Accepted)
        .count();
    let refused = canaries
        .iter()
        .filter(|canary| matches!(canary.answer, Answer::Refused { .. }))
        .count();
    format!("{sent} canaries: {accepted} accepted, {refused} refused")
}

/// Times are from the moment at which Kafka was taken away.
fn call(canary: &Canary, zero: Instant) -> Call {
    Call {
        number: canary.number,
        begun: canary.begun.saturating_duration_since(zero),
        took: canary.took,
        answer: canary.answer.clone(),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Reads the sidecar's metrics all the while.
struct Watch {
    seen: Arc<Mutex<Vec<(Instant, Counted)>>>,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(ports: &impl Lines, pod: &SidecarPod, component: &str) -> Self {
        let seen = Arc::<Mutex<Vec<(Instant, Counted)>>>::default();
        let (ours, ports, pod, component) = (seen.clone(), ports.clone(), pod.clone(), component.to_owned());
        let task = tokio::spawn(async move {
            loop {
                let next = Instant::now() + SAMPLED;
                if let Ok(text) = ports.metrics(&pod).await {
                    let counted = sidecar::read(&text, &component);
                    ours.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((Instant::now(), counted));
                }
                tokio::time::sleep_until(next).await;
            }
        });
        Self { seen, task }
    }

    fn states(&self, zero: Instant) -> Vec<(Duration, State)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |(at, counted): &(Instant, Counted)| {
            (at.saturating_duration_since(zero), counted.state.unwrap_or(State::None))
        };
        seen.iter().map(state).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
#[path = "experiment_tests.rs"]
mod tests;
