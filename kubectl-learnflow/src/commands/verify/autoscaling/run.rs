//! The run itself: look, load, hold, take it away, wait. Everything is decided at a look, once a second.

use super::{
    super::{
        done,
        experiment::Lines,
        stop::{Stop, Why},
    },
    judge::{End, Look, Seen},
    load::{Answer, Load, Sender, Tally},
    report::{self, Found},
    scene::Scene,
};
use crate::{
    autoscaled::SYNC,
    cli::Autoscaling,
    cluster::{Cluster, Sight},
    model::Outcome,
    printer::{Mark, Printer},
    problem::Problem,
    text::format_duration,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep_until};

const EVERY: Duration = Duration::from_secs(1);
/// Looked at before there is load.
const BEFORE: Duration = Duration::from_secs(5);
/// How long it may take until nothing moves by itself.
const SETTLE: Duration = Duration::from_secs(60);
/// Under full load an autoscaler wants more pods within this, or not at all: four times what its controller and
/// metrics-server take by default.
const PATIENCE: f64 = 120.0;
/// What goes on being sent while pods go, so that somebody would notice.
const TRICKLE: f64 = 0.05;
const MOST_TRICKLE: f64 = 5.0;
/// Errors are counted over so many seconds.
const ERRORS_OF: usize = 10;
/// For what is under way at the end.
const LAST: Duration = Duration::from_secs(10);
/// Beyond what its policies take: pods that end.
const ENDING: Duration = Duration::from_secs(90);

/// How it ended before its end.
enum Broke {
    Stopped,
    Failed(Problem),
}

impl From<Problem> for Broke {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

impl From<Why> for Broke {
    fn from(_: Why) -> Self {
        Self::Stopped
    }
}

pub(super) async fn run<P: Lines>(
    cluster: &Cluster,
    scene: &Scene<P>,
    args: &Autoscaling,
    stop: &Stop,
    printer: &Printer,
) -> Result<Outcome, Problem> {
    let mut watch = Watch::new(cluster, scene, args);
    let ended = watch.act(scene, stop, printer).await;
    printer.done_waiting();
    match ended {
        Ok(found) => report::show(&found, scene, args, printer),
        Err(Broke::Failed(problem)) => Err(problem),
        // The load has ended: it was dropped.
        Err(Broke::Stopped) => {
            printer.step(Mark::Warn, "No load is sent any more");
            if let Some(left) = watch.left() {
                printer.hint(&left);
            }
            Ok(Outcome::Interrupted)
        }
    }
}

struct Watch<'a> {
    cluster: &'a Cluster,
    args: &'a Autoscaling,
    name: String,
    autoscaler: String,
    zero: Instant,
    /// Pods that were there before the load.
    old: BTreeSet<String>,
    last: Sight,
    answered: usize,
    seen: Seen,
}

impl<'a> Watch<'a> {
    fn new<P: Lines>(cluster: &'a Cluster, scene: &Scene<P>, args: &'a Autoscaling) -> Self {
        let Sight { autoscaler, scaled, .. } = &scene.sight;
        Self {
            cluster,
            args,
            name: scaled.name.clone(),
            autoscaler: autoscaler.name.clone(),
            zero: Instant::now(),
            old: BTreeSet::new(),
            last: scene.sight.clone(),
            answered: 0,
            seen: Seen {
                within: args.within,
                // Not yet.
                load_ended: f64::INFINITY,
                ..Seen::default()
            },
        }
    }

    fn now(&self) -> f64 {
        let now = Instant::now();
        match now.checked_duration_since(self.zero) {
            Some(since) => since.as_secs_f64(),
            None => -(self.zero - now).as_secs_f64(),
        }
    }

