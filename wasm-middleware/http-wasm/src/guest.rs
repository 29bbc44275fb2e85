//! One call, from request to answer.

use learnflow_core::{Answer, Attributes, Config, ConfigError, Direction, Headers, Line, Outcome};
use learnflow_core::{Record, Route, Text, Why, attribute, decimal, is_publish_method, publish_outcome};

use crate::host::{BUFFER_RESPONSE, Host, INFO, MONOTONIC, REQUEST, RESPONSE, WALL, WARN};

/// What the guest is told at the start, what it remembers between a request and its answer, and room to work in.
///
/// All zero at first, so that none of it is in the file.
#[derive(Debug)]
pub struct Guest {
    config: Config,
    fake_clock: bool,
    record: Record,
    /// Of a publish, where its span is to have it.
    key: Text,
    started: Option<u64>,
    line: Line,
    /// Daprd takes requests of 4 KiB of headers, URI included, unless told otherwise. What does not fit is not looked at.
    scratch: [u8; 16 * 1024],
}

/// `handle_request` returns whether to go on (always), and above that a number for `handle_response`: is there a record?
const GO_ON: u64 = 1;
const GO_ON_AND_RECORD: u64 = 1 << 32 | GO_ON;

/// The status of a call that broke inside the sidecar.
const BROKEN: u32 = 500;

impl Guest {
    /// A guest that has not seen a call.
    pub const fn new() -> Self {
        Self {
            config: Config::DEFAULT,
            fake_clock: false,
            record: Record::new(Direction::Publish, Text::EMPTY, Text::EMPTY),
            key: Text::EMPTY,
            started: None,
            line: Line::new(),
            scratch: [0; _],
        }
    }

    /// Reads the configuration, and looks what clock there is. A guest that is not started has the defaults.
    ///
    /// What is wrong is said by each instance that starts, since none knows of another.
    pub fn start(&mut self, host: &mut impl Host) {
        let len = host.get_config(&mut self.scratch);
        let read = match prefix(&self.scratch, len) {
            Some(json) => self.config.read(json),
            None => Err(ConfigError {
                why: Why::Long,
                at: self.scratch.len(),
            }),
        };
        if let Err(error) = read {
            host.log(WARN, error.write(&mut self.line));
        }
        let (first, second) = (host.clock_time_get(MONOTONIC), host.clock_time_get(MONOTONIC));
        self.fake_clock = first.zip(second).is_some_and(is_fake);
    }

    /// Looks at a request before it goes on.
    ///
    /// The URI comes first, since it settles most of what passes `httpPipeline` in one call of the host: state, invoke,
    /// health and the like go on at once. What is not of Dapr's API (in `appHttpPipeline`: everything) is asked for
    /// `pubsubname`, so an invocation of the app costs two.
    pub fn handle_request(&mut self, host: &mut impl Host) -> u64 {
        if self.config.idle() {
            return GO_ON;
        }
        let len = host.get_uri(&mut self.scratch);
        let Some(uri) = prefix_mut(&mut self.scratch, len) else {
            return GO_ON;
        };
        let begun = match Route::of(uri) {
            Route::Publish(publish) => {
                publish.begin(&mut self.record);
                if self.config.attributes == Attributes::All {
                    publish.key(&mut self.key);
                }
                self.publish(host)
            }
            Route::Elsewhere if self.config.records() => self.delivery(host),
            _ => false,
        };
        if !begun {
            return GO_ON;
        }
        // Last, so that our own work is not in it.
        self.started = self.clock(host, MONOTONIC);
        GO_ON_AND_RECORD
    }

    /// Nanoseconds, if there is a real clock.
    fn clock(&self, host: &mut impl Host, clock: u32) -> Option<u64> {
        if self.fake_clock {
            return None;
        }
        host.clock_time_get(clock)
    }

    fn publish(&mut self, host: &mut impl Host) -> bool {
        if !self.config.concerns(&self.record.topic) {
            return false;
        }
        let len = host.get_method(&mut self.scratch);
        if !prefix(&self.scratch, len).is_some_and(is_publish_method) {
            return false;
        }
        let begun = self.config.records();
        if begun && !buffer_answer(host) {
            return false;
        }
        let mut request = Request {
            host,
            scratch: &mut self.scratch,
        };
        let parent = self.record.ask(&mut request, None);
        // Dapr's sampler follows its parent (`ParentBased` in `pkg/diagnostics/tracing_sampler.go`).
        if parent.is_none_or(|parent| parent.sampled) {
            request.add_attributes(self.config.attributes, &self.record, &self.key);
        }
        begun
    }

    fn delivery(&mut self, host: &mut impl Host) -> bool {
        let mut request = Request {
            host,
            scratch: &mut self.scratch,
        };
        let begun = self.record.begin_delivery(&mut request);
        if !(begun && self.config.concerns(&self.record.topic) && buffer_answer(host)) {
            return false;
        }
        let now = self.clock(host, WALL).map(|nanos| nanos / 1_000_000);
        let mut request = Request {
            host,
            scratch: &mut self.scratch,
        };
        self.record.ask(&mut request, now);
        true
    }

