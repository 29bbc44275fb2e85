//! The Kafka client under Dapr's component, as far as a publish meets it: `IBM/sarama` 1.48 with the settings that
//! `components-contrib` 1.18 makes (producer retries 5, pauses 100 ms; metadata retries 3, pauses 250 ms; timeouts 30 s).
//!
//! Events pass a queue for all, then one for each partition. A partition that has lost its broker asks for metadata, and
//! answers one event after the other with an error, 100 ms apart. After three failures it does not even ask for 10 s. So a
//! sidecar fails at most ten events a second and partition, the others wait, and after an outage it may take those 10 s
//! more until a partition looks again.

mod leader;
mod network;

use std::collections::VecDeque;

use super::{
    clock::{Queue, Time},
    rng::Rng,
    scenario::{Client, Outage},
};
use leader::LeaderBreaker;
use network::Network;

const MILLISECOND: Time = 1_000_000;
/// Between retries of a partition, and after each event that it gives up.
const PAUSE: Time = 100 * MILLISECOND;
/// How often the producer takes an event up again.
const RETRIES: u8 = 5;
/// Events that a partition's queue holds. While one is full, none is handed to any.
const CHANNEL: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A partition has slept.
    Awake(usize),
    /// The metadata are there, or could not be had.
    Metadata(bool),
    /// The broker has answered, or the connection broke.
    Response(usize, bool),
    /// A call is tried again. Not the client's, but of the same queue.
    Retry(u32),
}

/// One attempt of a call.
#[derive(Debug, Clone, Copy)]
struct Message {
    call: u32,
    attempt: u32,
    partition: usize,
    retries: u8,
    /// No event, but the mark that all events of its level have come back.
    last: bool,
}

/// Where a partition goes on when what it waits for is there.
#[derive(Debug, Clone, Copy)]
enum Then {
    Next,
    /// A leader is needed, then a new level of retries begins.
    Raise(Message),
    Send(Message),
    /// A leader is needed, then the level below is sent.
    Flush,
}

#[derive(Debug)]
struct Partition {
    queue: VecDeque<Message>,
    then: Option<Then>,
    /// The retry level at which events are let through; those below wait.
    level: u8,
    waiting: [Vec<Message>; RETRIES as usize + 1],
    incomplete: [bool; RETRIES as usize + 1],
    producer: Option<usize>,
    breaker: LeaderBreaker,
    /// For the next request.
    batch: Vec<Message>,
    in_flight: bool,
}

#[derive(Debug, Default)]
struct Request {
    producer: usize,
    events: Vec<Message>,
    open: bool,
}

#[derive(Debug)]
pub(super) struct Kafka {
    network: Network,
    rng: Rng,
    topic: VecDeque<Message>,
    partitions: Vec<Partition>,
    ready: Vec<usize>,
    /// Who waits for the metadata that are being asked for.
    asking: Vec<usize>,
    /// The connection that events are sent by, and how many there have been.
    producer: Option<usize>,
    producers: usize,
    requests: Vec<Request>,
    free: Vec<usize>,
    /// Attempts that have ended since they were last taken: the call, the attempt, and whether Kafka has the event.
    pub(super) ended: Vec<(u32, u32, bool)>,
    /// Requests that the broker has answered, and the events in them.
    pub(super) served: Vec<(Time, u32)>,
}

impl Kafka {
    pub(super) fn new(client: &Client, outage: &Outage, seed: u64) -> Self {
        let partition = || Partition {
            queue: VecDeque::new(),
            then: None,
            level: 0,
            waiting: Default::default(),
            incomplete: Default::default(),
            producer: Some(0),
            breaker: LeaderBreaker::default(),
            batch: Vec::new(),
            in_flight: false,
        };
        Self {
            network: Network::new(client, outage),
            rng: Rng::new(seed),
            topic: VecDeque::new(),
            partitions: (0..client.partitions.max(1)).map(|_| partition()).collect(),
            ready: Vec::new(),
            asking: Vec::new(),
            producer: Some(0),
            producers: 1,
            requests: Vec::new(),
            free: Vec::new(),
            ended: Vec::new(),
            served: Vec::new(),
        }
    }

