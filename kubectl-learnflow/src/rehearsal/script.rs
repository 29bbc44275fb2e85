//! Who calls whom, when, and what is answered.
//!
//! The frontend asks course-agent for lessons, which publishes them; the frontend publishes answers to a quiz itself;
//! user-progress receives both, one event of a partition after the other. Some it takes only when it is asked again, some it
//! drops: these come once more, as dead letters.

use super::{COMPONENT, later};
use learnflow_flow::Time;
use learnflow_host::{Answer, Headers, Request};
use learnflow_resilience::{
    policy::{Backoff, Policy},
    simulate::{Arrivals, Client, Mode, Outage, Rng, Scenario, answers},
};
use std::{collections::BTreeMap, time::Duration};

/// Before Kafka goes away, while it is away, and how long publishes go on after that.
pub(crate) const LEAD: Duration = Duration::from_secs(4);
pub(crate) const OUTAGE: Duration = Duration::from_secs(5);
const TAIL: Duration = Duration::from_secs(8);

const PARTITIONS: usize = 3;
/// How long a healthy Kafka takes for a publish.
const LATENCY: Duration = Duration::from_millis(3);

/// Places in [`super::PODS`].
const FRONTEND: usize = 0;
const COURSE_AGENT: usize = 1;
const USER_PROGRESS: [usize; 2] = [2, 3];

/// One call that passes a sidecar.
pub(super) struct Call {
    pub(super) at: Duration,
    pub(super) took: Duration,
    pub(super) pod: usize,
    pub(super) request: Request,
    pub(super) answer: Answer,
    pub(super) publish: bool,
}

struct Topic {
    name: &'static str,
    publisher: usize,
    /// Events a second.
    rate: f64,
    /// Of an event, at least and at most.
    bytes: [usize; 2],
    route: &'static str,
    /// The share of events that are taken only when they come again, and of those that are dropped.
    retried: f64,
    dropped: f64,
}

const TOPICS: [Topic; 2] = [
    Topic {
        name: "lesson.generated",
        publisher: COURSE_AGENT,
        rate: 1.6,
        bytes: [300, 900],
        route: "/lesson-generated",
        retried: 0.05,
        dropped: 0.02,
    },
    Topic {
        name: "quiz.answered",
        publisher: FRONTEND,
        rate: 0.8,
        bytes: [80, 160],
        route: "/quiz-answered",
        retried: 0.02,
        dropped: 0.0,
    },
];

/// An event that Kafka has taken.
struct Event<'a> {
    topic: &'a Topic,
    partition: usize,
    offset: u64,
    /// When Kafka took it, in this round and in milliseconds since 1970.
    at: Duration,
    stamp: i64,
    trace: String,
}

pub(super) struct Script {
    publishing: Policy,
    /// Between attempts at an event that the app does not take.
    pause: Duration,
    /// The next one of each topic and partition.
    offsets: BTreeMap<(&'static str, usize), u64>,
}

impl Script {
    pub(super) fn new(publishing: Policy, delivering: Policy) -> Self {
        let pause = delivering.retry.map(|retry| match retry.backoff {
            Backoff::Constant { interval } => interval,
            Backoff::Exponential { initial, .. } => initial,
        });
        Self {
            publishing,
            pause: pause.unwrap_or_default(),
            offsets: BTreeMap::new(),
        }
    }

    /// All calls of one round, in the order in which they are made.
    pub(super) fn calls(&mut self, seed: u64, start: Time) -> Vec<Call> {
        let mut calls = Vec::new();
        for (number, topic) in TOPICS.iter().enumerate() {
            let mut rng = Rng::new(seed.wrapping_mul(31).wrapping_add(number as u64));
            self.topic(topic, start, &mut rng, &mut calls);
        }
        calls.sort_by_key(|call| (call.at, call.pod));
        calls
    }

    fn topic(&mut self, topic: &'static Topic, start: Time, rng: &mut Rng, calls: &mut Vec<Call>) {
        let scenario = Scenario {
            policy: self.publishing.clone(),
            outage: Outage::once(Mode::Refuse, LEAD, OUTAGE),
            budget: OUTAGE,
            rate: topic.rate,
            arrivals: Arrivals::Poisson,
            seed: rng.number(),
            tail: TAIL,
            client: Client {
                partitions: PARTITIONS,
                latency: LATENCY,
                ..Client::default()
            },
        };
        let mut events = Vec::new();
        for met in answers(&scenario) {
            let trace = trace(rng);
            let took = met.took + between(rng, 0.4, 4.0);
            if topic.publisher == COURSE_AGENT {
                calls.extend(asked_for(&trace, met.made, took, rng));
            }
            calls.push(publish(topic, met.accepted, &trace, met.made, took, rng));
            if met.accepted {
                let at = (met.made + took).saturating_sub(Duration::from_millis(1));
                let partition = rng.below(PARTITIONS);
                events.push((at, partition, trace));
            }
        }
        events.sort();
        let mut free = [Duration::ZERO; PARTITIONS];
        for (number, (at, partition, trace)) in events.into_iter().enumerate() {
            let next = self.offsets.entry((topic.name, partition)).or_default();
            let event = Event {
                topic,
                partition,
                offset: *next,
                at,
                stamp: later(start, at).0 / 1_000_000,
                trace,
            };
            *next += 1;
            // One of each kind comes early, whatever the seed: it is what is to be seen.
            let chance = match number {
                3 => 0.0,
                6 => topic.retried,
                _ => rng.share(),
            };
            free[partition] = self.deliver(&event, chance, free[partition], rng, calls);
        }
    }

