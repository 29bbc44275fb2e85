//! `dlq ls`.

use super::reach::{Reach, each};
use crate::{
    cli::{Format, LettersFormat, Ls},
    dlq::{Letter, time},
    model::Outcome,
    printer::{Printer, Table, plain},
    problem::Problem,
    text::list,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Of how many of a partition, the newest, is looked where they come from.
const LOOKED_AT: i64 = 10_000;
/// So many topics are told apart: whoever publishes may make them up.
const TOLD_APART: usize = 100;
const OTHERS: &str = "(others)";

#[derive(Serialize)]
struct Topics {
    topics: Vec<Topic>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Topic {
    topic: String,
    /// Kafka has it.
    exists: bool,
    dead_letters: i64,
    /// Where the newest of them come from.
    from: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
    /// Who names it as its dead-letter topic.
    named_by: BTreeSet<String>,
}

pub(super) async fn run(reach: &Reach, args: &Ls, printer: &Printer) -> Result<Outcome, Problem> {
    let mut names = reach.dead_letter_topics();
    names.extend(args.topic.iter().map(String::as_str));
    let mut topics = Vec::new();
    for name in names {
        topics.push(topic(reach, name, printer).await?);
    }
    if args.letters.output == LettersFormat::Json {
        printer.document(Format::Json, &Topics { topics })?;
        return Ok(Outcome::Good);
    }
    if topics.is_empty() {
        printer.hint("No subscription has a dead-letter topic (deadLetterTopic), and none was named with --topic.");
        return Ok(Outcome::Good);
    }
    let mut table = Table::new(&["TOPIC", "DEAD LETTERS", "FROM", "OLDEST", "NEWEST", "NAMED BY"]);
    for topic in topics {
        let from = topic.from.iter().map(|(topic, count)| format!("{topic} ({count})"));
        let from = match topic.exists {
            true => joined(from),
            false => "not in Kafka yet".to_owned(),
        };
        table.rows.push(vec![
            plain(topic.topic),
            plain(topic.dead_letters.to_string()),
            plain(from),
            plain(topic.oldest.unwrap_or_else(|| "-".into())),
            plain(topic.newest.unwrap_or_else(|| "-".into())),
            plain(joined(topic.named_by.into_iter())),
        ]);
    }
    printer.table(&table);
    Ok(Outcome::Good)
}

fn joined(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "-".to_owned() } else { list(&names) }
}

async fn topic(reach: &Reach, name: &str, printer: &Printer) -> Result<Topic, Problem> {
    let mut found = Topic {
        topic: name.to_owned(),
        exists: reach.topics.contains_key(name),
        named_by: reach.subscriptions_of(name).map(|one| one.from.clone()).collect(),
        ..Topic::default()
    };
    if !found.exists {
        return Ok(found);
    }
    let (mut oldest, mut newest) = (None::<i64>, None::<i64>);
    for number in reach.partitions(name, None)? {
        let partition = reach.kafka.partition(name, number).await?;
        let bounds = partition.bounds().await?;
        found.dead_letters += bounds.end - bounds.start;
        let mut note = |timestamp: i64| {
            oldest = Some(oldest.map_or(timestamp, |other| other.min(timestamp)));
            newest = Some(newest.map_or(timestamp, |other| other.max(timestamp)));
        };
        let late = bounds.start.max(bounds.end - LOOKED_AT);
        if late > bounds.start
            && let Some(first) = partition.at(bounds.start).await?
        {
            note(first.timestamp);
        }
        let from = &mut found.from;
        each(
            &partition,
            &format!("{name}/{number}"),
            late..bounds.end,
            printer,
            |message| {
                note(message.timestamp);
                let origin = Letter::of(&message).origin;
                let origin = match origin.map_or_else(|| "unknown".to_owned(), |origin| origin.topic) {
                    new if from.len() >= TOLD_APART && !from.contains_key(&new) => OTHERS.to_owned(),
                    known => known,
                };
                *from.entry(origin).or_default() += 1;
                true
            },
        )
        .await?;
    }
    found.oldest = oldest.map(time);
    found.newest = newest.map(time);
    Ok(found)
}