    /// An event to be sent. Without a key its partition is drawn.
    pub(super) fn send(&mut self, call: u32, attempt: u32) {
        let partition = self.rng.below(self.partitions.len());
        self.topic.push_back(Message {
            call,
            attempt,
            partition,
            retries: 0,
            last: false,
        });
    }

    pub(super) fn handle(&mut self, now: Time, event: Event, queue: &mut Queue<Event>) {
        match event {
            Event::Awake(partition) => {
                if let Some(then) = self.partitions[partition].then.take() {
                    self.go_on(partition, then, now, queue);
                }
                self.ready.push(partition);
            }
            Event::Metadata(found) => self.asked(found, now, queue),
            Event::Response(request, answered) => self.responded(request, answered, now, queue),
            Event::Retry(_) => {}
        }
        self.pump(now, queue);
    }

    /// Moves what can be moved.
    pub(super) fn pump(&mut self, now: Time, queue: &mut Queue<Event>) {
        loop {
            while let Some(message) = self.topic.front() {
                let partition = &mut self.partitions[message.partition];
                if partition.queue.len() >= CHANNEL {
                    break;
                }
                partition.queue.push_back(*message);
                if partition.then.is_none() {
                    self.ready.push(message.partition);
                }
                self.topic.pop_front();
            }
            let Some(partition) = self.ready.pop() else {
                return;
            };
            while self.partitions[partition].then.is_none() {
                let Some(message) = self.partitions[partition].queue.pop_front() else {
                    break;
                };
                self.take(partition, message, now, queue);
            }
        }
    }

    fn take(&mut self, at: usize, message: Message, now: Time, queue: &mut Queue<Event>) {
        let partition = &mut self.partitions[at];
        let level = partition.level;
        if message.retries > level {
            self.go_on(at, Then::Raise(message), now, queue);
        } else if level > 0 && message.retries < level {
            if message.last {
                partition.incomplete[usize::from(message.retries)] = false;
            } else {
                partition.waiting[usize::from(message.retries)].push(message);
            }
        } else if level > 0 && message.last {
            partition.incomplete[usize::from(level)] = false;
            self.go_on(at, Then::Flush, now, queue);
        } else {
            self.go_on(at, Then::Send(message), now, queue);
        }
    }

    /// With a leader, or on the way to one.
    fn go_on(&mut self, at: usize, then: Then, now: Time, queue: &mut Queue<Event>) {
        if let Then::Next = then {
            // The next event of its queue.
        } else if self.partitions[at].producer.is_some() {
            self.with_leader(at, then, now, queue);
        } else if self.partitions[at].breaker.lets_try(now) {
            self.partitions[at].then = Some(then);
            if self.asking.is_empty() {
                let (due, found) = self.network.ask(now);
                queue.put(due, Event::Metadata(found));
            }
            self.asking.push(at);
        } else {
            self.without_leader(at, then, now, queue);
        }
    }

    fn asked(&mut self, found: bool, now: Time, queue: &mut Queue<Event>) {
        for at in std::mem::take(&mut self.asking) {
            self.partitions[at].breaker.tried(now, found);
            let Some(then) = self.partitions[at].then.take() else {
                continue;
            };
            if found {
                let current = *self.producer.get_or_insert_with(|| {
                    self.producers += 1;
                    self.producers - 1
                });
                self.partitions[at].producer = Some(current);
                self.with_leader(at, then, now, queue);
            } else {
                self.without_leader(at, then, now, queue);
            }
            self.ready.push(at);
        }
    }

    fn with_leader(&mut self, at: usize, then: Then, now: Time, queue: &mut Queue<Event>) {
        match then {
            Then::Next => {}
            Then::Send(message) => self.produce(at, message, now, queue),
            Then::Raise(message) => {
                let partition = &mut self.partitions[at];
                partition.level = message.retries;
                partition.incomplete[usize::from(message.retries)] = true;
                let mark = Message {
                    retries: message.retries - 1,
                    last: true,
                    ..message
                };
                self.produce(at, mark, now, queue);
                self.partitions[at].producer = None;
                self.sleep(at, Then::Send(message), now, queue);
            }
            Then::Flush => {
                let level = self.step_down(at);
                for message in std::mem::take(&mut self.partitions[at].waiting[level]) {
                    self.produce(at, message, now, queue);
                }
                self.flushed(at, now, queue);
            }
        }
    }

