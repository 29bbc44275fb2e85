//! The story of a rehearsal: quiet seconds, an outage of Kafka, what comes after it, and what it came to.

use super::top;
use crate::{
    assets,
    cli::{Global, Rehearsal, Sort, Top, TopFormat, TopOf, WhichEvents},
    commands::flow::show,
    events::{Events, Seen},
    model::Outcome,
    printer::{Mark, Printer, Tone},
    problem::Problem,
    rehearsal::{self, BEGINNING, OUTAGE, Publish, Round, later},
    text::{count, format_duration, format_seconds},
};
use learnflow_flow::{Event, Time};
use learnflow_resilience::policy::{Backoff, Policy};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// While Kafka is away, it is said this often how many wait.
const EACH: Duration = Duration::from_secs(2);

/// What happens next.
enum Beat {
    Says(String),
    Event(Event),
}

/// All of it goes to stdout, so that it stays in order wherever that goes.
pub(super) async fn tell(settings: &Rehearsal, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let mut rehearsal = rehearsal::Rehearsal::new(settings)?;
    let round = rehearsal.round(BEGINNING)?;
    let which = WhichEvents {
        rehearsal: Some(*settings),
        ..WhichEvents::default()
    };
    let mut beats = beats(&round, &rehearsal.publishing);
    let mut events = Events::open(&which, None, false, global).await?;
    while let Some(seen) = events.next().await {
        match seen {
            Seen::Event(event) => beats.push((event.at, Beat::Event(event))),
            Seen::Note(note) => printer.step(Mark::Warn, &note),
        }
    }
    // What is said of a moment comes before what happens in it.
    beats.sort_by_key(|(at, beat)| (*at, matches!(beat, Beat::Event(_))));

    says(&introduction(), printer);
    let began = Instant::now();
    for (at, beat) in &beats {
        let since = Duration::from_nanos(at.0.abs_diff(round.start.0));
        sleep_until(began + since.div_f64(settings.speed)).await;
        match beat {
            Beat::Says(text) => says(text, printer),
            Beat::Event(event) => printer.data_line(show::tone(event.outcome), &show::compact(event, &events.names())),
        }
        if !printer.is_read() {
            return Ok(Outcome::Good);
        }
    }
    says(&outcome(&round), printer);
    let table = Top {
        what: TopOf::Topics,
        window: None,
        sort: Sort::Rate,
        once: true,
        follow: false,
        which,
        output: TopFormat::Table,
    };
    top::run(&table, global, printer).await?;
    says(NEXT, printer);
    Ok(Outcome::Good)
}

fn says(text: &str, printer: &Printer) {
    for line in text.lines() {
        printer.data_line(Tone::Plain, line);
    }
}

fn introduction() -> String {
    format!(
        "This is a rehearsal. It needs no cluster, and nothing leaves this machine.\n\
         Real are: the middleware ({} kB, the file that `install` puts into sidecars), its records, what reads them, and\n\
         the policies that `install` brings, with the engine of `simulate`.\n\
         A script are: the services, Dapr, Kafka, and how long things take.\n\n\
         Each line is a record. course-agent publishes lessons, the frontend answers of a quiz; user-progress receives both.\n\
         One delivery is taken only when it comes again; one lesson is dropped, and comes once more as a dead letter.\n\n",
        assets::guest().len() / 1000
    )
}

fn beats(round: &Round, policy: &Policy) -> Vec<(Time, Beat)> {
    let (gone, back) = round.outage();
    let mut beats = vec![
        (gone, format!("\nKafka goes away. {}\n", waits(policy))),
        (
            back,
            format!(
                "\nKafka is back after {}. The sidecars notice when they try again, and the Kafka client in them looks for it\n\
                 only every 10 s: so some publishes go on waiting, and some that are made now wait, too.\n\n",
                format_duration(OUTAGE)
            ),
        ),
    ];
    let times = (1..).map(|turn| later(gone, EACH * turn)).take_while(|at| *at < back);
    beats.extend(times.map(|at| {
        let waiting = round.publishes.iter().filter(|publish| waits_at(publish, at)).count();
        (at, format!("{at} … {} for Kafka", count_that(waiting)))
    }));
    beats.into_iter().map(|(at, text)| (at, Beat::Says(text))).collect()
}

fn waits_at(publish: &Publish, at: Time) -> bool {
    (publish.made..publish.answered).contains(&at)
}

fn count_that(waiting: usize) -> String {
    let verb = if waiting == 1 { "waits" } else { "wait" };
    format!("{} {verb}", count(waiting, "publish"))
}

/// What the policy says to a publish that fails.
fn waits(policy: &Policy) -> String {
    let Some(retry) = &policy.retry else {
        return "Publishes are refused: the policy has no retries.".into();
    };
    let pause = match retry.backoff {
        Backoff::Constant { interval } => format!("every {}", format_duration(interval)),
        Backoff::Exponential { .. } => "with growing pauses".into(),
    };
    let most = match retry.max_retries {
        Some(most) => format!(", up to {}", count(most as usize, "time")),
        None => String::new(),
    };
    format!("Publishes are not refused but wait: the policy tries again {pause}{most}.")
}

fn outcome(round: &Round) -> String {
    let (gone, back) = round.outage();
    let meanwhile = round
        .publishes
        .iter()
        .filter(|publish| (gone..back).contains(&publish.made));
    let refused = round.publishes.iter().filter(|publish| !publish.accepted).count();
    let longest = round
        .publishes
        .iter()
        .map(|publish| publish.answered.0 - publish.made.0)
        .max();
    let refused = match refused {
        0 => "none was refused".into(),
        some => format!("{some} of all were refused"),
    };
    format!(
        "\nThat was {}, {} of them made while Kafka was away: {refused}, and the longest took {}.\n\
         {} passed the middleware, {} have a record. By topic:\n\n",
        count(round.publishes.len(), "publish"),
        meanwhile.count(),
        format_seconds(longest.unwrap_or_default() as f64 / 1e9),
        count(round.calls, "call"),
        round.lines.len(),
    )
}

const NEXT: &str = "
Look around in it:
  kubectl learnflow demo flow --topic 'lesson.*' --outcome retry --outcome drop
  kubectl learnflow demo top
  kubectl learnflow demo ui --open
  kubectl learnflow demo graph -o mermaid
The real thing, where your services run:
  kubectl learnflow install --namespace NAMESPACE --dry-run
  kubectl learnflow flow --namespace NAMESPACE -f
";
