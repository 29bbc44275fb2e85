//! Why something is not seen, in words, and what to do about it.

use crate::text;
use serde::{Serialize, Serializer, ser::SerializeStruct};

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
    Sampled {
        spans: u64,
        events: u64,
    },
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
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::NotEnrolled(_) => {
                "Some pods have no middleware. Enrol their Deployment: `kubectl learnflow enroll DEPLOYMENT`."
            }
            Self::NotLoaded(_) => "`kubectl learnflow status` says which sidecars run without it, and why.",
            Self::GrpcPublish(_) => {
                "A publish over gRPC does not pass the HTTP pipeline, so the middleware does not see it. Publish over HTTP; \
                 until then Dapr's own counter has them, dapr_component_pubsub_egress_count."
            }
            Self::GrpcDelivery(_) => {
                "An app that receives over gRPC is not called through the HTTP pipeline, so the middleware does not see it. \
                 Receive over HTTP; until then Dapr's own counter has them, dapr_component_pubsub_ingress_count."
            }
            Self::NoRecord(_) => {
                "Records need dapr.io/log-level info or debug, and a topic that the middleware's configuration does not \
                 leave out; an app that subscribes by a stream (gRPC) has none. `kubectl learnflow check` looks at the \
                 sidecars."
            }
            Self::NoMetrics => {
                "How many there were is not known of these. `kubectl learnflow check` says why a sidecar gives no metrics."
            }
            Self::Bulk(_) => "How many events a bulk call had, only its body says: a call counts as one here.",
            Self::WithoutDapr(_) => {
                "Somebody publishes to this topic without Dapr, or from another namespace. What no sidecar here sends, only \
                 Kafka sees."
            }
            Self::Uncounted(_) => {
                "Pods came, went or did not answer meanwhile, so that not all is known of what they sent. Look again when \
                 all stay."
            }
            Self::DeadLetters(_) => {
                "Dapr sends these itself, which is neither counted nor recorded. `kubectl learnflow dlq ls` shows them."
            }
            Self::OfDeadLetters => {
                "Records name the topic that a dead letter comes from. docs/records.md says why, and how to end it."
            }
            Self::Stalled(_) => {
                "Events come and none goes to the app. The log of its container daprd says what it waits for."
            }
            Self::NoPod(_) => "A Subscription is for this app, and no pod of it runs. Its events wait in Kafka.",
            Self::Refused(_) => "`kubectl learnflow flow --outcome retry` shows what the app answers.",
            Self::NoSpans => {
                "Tracing is off, samples nothing, or does not reach the Collector: see spec.tracing of the sidecar's \
                 Configuration. Records do not need it."
            }
            Self::Sampled { .. } => {
                "The others are not sampled: by samplingRate of the sidecar's Configuration, or as the caller's traceparent \
                 says. Records are complete all the same."
            }
            Self::Unscraped(_) => {
                "The sidecar counts, and Prometheus does not have it: boards and alerts miss it. `kubectl learnflow status` \
                 shows which sidecars give metrics."
            }
        }
    }
}

impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Why", 3)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("what", &self.words())?;
        fields.serialize_field("advice", self.advice())?;
        fields.end()
    }
}
