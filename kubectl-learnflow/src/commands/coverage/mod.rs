//! `coverage`: which events nobody sees, and why.

mod look;
mod show;
mod spans;

use crate::{
    cli::{Coverage, Global, WhichEvents},
    cluster::Cluster,
    coverage::{Counts, Key, Row, Sidecar},
    events::{Events, Seen, now},
    model::Outcome,
    objects::MIDDLEWARE,
    printer::{Mark, Printer},
    problem::Problem,
    text::{self, format_duration},
};
use learnflow_flow::{Time, matches};
use look::{Look, Scene};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::{Instant, sleep};

pub(crate) async fn run(args: &Coverage, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let cluster = Cluster::connect_for_streams(global).await?;
    printer.waiting("asking the cluster and Kafka");
    let mut scene = Scene::open(&cluster, global.request_timeout).await?;
    let first = scene.look().await?;
    wait(args.window, "until the second look", printer).await;
    printer.waiting("looking again");
    let second = scene.look().await?;
    let spans = async {
        // Without a Prometheus there is nothing to wait for.
        cluster.query("vector(1)").await?;
        let late = second.began + spans::LATE;
        wait(
            late.saturating_duration_since(Instant::now()),
            "for Prometheus, which is behind",
            printer,
        )
        .await;
        spans::between(&cluster, first.at, second.at).await
    };
    let (recorded, told) = tokio::join!(records(global, &scene, &first, &second), spans);
    printer.done_waiting();
    let recorded = recorded?;
    let mut evidence = scene.evidence(&first, &second);
    recorded.complete(&mut evidence.sidecars);
    scene.notes.extend(recorded.notes);
    match told {
        Ok(told) => told.complete(&mut evidence),
        Err(problem) => scene.notes.push(format!("No spans are shown: {}", problem.what)),
    }
    let mut rows = evidence.rows();
    rows.retain(|row| is_meant(row, args));
    for note in &scene.notes {
        printer.step(Mark::Warn, note);
    }
    show::rows(&rows, &scene.notes, args, printer)?;
    verdict(&rows, args, printer)
}

fn is_meant(row: &Row, args: &Coverage) -> bool {
    let among = |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|wanted| matches(wanted, name));
    among(&args.topic, &row.topic) && among(&args.service, &row.service)
}

/// What nobody knows is neither enough nor too little.
fn verdict(rows: &[Row], args: &Coverage, printer: &Printer) -> Result<Outcome, Problem> {
    let Some(least) = args.min else {
        return Ok(Outcome::Good);
    };
    let known: Vec<f64> = rows.iter().filter_map(|row| row.covered).collect();
    let below = known.iter().filter(|covered| **covered < least.0).count();
    if known.is_empty() {
        return Err(Problem::new(format!(
            "There is nothing to hold against --min: no share is known of what happened in {}.",
            format_duration(args.window)
        ))
        .next("Look for longer, with --window, or while events flow."));
    }
    let rows = text::count(known.len(), "row");
    if below > 0 {
        printer.step(Mark::Bad, &format!("{below} of {rows} with less than {least}"));
        return Ok(Outcome::Bad);
    }
    printer.step(Mark::Good, &format!("{rows}, each with at least {least}"));
    Ok(Outcome::Good)
}

async fn wait(length: Duration, what: &str, printer: &Printer) {
    let end = Instant::now() + length;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        printer.waiting(&format!("{:.0} s {what}", left.as_secs_f64().ceil()));
        sleep(left.min(Duration::from_secs(1))).await;
    }
}

/// What is in the logs between the two looks at each sidecar.
#[derive(Default)]
struct Recorded {
    counts: BTreeMap<String, Counts>,
    unread: BTreeSet<String>,
    notes: Vec<String>,
}

impl Recorded {
    fn complete(&self, sidecars: &mut [Sidecar]) {
        for sidecar in sidecars.iter_mut().filter(|one| !self.unread.contains(&one.pod)) {
            sidecar.recorded = Some(self.counts.get(&sidecar.pod).cloned().unwrap_or_default());
        }
    }
}

async fn records(global: &Global, scene: &Scene, first: &Look, second: &Look) -> Result<Recorded, Problem> {
    let since = Duration::from_nanos(u64::try_from(now().0 - first.at.0).unwrap_or(0));
    let mut events = Events::open(&WhichEvents::default(), Some(since), false, global).await?;
    let mut recorded = Recorded::default();
    while let Some(seen) = events.next().await {
        let event = match seen {
            Seen::Note(note) => {
                recorded.notes.push(note);
                continue;
            }
            Seen::Event(event) => event,
        };
        let names = events.names();
        let pod = names.text(event.pod);
        let from = first.sidecars.get(pod).map_or(first.at, |seen| seen.at);
        let until = second.sidecars.get(pod).map_or(Time(i64::MIN), |seen| seen.at);
        let key = Key::of(&event, &names, scene.prefix(names.text(event.pubsub)));
        if let Some(key) = key.filter(|_| (from..until).contains(&event.at)) {
            *recorded
                .counts
                .entry(pod.to_owned())
                .or_default()
                .entry(key)
                .or_default() += 1;
        }
    }
    recorded.unread = events.unread();
    Ok(recorded)
}

#[cfg(test)]
mod tests;
