//! What stands behind Envoy: it answers as it is told, and keeps what it has seen.

use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use super::http::Message;

/// How the next request is answered.
pub enum Answer {
    Whole(u16, String),
    /// In pieces, each sent when the test hands it over.
    Pieces(mpsc::Receiver<Vec<u8>>),
    /// Not at all, for as long as the caller waits.
    Never,
}

pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Answer>,
    seen: Mutex<Vec<Message>>,
}

impl Upstream {
    /// On a free port of this machine. Its threads end with the test's process.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answer: Mutex::new(Answer::Whole(204, String::new())),
            seen: Mutex::default(),
        });
        let for_connections = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&for_connections);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// From now on.
    pub fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().expect("a lock") = answer;
    }

    /// What came since it was last asked.
    pub fn seen(&self) -> Vec<Message> {
        std::mem::take(&mut *self.shared.seen.lock().expect("a lock"))
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = Message::read(&mut stream, true) {
            self.seen.lock().expect("a lock").push(request);
            let out = stream.get_mut();
            let sent = match &*self.answer.lock().expect("a lock") {
                // Reading on waits for the next request, or for the end of the connection.
                Answer::Never => Ok(()),
                Answer::Whole(204, _) => out.write_all(b"HTTP/1.1 204 No Content\r\n\r\n"),
                Answer::Whole(status, body) => {
                    let len = body.len();
                    out.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: {len}\r\n\r\n{body}").as_bytes())
                }
                Answer::Pieces(pieces) => {
                    let mut sent = out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                    for piece in pieces {
                        let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
                        sent = sent.and_then(|()| out.write_all(&framed));
                    }
                    sent.and_then(|()| out.write_all(b"0\r\n\r\n"))
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}
