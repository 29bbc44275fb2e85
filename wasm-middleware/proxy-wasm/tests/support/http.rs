//! HTTP/1.1 by hand, so that what is sent and seen is known to the byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// `POST /x HTTP/1.1`, or `HTTP/1.1 204 No Content`.
    pub first: String,
    /// Names in lower case, as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Message {
    /// Takes in a whole one. `None`: the other side has closed the connection.
    pub fn read(from: &mut impl BufRead, body: bool) -> Option<Self> {
        let mut message = Self {
            first: String::from_utf8(line(from)?).expect("a first line"),
            ..Self::default()
        };
        while let Some(line) = line(from).filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':').expect("a header");
            let name = String::from_utf8_lossy(&line[..colon]).to_lowercase();
            message.headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
        if !body {
            return Some(message);
        }
        if message.header("transfer-encoding") == Some(b"chunked") {
            while let Some(piece) = chunk(from) {
                message.body.extend(piece);
            }
        } else if let Some(len) = message.header("content-length") {
            let len = str::from_utf8(len).expect("a length").parse().expect("a length");
            message.body = vec![0; len];
            from.read_exact(&mut message.body).expect("a whole body");
        }
        Some(message)
    }

    /// The first value.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    pub fn status(&self) -> u16 {
        let status = self.first.split(' ').nth(1).expect("a status");
        status.parse().expect("a status")
    }
}

fn line(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).ok().filter(|len| *len > 0)?;
    Some(line.trim_ascii_end().to_vec())
}

/// One piece of a body in pieces; `None` after the last.
pub fn chunk(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let len = String::from_utf8(line(from)?).expect("a length");
    let len = usize::from_str_radix(&len, 16).expect("a length");
    let mut piece = vec![0; len + 2];
    from.read_exact(&mut piece).expect("a whole piece");
    piece.truncate(len);
    (len > 0).then_some(piece)
}

/// A connection. Nothing on it waits for more than half a minute.
pub fn connect(to: SocketAddr) -> TcpStream {
    let wait = Duration::from_secs(30);
    let stream = TcpStream::connect_timeout(&to, wait).expect("a connection");
    stream.set_read_timeout(Some(wait)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A caller that keeps its connection.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn new(to: SocketAddr) -> Self {
        Self(BufReader::new(connect(to)))
    }

    /// Sends a request; `chunked` leaves its length out.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8], chunked: bool) -> Message {
        self.begin(method, path, headers, body, chunked);
        let mut answer = Message::read(&mut self.0, false).expect("an answer");
        if let Some(len) = answer.header("content-length") {
            let len = str::from_utf8(len).expect("a length").parse().expect("a length");
            answer.body = vec![0; len];
            self.0.read_exact(&mut answer.body).expect("a whole body");
        }
        answer
    }

    /// Sends a request and leaves the answer for [`Client::reader`].
    pub fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8], chunked: bool) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: dapr\r\n").into_bytes();
        for (name, value) in headers {
            request.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        if chunked {
            request.extend(b"transfer-encoding: chunked\r\n\r\n");
            for piece in body.chunks(30_000) {
                request.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                request.extend([piece, b"\r\n"].concat());
            }
            request.extend(b"0\r\n\r\n");
        } else {
            request.extend(format!("content-length: {}\r\n\r\n", body.len()).into_bytes());
            request.extend(body);
        }
        self.0.get_mut().write_all(&request).expect("sent");
    }

    pub fn reader(&mut self) -> &mut impl BufRead {
        &mut self.0
    }
}

/// Asks for a page, in one go.
pub fn get(from: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(from).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let page = Message::read(&mut BufReader::new(stream), true)?;
    (page.status() == 200).then(|| String::from_utf8(page.body).expect("text"))
}
