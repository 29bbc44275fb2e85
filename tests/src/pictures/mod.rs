//! The boards as pictures: their panels, drawn from what a real Prometheus answered. It is our own drawing; Grafana's looks
//! otherwise.

mod answers;

pub use answers::Answers;
