//! The filter for Envoy: the same core as in the sidecar's middleware, for calls of Dapr's HTTP API that pass an Envoy,
//! and for deliveries to an app behind one. Unlike a sidecar, Envoy has counters and histograms: here they are counted in
//! place, and no log has to be read.
//!
//! What keeps it from doing harm:
//! - It lets every call go on at once, holds nothing back, and changes nothing but the headers that it adds to a publish.
//! - It never reads a request's body. Of an answer's it reads the pieces as they pass, and only those of a delivery.
//! - It holds a bounded number of topics; what a caller invents beyond goes under one name.
//! - None of its own code panics (clippy sees to that), and [`Host`] takes every answer of Envoy's. Should it still trap,
//!   `fail_open` lets the calls pass without it.
//!
//! [`Call`] and [`Metrics`] are plain Rust, over the [`Host`] trait. On wasm32 the module `envoy` ties it to
//! the real host.

#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used,
    )
)]

mod call;
mod config;
#[cfg(target_arch = "wasm32")]
mod envoy;
mod host;
mod metrics;
mod visible;

pub use call::Call;
pub use config::Config;
pub use host::{Host, Kind, Map};
pub use metrics::Metrics;
