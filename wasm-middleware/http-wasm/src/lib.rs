//! The guest for Dapr's `middleware.http.wasm`: one small .wasm for both pipelines of a sidecar.
//!
//! In `httpPipeline` it sees what the app asks of Dapr and picks the publishes, in `appHttpPipeline` it sees what Dapr
//! asks of the app and picks the deliveries. It tells them apart by the request alone, so the same file and the same
//! component serve both. Of each it writes one record into the sidecar's log; to a publish it adds attributes for
//! Dapr's span. Everything else passes after one or two calls of the host.
//!
//! What keeps it from doing harm:
//! - It never reads a request's body: the host would lose it. An answer's body it reads only of a delivery; the host
//!   hands out a view of what it has buffered and sends the buffer itself (`ResponseBodyReader` in http-wasm-host-go's
//!   `handler/nethttp/host.go`), so reading changes nothing.
//! - It cannot trap: there is no panic in the binary, which the build proves (see `abi`), no allocation, no recursion
//!   to speak of, and memory of a fixed size.
//! - It changes no answer, and of a request nothing but the added headers. Where there is no answer, because what comes
//!   next has panicked, it makes it a 500: the host would send an empty 200.
//!
//! [`Guest`] is the logic, over the [`Host`] trait; on wasm32 the module `abi` ties it to the real host. It keeps no
//! state but that of the call under way, for which the host reserves the instance: instances are many, and may vanish.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
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

#[cfg(target_arch = "wasm32")]
mod abi;
mod guest;
mod host;

pub use guest::Guest;
pub use host::Host;
