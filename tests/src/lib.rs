//! What the demo and the tests on a cluster share: which cluster is meant, LearnFlow's services on it, load, and the three
//! places where an event can be seen again (Prometheus, spans, the sidecars' logs).

#[cfg(target_os = "linux")]
mod load;
mod prometheus;
mod spans;
mod target;
mod traffic;

#[cfg(target_os = "linux")]
pub use load::{Failure, Load, Tally};
pub use prometheus::{Prometheus, Sample};
pub use spans::{Span, read_spans};
pub use target::{PortForward, SERVICES_NAMESPACE, STACK_NAMESPACE, Target};
pub use traffic::{Frontend, Progress, progress_of, records};