    fn without_leader(&mut self, at: usize, then: Then, now: Time, queue: &mut Queue<Event>) {
        match then {
            Then::Next => {}
            Then::Send(message) | Then::Raise(message) => {
                self.give_up(message);
                self.sleep(at, Then::Next, now, queue);
            }
            Then::Flush => {
                let level = self.step_down(at);
                for message in std::mem::take(&mut self.partitions[at].waiting[level]) {
                    self.give_up(message);
                }
                self.flushed(at, now, queue);
            }
        }
    }

    fn step_down(&mut self, at: usize) -> usize {
        let partition = &mut self.partitions[at];
        partition.level = partition.level.saturating_sub(1);
        usize::from(partition.level)
    }

    /// On to the level below, unless events of this one are still to come back.
    fn flushed(&mut self, at: usize, now: Time, queue: &mut Queue<Event>) {
        let partition = &self.partitions[at];
        if partition.level > 0 && !partition.incomplete[usize::from(partition.level)] {
            self.go_on(at, Then::Flush, now, queue);
        }
    }

    fn sleep(&mut self, at: usize, then: Then, now: Time, queue: &mut Queue<Event>) {
        self.partitions[at].then = Some(then);
        queue.put(now + PAUSE, Event::Awake(at));
    }

    fn give_up(&mut self, message: Message) {
        if !message.last {
            self.ended.push((message.call, message.attempt, false));
        }
    }

    /// Back to the end of the line, as often as it may.
    fn bounce(&mut self, message: Message) {
        if message.retries >= RETRIES {
            self.give_up(message);
        } else {
            let retries = message.retries + 1;
            self.topic.push_back(Message { retries, ..message });
        }
    }

    fn produce(&mut self, at: usize, message: Message, now: Time, queue: &mut Queue<Event>) {
        if message.last || self.partitions[at].producer != self.producer {
            // Its producer has failed, or is done with.
            self.bounce(message);
        } else {
            self.partitions[at].batch.push(message);
            self.flush(now, queue);
        }
    }

    /// One request with all that waits, of the partitions that have none under way.
    fn flush(&mut self, now: Time, queue: &mut Queue<Event>) {
        let Some(producer) = self.producer else { return };
        let mut number = None;
        for at in 0..self.partitions.len() {
            let partition = &mut self.partitions[at];
            if partition.in_flight || partition.batch.is_empty() {
                continue;
            }
            partition.in_flight = true;
            let number = *number.get_or_insert_with(|| {
                self.free.pop().unwrap_or_else(|| {
                    self.requests.push(Request::default());
                    self.requests.len() - 1
                })
            });
            self.requests[number].events.append(&mut partition.batch);
        }
        if let Some(number) = number {
            self.requests[number].producer = producer;
            self.requests[number].open = true;
            let (due, answered) = self.network.request(now);
            queue.put(due, Event::Response(number, answered));
        }
    }

    fn responded(&mut self, number: usize, answered: bool, now: Time, queue: &mut Queue<Event>) {
        self.free.push(number);
        if !std::mem::take(&mut self.requests[number].open) {
            return;
        }
        if !answered {
            self.broken(number);
            return;
        }
        let mut events = std::mem::take(&mut self.requests[number].events);
        self.served.push((now, u32::try_from(events.len()).unwrap_or(u32::MAX)));
        for event in events.drain(..) {
            self.partitions[event.partition].in_flight = false;
            self.ended.push((event.call, event.attempt, true));
        }
        self.requests[number].events = events;
        self.flush(now, queue);
    }

    /// All that was sent by this connection, or was to be, comes back.
    fn broken(&mut self, number: usize) {
        self.network.close();
        let producer = self.requests[number].producer;
        let mut back = std::mem::take(&mut self.requests[number].events);
        for request in &mut self.requests {
            if request.open && request.producer == producer {
                request.open = false;
                back.append(&mut request.events);
            }
        }
        for event in &back {
            self.partitions[event.partition].in_flight = false;
        }
        for partition in &mut self.partitions {
            back.append(&mut partition.batch);
        }
        self.producer = None;
        for event in back {
            self.bounce(event);
        }
    }
}
