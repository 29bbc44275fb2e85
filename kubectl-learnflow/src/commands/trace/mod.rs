//! `trace`: one event's way, from whatever can be asked about it.

mod kafka;
mod records;
mod show;

use crate::{
    cli::{Format, Global, Trace, TraceFormat},
    cluster::Cluster,
    commands::flow::ending,
    model::Outcome,
    printer::{Mark, Printer},
    problem::Problem,
    trace::{Asked, Evidence, Group, Kafka, Known, Looked, Place, Record, Span, Stored, timeline},
};
use kafka::Broker;
use learnflow_core::TraceId;
use learnflow_flow::Time;

/// Of a trace that has more events, so many are looked up in Kafka.
const MESSAGES: usize = 20;

pub(super) async fn run(args: &Trace, global: &Global, printer: &Printer) -> Result<Outcome, Problem> {
    let mut look = Look::new(args, global, printer).await;
    let (asked, seen) = look.for_event().await?;
    let timeline = timeline(&asked, &seen);
    printer.done_waiting();
    let found = !timeline.steps.is_empty();
    let nobody_answered = seen.records.is_err() && seen.kafka.is_err() && seen.spans.is_err();
    if nobody_answered && let Some(problem) = look.refused {
        return Err(problem);
    }
    match args.output {
        TraceFormat::Json => printer.document(Format::Json, &show::document(&timeline))?,
        TraceFormat::Table => show::print(&args.event, &timeline, printer),
    }
    if let Ok(records) = &seen.records {
        ending(records.counts, printer);
    }
    Ok(if found { Outcome::Good } else { Outcome::Bad })
}

fn only_kafka_knows() -> Problem {
    Problem::new("Only Kafka knows the ids of events, and with --file it is not asked.")
        .next("Add --bootstrap HOST:PORT or --component NAME; or name the event by its place in Kafka, or its trace.")
}

/// The sources, as far as they can be asked.
struct Look<'a> {
    args: &'a Trace,
    global: &'a Global,
    printer: &'a Printer,
    cluster: Looked<Cluster>,
    broker: Looked<Broker>,
    /// The first that said no.
    refused: Option<Problem>,
}

impl<'a> Look<'a> {
    async fn new(args: &'a Trace, global: &'a Global, printer: &'a Printer) -> Self {
        let mut look = Self {
            args,
            global,
            printer,
            cluster: Err("with --file the trace store is not asked".into()),
            broker: Err("with --file Kafka is asked only if --bootstrap or --component say how to get there".into()),
            refused: None,
        };
        let live = args.file.is_empty();
        if live {
            let connected = Cluster::connect(global).await;
            look.cluster = look.looked(connected);
        }
        if live || args.kafka.component.is_some() || args.kafka.bootstrap.is_some() {
            printer.waiting("reaching Kafka");
            let reached = Broker::reach(&args.kafka, global).await;
            look.broker = look.looked(reached);
        }
        look
    }

    /// A source that cannot be asked is a part of the answer.
    fn looked<T>(&mut self, answer: Result<T, Problem>) -> Looked<T> {
        answer.map_err(|problem| {
            let why = problem.what.trim_end_matches('.').to_owned();
            self.refused.get_or_insert(problem);
            why
        })
    }

    async fn for_event(&mut self) -> Result<(Asked, Evidence), Problem> {
        let args = self.args;
        let kafka = match &args.event {
            Asked::Place(place) => self.messages(vec![place.clone()]).await,
            Asked::Event(id) => self.search(|stored| stored.id() == Some(id), &args.topic, None).await,
            Asked::Trace(_) => Ok(Kafka::default()),
        };
        if let (Asked::Event(_), Err(_)) = (&args.event, &kafka) {
            return Err(self.refused.take().unwrap_or_else(only_kafka_knows));
        }
        // From here on it is the place of the newest that has this id.
        let found = kafka.as_ref().ok().and_then(|kafka| kafka.messages.first());
        let asked = match (&args.event, found) {
            (Asked::Event(_), Some((place, found))) => Asked::Place(found.origin().unwrap_or(place).clone()),
            (asked, _) => asked.clone(),
        };
        let mut seen = Evidence {
            records: Err("no record has the id of an event".into()),
            spans: Ok(Vec::new()),
            dead: Ok(Vec::new()),
            groups: Ok(Vec::new()),
            kafka,
        };
        if !matches!(asked, Asked::Event(_)) {
            self.printer.waiting("reading logs");
            let known = Known::of(&asked, seen.kafka.as_ref().ok());
            let records = records::read(args, &known, self.global, self.printer).await;
            // A file that cannot be read is a wrong flag, and no source that is away.
            seen.records = match args.file.is_empty() {
                true => self.looked(records),
                false => Ok(records?),
            };
        }
        let trace = seen.trace(&asked);
        seen.spans = self.spans(trace).await;
        if let Asked::Trace(trace) = asked {
            seen.kafka = self.of_trace(trace, &seen).await;
        }
        if let (Some(place), true) = (seen.places(&asked).first(), seen.is_undelivered()) {
            seen.groups = self.groups(place).await;
        }
        if let (Some(place), true) = (seen.places(&asked).first(), seen.is_refused()) {
            seen.dead = self.dead_letters(place, &seen).await;
        }
        Ok((asked, seen))
    }

