//! One call, from request to answer.

use learnflow_core::{Answer, Delivery, Direction, Headers, Line, Outcome, Publish, Record, Route, Text};
use learnflow_core::{TraceParent, attribute, is_publish_method, publish_outcome};

use crate::host::{BUFFER_RESPONSE, Host, INFO, MONOTONIC, REQUEST, RESPONSE, WALL};

/// What the guest remembers between a request and its answer, and room to work in.
///
/// All zero at the start, so that none of it is in the file.
#[derive(Debug)]
pub struct Guest {
    record: Record,
    started: Option<u64>,
    line: Line,
    /// Daprd takes requests of 4 KiB of headers, URI included, unless told otherwise. What does not fit is not looked at.
    scratch: [u8; 16 * 1024],
}

/// `handle_request` returns whether to go on (always), and above that a number for `handle_response`: is there a record?
const GO_ON: u64 = 1;
const GO_ON_AND_RECORD: u64 = 1 << 32 | GO_ON;

impl Guest {
    /// A guest that has not seen a call.
    pub const fn new() -> Self {
        Self {
            record: Record::new(Direction::Publish, Text::EMPTY, Text::EMPTY),
            started: None,
            line: Line::new(),
            scratch: [0; _],
        }
    }

    /// Looks at a request before it goes on.
    ///
    /// The URI comes first, since it settles most of what passes `httpPipeline` in one call of the host: state, invoke,
    /// health and the like go on at once. What is not of Dapr's API (in `appHttpPipeline`: everything) is asked for
    /// `pubsubname`, so an invocation of the app costs two.
    pub fn handle_request(&mut self, host: &mut impl Host) -> u64 {
        let len = host.get_uri(&mut self.scratch);
        let Some(uri) = prefix_mut(&mut self.scratch, len) else {
            return GO_ON;
        };
        let begun = match Route::of(uri) {
            Route::OtherApi => false,
            Route::Publish(publish) => self.publish(host, publish),
            Route::Elsewhere => self.delivery(host),
        };
        if !begun {
            return GO_ON;
        }
        // Last, so that our own work is not in it.
        self.started = host.clock_time_get(MONOTONIC);
        GO_ON_AND_RECORD
    }

    fn publish(&mut self, host: &mut impl Host, publish: Publish) -> bool {
        let len = host.get_method(&mut self.scratch);
        if !prefix(&self.scratch, len).is_some_and(is_publish_method) || !buffer_answer(host) {
            return false;
        }
        let mut request = Request {
            host,
            scratch: &mut self.scratch,
        };
        let (record, parent) = publish.record(&mut request);
        request.add_attributes(&record, parent);
        self.record = record;
        true
    }

    fn delivery(&mut self, host: &mut impl Host) -> bool {
        let mut request = Request {
            host,
            scratch: &mut self.scratch,
        };
        let Some(delivery) = Delivery::of(&mut request) else {
            return false;
        };
        if !buffer_answer(request.host) {
            return false;
        }
        let now = request.host.clock_time_get(WALL).map(|nanos| nanos / 1_000_000);
        self.record = delivery.record(&mut request, now);
        true
    }

    /// Looks at the answer, after the next handler. `context` is what [`Guest::handle_request`] returned above its lower
    /// half; `failed` is not zero if the next handler panicked, in which case there is no answer.
    pub fn handle_response(&mut self, host: &mut impl Host, context: u32, failed: u32) {
        if context == 0 {
            return;
        }
        let ended = host.clock_time_get(MONOTONIC);
        self.record.us = ended
            .zip(self.started)
            .map(|(ended, started)| ended.saturating_sub(started) / 1000);
        if failed == 0 {
            self.answer(host);
        }
        host.log(INFO, self.record.write(&mut self.line));
    }

    fn answer(&mut self, host: &mut impl Host) {
        let status = u16::try_from(host.get_status_code()).unwrap_or(0);
        self.record.status = Some(status);
        self.record.outcome = match self.record.direction {
            Direction::Publish => publish_outcome(status),
            Direction::Deliver => {
                let mut answer = Answer::new();
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
        if count == 0 {
            return None;
        }
        prefix(self.scratch, len)?.split(|byte| *byte == 0).next()
    }
}

impl<H: Host> Request<'_, H> {
    /// Adds what Dapr's span of this publish lacks.
    fn add_attributes(&mut self, record: &Record, parent: Option<TraceParent>) {
        // Dapr's sampler follows its parent (`ParentBased` in `pkg/diagnostics/tracing_sampler.go`).
        if parent.is_some_and(|parent| !parent.sampled) {
            return;
        }
        self.add_attribute(attribute::DESTINATION, record.topic.as_bytes());
        self.add_attribute(attribute::SYSTEM, attribute::KAFKA.as_bytes());
        self.add_attribute(attribute::OPERATION, attribute::SEND.as_bytes());
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