    async fn act<P: Lines>(&mut self, scene: &Scene<P>, stop: &Stop, printer: &Printer) -> Result<Found, Broke> {
        stop.or(works(scene)).await??;
        done(printer, &format!("It answers: {}", scene.what));
        self.settle(stop, printer).await?;
        self.seen.from = self.last.scaled.replicas;
        self.old = self.last.pods.iter().map(|pod| pod.name.clone()).collect();
        done(
            printer,
            &format!("{} before there is load: {}", pods(self.seen.from), self.figures()),
        );
        // Times before this moment are negative.
        let zero = Instant::now();
        let shift = (zero - self.zero).as_secs_f64();
        self.zero = zero;
        self.seen.looks.iter_mut().for_each(|look| look.at -= shift);
        for life in self.seen.pods.values_mut() {
            life.ready = life.ready.map(|at| at - shift);
            life.leaving = life.leaving.map(|at| at - shift);
        }
        let load = Load::new(scene.way.clone(), self.args.concurrency.into(), zero);
        self.load(&load, stop, printer).await?;
        self.seen.load_ended = self.now();
        let figures = self.seen.figures();
        if figures.decision.is_some() && !self.args.no_scale_down && self.seen.end != End::Errors {
            self.wait_until_gone(&load, stop, printer).await?;
        }
        load.end();
        let end = Instant::now() + LAST;
        while load.tally().under_way() > 0 && Instant::now() < end {
            stop.or(tokio::time::sleep(Duration::from_millis(50))).await?;
        }
        let tally = load.tally().clone();
        Ok(self.found(tally))
    }

    /// Until nothing moves by itself any more.
    async fn settle(&mut self, stop: &Stop, printer: &Printer) -> Result<(), Broke> {
        let began = Instant::now();
        let mut still_since = began;
        loop {
            self.look(0, stop).await?;
            let Sight {
                autoscaler,
                scaled,
                pods,
            } = &self.last;
            let ready = pods.iter().filter(|pod| pod.ready && !pod.leaving).count();
            let still = autoscaler.wanted == scaled.replicas
                && pods.len() == ready
                && usize::try_from(scaled.replicas) == Ok(ready);
            let now = Instant::now();
            if !still {
                still_since = now;
            }
            if now - still_since >= BEFORE {
                return Ok(());
            }
            if now - began >= SETTLE {
                return Err(Problem::new(format!(
                    "Deployment {} does not settle: it is told to have {}, {ready} serve, {} are there, its autoscaler wants {}.",
                    self.name,
                    scaled.replicas,
                    pods.len(),
                    autoscaler.wanted
                ))
                .next("Wait until it does. Nothing was sent but one request.")
                .into());
            }
            printer.waiting(&format!("looking before there is load: {}", self.state()));
            self.until_next(stop).await?;
        }
    }

    /// Grows, until more pods are wanted; holds, once one of them serves.
    async fn load(&mut self, load: &Load, stop: &Stop, printer: &Printer) -> Result<(), Broke> {
        let args = self.args;
        let ramp = args.ramp.as_secs_f64();
        // Also where the API server does not answer a look.
        let until = self.zero + args.max_duration;
        let mut decided = None;
        loop {
            let now = self.now();
            if decided.is_none() {
                load.set(args.max_rps * ((now + 1.0) / ramp).min(1.0), until);
            }
            let answered = load.tally().answered();
            self.look(answered, stop).await?;
            let now = self.now();
            let (errors, failed) = {
                let tally = load.tally();
                (tally.errors(now, ERRORS_OF).unwrap_or(0.0), tally.failed)
            };
            if errors > args.max_errors {
                load.end();
                printer.done_waiting();
                let share = format!("{:.0} %", errors * 100.0);
                printer.step(
                    Mark::Bad,
                    &format!("The load has ended: {share} of the last requests failed"),
                );
                self.seen.end = End::Errors;
                return Ok(());
            }
            if now >= args.max_duration.as_secs_f64() {
                printer.done_waiting();
                let longest = format_duration(args.max_duration);
                printer.step(
                    Mark::Warn,
                    &format!("The load has ended: it took {longest}, as long as it may"),
                );
                self.seen.end = End::Late;
                return Ok(());
            }
            let figures = self.seen.figures();
            if decided.is_none() && figures.decision.is_some() {
                decided = figures.decision;
                let wanted = self.last.autoscaler.wanted;
                done(
                    printer,
                    &format!("{} wanted after {now:.0} s: {}", pods(wanted), self.figures()),
                );
            }
            if self.seen.held_from.is_none() && figures.first_ready.is_some() {
                self.seen.held_from = Some(now);
                done(printer, &format!("A new pod is ready after {now:.0} s"));
            }
            let waits = match (decided, self.seen.held_from) {
                (None, _) if now >= ramp + PATIENCE => {
                    self.seen.end = End::NotWanted;
                    return Ok(());
                }
                (Some(at), None) if now - at >= PATIENCE => {
                    self.seen.end = End::NotReady;
                    return Ok(());
                }
                (None, _) => format!("load of {:.0} rps, until more pods are wanted", self.rps()),
                (Some(_), None) => format!("load of {:.0} rps, until a new pod is ready", self.rps()),
                (Some(_), Some(from)) => {
                    let left = args.hold.as_secs_f64() - (now - from);
                    if left <= 0.0 {
                        done(
                            printer,
                            &format!("Held for {}: {}", format_duration(args.hold), self.state()),
                        );
                        return Ok(());
                    }
                    format!("load of {:.0} rps, {left:.0} s more", self.rps())
                }
            };
            printer.waiting(&format!("{waits}; {}; {failed} failed", self.state()));
            self.until_next(stop).await?;
        }
    }

