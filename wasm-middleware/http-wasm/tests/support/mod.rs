//! A host that plays one call, and is as strict as the real one: what panics there, panics here.

pub mod cases;
mod configured;

use learnflow_host::canonical;
use learnflow_http_wasm::Host;

pub const WALL_MS: u64 = 1_700_000_000_031;

/// What each call of the monotonic clock adds.
pub const TICK_US: u64 = 1234;

/// One call: what is asked, what is answered, and what the guest made of it.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: &'static str,
    pub method: &'static str,
    /// An address in `httpPipeline`, and none in `appHttpPipeline`.
    pub from: &'static str,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub answer: Answer,
    pub can_buffer: bool,
    pub clock_works: bool,
    /// As under `strictSandbox`.
    pub clock_is_fake: bool,
    /// The component's `guestConfig`, which a guest reads when it starts.
    pub config: String,

    /// The names of the host's functions, in the order in which they were called.
    pub asked: Vec<&'static str>,
    pub logged: Vec<String>,
    pub warned: Vec<String>,
    /// What the client gets in place of the handler's own.
    pub status_set: Option<u32>,
    buffered: bool,
    answered: bool,
    body_read: usize,
    ticks: u64,
}

#[derive(Clone, Debug)]
pub enum Answer {
    /// Status, number of headers, body.
    Real(u16, usize, Vec<u8>),
    /// The next handler returned without writing.
    Nothing,
    /// The next handler panicked.
    Panic,
}

/// A guest, however it is run.
pub trait Guest {
    fn start(&mut self, call: Call) -> Call;
    fn handle_request(&mut self, call: Call) -> (Call, u64);
    fn handle_response(&mut self, call: Call, context: u32, failed: u32) -> Call;
}

impl Call {
    pub fn new(name: &'static str, method: &'static str, uri: impl Into<String>, answer: Answer) -> Self {
        Self {
            name,
            method,
            from: "127.0.0.1:40000",
            uri: uri.into(),
            headers: Vec::new(),
            answer,
            can_buffer: true,
            clock_works: true,
            clock_is_fake: false,
            config: String::new(),
            asked: Vec::new(),
            logged: Vec::new(),
            warned: Vec::new(),
            status_set: None,
            buffered: false,
            answered: false,
            body_read: 0,
            ticks: 0,
        }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn sent_by_dapr(mut self) -> Self {
        self.from = "";
        self
    }

    /// As the real host does it: on the request, the next handler, on the answer.
    pub fn run(self, guest: &mut impl Guest) -> Self {
        let (mut call, next) = guest.handle_request(self);
        assert_eq!(next & 0xffff_ffff, 1, "{}: the guest must let the call pass", call.name);
        call.answered = true;
        let failed = u32::from(matches!(call.answer, Answer::Panic));
        guest.handle_response(call, u32::try_from(next >> 32).expect("half"), failed)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Writes the whole or nothing.
fn write(buffer: &mut [u8], whole: &[u8]) -> u32 {
    if let Some(buffer) = buffer.get_mut(..whole.len()) {
        buffer.copy_from_slice(whole);
    }
    u32::try_from(whole.len()).expect("a small test")
}

/// Writes values as the host does, each ended by a NUL.
fn write_values(buffer: &mut [u8], values: &[&str]) -> u64 {
    let whole: String = values.iter().flat_map(|value| [value, "\0"]).collect();
    (values.len() as u64) << 32 | u64::from(write(buffer, whole.as_bytes()))
}

impl Host for Call {
    fn get_config(&mut self, buffer: &mut [u8]) -> u32 {
        self.asked.push("get_config");
        write(buffer, self.config.as_bytes())
    }

    fn enable_features(&mut self, features: u32) -> u32 {
        self.asked.push("enable_features");
        assert_eq!(features, 2, "to buffer a request loses its body");
        assert!(!self.answered);
        self.buffered = self.can_buffer;
        if self.buffered { features } else { 0 }
    }

    fn get_source_addr(&mut self, buffer: &mut [u8]) -> u32 {
        self.asked.push("get_source_addr");
        write(buffer, self.from.as_bytes())
    }

    fn get_uri(&mut self, buffer: &mut [u8]) -> u32 {
        self.asked.push("get_uri");
        write(buffer, self.uri.as_bytes())
    }

    fn get_method(&mut self, buffer: &mut [u8]) -> u32 {
        self.asked.push("get_method");
        write(buffer, self.method.as_bytes())
    }

    fn get_header_names(&mut self, kind: u32, buffer: &mut [u8]) -> u64 {
        self.asked.push("get_header_names");
        assert_eq!(kind, 1, "nobody needs the names of the request's headers");
        let count = if let Answer::Real(_, headers, _) = self.answer {
            headers
        } else {
            0
        };
        write_values(buffer, &vec!["date"; count])
    }

    fn get_header_values(&mut self, kind: u32, name: &str, buffer: &mut [u8]) -> u64 {
        self.asked.push("get_header_values");
        assert_eq!(kind, 0);
        assert_eq!(name, canonical(name), "Go allocates for a name in another form");
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
        write_values(buffer, &values)
    }

    fn set_header_value(&mut self, kind: u32, name: &str, value: &[u8]) {
        self.asked.push("set_header_value");
        assert_eq!(kind, 0, "answers are not changed");
        assert!(!self.answered, "can't set request header after next handler");
        assert_eq!(name, canonical(name), "Go allocates for a name in another form");
        let value = String::from_utf8(value.to_vec()).expect("an attribute that is not UTF-8 loses a batch of spans");
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value));
    }

    fn read_body(&mut self, kind: u32, buffer: &mut [u8]) -> u64 {
        self.asked.push("read_body");
        assert_eq!(kind, 1, "to read a request's body loses it");
        assert!(self.answered && self.buffered);
        assert!(!buffer.is_empty(), "buf_limit==0 reading body");
        let body: &[u8] = if let Answer::Real(_, _, body) = &self.answer {
            body
        } else {
            &[]
        };
        let rest = &body[self.body_read..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.body_read += len;
        // The end is seen only by a read that reaches beyond it.
        u64::from(len < buffer.len()) << 32 | len as u64
    }

    fn get_status_code(&mut self) -> u32 {
        self.asked.push("get_status_code");
        assert!(
            self.answered && self.buffered,
            "interface conversion: ResponseWriter is not bufferingResponseWriter"
        );
        if let Answer::Real(status, _, _) = self.answer {
            status.into()
        } else {
            200
        }
    }

    fn set_status_code(&mut self, status: u32) {
        self.asked.push("set_status_code");
        assert!(
            self.answered && self.buffered,
            "can't set status code after next handler unless buffer_response is enabled"
        );
        assert!(matches!(self.answer, Answer::Panic), "answers are not changed");
        self.status_set = Some(status);
    }

    fn log(&mut self, level: i32, message: &[u8]) {
        self.asked.push("log");
        let lines = match level {
            0 => &mut self.logged,
            1 => &mut self.warned,
            _ => panic!("no such level: {level}"),
        };
        lines.push(String::from_utf8(message.to_vec()).expect("UTF-8"));
    }

    fn clock_time_get(&mut self, clock: u32) -> Option<u64> {
        self.asked.push("clock_time_get");
        let now = match clock {
            0 | 1 if self.clock_is_fake => {
                self.ticks += 1;
                (self.ticks - 1) * 1_000_000
            }
            0 => WALL_MS * 1_000_000,
            1 => {
                self.ticks += 1;
                self.ticks * TICK_US * 1000
            }
            _ => panic!("no such clock: {clock}"),
        };
        self.clock_works.then_some(now)
    }
}
