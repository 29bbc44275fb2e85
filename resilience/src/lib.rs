//! Dapr's resiliency policies: what they say, what they come to, and what they do in an outage.
//!
//! Pure: no cluster, no clock, no files. Source of every rule: daprd 1.18 (`pkg/resiliency`), `dapr/kit` (`retry`),
//! `sony/gobreaker`, and the Kafka component of `components-contrib` with its client.

pub mod compare;
pub mod explain;
pub mod policy;
pub mod read;
pub mod simulate;
pub mod trip;
pub mod verdict;
