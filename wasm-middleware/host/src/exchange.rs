//! One request with its answer, and the rules by which a guest may look at them and change them.
//!
//! The rules are those of `handler/middleware.go` and `handler/nethttp/host.go` of http-wasm-host-go: where that panics, this
//! refuses.

use crate::{Backend, Headers, Refused};
use learnflow_http_wasm::Host;

/// `kind` of headers and bodies.
const REQUEST: u32 = 0;
const RESPONSE: u32 = 1;
/// The feature of holding an answer back until the guest has seen it.
const BUFFER_RESPONSE: u32 = 2;
/// What Go puts before the name of a trailer.
const TRAILER: &str = "Trailer:";

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `POST` and the like.
    pub method: Vec<u8>,
    /// The escaped path, and the query.
    pub uri: Vec<u8>,
    /// An address where an app asks Dapr; empty where Dapr asks the app.
    pub source: String,
    /// One of them is `Content-Length`.
    pub headers: Headers,
}

/// What the next handler answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// `None`: it did not say, which counts as 200.
    pub status: Option<u16>,
    /// Those of trailers begin with `Trailer:`.
    pub headers: Headers,
    /// The whole of it.
    pub body: Vec<u8>,
    /// It broke off, and this is what it had answered until then.
    pub panicked: bool,
}

/// What the clocks show, in nanoseconds. They stand still unless each reading moves them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// Since 1970.
    pub wall: u64,
    /// Since any beginning.
    pub monotonic: u64,
    /// What each reading adds: a millisecond under `strictSandbox`, whose clocks begin at 0.
    pub step: u64,
}

/// What a guest has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// 0 is `info`, 1 is `warn`.
    pub level: i32,
    /// As it goes into the log.
    pub text: String,
}

/// A request, its answer, and what the guest does with them.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The component's `guestConfig`.
    pub(crate) config: Vec<u8>,
    pub(crate) clock: Clock,
    pub(crate) request: Request,
    /// There once the next handler has been called.
    pub(crate) answer: Option<Answer>,
    pub(crate) lines: Vec<Line>,
    buffered: bool,
    body_read: usize,
    refused: Option<Refused>,
}

impl Exchange {
    pub(crate) fn new(config: Vec<u8>, clock: Clock, request: Request) -> Self {
        Self {
            config,
            clock,
            request,
            ..Self::default()
        }
    }

    /// Of the answer, if it is held back.
    fn held_back(&mut self, refused: &'static str) -> Option<&mut Answer> {
        let answer = self.answer.as_mut().filter(|_| self.buffered);
        if answer.is_none() {
            self.refused = Some(Refused(refused));
        }
        answer
    }

    fn refuse<T: Default>(&mut self, what: &'static str) -> T {
        self.refused = Some(Refused(what));
        T::default()
    }
}

impl Backend for Exchange {
    fn refused(&mut self) -> Option<Refused> {
        self.refused.take()
    }
}

impl Host for Exchange {
    fn get_config(&mut self, buffer: &mut [u8]) -> u32 {
        write(buffer, &self.config)
    }

    fn enable_features(&mut self, features: u32) -> u32 {
        if features & !BUFFER_RESPONSE != 0 || self.answer.is_some() {
            return self.refuse("a feature that this host does not have, or too late for it");
        }
        self.buffered |= features != 0;
        u32::from(self.buffered) * BUFFER_RESPONSE
    }

    fn get_source_addr(&mut self, buffer: &mut [u8]) -> u32 {
        write(buffer, self.request.source.as_bytes())
    }

    fn get_uri(&mut self, buffer: &mut [u8]) -> u32 {
        write(buffer, &self.request.uri)
    }

    fn get_method(&mut self, buffer: &mut [u8]) -> u32 {
        write(buffer, &self.request.method)
    }

    fn get_header_names(&mut self, kind: u32, buffer: &mut [u8]) -> u64 {
        let headers = match (kind, &self.answer) {
            (REQUEST, _) => Some(&self.request.headers),
            (RESPONSE, answer) => answer.as_ref().map(|answer| &answer.headers),
            _ => return self.refuse("trailers"),
        };
        let names = headers.into_iter().flat_map(Headers::iter).map(|(name, _)| name);
        let names = names.filter(|name| !name.starts_with(TRAILER));
        write_all(buffer, names.map(|name| name.to_ascii_lowercase().into_bytes()))
    }

    fn get_header_values(&mut self, kind: u32, name: &str, buffer: &mut [u8]) -> u64 {
        let headers = match (kind, &self.answer) {
            (REQUEST, _) => Some(&self.request.headers),
            (RESPONSE, answer) => answer.as_ref().map(|answer| &answer.headers),
            _ => return self.refuse("trailers"),
        };
        let values = headers.map_or(&[][..], |headers| headers.values(name));
        write_all(buffer, values.iter().cloned())
    }

    fn set_header_value(&mut self, kind: u32, name: &str, value: &[u8]) {
        match kind {
            REQUEST if self.answer.is_none() => self.request.headers.set(name, value),
            REQUEST => self.refuse("a change of a request that is gone"),
            RESPONSE => {
                if let Some(answer) = self.held_back("a change of an answer that is not held back") {
                    answer.headers.set(name, value);
                }
            }
            _ => self.refuse("trailers"),
        }
    }

    fn read_body(&mut self, kind: u32, buffer: &mut [u8]) -> u64 {
        if kind != RESPONSE {
            return self.refuse("a request's body, which it would lose");
        }
        if buffer.is_empty() {
            return self.refuse("a body without room for it");
        }
        let read = self.body_read;
        let Some(answer) = self.held_back("the body of an answer that is not held back") else {
            return 0;
        };
        let rest = answer.body.get(read..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        // The end is seen only by a read that reaches beyond it.
        let end = u64::from(len < buffer.len()) << 32;
        self.body_read += len;
        end | len as u64
    }

    fn get_status_code(&mut self) -> u32 {
        let answer = self.held_back("the status of an answer that is not held back");
        answer.map_or(0, |answer| answer.status.unwrap_or(200).into())
    }

    fn set_status_code(&mut self, status: u32) {
        let Ok(status) = u16::try_from(status) else {
            return self.refuse("a status that there is not");
        };
        if let Some(answer) = self.held_back("a change of an answer that is not held back") {
            answer.status = Some(status);
        }
    }

    fn log(&mut self, level: i32, message: &[u8]) {
        let text = String::from_utf8_lossy(message).into_owned();
        self.lines.push(Line { level, text });
    }

    fn clock_time_get(&mut self, clock: u32) -> Option<u64> {
        let Clock { wall, monotonic, step } = &mut self.clock;
        let shown = match clock {
            0 => wall,
            1 => monotonic,
            _ => return None,
        };
        let now = *shown;
        *shown = now.saturating_add(*step);
        Some(now)
    }
}

/// Writes the whole or nothing.
fn write(buffer: &mut [u8], whole: &[u8]) -> u32 {
    if let Some(buffer) = buffer.get_mut(..whole.len()) {
        buffer.copy_from_slice(whole);
    }
    u32::try_from(whole.len()).unwrap_or(u32::MAX)
}

/// Each ended by a NUL; their number in the upper half of what it returns.
fn write_all(buffer: &mut [u8], texts: impl Iterator<Item = Vec<u8>>) -> u64 {
    let (mut count, mut whole) = (0_u64, Vec::new());
    for text in texts {
        count += 1;
        whole.extend(text);
        whole.push(0);
    }
    count << 32 | u64::from(write(buffer, &whole))
}
