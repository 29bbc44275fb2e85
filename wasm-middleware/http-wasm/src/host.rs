//! What the guest asks of its host.

/// The functions of the host that the guest imports, with slices for pointers.
///
/// Those that fill a buffer return the length of the whole, and write nothing if it does not fit.
pub trait Host {
    /// The component's `guestConfig`.
    fn get_config(&mut self, buffer: &mut [u8]) -> u32;
    /// Switches features on for this request; returns those that are on.
    fn enable_features(&mut self, features: u32) -> u32;
    /// The escaped path and the query.
    fn get_uri(&mut self, buffer: &mut [u8]) -> u32;
    /// `POST` and the like.
    fn get_method(&mut self, buffer: &mut [u8]) -> u32;
    /// The number of headers in the upper half, the length of their names, each ended by a NUL, in the lower.
    fn get_header_names(&mut self, kind: u32, buffer: &mut [u8]) -> u64;
    /// The number of values in the upper half, their length, each ended by a NUL, in the lower.
    fn get_header_values(&mut self, kind: u32, name: &str, buffer: &mut [u8]) -> u64;
    /// Possible only before the next handler.
    fn set_header_value(&mut self, kind: u32, name: &str, value: &[u8]);
    /// One bit above the lower half at the end of the body, the length read in the lower half.
    fn read_body(&mut self, kind: u32, buffer: &mut [u8]) -> u64;
    /// Possible only while the answer is buffered.
    fn get_status_code(&mut self) -> u32;
    /// Possible only while the answer is buffered.
    fn set_status_code(&mut self, status: u32);
    /// A line for the sidecar's log.
    fn log(&mut self, level: i32, message: &[u8]);
    /// Nanoseconds.
    fn clock_time_get(&mut self, clock: u32) -> Option<u64>;
}

/// `features`: the answer is held back until the guest has seen it.
pub(crate) const BUFFER_RESPONSE: u32 = 2;

/// `kind` of headers and bodies.
pub(crate) const REQUEST: u32 = 0;
pub(crate) const RESPONSE: u32 = 1;

/// `level`.
pub(crate) const INFO: i32 = 0;
pub(crate) const WARN: i32 = 1;

/// `clock`.
pub(crate) const WALL: u32 = 0;
pub(crate) const MONOTONIC: u32 = 1;
