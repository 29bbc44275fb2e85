//! A gate between sidecars and Kafka: it refuses connections, or lets answers through late, to the millisecond. A broker
//! that is killed does the first only roughly.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

#[derive(Debug)]
pub struct Gate {
    front: SocketAddr,
    back: SocketAddr,
    /// Milliseconds by which answers are late.
    late: Arc<AtomicU64>,
    listening: Option<Listening>,
}

#[derive(Debug)]
struct Listening {
    closed: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    thread: JoinHandle<()>,
}

impl Gate {
    pub fn open(front: SocketAddr, back: SocketAddr) -> Result<Self> {
        let mut gate = Self {
            front,
            back,
            late: Arc::default(),
            listening: None,
        };
        gate.let_in()?;
        Ok(gate)
    }

    pub fn address(&self) -> SocketAddr {
        self.front
    }

    pub fn answers_late_by(&self, late: Duration) {
        let millis = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        self.late.store(millis, Ordering::SeqCst);
    }

    /// Ends all connections and refuses new ones.
    pub fn refuse(&mut self) -> Result<()> {
        let Some(listening) = self.listening.take() else {
            return Ok(());
        };
        listening.closed.store(true, Ordering::SeqCst);
        // Wakes up who waits for a connection.
        let _ = TcpStream::connect(self.front);
        listening.thread.join().ok().context("the gate's thread")?;
        for stream in lock(&listening.connections).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    pub fn let_in(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.front).context("the gate's port")?;
        let (closed, connections) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<_>>>::default());
        let thread = {
            let (closed, connections) = (closed.clone(), connections.clone());
            let (back, late) = (self.back, self.late.clone());
            thread::spawn(move || {
                for front in listener.incoming().flatten() {
                    if closed.load(Ordering::SeqCst) {
                        return;
                    }
                    if let Ok(both) = join(front, back, &late) {
                        lock(&connections).extend(both);
                    }
                }
            })
        };
        self.listening = Some(Listening {
            closed,
            connections,
            thread,
        });
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.refuse();
    }
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn join(front: TcpStream, back: SocketAddr, late: &Arc<AtomicU64>) -> Result<[TcpStream; 2]> {
    let back = TcpStream::connect(back)?;
    for stream in [&front, &back] {
        stream.set_nodelay(true)?;
    }
    pass(front.try_clone()?, back.try_clone()?, None);
    pass(back.try_clone()?, front.try_clone()?, Some(late.clone()));
    Ok([front, back])
}

/// Passes on what comes, each piece by as much later as is asked when it comes.
fn pass(mut from: TcpStream, mut to: TcpStream, late: Option<Arc<AtomicU64>>) {
    let (pieces, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let late = late.as_ref().map_or(0, |late| late.load(Ordering::SeqCst));
            let due = Instant::now() + Duration::from_millis(late);
            if pieces.send((due, buffer[..len].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in due {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
