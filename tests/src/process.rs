//! Programs that a test runs beside itself, and where they are reached. Nothing of them outlives the test.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// As long as a slow machine may take to start something.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends with its value, and with the thread that started it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Mutex<Child>,
    output: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Starts a command, which has `folder` to write to.
    pub fn start(name: &'static str, command: &mut Command, folder: &Path) -> Result<Self> {
        let (output, errors) = (folder.join("output.log"), folder.join("errors.log"));
        let child = learnflow_lab::tie(command)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(&errors)?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child: Mutex::new(child),
            output,
            errors,
        })
    }

    /// Waits until `check` finds something; an error if the program ends first.
    pub fn wait<T>(&self, what: &str, mut check: impl FnMut() -> Option<T>) -> Result<T> {
        self.poll(what, |ended| match (check(), ended) {
            (Some(found), _) => Ok(Some(found)),
            (None, Some(status)) => bail!("{} has ended ({status}):\n{}", self.name, self.last_words()),
            (None, None) => Ok(None),
        })
    }

    /// Waits until it ends by itself.
    pub fn wait_for_end(&self) -> Result<ExitStatus> {
        self.poll("end", Ok)
    }

    fn poll<T>(&self, what: &str, mut check: impl FnMut(Option<ExitStatus>) -> Result<Option<T>>) -> Result<T> {
        let started = Instant::now();
        loop {
            let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()?;
            if let Some(found) = check(ended)? {
                return Ok(found);
            }
            if started.elapsed() > PATIENCE {
                bail!("{}: no {what}:\n{}", self.name, self.last_words());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Tells it to end, and waits until it has.
    #[cfg(target_os = "linux")]
    pub fn end(&self) -> Result<ExitStatus> {
        self.signal(nix::sys::signal::Signal::SIGTERM)?;
        self.wait_for_end()
    }

    /// It stands still, with its connections open, or goes on.
    #[cfg(target_os = "linux")]
    pub fn hold(&self, still: bool) -> Result<()> {
        use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
        self.signal(if still { SIGSTOP } else { SIGCONT })
    }

    #[cfg(target_os = "linux")]
    fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.id())?);
        Ok(nix::sys::signal::kill(id, signal)?)
    }

    /// Ends it without a word (SIGKILL).
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Where its standard output goes.
    pub fn output_file(&self) -> &Path {
        &self.output
    }

    /// What it has written to its standard output.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// And to the other one.
    pub fn errors(&self) -> String {
        read(&self.errors)
    }

    /// How long it has been on a processor.
    pub fn processor_time(&self) -> Result<Duration> {
        // Nanoseconds, summed over its threads: /proc/ID/schedstat has the first thread's alone.
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += text
                .split(' ')
                .next()
                .and_then(|one| one.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The most memory it has ever had, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        self.bytes("VmHWM:")
    }

    /// What it has now.
    pub fn memory(&self) -> Result<u64> {
        self.bytes("VmRSS:")
    }

    fn bytes(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.with_context(|| name.to_owned())?.parse::<u64>()? * 1024)
    }

    fn last_words(&self) -> String {
        let said = self.output() + &self.errors();
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A temporary folder that goes with its value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        sweep();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PREFIX: &str = "learnflow-test-";

/// Removes what was left by processes that were killed.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|name| name.split('-').next());
        if process.is_some_and(|process| Path::new("/proc/self").exists() && !Path::new("/proc").join(process).exists())
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A free port of the loopback device, for a program that has to be told one. Below those that the kernel hands out for
/// connections, so that it stays free until the program has it.
pub fn free_port() -> Result<SocketAddr> {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..1000 {
        // Two test processes begin at different places.
        let begin = std::process::id().wrapping_mul(101) % u32::from(COUNT);
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from((begin + next) % u32::from(COUNT))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port of the loopback device is free")
}
