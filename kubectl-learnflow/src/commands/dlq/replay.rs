//! `dlq replay`.
//!
//! Each message is sent once: what was sent carries the place that it had, and before each message the topic is read up to its
//! end. So a run that was killed, at whatever point, is gone on with by the next one.

use super::reach::{Reach, each};
use crate::{
    broker::{Partition, Sent},
    cli::{Format, LettersFormat, Replay},
    cluster::Held,
    commands::new_run,
    dlq::{Decided, LEASE, Letter, Origin, Plan, REPLAY_OF, Skip, Targets, plan, revived},
    model::Outcome,
    printer::{Mark, Printer, Table, plain},
    problem::Problem,
    text::{count, format_duration},
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use tokio::time::{Instant, sleep_until};

/// How far the clock of a broker may be off those of the sidecars.
const SKEW_MS: i64 = 3_600_000;
/// So many of those that are not sent are named.
const NAMED: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    topic: String,
    /// Nothing was to be sent.
    dry_run: bool,
    to_send: usize,
    sent: usize,
    sent_before: usize,
    not_sent: Vec<NotSent>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotSent {
    at: String,
    why: String,
    #[serde(skip)]
    skip: Skip,
}

/// A partition that is sent to, and how far it has been looked through for what was sent.
struct Target {
    partition: Partition,
    seen: i64,
}

pub(super) async fn run(reach: &Reach, args: &Replay, printer: &Printer) -> Result<Outcome, Problem> {
    let topic = &args.spot.topic;
    let mut sources = BTreeMap::new();
    let letters = letters(reach, args, &mut sources, printer).await?;
    let (targets, mut open) = look(reach, args, &letters, printer).await?;
    let Plan { decided } = plan(letters, &targets);
    let (chosen, left): (Vec<Decided>, Vec<Decided>) = decided.into_iter().partition(|one| one.fate.is_ok());
    let mut report = report(topic, args, &chosen, &left);
    if args.letters.output == LettersFormat::Table {
        say(&report, &chosen, printer);
    }
    let mut ended = Ok(());
    if args.yes && !chosen.is_empty() {
        let held = alone(reach, printer).await?;
        let mut next = Instant::now();
        for one in &chosen {
            sleep_until(next).await;
            next = Instant::now() + args.rate.pause();
            printer.waiting(&format!("sent {} of {}", report.sent, report.to_send));
            if held.as_ref().is_some_and(|held| !held.is_ours()) {
                ended = Err(Problem::new(format!(
                    "The API server has not renewed Lease {LEASE} in time: another replay may begin."
                )));
                break;
            }
            match send(one, topic, &sources, &mut open).await {
                Ok(true) => report.sent += 1,
                Ok(false) => report.sent_before += 1,
                Err(problem) => {
                    ended = Err(problem);
                    break;
                }
            }
        }
        printer.done_waiting();
        if let Some(held) = held {
            held.let_go().await;
        }
    }
    if args.letters.output == LettersFormat::Json {
        printer.document(Format::Json, &report)?;
    }
    if let Err(problem) = ended {
        let Report { sent, to_send, .. } = report;
        printer.problem(&problem);
        printer.hint(&format!(
            "{sent} of {to_send} were sent. Run the same command again: it goes on where it stopped."
        ));
        return Ok(Outcome::Bad);
    }
    let sent = count(report.sent, "dead letter");
    match args.yes {
        true => printer.step(Mark::Good, &format!("{sent} of {topic} sent")),
        false if report.to_send > 0 => {
            printer.hint(&format!("Nothing was sent. To send them, at {}: --yes", args.rate))
        }
        false => {}
    }
    let all = report.not_sent.iter().all(|one| one.skip.is_done());
    Ok(if all { Outcome::Good } else { Outcome::Bad })
}

/// No other replay of this namespace runs meanwhile. What one before it has sent is seen before each message.
async fn alone(reach: &Reach, printer: &Printer) -> Result<Option<Held>, Problem> {
    let Some(cluster) = &reach.cluster else {
        return Ok(None);
    };
    let tell = |watched| {
        let watched = format_duration(watched);
        printer.waiting(&format!(
            "Lease {LEASE}: whether another replay runs or was killed, up to {watched}"
        ));
    };
    let held = cluster.hold(LEASE, &new_run()?, tell).await?;
    printer.done_waiting();
    Ok(Some(held))
}

/// Those that are there now: what dies meanwhile is for another time, else a replay might never end.
async fn letters(
    reach: &Reach,
    args: &Replay,
    sources: &mut BTreeMap<i32, Partition>,
    printer: &Printer,
) -> Result<Vec<Letter>, Problem> {
    let spot = &args.spot;
    let mut letters = Vec::new();
    for number in reach.partitions(&spot.topic, spot.partition)? {
        let partition = reach.kafka.partition(&spot.topic, number).await?;
        let mut bounds = partition.bounds().await?;
        if let Some(offset) = spot.offset {
            if !bounds.contains(&offset) {
                return Err(Problem::new(format!("There is no message at {spot}."))
                    .next(format!("See `kubectl learnflow dlq show {}`.", spot.topic)));
            }
            bounds = offset..offset + 1;
        }
        let name = format!("{}/{number}", spot.topic);
        each(&partition, &name, bounds, printer, |message| {
            letters.push(Letter::of(&message));
            true
        })
        .await?;
        sources.insert(number, partition);
    }
    Ok(letters)
}

/// What the topics that they come from tell, read as far as they go now.
async fn look(
    reach: &Reach,
    args: &Replay,
    letters: &[Letter],
    printer: &Printer,
) -> Result<(Targets, BTreeMap<(String, i32), Target>), Problem> {
    let mut origins = reach.origins(&args.spot.topic);
    origins.extend(args.from.iter().cloned());
    if origins.is_empty() {
        return Err(Problem::new(format!(
            "No subscription names {} as its dead-letter topic: it is not known where its dead letters belong.",
            args.spot.topic
        ))
        .next("Say from which topic they are with --from TOPIC."));
    }
    let partitions = |topic: &String| reach.topics.get(topic).map(|all| all.iter().copied().collect());
    let mut targets = Targets {
        topics: origins.iter().map(|topic| (topic.clone(), partitions(topic))).collect(),
        now: now(),
        unproven: args.unproven,
        ..Targets::default()
    };
    let mut starts: BTreeMap<(String, i32), (i64, i64)> = BTreeMap::new();
    let mut wanted: HashSet<String> = HashSet::new();
    for letter in letters {
        let Some(origin) = &letter.origin else { continue };
        let Ok(partition) = targets.partition(origin) else {
            continue;
        };
        let start = starts
            .entry((origin.topic.clone(), partition))
            .or_insert((i64::MAX, i64::MAX));
        *start = (start.0.min(origin.offset), start.1.min(letter.timestamp));
        wanted.insert(origin.to_string());
    }
    let mut open = BTreeMap::new();
    for ((topic, number), (offset, died)) in starts {
        let partition = reach.kafka.partition(&topic, number).await?;
        let bounds = partition.bounds().await?;
        // Behind the original. A topic that was made anew counts anew: there it is the time that tells.
        let since = partition.offset_at(died - SKEW_MS).await?;
        let start = offset.min(since).clamp(bounds.start, bounds.end);
        let first = match bounds.is_empty() {
            true => None,
            false => partition.at(bounds.start).await?,
        };
        let kept = match (first, bounds.start) {
            (Some(first), _) => (bounds.start, first.timestamp),
            (None, start) => (start, i64::MAX),
        };
        let sent = &mut targets.sent;
        each(
            &partition,
            &format!("{topic}/{number}"),
            start..bounds.end,
            printer,
            |message| {
                sent.extend(
                    message
                        .header(REPLAY_OF)
                        .filter(|place| wanted.contains(*place))
                        .map(str::to_owned),
                );
                true
            },
        )
        .await?;
        targets.kept.insert((topic.clone(), number), kept);
        let seen = bounds.end;
        open.insert((topic, number), Target { partition, seen });
    }
    Ok((targets, open))
}

/// False: it turned out to be there already.
async fn send(
    one: &Decided,
    topic: &str,
    sources: &BTreeMap<i32, Partition>,
    open: &mut BTreeMap<(String, i32), Target>,
) -> Result<bool, Problem> {
    let letter = &one.letter;
    let gone = || Problem::new(format!("{topic}/{} is no longer there.", letter.at()));
    let origin = letter.origin.as_ref().ok_or_else(gone)?;
    let number = *one.fate.as_ref().map_err(|_| gone())?;
    let source = sources.get(&letter.partition).ok_or_else(gone)?;
    let message = source.at(letter.offset).await?.ok_or_else(gone)?;
    let target = open.get_mut(&(origin.topic.clone(), number)).ok_or_else(gone)?;
    // One that was under way when another run was killed, or is sent by another one now.
    let end = target.partition.bounds().await?.end;
    if target.finds(origin, end).await? {
        return Ok(false);
    }
    match target.partition.send(revived(message, origin, now())).await {
        Sent::At(offset) => {
            if target.finds(origin, offset).await? {
                return Err(Problem::new(format!(
                    "{topic}/{} was sent by another replay at the same moment: it is in {}/{number} twice.",
                    letter.at(),
                    origin.topic
                ))
                .next("Let only one replay of a topic run at a time."));
            }
            target.seen = offset + 1;
            Ok(true)
        }
        Sent::Refused(problem) => Err(problem),
        Sent::Unknown(mut problem) => {
            problem.what += &format!(
                " Whether {topic}/{} arrived is not known; the next run looks.",
                letter.at()
            );
            Err(problem)
        }
    }
}

impl Target {
    /// Looks through what has come, up to `end`.
    async fn finds(&mut self, origin: &Origin, end: i64) -> Result<bool, Problem> {
        let place = origin.to_string();
        let mut found = false;
        while self.seen < end {
            let (messages, next) = self.partition.read(self.seen..end).await?;
            found |= messages.iter().any(|message| message.header(REPLAY_OF) == Some(&place));
            self.seen = next;
        }
        Ok(found)
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn report(topic: &str, args: &Replay, chosen: &[Decided], left: &[Decided]) -> Report {
    let skipped = left
        .iter()
        .filter_map(|one| Some((one, one.fate.as_ref().err()?.clone())));
    let not_sent = skipped
        .filter(|(_, skip)| *skip != Skip::SentBefore)
        .map(|(one, skip)| NotSent {
            at: format!("{topic}/{}", one.letter.at()),
            why: skip.to_string(),
            skip,
        });
    let not_sent: Vec<NotSent> = not_sent.collect();
    Report {
        topic: topic.to_owned(),
        dry_run: !args.yes,
        to_send: chosen.len(),
        sent: 0,
        sent_before: left.len() - not_sent.len(),
        not_sent,
    }
}

fn say(report: &Report, chosen: &[Decided], printer: &Printer) {
    let mut to: BTreeMap<(&str, i32), usize> = BTreeMap::new();
    for one in chosen {
        if let (Ok(partition), Some(origin)) = (&one.fate, &one.letter.origin) {
            *to.entry((&origin.topic, *partition)).or_default() += 1;
        }
    }
    if !to.is_empty() {
        let mut table = Table::new(&["TO", "DEAD LETTERS"]);
        let row = |((topic, partition), count): ((&str, i32), usize)| {
            vec![plain(format!("{topic}/{partition}")), plain(count.to_string())]
        };
        table.rows.extend(to.into_iter().map(row));
        printer.table(&table);
    }
    let reasons: BTreeSet<&Skip> = report.not_sent.iter().map(|one| &one.skip).collect();
    for reason in reasons {
        let of_it: Vec<&str> = report
            .not_sent
            .iter()
            .filter(|one| one.skip == *reason)
            .map(|one| &*one.at)
            .collect();
        let mark = if reason.is_done() { Mark::Good } else { Mark::Warn };
        printer.step(
            mark,
            &format!("{} not sent: {reason}", count(of_it.len(), "dead letter")),
        );
        let more = match of_it.len().checked_sub(NAMED) {
            Some(more) if more > 0 => format!(" and {more} more"),
            _ => String::new(),
        };
        printer.hint(&format!("{}{more}", of_it[..of_it.len().min(NAMED)].join(", ")));
        if *reason == Skip::Unproven {
            printer.hint("If you know that they were not, send them with --unproven.");
        }
    }
    if report.sent_before > 0 {
        printer.step(
            Mark::Good,
            &format!("{} sent before", count(report.sent_before, "dead letter")),
        );
    }
    if chosen.is_empty() && report.sent_before == 0 && report.not_sent.is_empty() {
        printer.hint(&format!("There are no dead letters in {}.", report.topic));
    }
}
