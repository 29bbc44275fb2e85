//! What the filter asks of Envoy.

/// The functions of the host that the filter imports.
///
/// None of them fails: what Envoy does not give is not known, and what it does not take is left out. (The functions of
/// crate `proxy-wasm` panic at an answer they do not expect, which in Envoy ends the filter for every call.)
pub trait Host {
    /// The first value of a header.
    fn header(&mut self, map: Map, name: &str) -> Option<Vec<u8>>;
    /// Adds a header to the request; possible until it goes on.
    fn add_request_header(&mut self, name: &str, value: &str);
    /// The piece of the answer's body that passes now.
    fn response_body(&mut self, len: usize) -> Option<Vec<u8>>;
    /// Keeps a value for the access log and for tags of the span: `%FILTER_STATE(wasm.NAME:PLAIN)%`.
    fn set_property(&mut self, name: &str, value: &str);
    /// The number of the metric with this name, which is made if there is none.
    fn define_metric(&mut self, kind: Kind, name: &str) -> Option<u32>;
    /// Adds to a counter.
    fn increment_metric(&mut self, metric: u32, by: i64);
    /// Puts a value into a histogram.
    fn record_metric(&mut self, metric: u32, value: u64);
    /// Nanoseconds of a clock that only goes forward.
    fn monotonic(&mut self) -> Option<u64>;
}

/// Whose headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Map {
    /// The caller's.
    Request = 0,
    /// The answer's.
    Response = 2,
}

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// It counts up.
    Counter = 0,
    /// It sorts values into buckets.
    Histogram = 2,
}
