//! A Service: connections to one address go to the pod that is ready, those that are there already stay where they are.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread,
};

#[derive(Default)]
struct Shared {
    /// Where connections go; 0 is nowhere.
    pod: AtomicU16,
    open: Mutex<Vec<TcpStream>>,
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

    /// From now on nowhere, and what is open breaks.
    pub fn cut(&self) {
        self.to(0);
        for stream in self.shared.open.lock().expect("streams").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn connect(&self, client: TcpStream) -> io::Result<()> {
        let pod = self.pod.load(Ordering::Relaxed);
        // Nobody listens at port 0: the client's connection is dropped, and so refused.
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, pod))?;
        for (mut from, mut to) in [
            (client.try_clone()?, server.try_clone()?),
            (server.try_clone()?, client.try_clone()?),
        ] {
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
                let _ = from.shutdown(Shutdown::Both);
            });
        }
        self.open.lock().expect("streams").extend([client, server]);
        Ok(())
    }
}
