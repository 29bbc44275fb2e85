use std::{
    io::{BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
};

use anyhow::Result;

use super::Message;

/// How a request is answered.
#[derive(Debug)]
pub enum Answer {
    Whole {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// In pieces, each sent as it is handed over.
    Pieces(mpsc::Receiver<Vec<u8>>),
    /// Not at all, for as long as the caller waits.
    Never,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Whole {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn send(self, out: &mut impl Write) -> std::io::Result<()> {
        match self {
            // Reading on waits for the next request, or for the end of the connection.
            Self::Never => Ok(()),
            Self::Whole { status, headers, body } => {
                // Servers say what time it is. One that does not, and says nothing else, has not answered at all, as far as
                // Dapr's host can tell.
                let mut head = format!("HTTP/1.1 {status} X\r\ndate: Thu, 15 Jan 2026 10:00:00 GMT\r\n");
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                // Where there is never a body, its length is not to be said.
                if status != 204 {
                    head += &format!("content-length: {}\r\n", body.len());
                }
                out.write_all(&[head.as_bytes(), b"\r\n", &body].concat())
            }
            Self::Pieces(pieces) => {
                out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                for piece in pieces {
                    out.write_all(&[format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat())?;
                }
                out.write_all(b"0\r\n\r\n")
            }
        }
    }
}

/// Answers on a free port of this machine, each connection on a thread of its own, until the process ends.
pub fn serve(answer: impl Fn(Message) -> Answer + Send + Sync + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || serve_one(stream, &*answer));
        }
    });
    Ok(address)
}

/// Until either side has enough.
fn serve_one(stream: TcpStream, answer: &impl Fn(Message) -> Answer) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = Message::read(&mut stream) {
        if answer(request).send(stream.get_mut()).is_err() {
            return;
        }
    }
}