    async fn wait_until_gone(&mut self, load: &Load, stop: &Stop, printer: &Printer) -> Result<(), Broke> {
        let trickle = (self.args.max_rps * TRICKLE).clamp(1.0, MOST_TRICKLE);
        let to = self.seen.from;
        let longest = self.last.autoscaler.time_down(self.last.scaled.replicas, to) + ENDING;
        load.set(trickle, Instant::now() + longest);
        done(
            printer,
            &format!(
                "The load is taken away; {trickle:.0} a second go on, to see whether one fails while pods go. That takes up to {}",
                format_duration(longest)
            ),
        );
        let window = self.last.autoscaler.window_down + SYNC;
        let began = Instant::now();
        while began.elapsed() < longest {
            let answered = load.tally().answered();
            self.look(answered, stop).await?;
            let Sight { autoscaler, pods, .. } = &self.last;
            if autoscaler.wanted <= to && pods.len() <= usize::try_from(to).unwrap_or(0) {
                done(
                    printer,
                    &format!("{to} again, {:.0} s after the load", began.elapsed().as_secs_f64()),
                );
                break;
            }
            let figures = self.seen.figures();
            let waits = match figures.down_began {
                None => {
                    let left = window.saturating_sub(began.elapsed());
                    format!(
                        "its stabilisation window, {} of which are left at most",
                        format_duration(Duration::from_secs(left.as_secs().max(1)))
                    )
                }
                Some(_) => "pods to go".into(),
            };
            printer.waiting(&format!("{waits}; {}; {} failed", self.state(), load.tally().failed));
            self.until_next(stop).await?;
        }
        self.seen.waited_until = Some(self.now());
        Ok(())
    }

    async fn until_next(&self, stop: &Stop) -> Result<(), Why> {
        stop.or(sleep_until(Instant::now() + EVERY)).await
    }

