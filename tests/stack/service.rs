//! A Service: connections to one address go to the pod that is ready, those that are there already stay where they are.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    thread,
};

#[derive(Default)]
struct Shared {
    /// Where connections go; 0 is nowhere.
    pod: AtomicU16,
    open: Mutex<Vec<TcpStream>>,
    /// What clients have sent.
    bytes: AtomicU64,
}

pub struct Service {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Service {
    pub fn of(pod: u16) -> Service {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        shared.pod.store(pod, Ordering::Relaxed);
        let service = shared.clone();
        // Ends with the tests.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = service.connect(stream);
            }
        });
        Service { port, shared }
    }

    /// From now on to this pod.
    pub fn to(&self, pod: u16) {
        self.shared.pod.store(pod, Ordering::Relaxed);
    }

    /// What has gone to pods.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// From now on nowhere, and what is open breaks.
    pub fn cut(&self) {
        self.to(0);
        for stream in self.shared.open.lock().expect("streams").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let pod = self.pod.load(Ordering::Relaxed);
        // Nobody listens at port 0: the client's connection is dropped, and so refused.
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, pod))?;
        let shared = self.clone();
        pass(&client, &server, move |bytes| {
            shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        })?;
        pass(&server, &client, |_| ())?;
        self.open.lock().expect("streams").extend([client, server]);
        Ok(())
    }
}

/// Passes on what comes, in a thread of its own, until one of them ends; then both do.
fn pass(from: &TcpStream, to: &TcpStream, passed: impl Fn(u64) + Send + 'static) -> io::Result<()> {
    let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
            passed(length as u64);
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
    Ok(())
}
