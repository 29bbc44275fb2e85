//! Why something is not seen, in words, and what to do about it.

use super::Direction;
use crate::text;
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Why {
    /// Of sidecars without the middleware.
    NotEnrolled(u64),
    /// Of sidecars that could not load it.
    NotLoaded(u64),
    GrpcPublish(u64),
    GrpcDelivery(u64),
    /// For no reason that is known here.
    NoRecord(u64),
    /// How many there were is not known.
    NoMetrics,
    /// Calls with several events in them.
    Bulk(u64),
    /// Events that no sidecar sent.
    WithoutDapr(u64),
    /// Events that nobody counted, since not all sidecars could be asked twice.
    Uncounted(u64),
    DeadLetters(u64),
    /// Its deliveries are recorded under another topic.
    OfDeadLetters,
    /// Events of which none was delivered.
    Stalled(u64),
    /// The same, as there is no pod.
    NoPod(u64),
    /// Events of which the app took none.
    Refused(u64),
    NoSpans,
    Sampled { spans: u64, events: u64 },
    /// Pods whose counters Prometheus does not have.
    Unscraped(Vec<String>),
}

impl Why {
    /// It stays as it is.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotEnrolled(_) => "not-enrolled",
            Self::NotLoaded(_) => "not-loaded",
            Self::GrpcPublish(_) => "grpc-publish",
            Self::GrpcDelivery(_) => "grpc-delivery",
            Self::NoRecord(_) => "no-record",
            Self::NoMetrics => "no-metrics",
            Self::Bulk(_) => "bulk",
            Self::WithoutDapr(_) => "without-dapr",
            Self::Uncounted(_) => "uncounted",
            Self::DeadLetters(_) => "dead-letters",
            Self::OfDeadLetters => "of-dead-letters",
            Self::Stalled(_) => "stalled",
            Self::NoPod(_) => "no-pod",
            Self::Refused(_) => "refused",
            Self::NoSpans => "no-spans",
            Self::Sampled { .. } => "sampled",
            Self::Unscraped(_) => "unscraped",
        }
    }

    /// For a cell of the table.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::NotEnrolled(n) => format!("{n} without the middleware"),
            Self::NotLoaded(n) => format!("{n} where the middleware did not load"),
            Self::GrpcPublish(n) => format!("{n} published over gRPC"),
            Self::GrpcDelivery(n) => format!("{n} delivered over gRPC"),
            Self::NoRecord(n) => format!("{n} without a record"),
            Self::NoMetrics => "sidecars without metrics".into(),
            Self::Bulk(n) => text::count(usize::try_from(*n).unwrap_or(usize::MAX), "bulk call"),
            Self::WithoutDapr(n) => format!("{n} that no sidecar sent"),
            Self::Uncounted(n) => format!("{n} that were not counted"),
            Self::DeadLetters(n) => format!("{n} dead letters"),
            Self::OfDeadLetters => "dead letters".into(),
            Self::Stalled(n) => format!("stalled: none of {n} delivered"),
            Self::NoPod(n) => format!("no pod: none of {n} delivered"),
            Self::Refused(n) => format!("stalled: its app took none of {n}"),
            Self::NoSpans => "no spans".into(),
            Self::Sampled { spans, events } => format!("spans of {}%", spans * 100 / (*events).max(1)),
            Self::Unscraped(pods) => format!("{} not in Prometheus", text::list(pods)),
        }
    }

    /// What it means, and what to do.
    pub(crate) fn advice(&self, service: &str, topic: &str, dir: Direction) -> String {
        match self {
            Self::NotEnrolled(_) => format!(
                "Some pods of {service} have no middleware. Enrol its Deployment: `kubectl learnflow enroll DEPLOYMENT`."
            ),
            Self::NotLoaded(_) => "`kubectl learnflow status` says which sidecars run without it, and why.".into(),
            Self::GrpcPublish(_) => "A publish over gRPC does not pass the HTTP pipeline, so the middleware does not see it. \
                                     Publish over HTTP; until then Dapr's own counter has them, \
                                     dapr_component_pubsub_egress_count."
                .into(),
            Self::GrpcDelivery(_) => "An app that receives over gRPC is not called through the HTTP pipeline, so the \
                                      middleware does not see it. Receive over HTTP (dapr.io/app-protocol: http); until \
                                      then Dapr's own counter has them, dapr_component_pubsub_ingress_count."
                .into(),
            Self::NoRecord(_) => {
                let stream = match dir {
                    Direction::Publish => "",
                    Direction::Deliver => " An app that subscribes by a stream (gRPC) has none either.",
                };
                format!(
                    "Records need dapr.io/log-level info or debug, and a topic that the middleware's configuration does \
                     not leave out.{stream} `kubectl learnflow check` looks at the sidecars."
                )
            }
            Self::NoMetrics => "How many there were is not known of them. `kubectl learnflow check` says why a sidecar \
                                gives no metrics."
                .into(),
            Self::Bulk(_) => "How many events a bulk call had, only its body says: a call counts as one here.".into(),
            Self::WithoutDapr(_) => "Somebody publishes to this topic without Dapr, or from another namespace. What no \
                                     sidecar sends, only Kafka sees."
                .into(),
            Self::Uncounted(_) => "Pods came, went or did not answer meanwhile, so that what they sent is not known. Look \
                                   again when all stay."
                .into(),
            Self::DeadLetters(_) => format!(
                "Dapr sends these itself, which is neither counted nor recorded. `kubectl learnflow dlq show {topic}` \
                 shows them."
            ),
            Self::OfDeadLetters => "Its records name the topic that a dead letter comes from: docs/records.md says why, \
                                    and how to end it."
                .into(),
            Self::Stalled(_) => format!(
                "Events come and none goes to {service}. See the log of its container daprd for what it waits, and its \
                 lag with `kubectl learnflow status`."
            ),
            Self::NoPod(_) => format!("A Subscription names {service}, and no pod of it runs. Its events wait in Kafka."),
            Self::Refused(_) => format!(
                "The app of {service} takes none. `kubectl learnflow flow --service {service} --outcome retry` shows what \
                 it answers."
            ),
            Self::NoSpans => "Tracing is off, samples nothing, or does not reach the Collector: see spec.tracing of the \
                              sidecar's Configuration. Records do not need it."
                .into(),
            Self::Sampled { .. } => "The others are not sampled: samplingRate in the sidecar's Configuration, or what the \
                                     caller's traceparent says. Records are complete all the same."
                .into(),
            Self::Unscraped(_) => "The sidecar counts, and Prometheus does not have it: boards and alerts miss it. \
                                   `kubectl learnflow status` shows which sidecars give metrics."
                .into(),
        }
    }

    pub(crate) fn document(&self, service: &str, topic: &str, dir: Direction) -> Value {
        json!({ "code": self.code(), "what": self.words(), "advice": self.advice(service, topic, dir) })
    }
}
