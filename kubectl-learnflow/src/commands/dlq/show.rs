//! `dlq show`.

use super::reach::{Reach, each};
use crate::{
    broker::Message,
    cli::{Format, LettersFormat, Show},
    dlq::{Letter, time},
    model::Outcome,
    printer::{Printer, Table, Tone, plain},
    problem::Problem,
    text::format_bytes,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::{io::IsTerminal, path::Path};

/// As much of a body as is shown; --raw has all of it.
const SHOWN: usize = 16 << 10;
/// Of a key or a header.
const SHORT: usize = 200;

pub(super) async fn run(reach: &Reach, args: &Show, printer: &Printer) -> Result<Outcome, Problem> {
    let spot = &args.spot;
    if let (Some(number), Some(offset)) = (spot.partition, spot.offset) {
        reach.partitions(&spot.topic, Some(number))?;
        let partition = reach.kafka.partition(&spot.topic, number).await?;
        let bounds = partition.bounds().await?;
        let found = match bounds.contains(&offset) {
            true => partition.at(offset).await?,
            false => None,
        };
        let message = found.ok_or_else(|| {
            Problem::new(format!("There is no message at {spot}.")).next(match bounds.is_empty() {
                true => "That partition is empty.".to_owned(),
                false => format!("Kafka has {} to {} of that partition.", bounds.start, bounds.end - 1),
            })
        })?;
        match &args.raw {
            Some(file) => raw(&message, file, printer)?,
            None if args.letters.output == LettersFormat::Json => {
                printer.document(Format::Json, &document(&spot.topic, &Letter::of(&message), &message))?;
            }
            None => whole(&spot.topic, &message, printer),
        }
        return Ok(Outcome::Good);
    }
    if args.raw.is_some() {
        return Err(Problem::new("--raw writes the body of one dead letter.")
            .next(format!("Name it: {}/PARTITION/OFFSET.", spot.topic)));
    }
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut newest: Vec<(Letter, Message)> = Vec::new();
    for number in reach.partitions(&spot.topic, spot.partition)? {
        let partition = reach.kafka.partition(&spot.topic, number).await?;
        let bounds = partition.bounds().await?;
        let late = bounds.start.max(bounds.end - i64::from(args.limit));
        let mut last = Vec::new();
        let name = format!("{}/{number}", spot.topic);
        each(&partition, &name, late..bounds.end, printer, |message| {
            let letter = Letter::of(&message);
            last.push((letter, without_most(message)));
            true
        })
        .await?;
        newest.extend(last);
    }
    newest.sort_by_key(|(letter, _)| (letter.timestamp, letter.partition, letter.offset));
    let newest = newest.split_off(newest.len().saturating_sub(limit));
    if args.letters.output == LettersFormat::Json {
        let all = newest
            .iter()
            .map(|(letter, message)| document(&spot.topic, letter, message));
        let all: Vec<Value> = all.collect();
        printer.document(Format::Json, &json!({ "deadLetters": all }))?;
        return Ok(Outcome::Good);
    }
    if newest.is_empty() {
        printer.hint(&format!("There are no dead letters in {spot}."));
        return Ok(Outcome::Good);
    }
    let mut table = Table::new(&["AT", "TIME", "FROM", "EVENT", "KEY", "SIZE", "WHY"]);
    for (letter, message) in &newest {
        table.rows.push(vec![
            plain(letter.at()),
            plain(time(letter.timestamp)),
            plain(from(letter)),
            plain(short(&id(letter))),
            plain(
                message
                    .key
                    .as_deref()
                    .map_or_else(|| "-".into(), |key| short(&text(key))),
            ),
            plain(format_bytes(letter.size as u64)),
            plain(letter.reason()),
        ]);
    }
    printer.table(&table);
    printer.hint(&format!(
        "All of one: `kubectl learnflow dlq show {}/PARTITION/OFFSET`.",
        spot.topic
    ));
    Ok(Outcome::Good)
}

fn from(letter: &Letter) -> String {
    let origin = letter.origin.as_ref();
    origin.map_or_else(
        || "unknown".into(),
        |from| short(&format!("{}/{}/{}", from.topic, from.partition, from.offset)),
    )
}

fn id(letter: &Letter) -> String {
    let id = letter.event.as_ref().and_then(|event| event.id.clone());
    id.unwrap_or_else(|| "-".into())
}

/// Bytes as text, whatever they are; the printer makes it harmless.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn short(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// As much as is shown, and no half of a character.
fn beginning(body: &[u8]) -> &[u8] {
    let mut end = body.len().min(SHOWN);
    if let Ok(text) = std::str::from_utf8(body) {
        while !text.is_char_boundary(end) {
            end -= 1;
        }
    }
    &body[..end]
}

/// Many of them lie in memory at once.
fn without_most(message: Message) -> Message {
    let value = message.value.map(|body| beginning(&body).to_vec());
    Message { value, ..message }
}

/// Everything that is known of one, for a person.
fn whole(topic: &str, message: &Message, printer: &Printer) {
    let letter = Letter::of(message);
    let event = letter.event.clone().unwrap_or_default();
    let mut lines = vec![
        ("Dead letter", format!("{topic}/{}", letter.at())),
        ("Died", time(letter.timestamp)),
        ("From", from(&letter)),
    ];
    if let Some(origin) = &letter.origin {
        lines.push(("Published", time(origin.timestamp)));
    }
    let reason = format!("{} (Dapr does not say; see the log of its sidecar)", letter.reason());
    lines.push(("Why", reason));
    for (name, value) in [
        ("Event", event.id),
        ("Source", event.source),
        ("Type", event.kind),
        ("Trace", event.traceparent),
        ("Expires", event.expiration),
        ("Replay of", letter.replay_of.clone()),
    ] {
        lines.extend(value.map(|value| (name, short(&value))));
    }
    lines.extend(message.key.as_deref().map(|key| ("Key", short(&text(key)))));
    for (name, value) in &message.headers {
        lines.push(("Header", format!("{}: {}", short(name), short(&text(value)))));
    }
    lines.push(("Size", format_bytes(letter.size as u64)));
    for (name, value) in lines {
        printer.data_line(Tone::Plain, &format!("{:<13}{value}", format!("{name}:")));
    }
    let Some(body) = &message.value else {
        printer.data_line(Tone::Plain, "It has no body.");
        return;
    };
    printer.data("\n");
    let pretty = serde_json::from_slice::<Value>(body)
        .ok()
        .filter(|_| body.len() <= SHOWN);
    let body_text = match pretty {
        Some(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        None => text(beginning(body)),
    };
    for line in body_text.lines() {
        printer.data_line(Tone::Plain, line);
    }
    if body.len() > SHOWN {
        printer.hint(&format!(
            "{} of {} are shown; --raw FILE writes all.",
            format_bytes(SHOWN as u64),
            format_bytes(body.len() as u64)
        ));
    }
}

fn document(topic: &str, letter: &Letter, message: &Message) -> Value {
    let either = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    };
    let headers: Map<String, Value> = message
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), either(value)))
        .collect();
    let body = message.value.as_deref();
    json!({
        "topic": topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "time": time(letter.timestamp),
        "origin": letter.origin,
        "why": letter.reason(),
        "event": letter.event,
        "replayOf": letter.replay_of,
        "key": message.key.as_deref().map(either),
        "headers": headers,
        "size": letter.size,
        "body": body.map(|body| either(beginning(body))),
        "bodyIsWhole": letter.size <= SHOWN,
    })
}

fn raw(message: &Message, file: &Path, printer: &Printer) -> Result<(), Problem> {
    let body = message.value.as_deref().unwrap_or_default();
    if file == Path::new("-") {
        if std::io::stdout().is_terminal() {
            return Err(
                Problem::new("The bytes of a dead letter are not written to a terminal: it would obey them.")
                    .next("Write them to a file or a pipe."),
            );
        }
        printer.bytes(body);
        return Ok(());
    }
    std::fs::write(file, body).map_err(|e| Problem::new(format!("Cannot write {}: {e}.", file.display())))
}
