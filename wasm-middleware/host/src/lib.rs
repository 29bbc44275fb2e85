//! A host for guests of Dapr's `middleware.http.wasm`, to run the very file that ships without Dapr.
//!
//! The interface is that of <https://http-wasm.io/http-handler-abi/>, as far as LearnFlow's guest asks for it: a guest that
//! imports more is refused. What comes of a call is held against Dapr's own host, `http-wasm-host-go` v0.7.0 on wazero, call by
//! call (`cargo xtask test`). It differs in what it does not take: a request has no body here, and no trailers.
//!
//! - [`Module`]: a guest's file, checked; its functions are translated when they are first called
//! - [`Instance`]: one guest with its memory, and what answers its questions
//! - [`Middleware`]: an instance that requests and answers pass, as in a sidecar
//!
//! A guest can do no harm: it reaches nothing but its own memory, which is bounded, and it runs for a bounded time.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod exchange;
mod headers;
mod imports;
mod instance;
mod middleware;

pub use exchange::{Answer, Clock, Exchange, Line, Request};
pub use headers::{Headers, canonical};
pub use instance::{Instance, Module};
pub use middleware::{Middleware, Served};

use learnflow_http_wasm::Host;

/// What answers a guest.
pub trait Backend: Host {
    /// What it has just been asked for and must not give. The guest goes no further then.
    fn refused(&mut self) -> Option<Refused> {
        None
    }
}

/// What a guest asked for and does not get, in the words of a sentence's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

impl wasmi::errors::HostError for Refused {}

/// Why a guest could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no module, or lacks an export, or wants an import that is not there.
    #[error("this is no guest that can be run: {0}")]
    NoGuest(#[source] wasmi::Error),
    /// Dapr's host would panic here.
    #[error("the guest asks for {0}")]
    Refused(#[source] Refused),
    /// It ran for longer than any call takes.
    #[error("the guest does not come to an end")]
    Endless,
    /// Anything else that ends it.
    #[error("the guest traps: {0}")]
    Trap(#[source] wasmi::Error),
}
