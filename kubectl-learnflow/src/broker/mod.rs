//! Kafka itself: its topics, read from an offset on, and written to by a replay. The types of the client library end here.
//!
//! A cluster's Kafka is reached through port-forwards: the client goes through [`socks::Proxy`], which asks for a stream to
//! each broker by the name that the broker goes by in the cluster.

mod client;
mod login;
mod socks;

use crate::problem::Problem;
pub(crate) use client::{Kafka, Partition, Sent};
pub(crate) use login::{Credentials, Sasl, Tls, brokers};
pub(crate) use socks::{Duplex, Open};
use std::collections::BTreeMap;

/// A record as it lies in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Message {
    /// A header, if it is there and a text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?).ok()
    }

    pub(crate) fn size(&self) -> usize {
        self.value.as_ref().map_or(0, Vec::len)
    }
}

/// How to get to the brokers.
pub(crate) enum Way {
    /// From here, by their own addresses.
    Direct,
    /// By streams that somebody opens.
    Through(Open),
}

/// What to do when there is no way to Kafka.
pub(super) fn unreachable(what: impl Into<String>) -> Problem {
    Problem::new(what).next(
        "Check that Kafka runs and that `brokers` of the Component is right; with --bootstrap HOST:PORT it is reached \
         directly.",
    )
}
