//! The events that sidecars wrote down, out of their logs.
//!
//! Pure: it reads bytes that somebody gives it, and knows neither where they come from nor what time it is. The plugin
//! and the page in the browser are the same code.
//!
//! - [`Reader`]: from lines of log to [`Event`]s
//! - [`Event::log_line`]: and back
//! - [`Filter`]: which events are meant
//! - [`Tally`]: events added up, by topic and service

#![forbid(unsafe_code)]

mod event;
mod filter;
mod identity;
mod line;
mod reader;
mod tally;
mod time;
mod write;

pub use event::{Event, Name, Names};
pub use filter::{Filter, matches};
pub use reader::{Counts, Reader};
pub use tally::{Flow, Row, Tally, Window};
pub use time::Time;
