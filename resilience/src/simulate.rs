//! What a policy does in an outage: a discrete-event model of one sidecar that publishes to Kafka.
//!
//! Time is a number here, and chance comes from a seed: the same scenario gives the same report. The parts are modelled
//! one to one, because what surprises comes from how they act together:
//! - [`breaker`]: Dapr's circuit breaker;
//! - [`client`]: the Kafka client below it, with its own queues, pauses, retries and breakers;
//! - [`engine`]: calls, attempts, timeouts and back-off;
//! - [`fit`]: numbers that hold a budget.

mod breaker;
mod client;
mod clock;
mod engine;
mod fit;
mod report;
mod rng;
mod scenario;

pub use breaker::State;
pub use engine::{Answer, answers, simulate};
pub(crate) use fit::{BEYOND, RATES};
pub use fit::{Fitted, fit};
pub use report::{Change, Report, Slice, Times};
pub use rng::Rng;
pub use scenario::{Arrivals, Client, Mode, Outage, Scenario, Window};

#[cfg(test)]
mod tests;