    /// Looks at the answer, after the next handler. `context` is what [`Guest::handle_request`] returned above its lower
    /// half; `failed` is not zero if the next handler panicked, in which case there is no answer.
    pub fn handle_response(&mut self, host: &mut impl Host, context: u32, failed: u32) {
        if context == 0 {
            return;
        }
        let ended = self.clock(host, MONOTONIC);
        self.record.us = ended
            .zip(self.started)
            .map(|(ended, started)| ended.saturating_sub(started) / 1000);
        if failed == 0 {
            self.answer(host);
        } else {
            // The host has taken the panic, and would send what was written until then: as a rule nothing, as a 200. For
            // a publish that would be a lost event, and for a delivery one that is done.
            host.set_status_code(BROKEN);
        }
        host.log(INFO, self.record.write(&mut self.line));
    }

    fn answer(&mut self, host: &mut impl Host) {
        let status = u16::try_from(host.get_status_code()).unwrap_or(0);
        self.record.status = Some(status);
        self.record.outcome = match self.record.direction {
            Direction::Publish => publish_outcome(status),
            Direction::Deliver => {
                let mut answer = Answer::new(self.record.bulk);
                // Outside of 2xx the body does not count.
                let empty = matches!(status, 200..=299) && self.read_answer(host, &mut answer);
                if empty && status == 200 && host.get_header_names(RESPONSE, &mut []) == 0 {
                    // An app that could not be reached: daprd's handler returns without writing anything
                    // (`invokeMethodV1` in `pkg/channel/http/http_channel.go`), which the host reports as a 200, and
                    // Dapr tries again. A real answer has headers, `Date` if nothing else.
                    self.record.status = None;
                    Outcome::Retry
                } else {
                    answer.outcome(status)
                }
            }
        };
    }

    /// Reads the body as far as it matters. Is it empty?
    fn read_answer(&mut self, host: &mut impl Host, answer: &mut Answer) -> bool {
        let mut empty = true;
        loop {
            let read = host.read_body(RESPONSE, &mut self.scratch);
            let (end, len) = halves(read);
            let piece = prefix(&self.scratch, len).unwrap_or_default();
            empty = empty && piece.is_empty();
            if !answer.read(piece) || end != 0 || piece.is_empty() {
                return empty;
            }
        }
    }
}

impl Default for Guest {
    fn default() -> Self {
        Self::new()
    }
}

/// A request, to be asked for its headers.
struct Request<'a, H> {
    host: &'a mut H,
    scratch: &'a mut [u8],
}

impl<H: Host> Headers for Request<'_, H> {
    fn header(&mut self, name: &str) -> Option<&[u8]> {
        let (count, len) = halves(self.host.get_header_values(REQUEST, name, self.scratch));
        let values = prefix(self.scratch, len)?;
        match count {
            0 => None,
            1 => Some(values.split_last()?.1),
            _ => values.split(|byte| *byte == 0).next(),
        }
    }

    fn uri(&mut self) -> Option<&[u8]> {
        let len = self.host.get_uri(self.scratch);
        prefix(self.scratch, len)
    }
}

impl<H: Host> Request<'_, H> {
    /// Adds what Dapr's span of this publish lacks. Each costs two calls of the host, so what the Collector knows by
    /// itself, or the record of the same trace has, is only added where it is asked for.
    fn add_attributes(&mut self, attributes: Attributes, record: &Record, key: &Text) {
        if attributes == Attributes::None {
            return;
        }
        self.add_attribute(attribute::DESTINATION, record.topic.as_bytes());
        if attributes == Attributes::Topic {
            return;
        }
        self.add_attribute(attribute::SYSTEM, attribute::KAFKA.as_bytes());
        self.add_attribute(attribute::OPERATION, attribute::SEND.as_bytes());
        if let Some(bytes) = record.bytes {
            self.add_attribute(attribute::BODY_SIZE, decimal(bytes, &mut [0; 20]));
        }
        if !key.is_empty() {
            self.add_attribute(attribute::KEY, key.as_bytes());
        }
    }

    fn add_attribute(&mut self, name: &str, value: &[u8]) {
        if self.host.get_header_values(REQUEST, name, &mut []) == 0 {
            self.host.set_header_value(REQUEST, name, value);
        }
    }
}

/// A host that cannot hold back the answer would panic when asked for its status.
fn buffer_answer(host: &mut impl Host) -> bool {
    host.enable_features(BUFFER_RESPONSE) & BUFFER_RESPONSE != 0
}

/// Under `strictSandbox` a clock counts its own readings, each a millisecond (`NewFakeNanotime` in wazero's
/// `internal/platform/time.go`). A real one stands at a whole millisecond once in a million readings, and then has not
/// moved by exactly one.
fn is_fake((first, second): (u64, u64)) -> bool {
    first % 1_000_000 == 0 && first.checked_add(1_000_000) == Some(second)
}

fn halves(both: u64) -> (u32, u32) {
    #[allow(clippy::cast_possible_truncation)]
    ((both >> 32) as u32, both as u32)
}

/// What the host has written, unless it did not fit.
fn prefix(buffer: &[u8], len: u32) -> Option<&[u8]> {
    buffer.get(..usize::try_from(len).ok()?)
}

fn prefix_mut(buffer: &mut [u8], len: u32) -> Option<&mut [u8]> {
    buffer.get_mut(..usize::try_from(len).ok()?)
}
