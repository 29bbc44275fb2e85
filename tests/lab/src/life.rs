use std::process::Command;

/// How long a new lab lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Until somebody takes it down.
    Detached,
    /// At most as long as the process that brought it up, however that ends.
    Tied,
}

/// The command's process gets SIGKILL when the thread that starts it ends, however it does.
pub fn tie(command: &mut Command) -> &mut Command {
    #[cfg(target_os = "linux")]
    {
        use std::{io, os::unix::process::CommandExt};

        use nix::sys::{prctl::set_pdeathsig, signal::Signal};

        // SAFETY: prctl is async-signal-safe.
        unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) };
    }
    command
}
