//! What a Dapr pub/sub call is, and the record of one.
//!
//! The crate knows no host: the guests (http-wasm, proxy-wasm) ask it what a request is and what to write down, the
//! plugin and the browser ask it to read back what was written. It allocates nothing and cannot panic, because in a
//! sidecar a panic is a trap, and a trap takes the service down with it.
//!
//! - [`Route`] and [`Publish`]: what a request's URI says
//! - [`Headers`]: what a request's headers say
//! - [`Answer`]: how Dapr understands what an app answered
//! - [`Config`]: what the operator wants
//! - [`attribute`]: what a publish adds to Dapr's span
//! - [`Record`]: one call, written with [`Record::write`], read with [`Record::read`]
//! - [`find`]: a record inside a line of the sidecar's log

#![no_std]
#![forbid(unsafe_code)]
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

#[cfg(test)]
extern crate std;

mod answer;
pub mod attribute;
mod call;
mod config;
mod log;
mod read;
mod record;
mod text;
mod trace;
mod uri;
mod write;

pub use answer::Answer;
pub use call::{Headers, publish_outcome};
pub use config::{Attributes, Config, ConfigError, Why};
pub use log::{Buffer, find};
pub use read::{Fields, Name, ReadError};
pub use record::{Direction, Outcome, PREFIX, Record};
pub use text::Text;
pub use trace::{TraceId, TraceParent};
pub use uri::{Publish, Route, is_publish_method};
pub use write::{Line, decimal};
