//! The keeper: the one process of a lab that lives outside of it.
//!
//! It starts the node as process 1 of new namespaces, forwards one loopback port of this machine to the node's API server,
//! and cleans up when the node ends. The kernel does the rest: when process 1 of a PID namespace dies, every process in it
//! is killed, and its network and mounts vanish with the last of them. When the keeper is killed, the node gets SIGKILL
//! (PR_SET_PDEATHSIG). So whatever is killed, nothing keeps running; cgroups and files are removed by `lab down` or by the
//! next `lab up`.
//!
//! A keeper can be tied to the process that started it (a demo, a test run): it then ends the lab when that process ends,
//! however it ends.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    thread,
};

use anyhow::{Context, Result};
use nix::{
    sched::{CloneFlags, setns},
    sys::{
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
};

use crate::{cgroups, node, paths, pki};

/// Runs a lab until its node ends. Never returns before. A tied one also ends with its stdin, which its starter holds.
pub fn run(name: &str, tied: bool) -> Result<()> {
    let lab = paths::lab(name)?;
    let (read, write) = nix::unistd::pipe()?;
    // Bound before the node exists: a free port, ours until the end.
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let port = listener.local_addr()?.port();
    pki::kubeconfig(
        &lab.join("pki"),
        "admin",
        &format!("https://127.0.0.1:{port}"),
        &lab.join("kubeconfig"),
    )?;

    let pid = start_node(name, &write)?;
    drop(write);
    fs::write(lab.join("node.pid"), pid.to_string())?;
    if tied {
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        });
    }

    let mut log = File::options().create(true).append(true).open(lab.join("progress"))?;
    let mut listener = Some(listener);
    for line in BufReader::new(File::from(read)).lines() {
        let line = line?;
        if line == node::NETWORK_IS_UP {
            if let Some(listener) = listener.take() {
                forward(listener, pid.as_raw())?;
            }
        } else {
            writeln!(log, "{line}")?;
        }
    }
    let status = waitpid(pid, None)?;
    if !matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)) {
        writeln!(log, "failed: the node ended ({status:?})")?;
    }
    cgroups::remove(name)?;
    if tied {
        fs::remove_dir_all(&lab)?;
    }
    Ok(())
}

/// Starts this program again as process 1 of a new PID namespace, its stdout and stderr into `output`.
fn start_node(name: &str, output: &OwnedFd) -> Result<nix::unistd::Pid> {
    use std::ffi::CString;
    let program = CString::new(std::env::current_exe()?.as_os_str().as_encoded_bytes())?;
    let arguments = [program.clone(), c"lab".into(), c"__node".into(), CString::new(name)?];
    let mut stack = vec![0_u8; 256 * 1024];
    let child = Box::new(|| {
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
        // SAFETY: plain dup2 onto the standard streams, in a child that only calls exec.
        unsafe {
            nix::libc::dup2(output.as_raw_fd(), 1);
            nix::libc::dup2(output.as_raw_fd(), 2);
        }
        let _ = nix::unistd::execv(&program, &arguments);
        127
    });
    // SAFETY: no other thread exists yet, and the child only sets a signal, moves descriptors and calls exec.
    let pid = unsafe {
        nix::sched::clone(
            child,
            &mut stack,
            CloneFlags::CLONE_NEWPID,
            Some(Signal::SIGCHLD as i32),
        )
    }
    .context("cannot make a PID namespace: the lab needs root with CAP_SYS_ADMIN")?;
    Ok(pid)
}

/// Forwards every connection of `listener` to the API server inside the node's network.
fn forward(listener: TcpListener, node: i32) -> Result<()> {
    let network = File::open(format!("/proc/{node}/ns/net"))?;
    thread::spawn(move || {
        // Only this thread and those it starts move into the node's network; the listener stays where it was bound.
        if setns(&network, CloneFlags::CLONE_NEWNET).is_err() {
            return;
        }
        for client in listener.incoming().flatten() {
            thread::spawn(move || {
                if let Ok(server) = TcpStream::connect((node::NODE_IP, 6443)) {
                    let _ = relay(client, server);
                }
            });
        }
    });
    Ok(())
}

fn relay(client: TcpStream, server: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = io::copy(&mut from_server, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Write);
    let _ = up.join();
    Ok(())
}

/// Whether a process with this id is the one whose command line names our program and this lab.
pub fn is_ours(pid: i32, name: &str) -> bool {
    fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).is_ok_and(|line| {
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        words.len() >= 4 && words[1] == b"lab" && words[2].starts_with(b"__") && words[3] == name.as_bytes()
    })
}
