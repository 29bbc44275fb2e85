use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

use super::Message;

/// Nothing waits longer.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A caller that keeps its connection.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn new(to: SocketAddr) -> Result<Self> {
        Ok(Self(BufReader::new(connect(to)?)))
    }

    /// Waits for an answer no longer than that.
    pub fn patience(self, patience: Duration) -> Result<Self> {
        self.0.get_ref().set_read_timeout(Some(patience))?;
        Ok(self)
    }

    /// Sends a request; `chunked` leaves its length out.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        chunked: bool,
    ) -> Result<Message> {
        self.begin(method, path, headers, body, chunked)?;
        Message::read(&mut self.0)?.context("no answer")
    }

    /// Sends a request and leaves the answer for [`Client::reader`].
    pub fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        chunked: bool,
    ) -> Result<()> {
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
        Ok(self.0.get_mut().write_all(&request)?)
    }

    pub fn reader(&mut self) -> &mut impl BufRead {
        &mut self.0
    }
}

/// Asks for a page, in one go.
pub fn get(from: SocketAddr, path: &str) -> Result<Message> {
    Client::new(from)?.send("GET", path, &[("connection", "close")], b"", false)
}