    /// Returns when the partition is free for its next event.
    fn deliver(&self, event: &Event, chance: f64, free: Duration, rng: &mut Rng, calls: &mut Vec<Call>) -> Duration {
        let mut at = free.max(event.at + between(rng, 1.0, 4.0));
        let Topic {
            route,
            retried,
            dropped,
            ..
        } = event.topic;
        let mut attempt = |at: Duration, route: &str, answer: Answer, rng: &mut Rng| {
            let took = between(rng, 0.7, 4.0);
            calls.push(delivery(event, route, answer, at, took));
            at + took
        };
        if chance < *retried {
            let answer = Answer {
                status: Some(503),
                ..said("the database is busy")
            };
            at = attempt(at, route, answer, rng) + self.pause;
        } else if chance < retried + dropped {
            let dropped = attempt(at, route, said(r#"{"status":"DROP"}"#), rng);
            // Dapr publishes it to the dead-letter topic, from where it comes with all that Kafka said of it before.
            let letter = dropped + LATENCY + between(rng, 2.0, 6.0);
            attempt(letter, "/dead-letters", said(""), rng);
            return dropped;
        }
        attempt(at, route, said(r#"{"status":"SUCCESS"}"#), rng)
    }
}

/// What the frontend asks of course-agent: a call of its sidecar, and one that reaches the other app.
fn asked_for(trace: &str, at: Duration, took: Duration, rng: &mut Rng) -> [Call; 2] {
    let [way, back] = [between(rng, 0.5, 2.0), between(rng, 0.5, 2.0)];
    let request = |source: &str, uri: &str| Request {
        method: b"POST".into(),
        uri: uri.into(),
        source: source.into(),
        headers: parent(trace).with("Content-Type", "application/json"),
    };
    let call = |pod, request, early: Duration, late: Duration| Call {
        at: at.saturating_sub(early),
        took: early + took + late,
        pod,
        request,
        answer: Answer {
            status: Some(201),
            ..said(r#"{"id":"lesson"}"#)
        },
        publish: false,
    };
    let invoked = request("127.0.0.1:40000", "/v1.0/invoke/course-agent/method/lessons");
    [
        call(FRONTEND, invoked, way, back),
        call(COURSE_AGENT, request("", "/lessons"), way / 2, back / 2),
    ]
}

fn publish(topic: &Topic, accepted: bool, trace: &str, at: Duration, took: Duration, rng: &mut Rng) -> Call {
    let [least, most] = topic.bytes;
    let bytes = least + rng.below(most - least);
    Call {
        at,
        took,
        pod: topic.publisher,
        request: Request {
            method: b"POST".into(),
            uri: format!("/v1.0/publish/{COMPONENT}/{}", topic.name).into(),
            source: "127.0.0.1:40000".into(),
            headers: parent(trace)
                .with("Content-Type", "application/json")
                .with("Content-Length", bytes.to_string()),
        },
        answer: Answer {
            status: Some(if accepted { 204 } else { 500 }),
            ..said("")
        },
        publish: true,
    }
}

/// As Dapr makes it of an event from Kafka.
fn delivery(event: &Event, route: &str, answer: Answer, at: Duration, took: Duration) -> Call {
    let headers = parent(&event.trace)
        .with("Content-Type", "application/cloudevents+json")
        .with("pubsubname", COMPONENT)
        .with("__topic", event.topic.name)
        .with("__partition", event.partition.to_string())
        .with("__offset", event.offset.to_string())
        .with("__timestamp", event.stamp.to_string());
    Call {
        at,
        took,
        pod: USER_PROGRESS[event.partition % USER_PROGRESS.len()],
        request: Request {
            method: b"POST".into(),
            uri: route.into(),
            source: String::new(),
            headers,
        },
        answer,
        publish: false,
    }
}

/// An app says at least the date.
fn said(body: &str) -> Answer {
    Answer {
        status: Some(200),
        headers: Headers::default().with("Date", "Thu, 15 Jan 2026 10:00:00 GMT"),
        body: body.into(),
        panicked: false,
    }
}

fn parent(trace: &str) -> Headers {
    Headers::default().with("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
}

fn trace(rng: &mut Rng) -> String {
    format!("{:016x}{:016x}", rng.number(), rng.number() | 1)
}

/// Milliseconds; short ones are more often.
fn between(rng: &mut Rng, least: f64, most: f64) -> Duration {
    let share = rng.share();
    Duration::from_nanos(((least + (most - least) * share * share) * 1e6) as u64)
}