    async fn spans(&mut self, trace: Option<TraceId>) -> Looked<Vec<Span>> {
        let cluster = self.cluster.clone()?;
        let Some(trace) = trace else { return Ok(Vec::new()) };
        self.printer.waiting("asking the trace store");
        let spans = cluster.spans(trace.as_str()).await;
        self.looked(spans)
    }

    async fn groups(&mut self, place: &Place) -> Looked<Vec<Group>> {
        let cluster = self
            .cluster
            .clone()
            .map_err(|_| "with --file Prometheus is not asked")?;
        let groups = cluster.group_offsets(&place.topic, place.partition).await;
        let group = |(name, next)| Group { name, next };
        self.looked(groups.map(|groups| groups.into_iter().map(group).collect()))
    }

    async fn dead_letters(&mut self, place: &Place, seen: &Evidence) -> Looked<Vec<(Place, Stored)>> {
        let broker = self.broker.as_ref().map_err(Clone::clone)?;
        let deliveries = seen.records().iter().filter(|record| !record.publishes());
        let since = deliveries.map(Record::begin).min().unwrap_or_default();
        let found = broker.dead_letters(place, since, self.printer).await;
        self.looked(found)?
    }

    async fn messages(&mut self, places: Vec<Place>) -> Looked<Kafka> {
        let broker = self.broker.as_ref().map_err(Clone::clone)?;
        let mut kafka = Kafka::default();
        for place in places {
            match broker.at(&place).await {
                Ok(found) => kafka.messages.push((place, found)),
                Err(problem) => return self.looked(Err(problem)),
            }
        }
        Ok(kafka)
    }

    /// The messages at the places that its records name; without any, that which has the trace.
    async fn of_trace(&mut self, trace: TraceId, seen: &Evidence) -> Looked<Kafka> {
        let mut places = seen.places(&Asked::Trace(trace));
        if places.len() > MESSAGES {
            let text = format!(
                "Of {} events of this trace, {MESSAGES} are looked up in Kafka",
                places.len()
            );
            self.printer.step(Mark::Warn, &text);
            places.truncate(MESSAGES);
        }
        if !places.is_empty() {
            return self.messages(places).await;
        }
        let publishes = seen.records().iter().filter(|record| record.publishes());
        let mut topics: Vec<String> = publishes.clone().map(|record| record.topic.clone()).collect();
        topics.extend(
            seen.spans()
                .iter()
                .filter(|span| span.role.publishes())
                .filter_map(|span| span.topic.clone()),
        );
        topics.extend(self.args.topic.iter().cloned());
        topics.sort();
        topics.dedup();
        let begins = publishes
            .map(Record::begin)
            .chain(seen.spans().iter().map(|span| span.begin))
            .min();
        if topics.is_empty() && begins.is_none() {
            return Ok(Kafka::default());
        }
        let of_it = |stored: &Stored| stored.parent.as_ref().is_some_and(|parent| parent.trace == trace);
        self.search(of_it, &topics, begins).await
    }

    async fn search(
        &mut self,
        wanted: impl Fn(&Stored) -> bool,
        topics: &[String],
        from: Option<Time>,
    ) -> Looked<Kafka> {
        let broker = self.broker.as_ref().map_err(Clone::clone)?;
        let since = self.args.since;
        let found = broker
            .search(wanted, topics, kafka::From::of(from, since), self.printer)
            .await;
        self.looked(found)
    }
}

#[cfg(test)]
mod tests;
