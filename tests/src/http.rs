//! HTTP/1.1 by hand, so that what is sent and seen is known to the byte.

mod client;
mod server;

use std::io::BufRead;

use anyhow::{Context, Result, bail};

pub use client::{Client, connect, get};
pub use server::{Answer, serve};

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
    pub fn read(from: &mut impl BufRead) -> Result<Option<Self>> {
        let Some(mut message) = Self::read_head(from)? else {
            return Ok(None);
        };
        if message.header("transfer-encoding") == Some(b"chunked") {
            while let Some(piece) = chunk(from)? {
                message.body.extend(piece);
            }
        } else if let Some(len) = message.header("content-length") {
            let len = str::from_utf8(len)?.parse().context("a length")?;
            message.body = vec![0; len];
            from.read_exact(&mut message.body).context("a whole body")?;
        }
        Ok(Some(message))
    }

    /// All that comes before the body.
    pub fn read_head(from: &mut impl BufRead) -> Result<Option<Self>> {
        let Some(first) = line(from)? else {
            return Ok(None);
        };
        let mut message = Self {
            first: String::from_utf8(first).context("a first line")?,
            ..Self::default()
        };
        loop {
            let line = line(from)?.context("the headers do not end")?;
            if line.is_empty() {
                return Ok(Some(message));
            }
            let colon = line.iter().position(|byte| *byte == b':').context("no header")?;
            let name = String::from_utf8_lossy(&line[..colon]).to_lowercase();
            message.headers.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    /// The first value.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// Of an answer; 0 if it has none.
    pub fn status(&self) -> u16 {
        let status = self.first.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Of a request, with its query.
    pub fn path(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }
}

fn line(from: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let len = from.read_until(b'\n', &mut line)?;
    Ok((len > 0).then(|| line.trim_ascii_end().to_vec()))
}

/// One piece of a body in pieces; `None` after the last.
pub fn chunk(from: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let len = String::from_utf8(line(from)?.context("the pieces do not end")?)?;
    let len = usize::from_str_radix(&len, 16).context("a piece's length")?;
    let mut piece = vec![0; len + 2];
    from.read_exact(&mut piece).context("a whole piece")?;
    if !piece.ends_with(b"\r\n") {
        bail!("a piece is longer than it says");
    }
    piece.truncate(len);
    Ok((len > 0).then_some(piece))
}
