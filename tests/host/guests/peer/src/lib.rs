//! What LearnFlow's guest does for a publish, as one would write it with the crate `http-wasm-guest`: with `String`s, `Vec`s
//! and the crate's own calls, in the same order and with the names of headers that cost Go the least.

use std::cell::RefCell;
use std::fmt::Write;

use http_wasm_guest::host::{Request, Response, admin, feature, log};
use http_wasm_guest::{Guest, register};

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

const ATTRIBUTE: &[u8] = b"Dapr-Messaging.destination.name";

struct Plugin {
    call: RefCell<Option<Call>>,
}

struct Call {
    pubsub: String,
    topic: String,
    bulk: bool,
    bytes: Option<u64>,
    trace: Option<String>,
    started: u64,
}

impl Guest for Plugin {
    fn handle_request(&self, request: &Request, _: &Response) -> (bool, i32) {
        let uri = request.uri();
        let Some((bulk, pubsub, topic)) = publish(&String::from_utf8_lossy(&uri)) else {
            return (true, 0);
        };
        if !matches!(&request.method()[..], b"POST" | b"PUT") {
            return (true, 0);
        }
        admin::enable(feature::BufferResponse);
        let parent = request.header.get(b"Traceparent");
        let parent = parent.as_deref().and_then(trace_parent);
        let bytes = request.header.get(b"Content-Length");
        let bytes = bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok());
        if parent.as_ref().is_none_or(|(_, sampled)| *sampled) && request.header.get(ATTRIBUTE).is_none() {
            request.header.set(ATTRIBUTE, topic.as_bytes());
        }
        *self.call.borrow_mut() = Some(Call {
            pubsub,
            topic,
            bulk,
            bytes,
            trace: parent.map(|(trace, _)| trace),
            started: now(),
        });
        (true, 1)
    }

    fn handle_response(&self, _: i32, _: &Request, response: &Response, failed: bool) {
        let Some(call) = self.call.borrow_mut().take() else {
            return;
        };
        let us = now().saturating_sub(call.started) / 1000;
        let status = (!failed).then(|| response.status());
        let outcome = if matches!(status, Some(200..=299)) {
            "success"
        } else {
            "error"
        };
        let mut line = String::from(r#"{"lf":1,"dir":"publish","pubsub":""#);
        escape(&mut line, &call.pubsub);
        line.push_str(r#"","topic":""#);
        escape(&mut line, &call.topic);
        let _ = write!(line, r#"","outcome":"{outcome}""#);
        if let Some(status) = status {
            let _ = write!(line, r#","status":{status}"#);
        }
        let _ = write!(line, r#","us":{us}"#);
        if let Some(bytes) = call.bytes {
            let _ = write!(line, r#","bytes":{bytes}"#);
        }
        if call.bulk {
            line.push_str(r#","bulk":true"#);
        }
        if let Some(trace) = call.trace {
            let _ = write!(line, r#","trace":"{trace}""#);
        }
        line.push('}');
        log::write(0, line.as_bytes());
    }
}

/// Is it one in bulk, to which component and topic?
fn publish(uri: &str) -> Option<(bool, String, String)> {
    let path = uri.split('?').next()?;
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let (bulk, rest) = match &parts[..] {
        ["v1.0" | "v1.0-alpha1", "publish", "bulk", rest @ ..] if rest.len() > 1 => (true, rest),
        ["v1.0", "publish", rest @ ..] if rest.len() > 1 => (false, rest),
        _ => return None,
    };
    Some((bulk, unescape(rest[0]), unescape(&rest[1..].join("/"))))
}

fn unescape(escaped: &str) -> String {
    let mut plain = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let [byte, tail @ ..] = rest {
        let hex = tail
            .get(..2)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        (rest, _) = match (byte, hex) {
            (b'%', Some(decoded)) => (&tail[2..], plain.push(decoded)),
            (b'+', _) => (tail, plain.push(b' ')),
            (byte, _) => (tail, plain.push(*byte)),
        };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn trace_parent(value: &[u8]) -> Option<(String, bool)> {
    let value = std::str::from_utf8(value).ok()?;
    let parts: Vec<&str> = value.split('-').collect();
    let [version, trace, span, flags, ..] = &parts[..] else {
        return None;
    };
    let is_hex =
        |text: &str, len| text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |text: &str, len| is_hex(text, len) && text.bytes().any(|byte| byte != b'0');
    let fine = is_hex(version, 2) && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2);
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    fine.then(|| ((*trace).to_owned(), sampled))
}

fn escape(line: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '"' | '\\' => line.extend(['\\', char]),
            ' '..='~' if !matches!(char, '<' | '>' | '&') => line.push(char),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
}

fn now() -> u64 {
    let mut time = 0;
    // The standard library has no clock for this target.
    unsafe { clock_time_get(1, 0, &raw mut time) };
    time
}

#[unsafe(export_name = "_start")]
extern "C" fn start() {
    register(Plugin {
        call: RefCell::new(None),
    });
}