    /// One look, noted.
    async fn look(&mut self, answered: usize, stop: &Stop) -> Result<(), Broke> {
        let sight = stop.or(self.cluster.sight(&self.name, &self.autoscaler)).await??;
        let at = self.now();
        let before = self.seen.looks.last().map_or(at - EVERY.as_secs_f64(), |look| look.at);
        let serving = sight.pods.iter().filter(|pod| pod.ready && !pod.leaving);
        let ready = serving.clone().count();
        let new_ready = serving
            .filter(|pod| !self.old.is_empty() && !self.old.contains(&pod.name))
            .count();
        for pod in &sight.pods {
            let life = self.seen.pods.entry(pod.name.clone()).or_default();
            life.ip = pod.ip.clone().or_else(|| life.ip.take());
            if pod.ready && life.ready.is_none() {
                life.ready = Some(at);
            }
            if pod.leaving && life.leaving.is_none() {
                life.leaving = Some(at);
            }
        }
        let figure = sight.autoscaler.strongest();
        let waiting = sight
            .pods
            .iter()
            .find(|pod| !pod.ready && !pod.leaving && pod.reason.is_some());
        let stuck = waiting.and_then(|pod| Some(format!("pod {}: {}", pod.name, pod.reason.as_ref()?)));
        self.seen.looks.push(Look {
            at,
            wanted: sight.autoscaler.wanted,
            told: sight.scaled.replicas,
            ready: count(ready),
            new_ready: count(new_ready),
            there: count(sight.pods.len()),
            asked_for: sight.autoscaler.asked_for(count(ready)),
            share: figure.and_then(|figure| figure.share()),
            figure: figure.map_or_else(String::new, ToString::to_string),
            rps: (answered - self.answered) as f64 / (at - before).max(0.1),
            stuck: sight.scaled.refused.clone().or(stuck),
            owners: sight.scaled.owners.clone(),
        });
        self.seen.hindered = sight.autoscaler.hindered().map(|condition| condition.message.clone());
        self.answered = answered;
        self.last = sight;
        Ok(())
    }

    /// Answers a second, over some seconds.
    fn rps(&self) -> f64 {
        let last = self.seen.looks.iter().rev().take(5);
        last.clone().map(|look| look.rps).sum::<f64>() / last.count().max(1) as f64
    }

    fn figures(&self) -> String {
        self.last
            .autoscaler
            .strongest()
            .map_or_else(|| "no figures".into(), ToString::to_string)
    }

    fn state(&self) -> String {
        let ready = self.seen.looks.last().map_or(0, |look| look.ready);
        let stuck = self.seen.looks.last().and_then(|look| look.stuck.clone());
        let stuck = stuck.map_or_else(String::new, |why| format!(" ({why})"));
        format!(
            "{}; {} wanted, {ready} ready{stuck}",
            self.figures(),
            self.last.autoscaler.wanted
        )
    }

    /// What a run that was stopped leaves.
    fn left(&self) -> Option<String> {
        let Sight { autoscaler, scaled, .. } = &self.last;
        (scaled.replicas > self.seen.from && self.seen.from > 0).then(|| {
            format!(
                "{} now, {} before: the autoscaler takes them away by itself, {}.",
                pods(scaled.replicas),
                self.seen.from,
                autoscaler.patience_down()
            )
        })
    }

    fn found(&mut self, tally: Tally) -> Found {
        let mut seen = std::mem::take(&mut self.seen);
        seen.failures.clone_from(&tally.failures);
        seen.sent = tally.sent;
        seen.lost = tally.lost;
        seen.lost_why.clone_from(&tally.lost_why);
        // Over some looks, so that one that was late does not count as a peak.
        let rates: Vec<f64> = seen.looks.iter().map(|look| look.rps).collect();
        let peaks = rates
            .windows(5.min(rates.len().max(1)))
            .map(|few| few.iter().sum::<f64>() / few.len() as f64);
        seen.most_rps = peaks.fold(0.0, f64::max);
        Found {
            seen,
            tally,
            scaled: self.last.scaled.clone(),
            autoscaler: self.last.autoscaler.clone(),
        }
    }
}

/// One request, before there are many.
async fn works<P: Lines>(scene: &Scene<P>) -> Result<(), Problem> {
    let why = match scene.way.send(0).await {
        Answer::Good => return Ok(()),
        Answer::Failed(failure) => failure.text,
        Answer::Lost(why) => why,
    };
    Err(Problem::new(format!(
        "It does not work as it is ({why}): {}. No load was sent.",
        scene.what
    ))
    .next(match scene.proxied {
        Some(_) => "Choose with --path, --method, --body and --port what answers well.",
        None => "Mend that first: `kubectl learnflow check`.",
    }))
}

fn pods(n: i32) -> String {
    crate::text::count(usize::try_from(n).unwrap_or(0), "pod")
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
