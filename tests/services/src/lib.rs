//! LearnFlow's three services: `frontend` asks `course-agent` for a lesson
//! through Dapr, which publishes it; `user-progress` receives and stores it.
//!
//! They speak to nothing but their own sidecar, by its loopback address; only
//! spans of their own go to the Collector itself. They are linked fully static.

pub mod course_agent;
pub mod frontend;
mod lesson;
mod server;
mod sidecar;
mod spans;
mod trace_parent;
pub mod user_progress;

pub use server::serve;
pub use sidecar::Sidecar;
pub use spans::Spans;

#[cfg(test)]
mod testing;
