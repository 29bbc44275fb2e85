//! A program on loopback that ends with the test.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it, its output to a file, and waits until `ready` answers with 200.
    pub fn start(name: &'static str, command: &mut Command, folder: &Path, ready: &str) -> Process {
        let log = folder.join(format!("{name}.log"));
        let output = fs::File::create(&log).expect("a log file");
        let child = learnflow_lab::tie(command)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect(name);
        let mut process = Process { name, child, log };
        let started = Instant::now();
        while ureq::get(ready).call().is_err() {
            let ended = process.child.try_wait().expect("its state");
            if ended.is_some() || started.elapsed() > Duration::from_secs(60) {
                panic!("{name} does not answer at {ready} ({ended:?}):\n{}", process.said());
            }
            thread::sleep(Duration::from_millis(200));
        }
        process
    }

    /// The most memory it has ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.expect("VmHWM") * 1024
    }

    /// The end of what it said.
    pub fn said(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let end = &text[text.len().saturating_sub(4000)..];
        String::from_utf8_lossy(end).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{} said in the end:\n{}", self.name, self.said());
        }
    }
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A folder of its own below the build folder, emptied.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}
