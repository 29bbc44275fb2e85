//! A way to the API server that can be closed, and whose connections can break.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use learnflow_tests::Target;
use serde_json::Value;

pub struct Gate {
    kubeconfig: PathBuf,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    closed: AtomicBool,
    /// Connections end once in so many milliseconds; 0: never.
    every: AtomicUsize,
    broken: AtomicUsize,
    over: AtomicBool,
}

impl Gate {
    pub fn to(target: &Target) -> Result<Gate> {
        let text = target.run_kubectl(&["config", "view", "--raw", "--minify", "--output=json"])?;
        let mut config: Value = serde_json::from_str(&text)?;
        let server = config["clusters"][0]["cluster"]["server"]
            .as_str()
            .context("a server")?;
        let server = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        config["clusters"][0]["cluster"]["server"] = format!("https://127.0.0.1:{port}").into();
        let kubeconfig = std::env::temp_dir().join(format!("learnflow-gate-{}-{port}.json", std::process::id()));
        std::fs::write(&kubeconfig, config.to_string())?;
        let state = Arc::<State>::default();
        thread::spawn({
            let state = state.clone();
            move || state.run(listener, port, &server)
        });
        Ok(Gate { kubeconfig, state })
    }

    /// The plugin, through this gate.
    pub fn plugin(&self, target: &Target, arguments: &[&str]) -> Command {
        let mut plugin = target.plugin(arguments);
        plugin.env("KUBECONFIG", &self.kubeconfig);
        plugin
    }

    /// Connections end, new ones are refused.
    pub fn close_for(&self, time: Duration) {
        let state = self.state.clone();
        state.closed.store(true, Ordering::SeqCst);
        thread::spawn(move || {
            thread::sleep(time);
            state.closed.store(false, Ordering::SeqCst);
        });
    }

    /// Connections end, new ones are accepted.
    pub fn break_every(&self, time: Duration) {
        self.state.every.store(time.as_millis() as usize, Ordering::SeqCst);
    }

    pub fn broken(&self) -> usize {
        self.state.broken.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

impl State {
    fn run(&self, listener: TcpListener, port: u16, server: &str) {
        let mut listener = Some(listener);
        let mut ways: Vec<TcpStream> = Vec::new();
        let mut broke = Instant::now();
        while !self.over.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
            let every = self.every.load(Ordering::SeqCst) as u128;
            let breaks = every > 0 && broke.elapsed().as_millis() >= every;
            let closed = self.closed.load(Ordering::SeqCst);
            if breaks || closed {
                broke = Instant::now();
                self.broken.fetch_add(ways.len() / 2, Ordering::SeqCst);
                ways.drain(..).for_each(|way| drop(way.shutdown(Shutdown::Both)));
            }
            if closed {
                listener = None;
                continue;
            }
            if listener.is_none() {
                listener = TcpListener::bind(("127.0.0.1", port)).ok();
            }
            let Some(listener) = &listener else { continue };
            let _ = listener.set_nonblocking(true);
            if let Ok((near, _)) = listener.accept()
                && let Ok(far) = TcpStream::connect(server)
                && near.set_nonblocking(false).is_ok()
            {
                for (from, to) in [(&near, &far), (&far, &near)] {
                    if let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) {
                        thread::spawn(move || {
                            let _ = io::copy(&mut from, &mut to);
                            let _ = to.shutdown(Shutdown::Both);
                        });
                    }
                }
                ways.extend([near, far]);
            }
        }
    }
}
