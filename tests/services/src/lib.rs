//! LearnFlow's three services: `frontend` asks `course-agent` for a lesson
//! through Dapr, which publishes it; `user-progress` receives and stores it.
//!
//! They speak to nothing but their own sidecar, by its loopback address. So
//! they can be linked fully static, where a name lookup could not work.

pub mod course_agent;
pub mod frontend;
mod lesson;
mod server;
mod sidecar;
mod trace_parent;
pub mod user_progress;

pub use server::serve;
pub use sidecar::Sidecar;

#[cfg(test)]
mod testing;
