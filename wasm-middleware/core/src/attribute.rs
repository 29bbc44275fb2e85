//! Attributes that a publish adds to Dapr's span.
//!
//! Dapr's own publish span does not know its topic. A request header `dapr-X` becomes the attribute `dapr-X` of a
//! sampled span (`userDefinedHTTPHeaders` in daprd's `pkg/diagnostics/http_tracing.go`, which takes the last value of
//! each). The prefix keeps them apart from daprd's own attributes, so neither side ever wins over the other: daprd's
//! `messaging.system` stays `pubsub`. The Collector drops the prefix, and what is left are the names of the
//! OpenTelemetry messaging conventions.
//!
//! The names stand here as Go writes header names, which saves it the work; daprd makes them lower case for the span.

/// The topic.
pub const DESTINATION: &str = "Dapr-Messaging.destination.name";

/// The broker's kind.
pub const SYSTEM: &str = "Dapr-Messaging.system";

/// What the call does to the broker.
pub const OPERATION: &str = "Dapr-Messaging.operation.type";

/// The size of the request's body, in bytes.
pub const BODY_SIZE: &str = "Dapr-Messaging.message.body.size";

/// The key of the event, by which Kafka chooses its partition.
pub const KEY: &str = "Dapr-Messaging.kafka.message.key";

/// The value of [`SYSTEM`]. Nothing in a request tells which broker is behind a component; this product is for Kafka.
pub const KAFKA: &str = "kafka";

/// The value of [`OPERATION`].
pub const SEND: &str = "send";
